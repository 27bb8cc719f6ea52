#!/usr/bin/env python3
"""A server that answers by the rules of a spec, and records the requests.

POST /_rules replaces the rules by a JSON list; GET /_requests returns the
recorded requests; POST /_quit ends the server. A rule is
  {"method": "GET", "path": "/v1/whoami", "replies": [REPLY, ...]}
where path is a regular expression for the whole path without the query, and
the last reply repeats. The first rule that fits answers. A reply is
  {"status": 200, "headers": {}, "json": VALUE | "body": TEXT |
   "chunks": [TEXT, SECONDS, [TEXT, TIMES], ...], "delay": SECONDS,
   "gzip": true, "repeat": TIMES, "end": "cut" | "reset"}
"cut" closes the connection before the announced end; without a status nothing is
sent at all. "gzip" compresses the body, before it is cut. "repeat" repeats the
body.

Started as `fake_server.py serve --data-dir D --socket S --ready-fd N` it plays
the engine: one per data directory, on a Unix socket. With FAKE_ENGINE=fail it
ends with a message, with FAKE_ENGINE=slow it takes a while to listen.
"""
import base64
import fcntl
import json
import os
import re
import socket
import socketserver
import struct
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler

lock = threading.Lock()
rules, requests, playing = [], [], []


def pick(method, path):
    """Returns the next reply, or None."""
    with lock:
        for rule in rules:
            if rule.get("method", method) == method and re.fullmatch(rule["path"], path):
                replies = rule["replies"]
                return replies.pop(0) if len(replies) > 1 else replies[0]
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def log_message(self, *_):
        pass

    def address_string(self):
        return "peer"

    def read_body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def send(self, status, headers, body=b""):
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def send_json(self, value, status=200):
        body = json.dumps(value).encode()
        self.send(status, {"Content-Type": "application/json", "Content-Length": len(body)}, body)

    def hang_up(self, how):
        self.wfile.flush()
        if how == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def control(self, body):
        global rules
        if self.path == "/_rules":
            with lock:
                rules = json.loads(body.decode("latin-1"))  # bytes stay bytes
                requests.clear()
            self.send_json({})
        elif self.path == "/_requests":
            with lock:
                self.send_json(requests)
        else:
            self.send_json({})
            os._exit(0)

    def record(self, path, query, body):
        with lock:
            requests.append({
                "method": self.command, "path": path, "query": query,
                "headers": {k.lower(): v for k, v in self.headers.items()},
                "body": base64.b64encode(body).decode(), "in_flight": len(playing),
            })

    def play(self, reply):
        time.sleep(reply.get("delay", 0))
        if "status" not in reply:
            return self.hang_up(reply.get("end", "cut"))
        headers = dict(reply.get("headers", {}))
        if "chunks" in reply:
            return self.play_chunks(reply, headers)
        if "json" in reply:
            headers.setdefault("Content-Type", "application/json")
            body = json.dumps(reply["json"]).encode()
        else:
            body = reply.get("body", "").encode("latin-1")
        body *= reply.get("repeat", 1)
        extra = 10 if "end" in reply else 0
        if reply.get("gzip"):
            headers["Content-Encoding"] = "gzip"
            packer = zlib.compressobj(1, wbits=31)
            body = packer.compress(body) + packer.flush()
            if reply.get("end") == "cut":
                reply, body, extra = {**reply}, body[:-8], 0
                del reply["end"]
        headers.setdefault("Content-Length", len(body) + extra)
        self.send(reply["status"], headers, body)
        if "end" in reply:
            self.hang_up(reply["end"])

    def send_chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def play_chunks(self, reply, headers):
        headers["Transfer-Encoding"] = "chunked"
        packer = zlib.compressobj(1, wbits=31) if reply.get("gzip") else None
        if packer:
            headers["Content-Encoding"] = "gzip"
        self.send(reply["status"], headers)
        for chunk in reply["chunks"]:
            if isinstance(chunk, (int, float)):
                time.sleep(chunk)
                continue
            text, times = (chunk, 1) if isinstance(chunk, str) else chunk
            data = text.encode("latin-1") * times
            if packer:
                data = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
            self.send_chunk(data)
        if "end" in reply:
            return self.hang_up(reply["end"])
        if packer:
            self.send_chunk(packer.flush())
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def answer(self):
        body = self.read_body()
        if self.path.startswith("/_"):
            return self.control(body)
        path, _, query = self.path.partition("?")
        reply = pick(self.command, path)
        if reply is None:
            reply = {"status": 404, "json": {"error": "no rule for %s %s" % (self.command, path)}}
        playing.append(self)
        self.record(path, query, body)
        try:
            self.play(reply)
        except ConnectionError:
            self.close_connection = True
        finally:
            playing.remove(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, *_):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*_)


class UnixServer(Server):
    address_family = socket.AF_UNIX

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("peer", 0)


UnixServer.disable_nagle_algorithm = False


def leave_with_parent():
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def play_engine(arguments):
    option = dict(zip(arguments[::2], arguments[1::2]))
    Handler.disable_nagle_algorithm = False
    if os.environ.get("FAKE_ENGINE") == "fail":
        sys.exit("cannot write to " + option["--data-dir"])
    os.makedirs(option["--data-dir"], exist_ok=True)
    held = open(option["--data-dir"] + "/lock", "a+")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("another contree-engine uses " + option["--data-dir"])
    with open(option["--data-dir"] + "/starts", "a") as file:
        file.write("%d\n" % os.getpid())
    if os.environ.get("FAKE_ENGINE") == "slow":
        time.sleep(0.5)
    if os.path.exists(option["--socket"]):
        os.unlink(option["--socket"])
    rules.append({"path": "/v1/whoami", "replies": [{"status": 200, "json": {
        "token_uuid": "local", "permissions": {}, "operations_stat": {}}}]})
    server = UnixServer(option["--socket"], Handler)
    os.write(int(option["--ready-fd"]), b"\n")
    server.serve_forever()


def main():
    if sys.argv[1:2] == ["serve"]:
        return play_engine(sys.argv[2:])
    threading.Thread(target=leave_with_parent, daemon=True).start()
    if sys.argv[1:2] == ["unix"]:
        Handler.disable_nagle_algorithm = False
        server = UnixServer(sys.argv[2], Handler)
        print(sys.argv[2], flush=True)
    else:
        server = Server(("127.0.0.1", 0), Handler)
        print(server.server_address[1], flush=True)
    server.serve_forever()


main()
