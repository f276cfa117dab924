"""Print, as one line of JSON, which sources have no cache that this interpreter would use, or another than it compiles."""
import importlib.util
import json
import marshal
import os
import sys
import sysconfig

bad, good, failing = [], 0, 0
roots = {sysconfig.get_path("stdlib")} | {path for path in sys.path if path.endswith("-packages")}


def fits(cache, source, data, status):
    flags = int.from_bytes(cache[4:8], "little")
    if cache[:4] != importlib.util.MAGIC_NUMBER:
        return False
    if flags:
        return cache[8:16] == importlib.util.source_hash(data)
    mtime = (int(status.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little")
    return cache[8:12] == mtime and cache[12:16] == (status.st_size & 0xFFFFFFFF).to_bytes(4, "little")


def same(one, other):
    """Code equality does not look at every field."""
    fields = [name for name in dir(one) if name.startswith("co_") and name not in ("co_lines", "co_positions", "co_consts", "co_lnotab", "co_branches")]
    if any(getattr(one, name) != getattr(other, name) for name in fields):
        return False
    pairs = list(zip(one.co_consts, other.co_consts))
    return len(one.co_consts) == len(other.co_consts) and all(
        same(a, b) if hasattr(a, "co_code") else repr(a) == repr(b) or a == b for a, b in pairs
    )


for root in sorted(roots):
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            if not name.endswith(".py") or name.count(".") != 1:
                continue
            source = os.path.join(folder, name)
            with open(source, "rb") as file:
                data = file.read()
            try:
                code = compile(data, source, "exec", dont_inherit=True)
            except (SyntaxError, ValueError):
                failing += 1
                continue
            try:
                with open(importlib.util.cache_from_source(source), "rb") as file:
                    cache = file.read()
            except FileNotFoundError:
                bad.append("no cache: " + source)
                continue
            if not fits(cache, source, data, os.stat(source)):
                bad.append("unused: " + source)
            elif not same(marshal.loads(cache[16:]), code):
                bad.append("other code: " + source)
            else:
                good += 1
print(json.dumps({"bad": bad[:20], "good": good, "failing": failing}))
