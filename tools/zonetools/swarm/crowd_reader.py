"""Reads the sockets of all bots of one process, in the place of their transports.

A transport makes an object of every read, and the event loop calls a method with it: for a frame that a thousand bots
get, this costs more than the comparison of its bytes. Here every read goes into one buffer, in which the bot compares
it. Writing, and the end of a connection, stay with the transport.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable
from typing import Protocol

# The bots that are read between two turns of the event loop, so that actions and timers are not late.
_READS_PER_TURN = 64
# How long the frames of a tick collect before those that have come are read. The first one is read at once. A server
# begins with the players whose actions the frame carries.
_REST_SECONDS = 0.001
_BUFFER_BYTES = 256 * 1024
_HAS_EPOLL = hasattr(select, "epoll")


class ReadBot(Protocol):
    """A bot, as the reader sees it."""

    transport: asyncio.Transport

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
        self._poll: select.epoll | None = None
        # By file descriptor.
        self._bots: dict[int, ReadBot] = {}
        self._buffer = bytearray(_BUFFER_BYTES)
        # Whether the event loop tells when something can be read.
        self._is_waiting = False

    def add(self, bot: ReadBot) -> None:
        """Read the socket of a bot from now on. What its transport has read before is handled first."""
        transport = bot.transport
        if not _HAS_EPOLL or transport.is_closing() or transport.get_extra_info("sslcontext") is not None:
            return
        if self._poll is None:
            self._poll = select.epoll()
            self._wait()
        number = transport.get_extra_info("socket").fileno()
        transport.pause_reading()
        self._bots[number] = bot
        self._poll.register(number, select.EPOLLIN)

    def remove(self, bot: ReadBot) -> None:
        """Read the socket of a bot no more. This must come before its transport closes the socket."""
        number = bot.transport.get_extra_info("socket").fileno()
        if self._poll is not None and self._bots.get(number) is bot:
            del self._bots[number]
            self._poll.unregister(number)

    def close(self) -> None:
        """Read nothing more."""
        self._bots.clear()
        if self._poll is not None:
            self._stop_waiting()
            self._poll.close()
            self._poll = None

    def _wait(self) -> None:
        assert self._poll is not None
        asyncio.get_running_loop().add_reader(self._poll.fileno(), self._read)
        self._is_waiting = True

    def _stop_waiting(self) -> None:
        if self._is_waiting:
            assert self._poll is not None
            asyncio.get_running_loop().remove_reader(self._poll.fileno())
            self._is_waiting = False

    def _read(self) -> None:
        """Read from the bots that have something, and come back soon, until none has."""
        if self._poll is None:
            return
        ready = self._poll.poll(0, _READS_PER_TURN)
        if not ready:
            if not self._is_waiting:
                self._wait()
            return
        self._stop_waiting()
        bots, buffer = self._bots, self._buffer
        buffers = [buffer]
        for number, _ in ready:
            bot = bots.get(number)
            if bot is None:
                continue  # It was closed by what another bot has read.
            try:
                size = os.readv(number, buffers)
            except BlockingIOError:
                continue
            except OSError as error:
                self._end(bot, error)
                continue
            if size:
                bot.read(buffer, size)
            else:
                self._end(bot, None)
        self._on_turn()
        loop = asyncio.get_running_loop()
        if len(ready) == _READS_PER_TURN:
            loop.call_soon(self._read)
        else:
            loop.call_later(_REST_SECONDS, self._read)

    def _end(self, bot: ReadBot, error: OSError | None) -> None:
        self.remove(bot)
        bot.end_reading(error)
