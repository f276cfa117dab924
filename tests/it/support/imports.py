"""Print, as one line of JSON, which modules this interpreter can import, and how many caches it found them with."""
import contextlib
import importlib
import io
import json
import os
import pkgutil
import re
import sys
import sysconfig

# They open a browser, print a poem, want a display, or run as programs.
SKIPPED = {"__main__", "__phello__", "antigravity", "idlelib", "test", "this", "tkinter", "turtle", "turtledemo"}
# A module with a dot in its name (3.9 has `__phello__.foo.py`) cannot be imported: its cache is nobody's.
CACHE = re.compile(r"[^.]*\.cpython-[0-9]+(?:\.opt-([12]))?\.pyc")


def below(folder, prefix=""):
    for module in pkgutil.iter_modules([folder]):
        if module.name not in SKIPPED:
            yield prefix + module.name
            if module.ispkg:
                yield from below(os.path.join(folder, module.name), prefix + module.name + ".")


def caches(folders):
    found = [0, 0, 0]
    for folder in folders:
        for place, _, names in os.walk(folder):
            if os.path.basename(place) == "__pycache__":
                for match in filter(None, map(CACHE.fullmatch, names)):
                    found[int(match[1] or 0)] += 1
    return found


def imported(names):
    for name in sorted(names):
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                importlib.import_module(name)
        except BaseException:  # Windows' modules; programs that exit
            continue
        yield name


stdlib = sysconfig.get_path("stdlib")
elsewhere = [path for path in sys.path if path and os.path.isdir(path) and not path.startswith(stdlib)]
answer = {"stdlib_caches": caches([stdlib]), "package_caches": caches(elsewhere)}
names = set(below(stdlib)) | set(sys.builtin_module_names) | set(getattr(sys, "stdlib_module_names", ()))
answer["stdlib"] = list(imported(names - SKIPPED))
answer["packages"] = list(imported(module.name for module in pkgutil.iter_modules(elsewhere)))
print(json.dumps(answer))
