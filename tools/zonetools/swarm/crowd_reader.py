"""Reads the sockets of all bots of one process, in the place of their transports.

A transport makes an object of every read, and the event loop calls a method with it: for a frame that a thousand bots
get, this costs more than the comparison of its bytes. Here every read goes into one buffer, in which the bot compares
it. Writing, and the end of a connection, stay with the transport.

A bot that waits for something, such as the outcome of an action, is read as soon as its socket has something: its times
are measured. The others only watch. They are read in turn, each once in some ticks, so that one read finds several
frames: the kernel's part of a read is most of the cost of a frame. The end of a connection is read at once. One bot is
always read as if it waited, so that the process has each frame when a snapshot is to be compared with it.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections import deque
from collections.abc import Callable
from typing import Protocol

# The bots that are read between two turns of the event loop, so that actions and timers are not late.
_READS_PER_TURN = 64
# How long the frames of a tick collect before those that have come are read. The first one is read at once. A server
# begins with the players whose actions the frame carries.
_REST_SECONDS = 0.001
# A bot that only watches is read once in so many ticks, and at least once in so many seconds.
_ROUND_TICKS = 4
_ROUND_SECONDS_MAX = 0.2
# If a watching bot is found with more bytes than this, all are read more often: a kernel that holds too much for a bot
# takes nothing more, which the server would see as a slow player.
_WAITING_BYTES_MAX = 32 * 1024
# The pause between two parts of a round.
_PART_SECONDS = 0.005
_BUFFER_BYTES = 256 * 1024
_HAS_EPOLL = hasattr(select, "epoll")
# What the system tells of a bot that only watches: the end of its connection; and of one that waits.
_END = select.EPOLLRDHUP if _HAS_EPOLL else 0
_ANYTHING = select.EPOLLIN | _END if _HAS_EPOLL else 0


class ReadBot(Protocol):
    """A bot, as the reader sees it."""

    transport: asyncio.Transport

    @property
    def is_waiting(self) -> bool:
        """Whether the bot is to be read as soon as something comes."""

    def read(self, buffer: bytearray, size: int) -> None:
        """Read the first `size` bytes of the buffer, which is written over afterwards."""

    def end_reading(self, error: OSError | None) -> None:
        """Nothing more can be read: the server has ended the stream, or `error` has."""


class CrowdReader:
    """The bots whose sockets are read here. `on_turn` is called after every few reads.

    Where the system has no epoll, `add` does nothing, and the transports read.
    """

    def __init__(self, on_turn: Callable[[], object]) -> None:
        self._on_turn = on_turn
        # Tells which bots that wait have something, and which connections have ended.
        self._poll: select.epoll | None = None
        # By file descriptor, and the file descriptors by bot.
        self._bots: dict[int, ReadBot] = {}
        self._numbers: dict[ReadBot, int] = {}
        self._waiting: set[int] = set()
        # All bots, in the order in which they are read if they only watch. Those that have left are still in it.
        self._round: deque[tuple[int, ReadBot]] = deque()
        self._round_seconds = _ROUND_SECONDS_MAX
        # Up to which moment the round has come.
        self._read_until = 0.0
        self._tick_seconds = 0.0
        self._buffer = bytearray(_BUFFER_BYTES)
        # Whether the event loop tells when a bot that waits can be read.
        self._is_told = False

    def add(self, bot: ReadBot, hz: int) -> None:
        """Read the socket of a bot from now on. What its transport has read before is handled first."""
        transport = bot.transport
        if not _HAS_EPOLL or transport.is_closing() or transport.get_extra_info("sslcontext") is not None:
            return
        if self._poll is None:
            self._poll = select.epoll()
            self._be_told()
            self._tick_seconds = 1.0 / hz
            self._round_seconds = min(_ROUND_SECONDS_MAX, _ROUND_TICKS / hz)
            self._read_until = asyncio.get_running_loop().time()
            self._read_watching()
        number = transport.get_extra_info("socket").fileno()
        transport.pause_reading()
        self._bots[number], self._numbers[bot] = bot, number
        self._round.append((number, bot))
        self._waiting.add(number)
        self._poll.register(number, _ANYTHING)

    def hurry(self, bot: ReadBot) -> None:
        """Read a bot as soon as something comes, for as long as it is waiting."""
        number = self._numbers.get(bot)
        if number is not None and number not in self._waiting:
            assert self._poll is not None
            self._waiting.add(number)
            self._poll.modify(number, _ANYTHING)

    def remove(self, bot: ReadBot) -> None:
        """Read the socket of a bot no more. This must come before its transport closes the socket."""
        number = self._numbers.pop(bot, None)
        if number is not None:
            assert self._poll is not None
            del self._bots[number]
            self._waiting.discard(number)
            self._poll.unregister(number)
            if self._numbers and not self._waiting:
                self.hurry(next(iter(self._numbers)))

    def close(self) -> None:
        """Read nothing more."""
        self._bots.clear()
        self._numbers.clear()
        self._waiting.clear()
        self._round.clear()
        if self._poll is not None:
            self._be_told_nothing()
            self._poll.close()
            self._poll = None

    # --- The bots that wait -----------------------------------------------------------------------

    def _be_told(self) -> None:
        assert self._poll is not None
        asyncio.get_running_loop().add_reader(self._poll.fileno(), self._read_waiting)
        self._is_told = True

    def _be_told_nothing(self) -> None:
        if self._is_told:
            assert self._poll is not None
            asyncio.get_running_loop().remove_reader(self._poll.fileno())
            self._is_told = False

    def _read_waiting(self) -> None:
        """Read from the bots that wait and have something, and come back soon, until none has."""
        if self._poll is None:
            return
        ready = self._poll.poll(0, _READS_PER_TURN)
        if not ready:
            if not self._is_told:
                self._be_told()
            return
        self._be_told_nothing()
        for number, _ in ready:
            bot = self._bots.get(number)
            if bot is None:
                continue  # It was closed by what another bot has read.
            self._read(number, bot)
            if number in self._waiting and len(self._waiting) > 1 and not bot.is_waiting:
                self._waiting.remove(number)
                self._poll.modify(number, _END)
        self._on_turn()
        loop = asyncio.get_running_loop()
        if len(ready) == _READS_PER_TURN:
            loop.call_soon(self._read_waiting)
        else:
            loop.call_later(_REST_SECONDS, self._read_waiting)

    # --- The bots that watch ----------------------------------------------------------------------

    def _read_watching(self) -> None:
        """Read the next part of the round."""
        if self._poll is None:
            return
        loop = asyncio.get_running_loop()
        now, each_seconds = loop.time(), self._round_seconds / max(1, len(self._round))
        due = int((now - self._read_until) / each_seconds)
        if due > len(self._round):
            # A process that is late does not make up for it: the next read of a bot finds more.
            due, self._read_until = len(self._round), now - self._round_seconds
        reads = min(due, _READS_PER_TURN)
        self._read_until += reads * each_seconds
        for _ in range(reads):
            if not self._round:
                break
            number, bot = self._round.popleft()
            if self._bots.get(number) is not bot:
                continue  # It has left.
            self._round.append((number, bot))
            if number not in self._waiting:
                size = self._read(number, bot)
                if size > _WAITING_BYTES_MAX:
                    self._round_seconds = max(self._tick_seconds, self._round_seconds / 2)
                if bot.is_waiting:
                    self.hurry(bot)
        if reads:
            self._on_turn()
        if due > reads:
            loop.call_soon(self._read_watching)
        else:
            loop.call_later(_PART_SECONDS, self._read_watching)

    # --- One bot ----------------------------------------------------------------------------------

    def _read(self, number: int, bot: ReadBot) -> int:
        """Let a bot read what its socket has; return how many bytes that were."""
        try:
            size = os.readv(number, (self._buffer,))
        except BlockingIOError:
            return 0
        except OSError as error:
            self.remove(bot)
            bot.end_reading(error)
            return 0
        if size:
            bot.read(self._buffer, size)
        else:
            self.remove(bot)
            bot.end_reading(None)
        return size
