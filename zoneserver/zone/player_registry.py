"""Who may be in a zone: names are unique, tickets are good, and there is room.

The registry belongs to the zone and not to a gateway, since a name must be unique over all gateways.
Pure: the time is passed in.
"""

from __future__ import annotations

from zoneserver.protocol.codes import CloseReason
from zoneserver.zone.link import Ended, Join
from zoneserver.zone.ticket_verifier import TicketVerifier

__all__ = ["PlayerRegistry"]


class PlayerRegistry:
    """Everybody who is in the zone or waits for a slot, by ref and by name.

    >>> registry = PlayerRegistry("plaza", players_max=1)
    >>> registry.enter(Join(1, "ann", b"", "127.0.0.1"), unix_seconds=0.0)
    []
    >>> registry.enter(Join(2, "bob", b"", "127.0.0.1"), unix_seconds=0.0)
    [Ended(ref=2, reason=<CloseReason.SERVER_FULL: 'SERVER_FULL'>, text='')]
    >>> registry.enter(Join(3, "ann", b"", "127.0.0.1"), unix_seconds=0.0)
    [Ended(ref=1, reason=<CloseReason.REPLACED: 'REPLACED'>, text='')]
    """

    def __init__(self, zone: str, players_max: int, secret: bytes = b"") -> None:
        self._players_max = players_max
        # None: a player needs no ticket.
        self._verifier = TicketVerifier(secret, zone) if secret else None
        self._by_ref: dict[int, Join] = {}
        self._by_name: dict[str, Join] = {}

    def __contains__(self, ref: int) -> bool:
        return ref in self._by_ref

    def enter(self, join: Join, unix_seconds: float) -> list[Ended]:
        """Registers a player, unless there is a reason against it. Returns whose session ends for it.

        That is the new player itself where it may not come in, and an older player of the same name where
        the new one replaces it. The caller takes the older player out of the zone.
        """
        if self._verifier is not None:
            objection = self._verifier.check(join.name, join.ticket, unix_seconds)
            if objection is not None:
                return [Ended(join.ref, CloseReason.BAD_TICKET, objection)]
        ended = []
        namesake = self._by_name.get(join.name)
        if namesake is not None:
            if self._verifier is None and namesake.host != join.host:
                # Without tickets anybody could throw out anybody by taking their name.
                return [Ended(join.ref, CloseReason.BAD_NAME, "somebody at another address has this name")]
            ended.append(Ended(namesake.ref, CloseReason.REPLACED, ""))
            self.leave(namesake.ref)
        if len(self._by_ref) >= self._players_max:
            return [*ended, Ended(join.ref, CloseReason.SERVER_FULL, "")]
        if self._verifier is not None:
            self._verifier.consume(join.ticket)
        self._by_ref[join.ref] = self._by_name[join.name] = join
        return ended

    def leave(self, ref: int) -> None:
        """Forgets a player who is registered; its name is free."""
        del self._by_name[self._by_ref.pop(ref).name]
