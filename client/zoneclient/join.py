"""How a program joins a zone and leaves it: `async with connect(...) as zone`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator

from zoneclient.connection import ZoneConnection
from zoneclient.errors import ZoneError
from zoneclient.line import Line
from zoneserver.protocol.tickets import ticket_from_text

__all__ = ["connect"]

_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def connect(
    host: str,
    port: int,
    *,
    name: str | None = None,
    ticket: bytes | str = b"",
    tls: ssl.SSLContext | None = None,
    deflate: bool = False,
    watch: bool = False,
    game_version: str = "",
    resume: bool = False,
    whole: bool = False,
    timeout: float = 10.0,
    leave_timeout: float = 5.0,
) -> AsyncIterator[ZoneConnection]:
    """Join a zone. The end of the block leaves the zone, once the server has told the fate of every action.

    >>> async def greet() -> None:
    ...     async with connect("127.0.0.1", 7777, name="ann") as zone:
    ...         zone.act("say", "hello")
    ...         async for update in zone:
    ...             print(update.events)

    `ticket` is for a zone that requires tickets: the bytes, or the text that `zoneserver ticket` prints. `tls` is
    the context for a zone that uses TLS. `deflate` asks the server for compressed messages: fewer bytes, a little
    more CPU. A server that does not support it sends them uncompressed. With `watch` you see the zone, and have neither
    a player in it nor a name. `game_version` is the version of the game that the program was written for: a server
    that runs another one refuses the player with GAME_VERSION.

    With `resume` the iteration goes on when the connection is lost: the client tries to come back for a minute, and the
    server keeps the player in the zone meanwhile, for 15 seconds by default. `update.resumed` is True in the first
    update after that, and `update.missed` says how many ticks it stands for. With `whole` these ticks come one by one,
    as long as the server has them, with all events. A player who cannot come back ends with RESUME_FAILED.

    The block waits for the fate of the last actions for at most `leave_timeout` seconds; with 0 it leaves at once, and
    the server may discard them. A block that ends with an exception leaves at once, too.

    Raises JoinRefusedError when the server refuses the player, OSError when there is no server, TimeoutError
    when it does not answer within `timeout` seconds, and TypeError or ValueError for a name, a ticket or a version that
    cannot be sent.
    """
    if name is None and not watch:
        raise TypeError("connect() needs the name of your player, or watch=True")
    ticket = ticket_from_text(ticket) if isinstance(ticket, str) else ticket
    settings = {"name": name or "", "ticket": ticket, "deflate": deflate, "watch": watch, "game_version": game_version}
    line = Line(host, port, tls, timeout, resume=resume, whole=whole, **settings)
    await line.open()
    zone = ZoneConnection(line)
    try:
        yield zone
        if leave_timeout > 0:
            await _settle(zone, leave_timeout)
    finally:
        await line.leave()


async def _settle(zone: ZoneConnection, seconds: float) -> None:
    """Wait for the fate of the last actions: the server discards what waits when a player leaves."""
    try:
        async with asyncio.timeout(seconds):
            await zone._settle()
    except TimeoutError:
        if zone.is_away:
            _log.warning("%s leaves without a goodbye: the lost connection did not come back in time", zone.name)
            return
        text = "%s leaves without knowing the fate of the last %d actions: the server told none within %g s"
        _log.warning(text, zone.name, zone.unsettled, seconds)
    except ZoneError as error:
        if zone.unsettled:
            _log.warning("%s does not know the fate of the last %d actions: %s", zone.name, zone.unsettled, error)
