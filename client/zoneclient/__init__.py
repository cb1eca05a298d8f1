"""The client library of the zone server: join a zone, act in it, see the actions of all players."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoneclient.bots.bot import Behaviour, Bot
    from zoneclient.connection import ZoneConnection
    from zoneclient.errors import ActionRefusedError, DivergedError, JoinRefusedError, ZoneClosedError, ZoneError
    from zoneclient.join import connect
    from zoneclient.replica import Replica
    from zoneclient.update import Event, Update
else:
    # A name is imported at its first use, so that a command can handle Ctrl-C before it imports the library.
    def __getattr__(name: str) -> Any:
        from zoneserver.support.lazy import import_name

        homes = "bots.bot", "connection", "errors", "join", "replica", "update"
        return import_name(__name__, name, [f"zoneclient.{home}" for home in homes])


__all__ = [
    "ActionRefusedError",
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
