"""The client library of the zone server: join a zone, act in it, see what everybody does."""

from client.bot import Behaviour, Bot
from client.connection import Event, Update, ZoneConnection, connect
from client.errors import DivergedError, JoinRefusedError, ZoneClosedError, ZoneError
from client.replica import Replica

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
