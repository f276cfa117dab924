#!/usr/bin/env python3
"""The size table of a tree in an unpacked rootfs, computed the slow way: one walk, then a sum for each situation.

usage: situations.py ROOTFS TREE_PATH [EXCLUDED_PATH …]        (`.` is the whole rootfs)

A path in the rootfs that is excluded does not count, nor what is in it: a tree in the tree that is a row of its own.

Prints {"status-quo": bytes, ...}. It knows nothing of the Rust code: the tests hold the two against each other.

A tree's size is the sum of its regular files, and files that are one and the same count once. A situation is
therefore a map from what remains to its size, under a name that says what counts as the same: the inode, or for a
cache that is to stand by itself its path, or for linked levels the file that they would share.
"""
import json
import os
import re
import stat
import sys

CACHE = re.compile(r"(?P<module>.+)\.(?P<tag>cpython-[0-9]+)(\.opt-(?P<level>[12]))?\.pyc")


class File:
    def __init__(self, path, status):
        self.path = path
        self.size = status.st_size
        self.inode = (status.st_dev, status.st_ino)
        self.module = self.level = None
        folder, name = os.path.split(path)
        found = CACHE.fullmatch(name) if os.path.basename(folder) == "__pycache__" else None
        if found:
            self.level = int(found["level"] or 0)
            self.source = os.path.join(os.path.dirname(folder), found["module"] + ".py")
            self.module = (self.source, found["tag"])

    def content(self):
        with open(self.path, "rb") as file:
            return file.read()


def walk(top, excluded):
    for folder, folders, names in os.walk(top, onerror=fail):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in excluded]
        for name in names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                yield File(path, status)


def fail(error):
    raise error


def size(remaining):
    """Sum over pairs of (what counts as the same, file)."""
    return sum({name: file.size for name, file in remaining}.values())


def situations(top, excluded=()):
    files = list(walk(top, excluded))
    others = [file for file in files if file.level is None]
    caches = [file for file in files if file.level is not None]
    level_0 = {file.module: file for file in caches if file.level == 0}
    plain = [(file.inode, file) for file in others]

    def linked(levels):
        return plain + [(file.inode, file) for file in caches if file.level in levels]

    def unlinked(levels):
        return plain + [(file.path, file) for file in caches if file.level in levels]

    def shared(file):
        """Where level 1 has the bytes of level 0, it is level 0."""
        base = level_0.get(file.module)
        same = base is not None and base.size == file.size and base.content() == file.content()
        return base.inode if same else file.inode

    # A source may be a symlink (Debian's sitecustomize.py): a module all the same, though its bytes are elsewhere.
    whole = [file for file in level_0.values() if os.path.lexists(file.source)]
    replaced = {file.source for file in whole}
    sourceless = [(file.inode, file) for file in others if file.path not in replaced]
    sourceless += [(file.inode, file) for file in whole]

    return {
        "status-quo": size(linked({0, 1, 2})),
        "level-0": size(linked({0})),
        "no-cache": size(plain),
        "levels-0-1": size(plain + [(shared(file), file) for file in caches if file.level in {0, 1}]),
        "levels-0-1-unlinked": size(unlinked({0, 1})),
        "all-unlinked": size(unlinked({0, 1, 2})),
        "sourceless": size(sourceless),
    }


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    top, *excluded = (os.path.normpath(os.path.join(sys.argv[1], path.lstrip("/"))) for path in sys.argv[2:])
    if not os.path.isdir(top):
        sys.exit(f"situations.py: {top} is not a directory")
    print(json.dumps(situations(top, excluded), indent=2))


if __name__ == "__main__":
    main()
