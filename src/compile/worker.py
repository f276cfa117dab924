# Compiles sources that come on standard input. Runs on CPython 3.6 to 3.15, started with -S -s -B -c, and
# imports nothing that is not built in: all else would have to be unpacked. The frames are those of protocol.rs.
import sys


def main():
    import _io
    import _warnings
    import gc
    import marshal
    from _frozen_importlib_external import MAGIC_NUMBER

    # What -c puts there is the working directory.
    sys.path[:] = [entry for entry in sys.path if entry]
    # Garbage of compiling is freed without it, and it costs a seventh of the time.
    gc.disable()
    # A warning would import modules, and nobody reads it.
    _warnings.filters.insert(0, ("ignore", None, Warning, None, 0))

    source_pipe = _io.open(0, "rb", 1 << 16, closefd=False)
    answer_pipe = _io.open(1, "wb", 1 << 16, closefd=False)

    def number(count):
        return int.from_bytes(source_pipe.read(count), "little")

    def compiled(source, path, level):
        try:
            code = compile(source, path, "exec", dont_inherit=True, optimize=level)
            return b"\0", marshal.dumps(code)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            text = "%s: %s" % (type(error).__name__, error)
            return b"\1", text[:1000].encode("utf-8", "backslashreplace")

    tag = (sys.implementation.cache_tag or "").encode("ascii", "replace")[:255]
    version = bytes(sys.version_info[:2])
    answer_pipe.write(b"pycull-worker-1\n" + MAGIC_NUMBER + version + bytes([len(tag)]) + tag)
    answer_pipe.flush()
    while True:
        head = source_pipe.read(1)
        if not head:
            return
        path_length, source_length = number(4), number(4)
        path = source_pipe.read(path_length).decode("utf-8", "surrogateescape")
        source = source_pipe.read(source_length)
        for level in range(3):
            if head[0] >> level & 1:
                status, payload = compiled(source, path, level)
                answer_pipe.write(status + len(payload).to_bytes(4, "little") + payload)
        answer_pipe.flush()


main()
