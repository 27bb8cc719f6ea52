# A person at a terminal: at_terminal.py TURNS COMMAND...
# TURNS is a file with a JSON list. A pattern is waited for, a text that ends in a carriage return
# or is one character is typed, "size R C" changes the window, "kill NAME" sends a signal.
# Prints what was seen, the exit code, and whether the terminal is as it was before.
import fcntl, json, os, pty, re, select, signal, struct, sys, termios, time

turns = json.load(open(sys.argv[1]))
master, slave = pty.openpty()


def set_size(rows, columns):
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


set_size(33, 101)
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in range(3):
        os.dup2(slave, fd)
    os.execvp(sys.argv[2], sys.argv[2:])

seen, looked = b"", 0


def read(seconds):
    global seen
    if select.select([master], [], [], seconds)[0]:
        seen += os.read(master, 65536)
        return True
    return False


def wait_for(pattern):
    global looked
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = re.compile(pattern.encode()).search(seen, looked)
        if found:
            looked = found.end()
            return
        read(0.1)
    print("waited in vain for", repr(pattern))


for turn in turns:
    if turn.startswith("size "):
        set_size(*map(int, turn.split()[1:]))
        os.kill(pid, signal.SIGWINCH)
        time.sleep(1)
    elif turn.startswith("kill "):
        time.sleep(2)
        os.kill(pid, getattr(signal, "SIG" + turn.split()[1]))
    elif turn.endswith("\r") or len(turn) == 1:
        os.write(master, turn.encode())
    else:
        wait_for(turn)
status = None
deadline = time.monotonic() + 20
while status is None and time.monotonic() < deadline:
    read(0.1)
    done, code = os.waitpid(pid, os.WNOHANG)
    if done:
        status = os.waitstatus_to_exitcode(code)
while read(0.1):
    pass
print(seen.decode(errors="replace"))
same = termios.tcgetattr(slave) == before
print(f"code {status}, {'as before' if same else 'NOT as before'}")
