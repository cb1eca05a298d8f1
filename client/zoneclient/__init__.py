"""The client library of the zone server: join a zone, act in it, see the actions of all players."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoneclient.bots.bot import Behaviour, Bot
    from zoneclient.connection import Event, Update, ZoneConnection, connect
    from zoneclient.errors import DivergedError, JoinRefusedError, ZoneClosedError, ZoneError
    from zoneclient.replica import Replica
else:
    # A name is imported at its first use, so that a command can handle Ctrl-C before it imports the library.
    def __getattr__(name: str) -> Any:
        from zoneserver.support.lazy import import_name

        homes = "zoneclient.bots.bot", "zoneclient.connection", "zoneclient.errors", "zoneclient.replica"
        return import_name(__name__, name, homes)


__all__ = [
    "Behaviour",
    "Bot",
    "DivergedError",
    "Event",
    "JoinRefusedError",
    "Replica",
    "Update",
    "ZoneClosedError",
    "ZoneConnection",
    "ZoneError",
    "connect",
]
