# Makes random pairs of layers, and checks what others make of them.
#   layers.py make SEED FIRST COUNT DIR   makes the pairs FIRST.. as one image:
#       the OCI layout DIR/oci, with each pair in its own directory, p0, p1, ...
#       (some have a third layer); DIR/lower, the lowest layer alone; and
#       DIR/want, the tree that the layers together must show
#   layers.py list                 prints the commands that list such a tree
#   layers.py check DIR WHO [0]    compares the output of those commands with
#       DIR/want, and prints the differences. 0: owners are not compared
# The same seed and number give the same pair.
#
# The reference is containerd's archive.Apply (pkg/archive/tar.go, applyNaive),
# rewritten in Python below. umoci differs from it in two ways, and such paths
# are not compared with umoci: it makes no directories for a whiteout, and a new
# directory keeps what mkdir(2) inherits from a set-group-ID parent.
# containerd itself unpacks into a plain tree or into an overlay. No pairs are
# made for which the two differ: a whiteout of an entry of its own layer, or an
# opaque mark above entries of its own layer whose directories it lacks. There
# the OCI image specification decides: a layer does not hide its own entries.
import hashlib
import io
import json
import os
import random
import stat
import sys
import tarfile

BUSYBOX = "/bin/busybox"
LIST = """
busybox find p[0-9]* -exec busybox stat -c '%N|%f|%u|%g|%i|%Y' {} +
busybox find p[0-9]* -type f -exec busybox md5sum {} +
"""


class Refused(Exception):
    pass


class Node:
    def __init__(self, kind, mode=0o755, uid=0, gid=0, mtime=0, data=b"", target=""):
        self.kind, self.mode, self.uid, self.gid, self.mtime = kind, mode, uid, gid, mtime
        self.data, self.target, self.children = data, target, {}

    def describe(self, mtime):
        what = {"f": hashlib.md5(self.data).hexdigest(), "l": self.target}.get(self.kind, "")
        mode = 0o777 if self.kind == "l" else self.mode
        return [self.kind, mode, self.uid, self.gid, mtime and self.kind in "fl" and self.mtime, what]


def walk(node, path=()):
    """Yields the path and node of everything below a directory."""
    for name, child in sorted(node.children.items()):
        yield path + (name,), child
        if child.kind == "d":
            yield from walk(child, path + (name,))


# ---- archive.Apply ----

class Tree:
    """A root file system."""

    def __init__(self):
        self.root, self.unlike_umoci = Node("d"), False

    def at(self, path):
        node = self.root
        for part in path:
            if node is None or node.kind != "d":
                return None
            node = node.children.get(part)
        return node

    def resolve(self, parts):
        """Like fs.RootPath: follows links inside the root, also dangling ones."""
        done, rest, links = [], list(parts), 0
        while rest:
            part = rest.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                done = done[:-1]
                continue
            node = self.at(done + [part])
            if node and node.kind == "l":
                links += 1
                if links > 255:
                    raise Refused("links")
                if node.target.startswith("/"):
                    done = []
                rest = node.target.split("/") + rest
            else:
                done.append(part)
        return done

    def make_parents(self, path, whiteout):
        for n in range(1, len(path) + 1):
            node = self.at(path[:n])
            if node and node.kind != "d":
                raise Refused("not a directory")
        for n in range(1, len(path) + 1):
            parent = self.at(path[:n - 1])
            if path[n - 1] not in parent.children:
                shared = parent.mode & 0o2000  # mkdir(2): the group is inherited
                parent.children[path[n - 1]] = Node("d", gid=parent.gid if shared else 0)
                self.unlike_umoci |= whiteout or bool(shared)

    def whiteout(self, parent, name, brought):
        children = self.at(parent).children
        if name != ".wh..opq":
            children.pop(name[4:], None)
            return

        def sweep(path, node):
            for child in list(node.children):
                if tuple(path + [child]) not in brought:
                    del node.children[child]
                else:
                    sweep(path + [child], node.children[child])
        sweep(parent, self.at(parent))

    def source(self, target, path):
        """The file for a hard link at `path`, after the old entry there was removed."""
        old, parent = self.at(path), self.at(path[:-1])
        if old:
            del parent.children[path[-1]]
        target = target.split("/")
        source = self.at(self.resolve(target[:-1]) + [target[-1]])
        if old:
            parent.children[path[-1]] = old
        if source is None or source.kind == "d":
            raise Refused("no target")
        return source

    def apply(self, e, brought):
        parts = [p for p in e["name"].split("/") if p not in ("", ".")]
        parent, name = self.resolve(parts[:-1]), parts[-1]
        path = parent + [name]
        source = e["kind"] == "h" and self.source(e["target"], path)
        self.make_parents(parent, name.startswith(".wh."))
        if name.startswith(".wh."):
            return self.whiteout(parent, ".wh..opq" if name == ".wh..wh..opq" else name, brought)
        children = self.at(parent).children
        there = children.get(name)
        if not (there and there.kind == "d" and e["kind"] == "d"):
            children[name] = source or Node(e["kind"], data=e.get("data", b""),
                                            target=e.get("target", ""))
        node = children[name]
        node.mode, node.uid, node.gid, node.mtime = e["mode"], e["uid"], e["gid"], e["mtime"]
        brought.add(tuple(path))


# ---- making pairs ----

class Maker:
    def __init__(self, r, top):
        self.r, self.top, self.tree = r, top, Tree()
        self.tree.root.children[top] = Node("d")

    def anywhere(self):
        return "/".join(self.r.choice("abcdef") for _ in range(self.r.choice([1, 1, 2, 2, 2, 3, 4])))

    def known(self, kinds):
        """The path of an existing node of one of these kinds, or None."""
        found = [p for p, n in walk(self.tree.root) if n.kind in kinds and len(p) > 1]
        return "/".join(self.r.choice(found)[1:]) if found else None

    def place(self):
        if self.r.random() < 0.35:  # below a link or a directory
            base = self.known("l" if self.r.random() < 0.6 else "dl")
            if base:
                return base + "/" + self.r.choice("abcdef")
        if self.r.random() < 0.3:
            return self.known("dflp") or self.anywhere()
        return self.anywhere()

    def target(self, path):
        """The target of a symbolic link: absolute, relative, dangling, or a link."""
        where = (self.known("dl") if self.r.random() < 0.7 else None) or self.anywhere()
        if self.r.random() < 0.5:
            return "/" + self.top + "/" + where
        if self.r.random() < 0.1:
            return "../" * 9 + self.top + "/" + where
        return "../" * path.count("/") + where

    def entry(self):
        r, path = self.r, self.place()
        kind = r.choice("dddffffllhhp")
        e = dict(kind=kind, name=self.top + "/" + path, uid=r.choice([0, 0, 1, 1000]),
                 gid=r.choice([0, 0, 5, 1000]), mtime=r.randrange(10**9),
                 mode=r.choice([0o755, 0o700, 0o644, 0o4711, 0o2755, 0o1777]))
        if kind == "f":
            e["data"] = r.randbytes(r.choice([0, 3, 700]))
        elif kind == "l":
            e["target"] = self.target(path)
        elif kind == "h":
            e["target"] = self.top + "/" + (self.known("flp") or "a")
            if self.r.random() < 0.3:  # through a link, if there is one
                via = self.known("l")
                e["target"] = self.top + "/" + via + "/" + r.choice("abcdef") if via else e["target"]
        return e

    def base(self):
        brought, entries = set(), []
        for _ in range(self.r.randint(4, 14)):
            self.add(self.entry(), brought, entries)
        return entries

    def add(self, e, brought, entries):
        try:
            if self.tree.resolve(e["name"].split("/")[:-1])[:1] != [self.top]:
                return  # a link led into another pair's directory
            if e["kind"] == "h":
                # In an overlay a change to one name of a lower file does not reach
                # its other names.
                parts = e["target"].split("/")
                node = self.tree.at(self.tree.resolve(parts[:-1]) + parts[-1:])
                if node and node in self.shared:
                    return
                if node:  # all names share one inode, so the link repeats its metadata
                    e.update(mode=node.mode, uid=node.uid, gid=node.gid, mtime=node.mtime)
            self.tree.apply(e, brought)
            entries.append(e)
        except Refused:
            pass

    shared = ()

    def hide(self, brought):
        """A whiteout or an opaque mark; None where containerd's two ways differ."""
        path = self.known("dflp") if self.r.random() < 0.9 else self.anywhere()
        if not path:
            return None
        parts = path.split("/")
        opaque = self.r.random() < 0.4
        name = "/".join(parts + [".wh..wh..opq"] if opaque else parts[:-1] + [".wh." + parts[-1]])
        whole = [self.top] + parts
        where = self.tree.resolve(whole) if opaque else self.tree.resolve(whole[:-1]) + whole[-1:]
        if len(where) < 2 or where[0] != self.top:
            return None
        below = [p for p in brought if list(p[:len(where)]) == where]
        if not opaque and below:
            return None
        if any(p[:n] not in brought for p in below for n in range(len(where) + 1, len(p))):
            return None
        return dict(kind="f", name=self.top + "/" + name, uid=0, gid=0, mtime=1, mode=0o644, data=b"")

    def change(self):
        names = {}
        for _, node in walk(self.tree.root):
            names[node] = names.get(node, 0) + 1
        self.shared = {node for node, count in names.items() if count > 1}
        brought, entries = set(), []
        for _ in range(self.r.randint(1, 12)):
            e = None
            if self.r.random() < 0.3:
                try:
                    e = self.hide(brought)
                except Refused:
                    pass
            self.add(e or self.entry(), brought, entries)
        return entries


def pair(seed, number, top):
    m = Maker(random.Random("%d %d" % (seed, number)), top)
    layers = [m.base(), m.change(), m.change() if m.r.random() < 0.3 else []]
    return layers, m.tree


# ---- layouts ----

TYPES = {"d": tarfile.DIRTYPE, "f": tarfile.REGTYPE, "l": tarfile.SYMTYPE,
         "h": tarfile.LNKTYPE, "p": tarfile.FIFOTYPE}


def pack(entries, path):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as t:
        for e in entries:
            i = tarfile.TarInfo(e["name"])
            i.type, i.mode, i.uid, i.gid, i.mtime = (
                TYPES[e["kind"]], e["mode"], e["uid"], e["gid"], e["mtime"])
            i.linkname = e.get("target", "") if e["kind"] in "lh" else ""
            data = e.get("data", b"") if e["kind"] == "f" else b""
            i.size = len(data)
            t.addfile(i, io.BytesIO(data))


def put(top, data, kind):
    digest = hashlib.sha256(data).hexdigest()
    with open(top + "/blobs/sha256/" + digest, "wb") as f:
        f.write(data)
    return {"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + digest,
            "size": len(data)}


def layout(top, layers):
    os.makedirs(top + "/blobs/sha256")
    blobs = [put(top, open(l, "rb").read(), "layer.v1.tar") for l in layers]
    machine = os.uname().machine
    config = {"os": "linux", "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
              "config": {}, "rootfs": {"type": "layers", "diff_ids": [b["digest"] for b in blobs]}}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": put(top, json.dumps(config).encode(), "config.v1+json"), "layers": blobs}
    named = put(top, json.dumps(manifest).encode(), "manifest.v1+json")
    named["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    json.dump({"schemaVersion": 2, "manifests": [named]}, open(top + "/index.json", "w"))
    json.dump({"imageLayoutVersion": "1.0.0"}, open(top + "/oci-layout", "w"))


def entry(kind, name, **more):
    return dict(dict(kind=kind, name=name, mode=0o755, uid=0, gid=0, mtime=0), **more)


def make(seed, first, count, top):
    with open(BUSYBOX, "rb") as f:
        lower = [entry("d", "bin"), entry("f", "bin/busybox", data=f.read()),
                 entry("l", "bin/sh", target="busybox")]
    layers, want = [lower, [], []], {}
    for n in range(first, first + count):
        p = "p%d" % n
        lower.append(entry("d", p))
        own, tree = pair(seed, n, p)
        for layer, more in zip(layers, own):
            layer += more
        names = {}
        for path, node in walk(tree.root):
            if node.kind != "d":
                names.setdefault(node, []).append("/".join(path))
        want[p] = {"tree": {"/".join(path): node.describe(True) for path, node in walk(tree.root)},
                   "same": sorted(v for v in names.values() if len(v) > 1),
                   "unlike": ["umoci"] if tree.unlike_umoci else [],
                   "layers": [[{k: v for k, v in e.items() if k != "data"} for e in l] for l in own]}
    os.makedirs(top, exist_ok=True)
    tars = ["%s/%d.tar" % (top, i) for i in range(3)]
    for layer, path in zip(layers, tars):
        pack(layer, path)
    layout(top + "/oci", tars)
    layout(top + "/lower", tars[:1])
    json.dump(want, open(top + "/want", "w"))


# ---- checking ----

KINDS = {stat.S_IFDIR: "d", stat.S_IFREG: "f", stat.S_IFLNK: "l", stat.S_IFIFO: "p",
         stat.S_IFCHR: "c", stat.S_IFBLK: "b"}


def read_listing(text):
    trees, inodes, sums = {}, {}, {}
    for line in text.splitlines():
        if "|" not in line:  # md5sum
            digest, path = line.split("  ", 1)
            sums[path] = digest
            continue
        quoted, mode, uid, gid, inode, mtime = line.rsplit("|", 5)
        names = quoted.replace("'", "").split(" -> ")
        mode = int(mode, 16)
        kind = KINDS.get(stat.S_IFMT(mode), "?")
        trees[names[0]] = [kind, mode & 0o7777, int(uid), int(gid),
                           kind in "fl" and int(mtime), names[1] if kind == "l" else ""]
        inodes.setdefault(inode, []).append(names[0])
    for path, digest in sums.items():
        trees[path][5] = digest
    same = [sorted(v) for v in inodes.values() if len(v) > 1]
    return trees, sorted(same)


def check(top, who, owners):
    want = json.load(open(top + "/want"))
    tree, same = read_listing(sys.stdin.read())
    wrong = 0
    for p, pair_want in want.items():
        if who in pair_want["unlike"]:
            continue
        here = {k: v for k, v in tree.items() if k == p or k.startswith(p + "/")}
        there = pair_want["tree"]
        there[p] = here.get(p)
        problems = []
        for path in sorted(set(here) | set(there)):
            a, b = here.get(path), there.get(path)
            if not owners:
                a, b = a and a[:2] + a[4:], b and b[:2] + b[4:]
            if a != b:
                problems.append("%s is %s, not %s" % (path, a, b))
        groups = [g for g in same if g[0].startswith(p + "/")]
        if groups != pair_want["same"]:
            problems.append("one file: %s, not %s" % (groups, pair_want["same"]))
        if problems:
            wrong += 1
            print("%s, pair %s: %s" % (who, p[1:], "; ".join(problems)))
            for number, layer in enumerate(pair_want["layers"]):
                print("  layer %d: %s" % (number, "  ".join("%s %s%s" % (
                    e["kind"], e["name"], " -> " + e["target"] if "target" in e else "") for e in layer)))
    return wrong


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(*map(int, sys.argv[2:5]), sys.argv[5])
    elif sys.argv[1] == "list":
        print(LIST)
    else:
        sys.exit(check(sys.argv[2], sys.argv[3], sys.argv[4:] != ["0"]) > 0)
