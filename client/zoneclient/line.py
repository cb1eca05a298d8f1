"""The line to a zone: one connection, and after a drop the next one."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from zoneclient.errors import JoinRefusedError, ZoneClosedError
from zoneclient.protocol import Returning
from zoneclient.receiver import Receiver
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import Bye, Welcome
from zoneserver.support.format import format_address

__all__ = ["AWAY_SECONDS_MAX", "BUSY", "DROPS", "Line", "pause"]

DROPS = frozenset(
    {
        CloseReason.CONNECTION_LOST,
        CloseReason.SLOW_CONSUMER,
        CloseReason.INTERNAL_ERROR,
        CloseReason.SERVER_STOPPING,
        CloseReason.SERVER_RESTARTING,
    }
)
"""After these codes a client may come back to its player."""
BUSY = frozenset({CloseReason.SERVER_FULL, CloseReason.TOO_MANY_CONNECTIONS, CloseReason.HANDSHAKE_TIMEOUT})
"""After these codes, too, an attempt to come back is followed by another one."""
# The longest time before the first attempt and before a later one: it doubles with each. All are random, so that a
# crowd does not come back at once.
_FIRST_SECONDS = 0.2
_LAST_SECONDS = 5.0
AWAY_SECONDS_MAX = 60.0
"""How long a client tries to come back."""
# The most actions that are kept while the client is away, and for how long: a later return would do what the player
# wanted then.
_KEPT_MAX = 16
_KEPT_SECONDS = 2.0


class Line:
    """The way to a zone. Its `receiver` is the present connection, or the last one while the client is away.

    `settings` are those of a Receiver. With `resume` the line opens the next connection when one is lost.
    """

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext | None, timeout: float, *, resume: bool, **settings: Any
    ) -> None:
        self.receiver: Receiver
        """Set by `open`."""
        self.tick = 0
        """The newest tick that the program has the state of."""
        self.on_drop: Callable[[Bye], None] = lambda _: None
        """Called with the reason when the connection is lost and the client tries to come back."""
        self.drops: frozenset[str] = DROPS
        """The close codes after which the client comes back."""
        self.pause: Callable[[int], Awaitable[None]] = pause
        """Waits before an attempt to come back, the first of which is 0."""
        self._host = host
        self._port = port
        self._tls = tls
        self._timeout = timeout
        self._resume = resume
        self._settings = settings | {"resume": resume and not settings["watch"]}
        # Called with the new connection, and with the sequence of an action that is kept no longer: see `subscribe`.
        self._on_return: Callable[[Receiver], None] = lambda _: None
        self._on_expired: Callable[[int], None] = lambda _: None
        # Set while the client tries to come back.
        self._task: asyncio.Task[None] | None = None
        # Why the client has not come back.
        self._failure: Bye | None = None
        self._has_left = False
        # How many attempts to come back there were since a connection that served us.
        self._attempts = 0
        # The end of the time for each action that is kept while the client is away, by sequence.
        self._kept: dict[int, asyncio.TimerHandle] = {}

    def subscribe(self, on_return: Callable[[Receiver], None], on_expired: Callable[[int], None]) -> None:
        """Have `on_return` called with the new connection when the client has come back, and `on_expired` with the
        sequence of an action that was kept while the client is away, and is kept no longer."""
        self._on_return, self._on_expired = on_return, on_expired

    @property
    def welcome(self) -> Welcome:
        assert self.receiver.welcome is not None
        return self.receiver.welcome

    @property
    def end(self) -> Bye | None:
        """Why the line has ended; None while there is a connection, or may be one again."""
        bye = self._failure or self.receiver.bye
        return None if bye is None or self._may_return(bye) else bye

    @property
    def is_away(self) -> bool:
        """Whether the connection is lost, and the client tries to come back."""
        return self.receiver.bye is not None and self.end is None

    def _may_return(self, bye: Bye) -> bool:
        if self._failure is not None or self._has_left or not self._resume or bye.code not in self.drops:
            return False
        return self.welcome.slot is None or self.welcome.resume is not None

    async def open(self) -> None:
        """Join the zone. Raises JoinRefusedError, OSError or TimeoutError."""
        self.receiver = await self._connected(None)

    async def leave(self) -> None:
        """Leave the zone, and wait until the connection is closed. A client that is away stays away."""
        self._has_left = True
        self._forget_kept()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        receiver = self.receiver
        receiver.leave()
        try:
            async with asyncio.timeout(2.0):
                await asyncio.shield(receiver.closed)
        except TimeoutError:
            receiver.abort()
            await receiver.closed
        except BaseException:
            receiver.abort()
            raise
        receiver.arrived.set()

    def fail(self, text: str) -> Bye:
        """End the line, because the server has sent something wrong; return that as a reason."""
        reason = self.receiver.fail(text)
        if self.end is None:
            self._failure = reason
        if self._task is not None:
            self._task.cancel()
        return reason

    async def ping(self) -> float:
        """Return the seconds of a round trip, on the next connection if this one is lost. Raises ZoneClosedError."""
        while self.end is None:
            receiver = self.receiver
            if self.is_away:
                receiver.arrived.clear()
                await receiver.arrived.wait()
                continue
            try:
                return await receiver.answered_ping()
            except ZoneClosedError:
                pass  # Either the line has ended, or the client comes back.
        raise ZoneClosedError(*self.end)

    def keep(self, seq: int) -> None:
        """Keep an action for a while: it was done while the client is away."""
        if len(self._kept) >= _KEPT_MAX:
            self._on_expired(seq)
        else:
            self._kept[seq] = self.receiver.loop.call_later(_KEPT_SECONDS, self._expire, seq)

    def _expire(self, seq: int) -> None:
        del self._kept[seq]
        self._on_expired(seq)

    def _forget_kept(self) -> None:
        for handle in self._kept.values():
            handle.cancel()
        self._kept.clear()

    # --- Connecting -------------------------------------------------------------------------------

    async def _connected(self, returning: Returning | None) -> Receiver:
        """Open a connection that has its WELCOME. Raises as `open` does."""
        receiver = Receiver(**self._settings, returning=returning)
        try:
            async with asyncio.timeout(self._timeout):
                await receiver.loop.create_connection(lambda: receiver, self._host, self._port, ssl=self._tls)
                try:
                    while receiver.welcome is None and not receiver.closed.done():
                        receiver.arrived.clear()
                        await receiver.arrived.wait()
                except BaseException:
                    receiver.abort()
                    raise
        except TimeoutError as error:
            address = format_address(self._host, self._port)
            raise TimeoutError(f"no answer from {address} within {self._timeout:g} s") from error
        if receiver.welcome is None:
            raise JoinRefusedError(*receiver.closed.result())
        receiver.closed.add_done_callback(self._lost)
        return receiver

    def _lost(self, closed: asyncio.Future[Bye]) -> None:
        """The connection has ended."""
        if self._may_return(closed.result()):
            self.on_drop(closed.result())
            self._task = self.receiver.loop.create_task(self._come_back(self.receiver))

    async def _come_back(self, former: Receiver) -> None:
        try:
            receiver = await self._next(former)
        except ZoneClosedError as error:
            self._failure = Bye(error.code, error.text, error.retry)
            former.arrived.set()
            return
        self._forget_kept()
        self.receiver = receiver
        receiver.follow(former)
        self._on_return(receiver)
        receiver.skip_to(former.next_seq)

    async def _next(self, former: Receiver) -> Receiver:
        """Try to come back until it works, the server says no, or the time is up. Raises ZoneClosedError."""
        lost = former.closed.result()
        try:
            returning = self._returning(former)
        except ValueError:
            raise ZoneClosedError(*lost) from None  # The program will find the broken message.
        failure = lost.text
        if former.is_served:
            self._attempts = 0
        try:
            async with asyncio.timeout(AWAY_SECONDS_MAX):
                while True:
                    self._attempts += 1
                    await self.pause(self._attempts - 1)
                    try:
                        receiver = await self._connected(returning)
                        break
                    except JoinRefusedError as error:
                        if error.code not in self.drops | BUSY:
                            raise
                        failure = error.text
                    except OSError as error:
                        failure = str(error)
        except TimeoutError:
            text = f"there was no way back within {AWAY_SECONDS_MAX:g} s: {failure}"
            raise ZoneClosedError(CloseReason.CONNECTION_LOST, text, retry=True) from None
        assert receiver.welcome is not None
        if receiver.welcome.slot != self.welcome.slot:
            raise ZoneClosedError(*receiver.fail("it let us come back to another slot"))
        return receiver

    def _returning(self, former: Receiver) -> Returning | None:
        """What to show to come back; None for a watcher, who joins again. Raises ValueError for a broken message."""
        resume, tick = self.welcome.resume, former.newest_tick()
        return None if resume is None else Returning(resume.token, resume.epoch, self.tick if tick is None else tick)


async def pause(attempt: int) -> None:
    """Wait before an attempt to come back, the first of which is 0."""
    await asyncio.sleep(random.random() * min(_LAST_SECONDS, _FIRST_SECONDS * 2 ** min(attempt, 10)))
