"""Runs a program at a terminal of its own, as a person would.

typist.py ROWS COLS PROGRAM ARGUMENT... < steps

A step is a line: JSON ["await", regex], ["type", text], ["resize", rows, cols] or
["signal", number]. Prints all that was on the screen, and then a line: the exit status, and
"restored" or "raw".
"""
import fcntl, json, os, pty, re, select, signal, struct, sys, termios, time

LIMIT = 30

def resize(rows, cols):
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

def modes():
    return termios.tcgetattr(slave)[:4]

def read(until):
    ready, _, _ = select.select([master], [], [], max(0, until - time.time()))
    if not ready:
        sys.exit("in vain: %r" % bytes(seen))
    try:
        data = os.read(master, 65536)
    except OSError:
        data = b""
    shown.extend(data)
    seen.extend(data)
    return data

master, slave = pty.openpty()
resize(int(sys.argv[1]), int(sys.argv[2]))
before, shown, seen = modes(), bytearray(), bytearray()
child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in range(3):
        os.dup2(slave, fd)
    os.execvp(sys.argv[3], sys.argv[3:])
for line in sys.stdin:
    step = json.loads(line)
    if step[0] == "await":
        until = time.time() + LIMIT
        pattern = re.compile(step[1].encode(), re.S)
        while not pattern.search(seen):
            read(until)
        del seen[:pattern.search(seen).end()]
    elif step[0] == "type":
        os.write(master, step[1].encode())
    elif step[0] == "resize":
        resize(step[1], step[2])
    elif step[0] == "signal":
        os.kill(child, step[1])
until = time.time() + LIMIT
while True:
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        break
    if select.select([master], [], [], 0.02)[0]:
        read(until)
    if time.time() > until:
        os.kill(child, signal.SIGKILL)
while select.select([master], [], [], 0)[0]:
    read(until)
sys.stdout.buffer.write(bytes(shown))
print("\n%d %s" % (os.waitstatus_to_exitcode(status), "restored" if modes() == before else "raw"))
