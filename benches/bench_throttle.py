"""A proxy for connections that passes a limited number of bytes in a second, in each direction.

usage: bench_throttle.py ADDRESS UPSTREAM BYTES_A_SECOND
"""
import socket
import sys
import threading
import time

PIECE = 64 << 10


class Line:
    """One direction of the network, which all connections share."""

    def __init__(self, bytes_a_second):
        self.bytes_a_second = bytes_a_second
        self.free_at = 0.0
        self.lock = threading.Lock()

    def carry(self, count):
        """Wait until the line has carried so many bytes."""
        with self.lock:
            begin = max(self.free_at, time.monotonic())
            self.free_at = begin + count / self.bytes_a_second
            wait = self.free_at - time.monotonic()
        if wait > 0:
            time.sleep(wait)


def pass_on(source, target, line):
    """Pass bytes on until one side ends."""
    piece = bytearray(PIECE)
    try:
        while count := source.recv_into(piece):
            line.carry(count)
            target.sendall(memoryview(piece)[:count])
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # The other direction notices it too.
        pass


def address_of(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def main():
    address, upstream, bytes_a_second = sys.argv[1:]
    up, down = (Line(int(bytes_a_second)) for _ in range(2))
    with socket.create_server(address_of(address)) as server:
        while True:
            client, _ = server.accept()
            registry = socket.create_connection(address_of(upstream))
            for ends in ((client, registry, up), (registry, client, down)):
                threading.Thread(target=pass_on, args=ends, daemon=True).start()


if __name__ == "__main__":
    main()
