"""Coroutines without an event loop: a round-robin scheduler."""


class Pause:
    def __await__(self):
        yield self


class Loop:
    """Runs tasks in turn until none is left."""

    def __init__(self):
        self.ready = []
        self.turns = 0

    def spawn(self, coroutine):
        """Add a task."""
        self.ready.append(coroutine)

    def run(self):
        """Run to the end and return the number of turns."""
        while self.ready:
            task = self.ready.pop(0)
            try:
                task.send(None)
            except StopIteration:
                continue
            finally:
                self.turns += 1
            self.ready.append(task)
        return self.turns


async def ticker(n, sink):
    for number in range(n):
        sink.append(number)
        await Pause()


async def numbers(n):
    """An asynchronous generator."""
    for number in range(n):
        yield number
        await Pause()


async def total(n):
    assert n >= 0
    return sum([number async for number in numbers(n)])
