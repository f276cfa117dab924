"""Containers for the fixture."""
from . import abc

__all__ = ["Bag", "Layers", "Ring"]


class Bag(dict):
    """Count things."""

    def __init__(self, items=()):
        super().__init__()
        self.add(items)

    def __missing__(self, key):
        return 0

    def add(self, items):
        """Count each item once more."""
        for item in items:
            self[item] += 1

    def most(self, n=None):
        """The commonest first; ties in the order of arrival."""
        ranked = sorted(self.items(), key=lambda pair: -pair[1])
        return ranked if n is None else ranked[:n]


class Layers(abc.Lookup):
    """Mappings on top of one another, as a container image has layers."""

    def __init__(self, *maps):
        assert all(hasattr(m, "get") for m in maps)
        self.maps = list(maps) or [{}]

    def find(self, key):
        for mapping in self.maps:
            if key in mapping:
                return mapping[key]
        raise KeyError(key)


class Ring:
    """A buffer that forgets its oldest item."""

    __slots__ = ("_items", "_next", "_size")

    def __init__(self, size):
        if __debug__ and size < 1:
            raise ValueError("a ring has at least one place")
        self._items = []
        self._next = 0
        self._size = size

    def push(self, item):
        if len(self._items) < self._size:
            self._items.append(item)
        else:
            self._items[self._next] = item
            self._next = (self._next + 1) % self._size

    def __iter__(self):
        for step in range(len(self._items)):
            yield self._items[(self._next + step) % len(self._items)]
