"""The receiving end of the floor: a process that connects many sockets, reads, and discards the data.

    python -m zonetools.bench.drain PORT COUNT

It ends when all sockets have been closed, and prints the number of bytes.
"""

from __future__ import annotations

import selectors
import socket
import sys

from zoneserver.support.process import raise_open_files

__all__ = ["drain"]

_READ_BYTES = 256 * 1024


def drain(port: int, count: int) -> int:
    """Read from `count` connections to a port of this machine until all end; return the number of bytes."""
    selector = selectors.DefaultSelector()
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
    buffer, drained_bytes = bytearray(_READ_BYTES), 0
    while selector.get_map():
        for key, _ in selector.select():
            sock = key.fileobj  # type: ignore[assignment]  # registered as a socket above
            received = sock.recv_into(buffer)
            drained_bytes += received
            if not received:
                selector.unregister(sock)
                sock.close()
    return drained_bytes


def main() -> None:
    """Run the process."""
    port, count = map(int, sys.argv[1:])
    raise_open_files(count + 64)
    print(drain(port, count))


if __name__ == "__main__":
    main()
