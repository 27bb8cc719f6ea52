"""A container registry of one OCI layout, read-only, on loopback.

registry.py LAYOUT_DIR [USER:PASSWORD] prints its port and serves the layout's
only manifest under every name and tag.
"""
import base64
import http.server
import json
import os
import sys

layout = sys.argv[1]
login = sys.argv[2] if len(sys.argv) > 2 else None


def blob(digest):
    with open(os.path.join(layout, "blobs", *digest.split(":")), "rb") as f:
        return f.read()


with open(os.path.join(layout, "index.json"), encoding="utf-8") as index:
    manifest = json.load(index)["manifests"][0]


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, kind="application/json", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        sent = self.headers.get("Authorization", "")
        wanted = login and "Basic " + base64.b64encode(login.encode()).decode()
        parts = self.path.split("/")
        if wanted and sent != wanted:
            self.answer(401, b"{}", WWW_Authenticate='Basic realm="test"')
        elif self.path == "/v2/":
            self.answer(200, b"{}")
        elif parts[-2] == "manifests" and parts[-3] != "missing":
            self.answer(200, blob(manifest["digest"]), manifest["mediaType"],
                        Docker_Content_Digest=manifest["digest"])
        elif parts[-2] == "blobs":
            self.answer(200, blob(parts[-1]), "application/octet-stream")
        else:
            self.answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
print(server.server_port, flush=True)
server.serve_forever()
