"""Ways round an airlock: "python3 ways_round.py WAY [ARGUMENT ...]" tries one from inside of a
sandbox, and prints what came of it: "answer: ...", or the name of the error. "+" between two ways
tries both, one after the other, with "== NUMBER" after each."""
import errno
import select
import socket
import ssl
import struct
import sys
import time

RESOLVER = "10.0.2.3"


def say(*words):
    print(*words, flush=True)


def fail(e):
    if isinstance(e, socket.timeout):
        say("timeout")
    elif isinstance(e, socket.gaierror):
        say("gaierror")
    elif isinstance(e, OSError) and e.errno:
        say(errno.errorcode.get(e.errno, str(e.errno)))
    else:
        say(type(e).__name__)


def answer(sock):
    """What comes back until the end, one line of it."""
    data = b""
    try:
        while len(data) < 65536:
            piece = sock.recv(65536)
            if not piece:
                break
            data += piece
    except ConnectionResetError:
        if not data:
            raise
    say("answer:", data.split(b"\r\n")[0].decode("latin-1") if data else "none")


def connect(host, port, seconds=8):
    return socket.create_connection((host, int(port)), timeout=seconds)


def tcp(host, port, text="x\n", seconds=8):
    """Connect and say something."""
    with connect(host, port, float(seconds)) as s:
        s.sendall(text.encode("latin-1").decode("unicode_escape").encode("latin-1"))
        answer(s)


def udp(host, port, text="x", seconds=5):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(float(seconds))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.connect((host, int(port)))
        s.send(text.encode())
        say("answer:", s.recv(4096))


def quic(host):
    """A first packet of QUIC, of its least size."""
    packet = b"\xc3\x00\x00\x00\x01\x08" + b"a" * 8 + b"\x08" + b"b" * 8
    udp(host, 443, packet.ljust(1200, b"\0").decode("latin-1"))


def ping(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as s:
        s.settimeout(1)
        s.connect((host, 0))
        s.send(struct.pack("!BBHHH", 8, 0, 0, 1, 1) + b"data")
        say("answer:", len(s.recv(4096)))


def question(name, kind):
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.rstrip(".").split("."))
    return struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def dns_reply(data):
    code, answers = data[3] & 15, struct.unpack("!H", data[6:8])[0]
    address = socket.inet_ntoa(data[-4:]) if answers == 1 else ""
    say("code", code, "answers", answers, address)
    return address


KINDS = {"A": 1, "NS": 2, "CNAME": 5, "TXT": 16, "AAAA": 28, "ANY": 255, "HTTPS": 65, "MX": 15,
         "NULL": 10}


def dns(server, name, kind="A", how="udp"):
    query = question(name, KINDS[kind])
    if how == "tcp":
        with connect(server, 53) as s:
            s.sendall(struct.pack("!H", len(query)) + query)
            length = struct.unpack("!H", s.recv(2))[0]
            return dns_reply(s.recv(length))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.sendto(query, (server, 53))
        return dns_reply(s.recv(4096))


def dns_then(name, port, text):
    """Connect to the address that the resolver gives, also for names of /etc/hosts."""
    address = dns(RESOLVER, name)
    tcp(address, port, text)


def tunnel(suffix, count):
    """Data in the names of questions. Those beyond the rate are not answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for i in range(int(count)):
            name = ".".join(["d%06d" % i + "x" * 50] * 3) + "." + suffix
            s.sendto(question(name, 1), (RESOLVER, 53))
            if i % 16 == 15:
                select.select([s], [], [], 0.01)
            while select.select([s], [], [], 0)[0]:
                s.recv(4096)
    say("asked", count)


def tls(host, port, sni="", text="GET /who HTTP/1.1\r\nHost: tls.example\r\nConnection: close\r\n\r\n"):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with connect(host, port) as s:
        with context.wrap_socket(s, server_hostname=sni or None) as t:
            t.sendall(text.encode())
            answer(t)


def client_hello(sni, extra=b""):
    """A ClientHello of OpenSSL's, with more extensions."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO()
    side = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=sni or None)
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        pass
    record = bytearray(out.read())
    at = 5 + 4 + 2 + 32
    at += 1 + record[at]
    at += 2 + struct.unpack("!H", record[at:at + 2])[0]
    at += 1 + record[at]
    length = struct.unpack("!H", record[at:at + 2])[0]
    record[at:at + 2] = struct.pack("!H", length + len(extra))
    record += extra
    record[6:9] = struct.pack("!I", len(record) - 9)[1:]
    record[3:5] = struct.pack("!H", len(record) - 5)
    return bytes(record)


def ech(host, port, sni):
    """The outer ClientHello names an allowed host, the inner one is encrypted."""
    inner = b"\0\0\1\0\1\7" + struct.pack("!H", 32) + b"k" * 32 + struct.pack("!H", 144) + b"e" * 144
    extra = struct.pack("!HH", 0xfe0d, len(inner)) + inner
    with connect(host, port) as s:
        s.sendall(client_hello(sni, extra))
        answer(s)


def hello_in_pieces(host, port, sni, size="1"):
    """The same bytes, a few at a time, and as many records: a name that is cut is a name."""
    hello = client_hello(sni)
    size = int(size)
    body = hello[5:]
    records = b"".join(hello[:3] + struct.pack("!H", len(body[i:i + 100])) + body[i:i + 100]
                       for i in range(0, len(body), 100))
    with connect(host, port) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(0, len(records), size):
            s.send(records[i:i + size])
        say("answer:", "handshake" if s.recv(1) == b"\x16" else "alert")


def fast_open(host, port, text):
    """Data in the first packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.settimeout(8)
        s.sendto(text.encode().decode("unicode_escape").encode(), socket.MSG_FASTOPEN,
                 (host, int(port)))
        answer(s)


def half_open(host, port, count):
    """Connections that say nothing."""
    kept, refused = [], 0
    for _ in range(int(count)):
        s = socket.socket()
        s.setblocking(False)
        try:
            s.connect((host, int(port)))
        except BlockingIOError:
            pass
        except OSError:
            refused += 1
        kept.append(s)
    time.sleep(1)
    say("opened", len(kept))


def slow(host, port):
    """A request that comes a byte at a time, for ever."""
    begin = time.time()
    with connect(host, port, 30) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for byte in b"GET /" + b"a" * 10000:
                s.send(bytes([byte]))
                if select.select([s], [], [], 0.25)[0] and not s.recv(4096):
                    break
        except OSError:
            pass
    say("ended" if time.time() - begin < 25 else "went on")


def vsock(cid, port):
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as s:
        s.settimeout(3)
        s.connect((int(cid), int(port)))
        say("answer:", "connected")


def raw():
    for family, kind, protocol in ((socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP),
                                   (socket.AF_PACKET, socket.SOCK_RAW, 0x300)):
        try:
            socket.socket(family, kind, protocol).close()
            say("answer: opened")
        except OSError as e:
            fail(e)


WAYS = {name: value for name, value in globals().items() if callable(value)}
words, number = sys.argv[1:], 0
while words:
    end = words.index("+") if "+" in words else len(words)
    try:
        WAYS[words[0]](*words[1:end])
    except Exception as e:
        fail(e)
    number += 1
    if "+" in sys.argv:
        say("==", number)
    words = words[end + 1:]
