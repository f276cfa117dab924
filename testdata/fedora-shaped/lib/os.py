"""Paths and environment, as far as a fixture needs them.

This file marks the directory as a standard library: tools look for os.py.
"""

sep = "/"
pardir = ".."
environ = {}


def join(first, *rest):
    """Join path components; an absolute one starts again."""
    path = first
    for part in rest:
        if part.startswith(sep):
            path = part
        elif not path or path.endswith(sep):
            path += part
        else:
            path += sep + part
    return path


def split(path):
    """Return the directory and the last component of a path."""
    cut = path.rfind(sep) + 1
    head, tail = path[:cut], path[cut:]
    if head.strip(sep):
        head = head.rstrip(sep)
    return head, tail


def normal(path):
    """Resolve dots without looking at a file system."""
    rooted = path.startswith(sep)
    out = []
    for part in path.split(sep):
        if part in ("", "."):
            continue
        if part == pardir and out and out[-1] != pardir:
            out.pop()
        elif part != pardir or not rooted:
            out.append(part)
    return (sep if rooted else "") + sep.join(out) or "."


def getenv(name, default=None):
    """Look a variable up."""
    return environ.get(name, default)
