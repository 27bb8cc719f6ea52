# tree.py change SEED DIR: makes random changes to files, the same ones for the
# same seed. tree.py list DIR: prints all that can be seen of a tree.
import hashlib, os, random, shutil, socket, stat, sys


def place(r, top):
    """Returns a random path below `top`, and makes its directories."""
    parts = [r.choice("abcd") for _ in range(r.randint(1, 3))]
    for n in range(1, len(parts)):
        path = os.path.join(top, *parts[:n])
        if os.path.lexists(path) and not os.path.isdir(path):
            return path
        os.makedirs(path, exist_ok=True)
    return os.path.join(top, *parts)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def files(top):
    return sorted(os.path.join(d, f) for d, _, fs in os.walk(top) for f in fs
                  if stat.S_ISREG(os.lstat(os.path.join(d, f)).st_mode))


def write(r, path):
    with open(path, "wb") as f:
        f.write(r.randbytes(r.choice([0, 10, 5000])))
        if r.random() < 0.3:
            f.seek(r.choice([300000, 2000000]))
            f.write(b"beyond a hole")
        if r.random() < 0.2:
            f.truncate(4000000)


def bind(path):
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(os.path.dirname(path))
        s.bind(os.path.basename(path))
        os.chdir(here)


def decorate(r, path, base):
    """Gives a path a random owner, mode, attributes and time."""
    if r.random() < 0.5:
        os.chown(path, base + r.randint(0, 1000), base + r.randint(0, 1000),
                 follow_symlinks=False)
    if os.path.islink(path):
        return
    os.chmod(path, r.choice([0o644, 0o755, 0o000, 0o4755, 0o2711, 0o1777]))
    kind = os.lstat(path).st_mode
    if stat.S_ISREG(kind) or stat.S_ISDIR(kind):
        if r.random() < 0.3:
            os.setxattr(path, "user.note", r.randbytes(8))
        if stat.S_ISREG(kind) and r.random() < 0.3:
            os.setxattr(path, "security.capability",
                        bytes([1, 0, 0, 3]) + bytes([0, 4, 0, 0]) + bytes(12)
                        + base.to_bytes(4, "little"))
    os.utime(path, ns=(r.randint(1, 10**18), r.randint(1, 10**18)))


def change(seed, top, base):
    r = random.Random(seed)
    for _ in range(14):
        path = place(r, top)
        what = r.choice(["file", "file", "append", "dir", "remove", "remove",
                         "again", "link", "name", "fifo", "socket", "rename"])
        there = files(top)
        if what == "remove":
            remove(path)
            continue
        if what == "append" and there:
            path = r.choice(there)
            with open(path, "ab") as f:
                f.write(b"more")
        elif what == "dir" or what == "again":
            if what == "again":
                remove(path)  # opaque, if a lower layer has it
            if not os.path.lexists(path):
                os.mkdir(path)
        elif what == "rename" and there:
            old = r.choice(there)
            if not os.path.isdir(path):
                os.rename(old, path)
        elif what == "name" and there:
            old = r.choice(there)
            if not os.path.lexists(path):
                os.link(old, path)
        else:
            remove(path)
            if what == "link":
                os.symlink(r.choice(["a/b", "/nowhere", "x" * 300]), path)
            elif what == "fifo":
                os.mkfifo(path)
            elif what == "socket":
                bind(path)
            else:
                write(r, path)
        if os.path.lexists(path):
            decorate(r, path, base)
    decorate(r, top, base)


def tell(path, name, names):
    st = os.lstat(path)
    kind = stat.S_IFMT(st.st_mode)
    line = [name, oct(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns]
    if kind == stat.S_IFLNK:
        line.append(os.readlink(path))
    elif kind == stat.S_IFREG:
        with open(path, "rb") as f:
            line += [st.st_size, hashlib.sha256(f.read()).hexdigest(),
                     st.st_blocks * 512 < st.st_size,
                     names.setdefault(st.st_ino, name)]
    elif kind != stat.S_IFDIR:
        line.append(st.st_rdev)
    if kind in (stat.S_IFREG, stat.S_IFDIR):
        line += sorted((x, os.getxattr(path, x)) for x in os.listxattr(path))
    print(*line)


def show(top):
    names = {}
    tell(top, ".", names)
    for d, dirs, others in os.walk(top):
        dirs.sort()
        for name in sorted(dirs + others):
            path = os.path.join(d, name)
            tell(path, os.path.relpath(path, top), names)


if sys.argv[1] == "change":
    change(int(sys.argv[2]), sys.argv[3], 100000)
else:
    show(sys.argv[2])
