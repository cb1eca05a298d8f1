"""Decides whether a player may come in: by ticket, by name, and by the number of players.

The registry belongs to the zone and not to a gateway, since a name must be unique over all gateways.
Pure: the time is passed in.
"""

from __future__ import annotations

from zoneserver.protocol.codes import CloseReason
from zoneserver.support.addresses import is_same_network
from zoneserver.support.ban_list import BanList
from zoneserver.zone.link import Ended, Join
from zoneserver.zone.ticket_verifier import TicketVerifier

__all__ = ["PlayerRegistry"]


class PlayerRegistry:
    """All players who are in the zone or wait for a slot, by ref and by name; and the watchers, who need no slot.

    >>> registry = PlayerRegistry("plaza", players_max=1)
    >>> registry.enter(Join(1, "ann", b"", "127.0.0.1"), unix_seconds=0.0)
    []
    >>> registry.enter(Join(2, "bob", b"", "127.0.0.1"), unix_seconds=0.0)
    [Ended(ref=2, reason=<CloseReason.SERVER_FULL: 'SERVER_FULL'>, text='')]
    >>> registry.enter(Join(3, "ann", b"", "127.0.0.1"), unix_seconds=0.0)
    [Ended(ref=1, reason=<CloseReason.REPLACED: 'REPLACED'>, text='')]
    """

    def __init__(self, zone: str, players_max: int, secret: bytes = b"", watchers_max: int = 0) -> None:
        self._players_max = players_max
        self._watchers_max = watchers_max
        self._watchers: set[int] = set()
        # None when players need no ticket.
        self._verifier = TicketVerifier(secret, zone) if secret else None
        self._by_ref: dict[int, Join] = {}
        self._by_name: dict[str, Join] = {}
        self.bans = BanList()
        """Names that operators have banned, by the time of day."""

    def __contains__(self, ref: int) -> bool:
        return ref in self._by_ref or ref in self._watchers

    def enter(self, join: Join, unix_seconds: float) -> list[Ended]:
        """Registers a player, or rejects it. Returns the players whose sessions end.

        They are the new player if it is rejected, and the older player of equal name if the new one replaces it.
        The caller takes the older player out of the zone.
        """
        ban = self.bans.objection(join.name, unix_seconds)
        if ban is not None:
            return [Ended(join.ref, CloseReason.BANNED, ban)]
        if self._verifier is not None:
            objection = self._verifier.check(join.name, join.ticket, unix_seconds)
            if objection is not None:
                return [Ended(join.ref, CloseReason.BAD_TICKET, objection)]
        if join.watch:
            if len(self._watchers) >= self._watchers_max:
                return [Ended(join.ref, CloseReason.SERVER_FULL, "the zone has no room for another watcher")]
            self._consume(join)
            self._watchers.add(join.ref)
            return []
        ended = []
        namesake = self._by_name.get(join.name)
        if namesake is not None:
            if self._verifier is None and not is_same_network(namesake.host, join.host):
                # Without tickets, any client could disconnect any player by taking their name.
                return [Ended(join.ref, CloseReason.NAME_TAKEN, "")]
            ended.append(Ended(namesake.ref, CloseReason.REPLACED, ""))
            self.leave(namesake.ref)
        if len(self._by_ref) >= self._players_max:
            return [*ended, Ended(join.ref, CloseReason.SERVER_FULL, "")]
        self._consume(join)
        # A ticket may be as long as a packet, and is not needed any more.
        self._by_ref[join.ref] = self._by_name[join.name] = join._replace(ticket=b"")
        return ended

    def _consume(self, join: Join) -> None:
        if self._verifier is not None:
            self._verifier.consume(join.ticket)

    def ref_of(self, name: str) -> int | None:
        """The ref of the registered player of this name."""
        join = self._by_name.get(name)
        return None if join is None else join.ref

    def change_secret(self, secret: bytes, grace_until: float) -> bool:
        """Changes the secret of a registry that has one, as `TicketVerifier.change_secret` does."""
        assert self._verifier is not None
        return self._verifier.change_secret(secret, grace_until)

    def leave(self, ref: int) -> None:
        """Forgets a registered player or watcher. Another player may take the name."""
        if ref in self._watchers:
            self._watchers.remove(ref)
            return
        del self._by_name[self._by_ref.pop(ref).name]
