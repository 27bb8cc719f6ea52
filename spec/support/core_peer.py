"""An HTTP server that misbehaves on request.

core_peer.py SOCKET_PATH [CERTIFICATE KEY]: listens on the socket, on a free port
of 127.0.0.1, and with a certificate on another port with TLS. Prints
"PID PORT TLS_PORT" when it is ready, and ends with its parent. The path of a
request chooses the answer: see the functions named do_*.
"""
import ctypes
import gzip
import hashlib
import os
import signal
import socket
import ssl
import struct
import sys
import threading
import time
import zlib
from urllib.parse import parse_qs, unquote, urlsplit

BLOCK = bytes(range(256)) * 256  # 64 KiB
counts = {}
lock = threading.Lock()


def count(name, by=1):
    with lock:
        counts[name] = counts.get(name, 0) + by


class Closed(Exception):
    """The connection must not be used any more."""


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""
        self.poisoned = False

    def more(self):
        data = self.sock.recv(262144)
        if not data:
            raise Closed
        self.buffer += data

    def line(self):
        while b"\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def take(self, size):
        """Yields the next `size` bytes as they arrive."""
        while size > 0:
            if not self.buffer:
                self.more()
            part, self.buffer = self.buffer[:size], self.buffer[size:]
            size -= len(part)
            yield part

    def request(self):
        self.method, self.target, _ = self.line().decode("latin-1").split(" ")
        self.head = []
        self.headers = {}
        while line := self.line().decode("latin-1"):
            name, value = line.split(":", 1)
            self.head.append(line)
            self.headers[name.lower()] = value.strip()
        url = urlsplit(self.target)
        self.path = url.path
        self.query = {k: v[0] for k, v in parse_qs(
            url.query, keep_blank_values=True).items()}

    def number(self, name, default):
        return float(self.query.get(name, default))

    def body(self):
        """Yields the request's body as it arrives."""
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.line(), 16):
                yield from self.take(size)
                self.line()
            self.line()
        else:
            yield from self.take(int(self.headers.get("content-length", 0)))

    def drain(self):
        for _ in self.body():
            pass

    def send(self, data):
        self.sock.sendall(data)

    def start(self, status=200, **headers):
        lines = [f"HTTP/1.1 {status} Whatever"]
        lines += [f"{k.replace('_', '-')}: {v}" for k, v in headers.items()]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def answer(self, body, status=200, **headers):
        if isinstance(body, str):
            body = body.encode()
        self.start(status, Content_Length=len(body), **headers)
        if self.method != "HEAD":
            self.send(body)

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    # Well-behaved answers

    def do_echo(self):
        body = b"".join(self.body())
        self.answer(body, X_Method=self.method, X_Mixed_Case="Yes")

    def do_records(self):
        """Sends the body back as records."""
        self.answer(b"".join(self.body()),
                    Content_Type="application/vnd.contree.records")

    def do_head(self):
        """Answers with the request line and the headers."""
        self.drain()
        self.answer("\n".join([f"{self.method} {self.target}", *self.head]))

    def do_sha(self):
        """Answers with the size and SHA-256 of the request's body."""
        digest, size = hashlib.sha256(), 0
        for part in self.body():
            digest.update(part)
            size += len(part)
        self.answer(f"{size} {digest.hexdigest()}")

    def do_big(self):
        self.drain()
        left = int(self.query["n"])
        self.start(Content_Length=left)
        while left > 0:
            self.send(BLOCK[:left])
            left -= len(BLOCK)

    def do_status(self):
        self.drain()
        self.answer(self.query.get("body", ""), int(self.query["code"]),
                    Location="/elsewhere")

    def do_slow(self):
        self.drain()
        self.start(Transfer_Encoding="chunked")
        for i in range(int(self.query["n"])):
            self.chunk(b"chunk %d\n" % i)
            time.sleep(self.number("seconds", 0.01))
        self.chunk(b"")

    def do_count(self):
        self.answer(str(counts.get(self.query["of"], 0)))

    def do_interim(self):
        self.drain()
        self.start(100)
        self.start(103, Link="</style.css>")
        self.answer("final", X_Final="yes")

    def do_trailers(self):
        self.drain()
        self.start(Transfer_Encoding="chunked")
        self.chunk(b"body")
        self.send(b"0\r\nX-Trailer: late\r\nHTTP/1.1 500 x: y\r\n\r\n")

    def do_repeated(self):
        self.drain()
        self.send(b"HTTP/1.1 200 OK\r\nA: one\r\na:  two \r\nEmpty:\r\n"
                  b"Content-Length: 0\r\n\r\n")

    # Compressed ones

    def packed(self, data):
        self.drain()
        self.answer(data, Content_Encoding=self.query.get("as", "gzip"))

    def do_gzip(self):
        self.packed(gzip.compress(BLOCK * int(self.query.get("blocks", 1))))

    def do_gzip_members(self):
        self.packed(gzip.compress(b"one ") + gzip.compress(b"two"))

    def do_gzip_cut(self):
        self.packed(gzip.compress(BLOCK)[:-4])

    def do_gzip_damaged(self):
        data = bytearray(gzip.compress(BLOCK))
        data[-6] ^= 1
        self.packed(bytes(data))

    def do_gzip_not(self):
        self.packed(b"this is no gzip at all")

    # Event streams

    def do_events(self):
        """Answers with ?text=, `split` bytes at a time, compressed with ?gzip."""
        self.drain()
        data = unquote(self.query["text"]).encode("latin-1")
        size = int(self.query.get("split", 1 << 20))
        headers = {"Content_Type": "text/event-stream"}
        if "gzip" in self.query:
            headers["Content_Encoding"] = "gzip"
        self.start(Transfer_Encoding="chunked", **headers)
        packer = zlib.compressobj(wbits=31)
        for at in range(0, len(data), size):
            part = data[at:at + size]
            if "gzip" in self.query:
                part = packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)
            self.chunk(part)
            time.sleep(self.number("seconds", 0))
        if "gzip" in self.query:
            self.chunk(packer.flush())
        self.chunk(b"")

    def do_endless_events(self):
        self.drain()
        self.start(Transfer_Encoding="chunked",
                   Content_Type="text/event-stream")
        frame = b"id: 1\ndata: " + b"x" * 1000 + b"\n\n"
        self.flood(frame * 32)

    def do_event_too_large(self):
        self.drain()
        self.start(Content_Type="text/event-stream", Connection="close")
        self.send(b"data: " + b"x" * (5 << 20) + b"\n\n")
        raise Closed

    # Bad ones

    def flood(self, block):
        """Sends chunks until nobody reads; /count?of=flood counts the bytes."""
        with lock:
            counts["flood"] = 0
        while True:
            self.chunk(block)
            count("flood", len(block))

    def do_flood(self):
        self.drain()
        self.start(Transfer_Encoding="chunked")
        self.flood(BLOCK)

    def do_pit(self):
        """Reads ?n= bytes of the body, then stops reading."""
        taken = 0
        for part in self.body():
            taken += len(part)
            if taken >= self.number("n", 0):
                break
        self.hang()

    def do_short(self):
        self.drain()
        self.start(Content_Length=100)
        self.send(b"ten bytes.")
        raise Closed

    def do_chunk_cut(self):
        self.drain()
        self.start(Transfer_Encoding="chunked")
        self.chunk(b"some")
        raise Closed

    def do_chunk_bad(self):
        self.drain()
        self.start(Transfer_Encoding="chunked")
        self.send(b"no number\r\n")
        raise Closed

    def do_empty(self):
        self.drain()
        raise Closed

    def do_garbage(self):
        self.drain()
        self.send(b"\x00\x01 this is not HTTP\r\n\r\n")
        raise Closed

    def do_huge_head(self):
        self.drain()
        self.send(b"HTTP/1.1 200 OK\r\n")
        for i in range(8):
            self.send(b"X-%d: " % i + b"x" * 60000 + b"\r\n")
        self.answer("")

    def do_switch(self):
        """Switches to a protocol that was not requested."""
        self.drain()
        self.start(101, Upgrade="h2c", Connection="Upgrade")
        self.send(bytes(100))
        raise Closed

    def do_endless_head(self):
        """Sends heads, or trailers, as long as somebody reads."""
        self.drain()
        kind = self.query["of"]
        if kind == "trailers":
            self.start(Transfer_Encoding="chunked")
            self.send(b"2\r\n{}\r\n0\r\n")
        elif kind == "headers":
            self.send(b"HTTP/1.1 200 OK\r\n")
        with lock:
            counts["flood"] = 0
        while True:
            if kind == "interim":
                self.start(100)
            else:
                self.send(b"X-A: " + b"x" * 1000 + b"\r\n")
            count("flood", 1000)

    def do_gzip_zeros(self):
        """Sends ?n= MiB of zeros, which are small on the wire."""
        packer, zeros = zlib.compressobj(9, wbits=31), bytes(1 << 20)
        data = [packer.compress(zeros) for _ in range(int(self.query["n"]))]
        self.packed(b"".join(data) + packer.flush())

    def do_reset(self):
        self.drain()
        self.reset()

    def do_reset_in_body(self):
        self.drain()
        self.start(Content_Length=100)
        self.send(b"ten bytes.")
        time.sleep(0.05)
        self.reset()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        raise Closed

    def do_never(self):
        self.drain()
        self.hang()

    def do_stall(self):
        """Sends a part of the body, then nothing."""
        self.drain()
        self.start(Content_Length=100)
        self.send(b"ten bytes.")
        self.hang()

    def hang(self):
        count("hanging")
        while self.sock.recv(1, socket.MSG_PEEK):
            time.sleep(0.02)
        raise Closed

    def do_refuse_body(self):
        """Answers without reading the body."""
        self.start(413, Content_Length=8, Connection="close")
        time.sleep(self.number("pause", 0))
        self.send(b"too much")
        self.sock.shutdown(socket.SHUT_WR)
        time.sleep(self.number("seconds", 0.2))
        raise Closed

    def do_poison(self):
        """Answers well, but drops the next request of this connection."""
        self.drain()
        self.answer("ok")
        self.poisoned = True

    def serve(self):
        count("connections")
        try:
            while True:
                self.request()
                if self.poisoned:
                    self.drain()
                    count("dropped " + self.method)
                    raise Closed
                getattr(self, "do_" + self.path[1:])()
        except ValueError:
            self.start(400, Connection="close")  # TLS, perhaps
            self.sock.shutdown(socket.SHUT_WR)
            while self.sock.recv(65536):
                pass
        except (Closed, OSError):
            pass
        finally:
            self.sock.close()
            count("closed")


def listen(sock, wrap=None):
    sock.listen(128)

    def connected(peer):
        try:
            if wrap:
                peer = wrap.wrap_socket(peer, server_side=True)
            Connection(peer).serve()
        except OSError:
            peer.close()

    def accept():
        while True:
            peer, _ = sock.accept()
            threading.Thread(target=connected, args=(peer,),
                             daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return sock


def tcp(wrap=None):
    sock = socket.create_server(("127.0.0.1", 0))
    return listen(sock, wrap).getsockname()[1]


def main():
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(sys.argv[1])
    listen(unix)
    secure = 0
    if len(sys.argv) > 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        secure = tcp(context)
    print(os.getpid(), tcp(), secure, flush=True)
    while True:
        signal.pause()


main()
