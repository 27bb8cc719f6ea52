"""A container registry of one OCI layout that misbehaves on request.

registry.py LAYOUT_DIR [USER:PASSWORD] prints its port and serves the layout's
only manifest under every tag. The first part of an image's name says how it
behaves:

  good      correctly
  hangup    cuts the connection in the middle of a layer
  slow      sends a layer byte by byte
  endless   sends a layer without end
  away      says that layers are at another address
  swapped   sends another layer, of the right size
  forged    sends another config, of the right size
  edited    sends another manifest when asked for it by digest
  broken    answers 500 for layers, with what might be a secret
  index     wraps the manifest in an index of many machines
  deep      wraps it twice

Each request is printed as a line.
"""
import base64
import hashlib
import http.server
import json
import os
import platform
import sys
import time

layout = sys.argv[1]
login = sys.argv[2] if len(sys.argv) > 2 else None
INDEX = "application/vnd.oci.image.index.v1+json"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(),
                                                     platform.machine())


def read(*path):
    with open(os.path.join(layout, *path), "rb") as f:
        return f.read()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def blob(name):
    return read("blobs", *name.split(":"))


def top():
    return json.loads(read("index.json"))["manifests"][0]


def wrap(entry):
    other = dict(entry, digest=digest(b"x"),
                 platform={"os": "linux", "architecture": "vax"})
    mine = dict(entry, platform={"os": "linux", "architecture": MACHINE})
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX,
                       "manifests": [other, mine]}).encode()


def entry_of(data):
    return {"mediaType": INDEX, "digest": digest(data), "size": len(data)}


def manifest(how, reference):
    """Returns the type and bytes of the manifest."""
    entry = top()
    plain = blob(entry["digest"])
    if how == "edited" and reference.startswith("sha256:"):
        plain = plain.replace(b'"schemaVersion":2', b'"schemaVersion": 2')
    documents = [(entry["mediaType"], plain)]
    if how in ("index", "deep"):
        documents.append((INDEX, wrap(entry)))
    if how == "deep":
        documents.append((INDEX, wrap(entry_of(documents[-1][1]))))
    for kind, data in documents:
        if reference == digest(data):
            return kind, data
    return documents[-1]


def change(data):
    return data[:-1] + bytes([data[-1] ^ 1])


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def head(self, status, length, kind="application/json", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is None:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def answer(self, status, body, kind="application/json", **headers):
        self.head(status, len(body), kind, **headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_layer(self, how, data):
        kind = "application/octet-stream"
        if how == "hangup":
            self.head(200, len(data), kind)
            self.wfile.write(data[:len(data) // 2])
            self.close_connection = True
        elif how == "slow":
            self.head(200, len(data), kind)
            for i in range(len(data)):
                self.wfile.write(data[i:i + 1])
                time.sleep(0.2)
        elif how == "endless":
            self.head(200, None, kind)
            while True:
                self.wfile.write(bytes(1 << 20))
        elif how == "away":
            self.answer(307, b"", Location=read("away").decode())
        elif how == "broken":
            self.answer(500, b"s3cret of the registry\n" * 100)
        else:
            self.answer(200, change(data) if how == "swapped" else data, kind)

    def send_blob(self, how, name):
        data = blob(name)
        config = json.loads(blob(top()["digest"]))["config"]["digest"]
        if name != config:
            self.send_layer(how, data)
        else:
            self.answer(200, change(data) if how == "forged" else data)

    def do_GET(self):
        print(self.command, self.path, flush=True)
        sent = self.headers.get("Authorization", "")
        wanted = login and "Basic " + base64.b64encode(login.encode()).decode()
        parts = self.path.split("/")
        if wanted and sent != wanted:
            self.answer(401, b"{}", WWW_Authenticate='Basic realm="test"')
        elif self.path == "/v2/":
            self.answer(200, b"{}")
        elif parts[-2] == "manifests" and parts[2] != "missing":
            kind, data = manifest(parts[2], parts[-1])
            self.answer(200, data, kind, Docker_Content_Digest=digest(data))
        elif parts[-2] == "blobs":
            self.send_blob(parts[2], parts[-1])
        else:
            self.answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')

    do_HEAD = do_GET

    def handle(self):
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
print(server.server_port, flush=True)
server.serve_forever()
