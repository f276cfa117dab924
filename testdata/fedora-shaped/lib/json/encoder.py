ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quote(text):
    out = ['"']
    for char in text:
        if char in ESCAPES:
            out.append(ESCAPES[char])
        elif ord(char) < 32:
            out.append("\\u%04x" % ord(char))
        else:
            out.append(char)
    out.append('"')
    return "".join(out)


def encode(value, indent=None, sort_keys=False, depth=0):
    assert depth < 1000, "nested too deeply"
    if value is None or value is True or value is False:
        yield {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, str):
        yield quote(value)
    elif isinstance(value, (int, float)):
        yield repr(value)
    else:
        pairs = isinstance(value, dict)
        items = value.items() if pairs else enumerate(value)
        if pairs and sort_keys:
            items = sorted(items)
        gap = "" if indent is None else "\n" + " " * indent * (depth + 1)
        first = True
        yield "{" if pairs else "["
        for key, item in items:
            yield ("" if first else ",") + gap
            first = False
            if pairs:
                yield quote(str(key)) + ": "
            yield from encode(item, indent, sort_keys, depth + 1)
        if not first and indent is not None:
            yield "\n" + " " * indent * depth
        yield "}" if pairs else "]"
