"""A recursive-descent reader."""
import re

NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*)"')
SPACE = re.compile(r"[ \t\r\n]*")
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
WORDS = {"null": None, "true": True, "false": False}


class DecodeError(ValueError):
    """Where and why a text is not JSON."""

    def __init__(self, why, text, at):
        line = text.count("\n", 0, at) + 1
        column = at - text.rfind("\n", 0, at)
        super().__init__(f"{why}: line {line} column {column}")
        self.line, self.column = line, column


class Decoder:
    def __init__(self, text):
        self.text = text
        self.at = 0

    def document(self):
        """The whole text is one value."""
        value = self.value()
        self.space()
        if self.at != len(self.text):
            raise DecodeError("text after the value", self.text, self.at)
        return value

    def space(self):
        self.at = SPACE.match(self.text, self.at).end()

    def take(self, char):
        self.space()
        if self.text.startswith(char, self.at):
            self.at += len(char)
            return True
        return False

    def value(self):
        self.space()
        for word, value in WORDS.items():
            if self.take(word):
                return value
        if self.take("["):
            return self.array()
        if self.take("{"):
            return self.object()
        if self.text.startswith('"', self.at):
            return self.string()
        return self.number()

    def number(self):
        found = NUMBER.match(self.text, self.at)
        if not found:
            raise DecodeError("a value was expected", self.text, self.at)
        self.at = found.end()
        fraction, exponent = found.groups()
        return (float if fraction or exponent else int)(found.group())

    def string(self):
        found = STRING.match(self.text, self.at)
        if not found:
            raise DecodeError("a string was expected", self.text, self.at)
        self.at = found.end()

        def unescape(match):
            kind = match.group(1)
            if kind[0] == "u":
                return chr(int(kind[1:], 16))
            return ESCAPES.get(kind, kind)

        return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", unescape, found.group(1))

    def array(self):
        out = []
        if self.take("]"):
            return out
        while True:
            out.append(self.value())
            if self.take("]"):
                return out
            if not self.take(","):
                raise DecodeError("a comma was expected", self.text, self.at)

    def object(self):
        out = {}
        if self.take("}"):
            return out
        while True:
            self.space()
            key = self.string()
            assert isinstance(key, str)
            if not self.take(":"):
                raise DecodeError("a colon was expected", self.text, self.at)
            out[key] = self.value()
            if self.take("}"):
                return out
            if not self.take(","):
                raise DecodeError("a comma was expected", self.text, self.at)
