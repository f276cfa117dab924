# Measures how long imports take. Runs on CPython 3.6 to 3.15, started with -s -B -c, in the sandbox.
#
# Arguments: the task (list, reload or import), how often to reload, where packages are (one on a line), and modules.
# Answers on standard output; what the modules print goes to standard error.
import os
import sys


def used():
    import time

    now = time.monotonic()
    try:
        from resource import RUSAGE_SELF, getrusage
    except ImportError:
        user, system = os.times()[:2]
        return now, user, system
    usage = getrusage(RUSAGE_SELF)
    return now, usage.ru_utime, usage.ru_stime


def source(module):
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    return os.fsencode(origin) if isinstance(origin, str) and origin.endswith(".py") else b""


def main():
    import importlib
    import site

    answers = os.dup(1)
    os.dup2(2, 1)
    task, count, places = sys.argv[1:4]
    modules = sys.argv[4:]
    for place in filter(None, places.split("\n")):
        site.addsitedir(place)
    before = [float(number) for number in os.environ["PYCULL_STARTED"].split()]
    try:
        imported = [importlib.import_module(name) for name in modules]
        if task == "reload":
            used()
            before = used()
            for _ in range(int(count)):
                importlib.reload(imported[0])
    except (Exception, SystemExit) as error:
        sys.stderr.write("%s: %s" % (type(error).__name__, error))
        sys.exit(1)
    if task == "list":
        # The module that was asked for comes first.
        answer = b"\0".join(map(source, imported[:1] + list(sys.modules.values())))
    else:
        answer = " ".join("%.9f" % (end - start) for start, end in zip(before, used())).encode("ascii")
    while answer:
        answer = answer[os.write(answers, answer):]


main()
