"""Read and write a small subset of JSON."""
from .decoder import Decoder, DecodeError
from .encoder import encode

__all__ = ["DecodeError", "dumps", "loads"]


def dumps(value, *, indent=None, sort_keys=False):
    """Write a value as text."""
    return "".join(encode(value, indent, sort_keys))


def loads(text):
    """Read a value from text."""
    if isinstance(text, (bytes, bytearray)):
        text = text.decode("utf-8-sig")
    return Decoder(text).document()
