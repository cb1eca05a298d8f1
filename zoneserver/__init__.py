"""A game server that keeps thousands of players together in one crowded zone.

Everything that everybody does within a tick becomes one buffer, encoded once, sent to all. These
are all the names that the author of a game needs; `zoneserver.zone.rules` says how a game is written, and
`zoneserver.testing` how it is tested.
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
