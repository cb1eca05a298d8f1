"""Players that cost as little as possible: they act, and throw away unread what they are sent.

`python -m zonetools.common.cheap_players PORT COUNT RATE FIRST` lets so many players join, named from FIRST on, and
prints a line. It then reads a line, which means that all are in the zone, and lets each act RATE times a second until
its standard input ends. At last it prints, as JSON, how many bytes came, how many connections ended, and its own CPU
time.

A thousand players cost some percent of a core, so that ten thousand leave the machine to what is measured. They check
nothing: a few bots of the swarm beside them do.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import random
import select
import socket
import sys
import time

from zoneserver.protocol.framing import LENGTH_PREFIX
from zoneserver.protocol.messages import PROTOCOL_VERSION, Act, Hello
from zoneserver.support.process import raise_open_files

_HOST = "127.0.0.1"
# How often the sockets are emptied: less than the kernel holds arrives meanwhile.
_DRAIN_SECONDS = 0.25
_BUFFER_BYTES = 1024 * 1024
# So many players join at once, so that the backlog of the server does not overflow.
_JOINS_AT_ONCE, _JOIN_PAUSE_SECONDS = 50, 0.02
# The length of a walk of one action, in units per tick, which every tick rate allows.
_STEP_MAX = 10
_HELD = getattr(socket, "MSG_TRUNC", 0)


class CheapPlayers:
    """The players of one process."""

    def __init__(self, port: int, count: int, rate: float, first: int) -> None:
        self.bytes = 0
        # The places of those whose connection has ended.
        self._ended: set[int] = set()
        self._port = port
        self._period = 1.0 / rate
        self._numbers = range(first, first + count)
        self._sockets: list[socket.socket] = []
        self._sequences = [0] * count
        self._buffer = bytearray(_BUFFER_BYTES)
        self._random = random.Random(first)

    @property
    def ended(self) -> int:
        """How many connections have ended."""
        return len(self._ended)

    def join(self) -> None:
        """Connect all players, and say HELLO."""
        for place, number in enumerate(self._numbers):
            sock = socket.create_connection((_HOST, self._port), 10.0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(LENGTH_PREFIX.wrap(Hello(PROTOCOL_VERSION, f"cheap-{number}", b"").encode()))
            sock.setblocking(False)
            self._sockets.append(sock)
            if place % _JOINS_AT_ONCE == _JOINS_AT_ONCE - 1:
                time.sleep(_JOIN_PAUSE_SECONDS)
                self.drain()

    def play_until_input(self, *, acting: bool) -> None:
        """Drain, and act if the players are in, until there is something to read on standard input."""
        now = time.monotonic()
        due = [(now + self._random.random() * self._period, place) for place in range(len(self._sockets))]
        heapq.heapify(due)
        next_drain = now
        while True:
            wait = max(0.0, min(next_drain, due[0][0] if acting else next_drain) - time.monotonic())
            if select.select([sys.stdin], [], [], wait)[0]:
                return
            now = time.monotonic()
            while acting and due[0][0] <= now:
                moment, place = due[0]
                heapq.heapreplace(due, (moment + self._period, place))
                self._act(place)
            if next_drain <= now:
                self.drain()
                next_drain = now + _DRAIN_SECONDS

    def _act(self, place: int) -> None:
        self._sequences[place] += 1
        step = self._random.randint(-_STEP_MAX, _STEP_MAX), self._random.randint(-_STEP_MAX, _STEP_MAX)
        with contextlib.suppress(OSError):
            self._sockets[place].send(LENGTH_PREFIX.wrap(Act(self._sequences[place], (("move", *step),)).encode()))

    def drain(self) -> None:
        """Throw away what has come. With MSG_TRUNC the kernel does not even copy it."""
        buffer, size = self._buffer, _BUFFER_BYTES
        for place, sock in enumerate(self._sockets):
            try:
                received = sock.recv_into(buffer, size, _HELD)
            except BlockingIOError:
                continue
            except OSError:
                received = 0
            self.bytes += received
            if not received:
                self._ended.add(place)


def main(port: int, count: int, rate: float, first: int) -> None:
    raise_open_files(count + 64)
    players = CheapPlayers(port, count, rate, first)
    players.join()
    print("joined", flush=True)
    for acting in False, True:
        players.play_until_input(acting=acting)
        sys.stdin.readline()
    print(json.dumps({"bytes": players.bytes, "ended": players.ended, "cpu_seconds": time.process_time()}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
