"""The client library of the zone server: join a zone, act in it, see the actions of all players."""

from zoneclient.bots.bot import Behaviour, Bot
from zoneclient.connection import Event, Update, ZoneConnection, connect
from zoneclient.errors import DivergedError, JoinRefusedError, ZoneClosedError, ZoneError
from zoneclient.replica import Replica

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
