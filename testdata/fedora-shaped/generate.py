"""Plausible modules, each a function of its name and nothing else."""
import random

THINGS = "account address batch bucket cursor device entry filter frame handle index journal key label lease".split()
THINGS += "marker message node offset packet page queue record region route sample segment session slot table".split()
VERBS = "accept adjust append balance check clear collect compare count drain expand fetch find fold group".split()
VERBS += "insert limit load merge move order pack parse pick reduce reset resolve scan select shift split trim".split()
NOTES = [
    "The order of the input is kept.",
    "Nothing happens where there is nothing to do.",
    "The caller owns what is returned.",
    "Times are seconds since the epoch, sizes are bytes.",
    "Raises ValueError where an argument is out of range.",
    "Safe to call twice; the second call changes nothing.",
]


def doc(rng, pad, subject, wanted):
    """The lines of a docstring, or none."""
    if not wanted:
        return []
    head = f'{pad}"""{subject.capitalize()}.'
    if rng.random() < 0.4:
        return [head + '"""']
    notes = [pad + note for note in rng.sample(NOTES, rng.randint(1, 3))]
    return [head, "", *notes, pad + '"""']


def body(rng, pad, things, options):
    """Statements that use the arguments `items` and `limit`."""
    a, b = rng.sample(things, 2)
    number = rng.randint(2, 9999)
    lines = []
    if options["asserts"] and rng.random() < 0.7:
        lines += [f'assert limit is None or limit >= 0, "{a}: {b} below {number}"']
    if options["debug"] and rng.random() < 0.4:
        lines += ["if __debug__:", f'    COUNTS["{a}"] = COUNTS.get("{a}", 0) + 1']
    choice = rng.randrange(5)
    if choice == 0:
        lines += [
            f"{a} = []",
            f"for {b} in items:",
            f"    if {b} is None or {b} == {number}:",
            "        continue",
            f"    {a}.append(({b}, {rng.random():.4f}))",
            f"return {a}[:limit]",
        ]
    elif choice == 1:
        lines += [
            f"{a} = dict.fromkeys(items, {number})",
            f"for {b} in sorted({a}, key=str):",
            f"    {a}[{b}] += len(str({b})) % {rng.randint(2, 17)}",
            f"    if limit is not None and {a}[{b}] > limit:",
            f"        raise ValueError(f\"{b} {{{b}!r}} is over {{limit}}\")",
            f"return {a}",
        ]
    elif choice == 2:
        lines += [
            "try:",
            f"    {a} = next(iter(items))",
            "except StopIteration:",
            f"    return {rng.choice(['None', '()', repr(a), str(number)])}",
            "else:",
            f"    {b} = [{a}] * (limit or {rng.randint(1, 9)})",
            "finally:",
            f"    LAST[:] = [{a!r}, {b!r}]",
            f"return {b}",
        ]
    elif choice == 3:
        lines += [
            f"{a} = {{{b}: place for place, {b} in enumerate(items)}}",
            f"{b} = lambda key: {a}.get(key, -{number})",
            f"while limit and len({a}) > limit:",
            f"    {a}.popitem()",
            f"return sorted({a}, key={b}, reverse={rng.choice(['True', 'False'])})",
        ]
    else:
        lines += [
            f"with Guard({a!r}) as {a}:",
            f"    for {b} in items:",
            f"        yield {a}, {b}",
            "        if limit is not None:",
            f"            limit -= {rng.randint(1, 3)}",
            "            if limit <= 0:",
            "                return",
        ]
    return [pad + line for line in lines]


def code(name, size, docs=False, asserts=False, debug=False):
    """A module of about `size` functions and methods."""
    rng = random.Random(name)
    options = {"asserts": asserts, "debug": debug}
    things = rng.sample(THINGS, 12)
    names = rng.sample([f"{verb}_{thing}" for verb in VERBS for thing in things], size)
    lines = doc(rng, "", f"{name}: {things[0]}s and {things[1]}s", docs)
    lines += ["", "LAST = []", "COUNTS = {}", f"LIMIT = {rng.randint(10, 10**6)}", "", ""]
    lines += ["class Guard:", *doc(rng, "    ", "holds a name for the length of a block", docs)]
    lines += ["    def __init__(self, name):", "        self.name = name", ""]
    lines += ["    def __enter__(self):", "        return self.name", ""]
    lines += ["    def __exit__(self, *problem):", "        LAST.append(self.name)", ""]
    while names:
        group = [names.pop() for _ in range(min(len(names), rng.randint(1, 6)))]
        lines += [""]
        if len(group) < 3:
            for function in group:
                lines += [f"def {function}(items, limit=LIMIT):"]
                lines += doc(rng, "    ", function.replace("_", " the "), docs)
                lines += body(rng, "    ", things, options) + ["", ""]
            continue
        thing = rng.choice(things)
        lines += [f"class {thing.capitalize()}{len(lines)}(Guard):"]
        lines += doc(rng, "    ", f"a {thing} and what is done with it", docs)
        lines += [f"    size = {rng.randint(1, 512)}", f"    kinds = {tuple(rng.sample(things, 4))!r}", ""]
        for method in group:
            lines += [f"    def {method}(self, items, limit=None):"]
            lines += doc(rng, "        ", method.replace("_", " the "), docs and rng.random() < 0.8)
            lines += body(rng, "        ", things, options) + [""]
    return "\n".join(lines).strip("\n") + "\n"


def table(name, rows):
    """A module that is one big literal, with neither docstrings nor asserts."""
    rng = random.Random(name)
    lines = [f"# Rows of the {name} table: name, low, high, weight", "ROWS = {"]
    for row in range(rows):
        word = rng.choice(THINGS) + "." + rng.choice(VERBS)
        low = rng.randrange(1 << 16)
        lines += [f'    {row}: ("{word}", {low}, {low + rng.randrange(999)}, {rng.random():.6f}),']
    return "\n".join(lines + ["}", "", "", "def row(number):", "    return ROWS[number][0]", ""])


def code_page(name):
    """What a machine-made encoding module looks like: a table of 256 characters."""
    high = bytes(range(128, 256)).decode(name, "replace")
    lines = [f'"""Python character mapping for {name}."""', "", "decoding_table = ("]
    for number in range(256):
        char = chr(number) if number < 128 else high[number - 128]
        lines += [f"    {ascii(char)}  #  0x{number:02x}"]
    lines += [")", "encoding_map = {ord(char): place for place, char in enumerate(decoding_table)}", "", ""]
    lines += ["def decode(data):", '    """Map each byte to its character."""']
    lines += ['    return "".join(decoding_table[byte] for byte in data)', ""]
    return "\n".join(lines)


def topics(count):
    """Help texts: one big dict of long strings."""
    rng = random.Random("topics")
    lines = ["topics = {"]
    for number in range(count):
        words = " ".join(rng.choice(VERBS + THINGS) for _ in range(60))
        lines += [f"    {rng.choice(THINGS) + str(number)!r}: {words!r},"]
    return "\n".join(lines + ["}", ""])
