"""Searches for a secret: "python3 searches.py NEEDLES KIND [ARGUMENT ...]" prints a line for each
place that it has searched: the place, how many bytes it had, and what was found there.

NEEDLES is a file with the secret in a disguise, so that a search in a sandbox finds neither its
own file nor itself. The secret is looked for in all forms that a program may write it in."""
import base64
import json
import os
import re
import sys
import urllib.parse

MOST = 1 << 26
MASK = 0xa5


def disguise(value):
    return bytes(b ^ MASK for b in value)


def forms(value):
    """Names and bytes. Of base64 the letters that do not depend on what is around."""
    found = {"plain": value, "upper case": value.upper(), "lower case": value.lower(),
             "hex": value.hex().encode(), "HEX": value.hex().upper().encode(),
             "UTF-16": value.decode("latin-1").encode("utf-16-le"), "backwards": value[::-1],
             "url": urllib.parse.quote(value.decode("latin-1"), safe="").encode(),
             "json": json.dumps(value.decode("latin-1")).replace("/", "\\/")[1:-1].encode(),
             "octal": b"".join(b"\\%03o" % b for b in value),
             "beginning": value[:14], "middle": value[9:23], "end": value[-14:]}
    for at in range(3):
        body = value[(3 - at) % 3:]
        body = body[:len(body) // 3 * 3]
        found["base64/%d" % at] = base64.b64encode(body)
        found["base64url/%d" % at] = base64.urlsafe_b64encode(body)
    return found


NEEDLES = forms(disguise(open(sys.argv[1], "rb").read()))


def search(place, data):
    report(place, len(data), names(data))


def names(data):
    return {name for name, form in NEEDLES.items() if form in data}


def report(place, size, found):
    print("%s\t%d\t%s" % (place.replace("\t", " ").replace("\n", " "), size,
                          ", ".join(sorted(found))), flush=True)


def read(path):
    try:
        with open(path, "rb", 0) as f:
            data = b""
            while len(data) < MOST:
                piece = f.read(1 << 20)
                if not piece:
                    break
                data += piece
            return data
    except (OSError, ValueError):
        return b""


def attributes(path):
    try:
        return b"".join(name.encode() + os.getxattr(path, name, follow_symlinks=False)
                        for name in os.listxattr(path, follow_symlinks=False))
    except OSError:
        return b""


def device_of(path):
    """None: it was there a moment ago."""
    try:
        return os.lstat(path).st_dev
    except OSError:
        return None


def tree(top):
    """A directory and all below it, on its file system: names, contents, links, attributes."""
    size, found, device = 0, set(), os.lstat(top).st_dev
    for where, directories, files in os.walk(top):
        directories[:] = [d for d in directories
                          if device_of(os.path.join(where, d)) == device]
        for name in directories + files:
            path = os.path.join(where, name)
            data = os.fsencode(path) + b"\0" + attributes(path)
            if os.path.islink(path):
                try:
                    data += os.fsencode(os.readlink(path))
                except OSError:  # it was there a moment ago
                    pass
            elif os.path.isfile(path):
                data += read(path)
            size += len(data)
            found |= {"%s in %s" % (x, path) for x in names(data)}
    report("the tree " + top, size, found)


def memory(pid):
    data, found = 0, set()
    with open("/proc/%s/maps" % pid) as maps, open("/proc/%s/mem" % pid, "rb", 0) as mem:
        for line in maps:
            a, b, mode = re.match(r"(\w+)-(\w+) (\S)", line).groups()
            at, end = int(a, 16), int(b, 16)
            if mode != "r":
                continue
            piece = b""
            while at < end:
                try:
                    mem.seek(at)
                    more = mem.read(min(end - at, 1 << 24))
                except (OSError, ValueError, OverflowError):
                    break
                if not more:
                    break
                at += len(more)
                data += len(more)
                found |= {"%s in %s" % (x, line.strip()) for x in names(piece[-4096:] + more)}
                piece = more
    return data, found


def open_files(pid):
    data = b""
    for fd in os.listdir("/proc/%s/fd" % pid):
        path = "/proc/%s/fd/%s" % (pid, fd)
        data += os.fsencode(os.readlink(path)) + b"\0" + read("/proc/%s/fdinfo/%s" % (pid, fd))
        if os.path.isfile(path):
            data += read(path)
    return data


TEXTS = ("status", "stat", "limits", "mountinfo", "maps", "auxv", "comm", "wchan", "syscall",
         "cgroup", "sched", "loginuid", "attr/current")


def process(pid, name):
    """All that /proc tells of a process."""
    report("memory of " + name, *memory(pid))
    outside_of(pid, name)


def outside_of(pid, name="the engine"):
    """All but its memory."""
    search("environment of " + name, read("/proc/%s/environ" % pid))
    search("command line of " + name, read("/proc/%s/cmdline" % pid))
    search("open files of " + name, open_files(pid))
    search("the rest of /proc of " + name,
           b"".join(read("/proc/%s/%s" % (pid, x)) for x in TEXTS))


def processes(*pids):
    """Those, or all that are to be seen, but this."""
    for pid in pids or sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
        if int(pid) == os.getpid():
            continue
        name = read("/proc/%s/comm" % pid).strip().decode() or "?"
        try:
            process(pid, name)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass  # it is gone, or may not be read: init of a sandbox


def everywhere():
    """Command lines and environments of all processes of this machine."""
    for kind in ("cmdline", "environ"):
        data = b"".join(read("/proc/%s/%s" % (pid, kind))
                        for pid in os.listdir("/proc") if pid.isdigit())
        search("%s of all processes" % kind, data)


def files(*paths):
    for path in paths:
        search(path, read(path))


def directories(*paths):
    for path in paths:
        if os.path.isdir(path):
            tree(path)


def text(place):
    search(place, sys.stdin.buffer.read())


if __name__ == "__main__":
    globals()[sys.argv[2]](*sys.argv[3:])
