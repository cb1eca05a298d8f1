"""The server's end of the control socket: one request per connection, from this user or root alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from zoneserver.control.command_log import NOT_ALLOWED, log_command, log_refusal
from zoneserver.control.messages import REQUEST_BYTES_MAX, Outcome, decode_words
from zoneserver.support.errors import Exit
from zoneserver.support.socket_file import bind, is_trusted, peer_of, remove

__all__ = ["Door"]

# Operators are few, and players need the descriptors.
_CONNECTIONS_MAX = 8
# The time that a client has for its request, and the time that it has to read the answer.
_CLIENT_SECONDS = 5.0
_HINT = "give another path: --ctl PATH, or none: --ctl none"


class Door:
    """Listens at a path and runs what is asked there. Every command is logged in one line."""

    def __init__(self, path: Path, run: Callable[[Sequence[str]], Awaitable[Outcome]]) -> None:
        self.path = path
        self._run = run
        self._connections = 0
        self._inode = 0
        self._server: asyncio.Server

    async def open(self, *, is_default: bool) -> None:
        """Listens from now on. Raises CannotStartError with what to do."""
        sock = bind(self.path, _HINT, is_own_folder=is_default)
        self._inode = self.path.stat().st_ino
        self._server = await asyncio.start_unix_server(self._serve, sock=sock, limit=REQUEST_BYTES_MAX)

    def close(self) -> None:
        """Listens no more, and removes the file. Requests that are being answered get their answers."""
        remove(self.path, self._inode)
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            async with asyncio.timeout(_CLIENT_SECONDS) as patience:
                outcome = await self._answer(reader, writer, patience)
                if outcome is None:
                    return
                patience.reschedule(asyncio.get_running_loop().time() + _CLIENT_SECONDS)
                writer.transport.set_write_buffer_limits(0)
                writer.write(outcome.encode())
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.CancelledError):
            # The client says nothing, reads nothing, or is gone; or the server ends before it has an answer.
            writer.transport.abort()
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: asyncio.Timeout
    ) -> Outcome | None:
        """The answer to the request of a connection; None if it closed without one."""
        if self._connections > _CONNECTIONS_MAX:
            return Outcome(Exit.FAILED, f"{_CONNECTIONS_MAX} other commands are being run: try again")
        peer = peer_of(writer.get_extra_info("socket"))
        try:
            line = await reader.readline()
            if not line:
                return None
            if not is_trusted(peer):
                log_refusal(peer and peer[1])
                return Outcome(Exit.FAILED, NOT_ALLOWED)
            words = decode_words(line)
        except ValueError as error:
            return Outcome(Exit.USAGE, str(error) if "limit" not in str(error) else "the request is too long")
        # The command has a bound of its own.
        patience.reschedule(None)
        outcome = await self._run(words)
        log_command(words, peer and peer[1], outcome)
        return outcome
