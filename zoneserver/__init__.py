"""A game server that keeps thousands of players together in one crowded zone.

All changes of a tick become one buffer, which is encoded once and sent to all players. This package exports every name
that the author of a game needs. `zoneserver.zone.rules` says how to write a game, `zoneserver.testing` how to test it.
"""

from typing import TYPE_CHECKING, Any

from zoneserver.support.version import __version__

if TYPE_CHECKING:
    from zoneserver.config import Config, Limits
    from zoneserver.server import ZoneServer
    from zoneserver.zone.rules import Between, Player, Refused, Rules, Speed, Text, action, command
else:
    # A name is imported at its first use, so that a command can handle Ctrl-C before it imports the server.
    def __getattr__(name: str) -> Any:
        from zoneserver.support.lazy import import_name

        return import_name(__name__, name, ("zoneserver.config", "zoneserver.server", "zoneserver.zone.rules"))


__all__ = [
    "Between",
    "Config",
    "Limits",
    "Player",
    "Refused",
    "Rules",
    "Speed",
    "Text",
    "ZoneServer",
    "__version__",
    "action",
    "command",
]
