"""Functions that make functions."""
from functools import wraps


def memo(limit=128):
    """Remember the last results of a function."""
    assert limit > 0

    def decorate(function):
        known = {}

        @wraps(function)
        def call(*args):
            """This docstring is replaced by wraps, and dropped at level 2 all the same."""
            try:
                return known[args]
            except KeyError:
                if len(known) >= limit:
                    known.pop(next(iter(known)))
                return known.setdefault(args, function(*args))

        call.forget = known.clear
        return call

    return decorate


def counter(start=0):
    def step(by=1):
        nonlocal start
        start += by
        return start

    return step


compose = lambda *fs: (lambda x: [x := f(x) for f in fs][-1])  # noqa: E731
