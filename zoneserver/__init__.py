"""A game server that keeps thousands of players together in one crowded zone.

All changes of a tick become one buffer, which is encoded once and sent to all players. This package exports every name
that the author of a game needs. `zoneserver.zone.rules` says how to write a game, `zoneserver.testing` how to test it.
"""

from typing import TYPE_CHECKING, Any

from zoneserver.support.version import __version__

if TYPE_CHECKING:
    from zoneserver.config import Config, Limits
    from zoneserver.server import ZoneServer
    from zoneserver.zone.rules import (
        AtMost,
        Between,
        Entity,
        Player,
        Refused,
        Rules,
        Speed,
        Text,
        Thing,
        action,
        command,
    )
    from zoneserver.zone.timers import Timer
else:
    # A name is imported at its first use, so that a command can handle Ctrl-C before it imports the server.
    def __getattr__(name: str) -> Any:
        from zoneserver.support.lazy import import_name

        homes = ("zoneserver.config", "zoneserver.server", "zoneserver.zone.rules", "zoneserver.zone.timers")
        return import_name(__name__, name, homes)


__all__ = [
    "AtMost",
    "Between",
    "Config",
    "Entity",
    "Limits",
    "Player",
    "Refused",
    "Rules",
    "Speed",
    "Text",
    "Thing",
    "Timer",
    "ZoneServer",
    "__version__",
    "action",
    "command",
]
