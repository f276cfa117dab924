"""Trees with bytecode, layers and archives; the same bytes on every run.

Used by make.py beside it and by ../docker/make.py. Python 3.9, standard library only.
"""
import gzip
import hashlib
import importlib.util
import io
import json
import os
import sys
import tarfile

TAG = sys.implementation.cache_tag
SELINUX = {"SCHILY.xattr.security.selinux": "system_u:object_r:lib_t:s0\0"}


def fixed_seed():
    """Start again without hash randomization: up to 3.10 it shows in the bytecode."""
    if sys.version_info[:2] != (3, 9):
        sys.exit("this fixture is made with Python 3.9")
    if os.environ.get("PYTHONHASHSEED") != "0" or not sys.flags.no_site:
        os.execve(sys.executable, [sys.executable, "-S", "-B", *sys.argv], {"PYTHONHASHSEED": "0"})


def compiled(source, path, mtime, level):
    """The bytes of a timestamp .pyc.

    In a child of its own: which objects get a reference flag in the marshal stream depends on what else is alive.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        code = compile(source, "/" + path, "exec", dont_inherit=True, optimize=level)
        data = importlib._bootstrap_external._code_to_timestamp_pyc(code, int(mtime), len(source))
        with open(write_end, "wb") as out:
            out.write(data)
        os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as back:
        data = back.read()
    if os.waitpid(child, 0)[1] != 0:
        sys.exit(f"{path} does not compile")
    return data


class Layer:
    """Members by path, written in the order of their names."""

    def __init__(self, mtime):
        self.mtime = mtime
        self.members = {}

    def add(self, path, kind, data=b"", target="", mode=0o644, mtime=None, pax=()):
        parent = os.path.dirname(path)
        if parent and parent not in self.members:
            self.directory(parent)
        member = tarfile.TarInfo(path)
        member.type, member.size, member.linkname, member.mode = kind, len(data), target, mode
        member.mtime = self.mtime if mtime is None else mtime
        member.uname = member.gname = "root"
        member.pax_headers = dict(pax)
        self.members[path] = member, data

    def directory(self, path):
        self.add(path, tarfile.DIRTYPE, mode=0o755)

    def symlink(self, path, target):
        self.add(path, tarfile.SYMTYPE, target=target, mode=0o777)

    def file(self, path, data, **options):
        if isinstance(data, str):
            data = data.encode()
        self.add(path, tarfile.REGTYPE, data, **options)

    def module(self, path, source, levels=(0, 1, 2), mtime=None, linked=True, pax=SELINUX):
        """A source and its caches. Identical levels are links to the first name, as rpm makes them."""
        mtime = self.mtime if mtime is None else mtime
        source = source.encode() if isinstance(source, str) else source
        self.file(path, source, mtime=mtime)
        head, name = os.path.split(path)
        caches = {}
        for level in levels:
            suffix = f".opt-{level}" if level else ""
            caches[f"{head}/__pycache__/{name[:-3]}.{TAG}{suffix}.pyc"] = compiled(source, path, mtime, level)
        first = {}
        for cache in sorted(caches):
            data = caches[cache]
            if linked and data in first:
                # A hardlink's size is 0, and its extension headers stay with the data.
                self.add(cache, tarfile.LNKTYPE, target=first[data], mtime=int(mtime))
            else:
                first[data] = cache
                self.file(cache, data, mtime=int(mtime), pax=pax)

    def sourceless(self, path, source):
        """Bytecode in the place of its source: level 0, and the only copy of the module."""
        data = compiled(source.encode(), path, self.mtime, 0)
        self.file(path + "c", data, pax=SELINUX)

    def tar(self):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(self.members):
                member, data = self.members[path]
                archive.addfile(member, io.BytesIO(data))
        return out.getvalue()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def packed(value):
    return json.dumps(value, separators=(",", ":")).encode()


def gzipped(data):
    return gzip.compress(data, mtime=0)


def config(layers, created, history):
    """An image config; `layers` are uncompressed tars."""
    return packed(
        {
            "created": created,
            "author": "pycull",
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"],
                "Cmd": ["/usr/bin/python3"],
                "WorkingDir": "/",
                "Labels": {"org.opencontainers.image.title": "pycull test image"},
            },
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha256(layer) for layer in layers]},
            "history": history,
        }
    )


def descriptor(media_type, data, **more):
    return {"mediaType": media_type, "digest": "sha256:" + sha256(data), "size": len(data), **more}


def archive(path, files, mtime, mode=0o644):
    """A tar of files in the given order; a name that ends in a slash is a directory, text is a symlink's target."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as out:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.mtime = mtime
            member.mode = mode
            if isinstance(data, str):
                member.type, member.linkname, member.mode = tarfile.SYMTYPE, data, 0o777
                data = b""
            elif name.endswith("/"):
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
