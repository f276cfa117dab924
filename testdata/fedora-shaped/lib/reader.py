"Line readers, with generators, context managers and every kind of except."


class Lines:
    def __init__(self, open_file, keep_ends=False):
        self.file = open_file
        self.keep_ends = keep_ends
        self.number = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.file.close()
        return kind is not None and issubclass(kind, EOFError)

    def __iter__(self):
        rest = b""
        while True:
            block = self.file.read(4096)
            if not block:
                break
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                self.number += 1
                yield line + b"\n" if self.keep_ends else line
        if rest:
            self.number += 1
            yield rest


def fields(line, separator=b":", count=None):
    parts = line.split(separator)
    if count is not None and len(parts) != count:
        raise ValueError("expected %d fields, found %d" % (count, len(parts)))
    return parts


def numbers(line):
    out = []
    for field in fields(line, b" "):
        try:
            out.append(int(field))
        except ValueError:
            try:
                out.append(float(field))
            except ValueError as error:
                raise TypeError(field) from error
        else:
            continue
        finally:
            out = out[-100:]
    return out
