"""Streams that Python makes: produce.py KIND ARGUMENT... < data > stream"""

import gzip
import sys
import zlib


def zlib_stream(data, level, strategy, memory, window):
    engine = zlib.compressobj(level, zlib.DEFLATED, 16 + window, memory, getattr(zlib, strategy))
    return engine.compress(data) + engine.flush()


def flushed(data, mode):
    """Flushed after every 40000 bytes, as a server does that sends what it has."""
    engine = zlib.compressobj(6, zlib.DEFLATED, 31)
    out = b""
    for start in range(0, len(data), 40000):
        out += engine.compress(data[start:start + 40000]) + engine.flush(getattr(zlib, mode))
    return out + engine.flush()


def members(data, size):
    """One member after the other, of so many bytes each."""
    pieces = range(0, len(data), size)
    return b"".join(gzip.compress(data[start:start + size], mtime=0) for start in pieces)


def estargz(tar):
    """A member for each file's header, and one for its content, as in eStargz layers."""
    out, at = b"", 0
    while at < len(tar):
        size = int(tar[at + 124:at + 136].rstrip(b"\0 ") or b"0", 8)
        content = at + 512
        end = content + -(-size // 512) * 512
        out += b"".join(gzip.compress(part, mtime=0) for part in (tar[at:content], tar[content:end]) if part)
        at = end
    return out


def zlib_ng_stream(data, level):
    from zlib_ng import zlib_ng

    engine = zlib_ng.compressobj(level, zlib_ng.DEFLATED, 31)
    return engine.compress(data) + engine.flush()


KINDS = {
    "gzip": lambda data, level: gzip.compress(data, int(level), mtime=0),
    "zlib": lambda data, level, strategy, memory, window: zlib_stream(
        data, int(level), strategy, int(memory), int(window)
    ),
    "flushed": flushed,
    "members": lambda data, size: members(data, int(size)),
    "estargz": estargz,
    "zlib-ng": lambda data, level: zlib_ng_stream(data, int(level)),
}

sys.stdout.buffer.write(KINDS[sys.argv[1]](sys.stdin.buffer.read(), *sys.argv[2:]))
