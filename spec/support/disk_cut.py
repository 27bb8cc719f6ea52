"""A power cut, made of what disk_log.c has recorded:

    disk_cut.py BASE LOG OUT SEED CUT CUTS

OUT becomes BASE and what a disk may hold whose power was cut: all that was
written before the last flush, and of what was written after it a random part,
in pieces of 4 KiB. CUT is which of CUTS parts of the log the cut falls in. The
marks that were written before it are printed, one a line.
"""
import random, struct, subprocess, sys

PIECE = 4096


def records(path):
    with open(path, "rb") as log:
        while head := log.read(17):
            if len(head) < 17:
                return
            offset, length = struct.unpack("<qq", head[1:])
            yield head[:1], offset, log.read(length)


def main():
    base, log, out, seed, cut, cuts = sys.argv[1:]
    choose = random.Random("%s/%s" % (seed, cut))
    total = sum(1 for _ in records(log))
    share = total / int(cuts)
    end = int((int(cut) + choose.random()) * share)
    subprocess.run(["cp", "--sparse=always", base, out], check=True)
    kept = choose.choice([0, 0, 0.3, 0.5, 0.7, 1, 1])
    waiting, dropped, pieces = [], 0, 0
    with open(out, "r+b") as disk:
        def write(offset, data):
            disk.seek(offset)
            disk.write(data)
        for number, (kind, offset, data) in enumerate(records(log)):
            if number >= end:
                break
            if kind == b"m":
                sys.stdout.write(data.decode())
            elif kind == b"w":
                waiting.append((offset, data))
            else:
                for each in waiting:
                    write(*each)
                waiting = []
        for offset, data in waiting:
            for at in range(0, len(data), PIECE):
                pieces += 1
                if choose.random() < kept:
                    write(offset + at, data[at:at + PIECE])
                else:
                    dropped += 1
    print('{"records":%d,"of":%d,"pieces":%d,"dropped":%d}' % (end, total, pieces, dropped))


main()
