"""The type of the fixture that opens whole servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from zoneserver.server import ZoneServer

OpenServer = Callable[..., Awaitable[ZoneServer]]
