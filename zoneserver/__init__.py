"""A game server that keeps thousands of players together in one crowded zone.

Everything that everybody does within a tick becomes one buffer, encoded once, sent to all. These
are all the names that the author of a game needs; `zoneserver.rules` says how a game is written, and
`zoneserver.testing` how it is tested.
"""

from zoneserver.config import Config, Limits
from zoneserver.rules import Between, Player, Refused, Rules, Speed, Text, action
from zoneserver.server import ZoneServer
from zoneserver.version import __version__

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
