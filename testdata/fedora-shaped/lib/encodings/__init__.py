"""The codec registry's package; its code pages are shipped as bytecode alone."""

_cache = {}
_unknown = "--unknown--"


class CodecRegistryError(LookupError, SystemError):
    """A codec that lacks a part."""


def normalize(name):
    """Make an encoding's name a module's name."""
    if isinstance(name, bytes):
        name = str(name, "ascii")
    chars = []
    gap = False
    for char in name:
        if char.isalnum() or char == ".":
            if gap and chars:
                chars.append("_")
            chars.append(char.lower())
            gap = False
        else:
            gap = True
    return "".join(chars)


def search(name):
    """Find a code page by any of its spellings."""
    entry = _cache.get(name, _unknown)
    if entry is not _unknown:
        return entry
    module = __import__("encodings." + normalize(name), fromlist=["decoding_table"])
    assert len(module.decoding_table) == 256, "a code page has 256 characters"
    _cache[name] = entry = module.decoding_table
    return entry
