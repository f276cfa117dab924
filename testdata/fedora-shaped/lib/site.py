"""Where packages live. Another landmark of a standard library."""
import os
import sys

PREFIXES = [sys.prefix, sys.exec_prefix]
ENABLE_USER_SITE = None


def site_packages(prefixes=None):
    found = []
    for prefix in dict.fromkeys(prefixes or PREFIXES):
        for lib in ("lib64", "lib"):
            found.append(os.sep.join([prefix, lib, "python3.9", "site-packages"]))
    return found


def pth_lines(text):
    """Yield what a .pth file adds to the path, and what it runs."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith(("import ", "import\t")):
            yield number, "run", line
        else:
            yield number, "add", line.rstrip()


def main(paths):
    seen = set()
    for path in paths:
        key = path.rstrip(os.sep)
        if key not in seen:
            seen.add(key)
            sys.path.append(path)
    return seen
