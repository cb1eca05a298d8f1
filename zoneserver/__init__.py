"""A game server that keeps thousands of players together in one crowded zone.

All changes of a tick become one buffer, which is encoded once and sent to all players. This package exports every name
that the author of a game needs. `zoneserver.zone.rules` says how to write a game, `zoneserver.testing` how to test it.
"""

from zoneserver.config import Config, Limits
from zoneserver.server import ZoneServer
from zoneserver.support.version import __version__
from zoneserver.zone.rules import Between, Player, Refused, Rules, Speed, Text, action

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
]
