"""Decides whether a player may come in: by ticket, by name, and by the number of players.

The registry belongs to the zone and not to a gateway, since a name must be unique over all gateways.
Pure: the time is passed in.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, NamedTuple

from zoneserver.protocol.codes import CloseReason
from zoneserver.support.addresses import address_networks, is_same_network
from zoneserver.zone.bans import Bans
from zoneserver.zone.link import Ended, Join
from zoneserver.zone.parameters import ZoneParameters
from zoneserver.zone.ticket_verifier import TicketVerifier

__all__ = ["Entry", "PlayerRegistry"]


class Entry(NamedTuple):
    """What became of a join."""

    former: int | None
    """The ref of the connection before, if the player goes on in their place."""
    ended: list[Ended]
    """The players whose sessions end: the new one if it is rejected, and the older one of equal name."""


class PlayerRegistry:
    """All players who are in the zone or wait for a slot, by ref and by name; and the watchers, who need no slot.

    >>> registry = PlayerRegistry("plaza", players_max=1)
    >>> registry.enter(Join(1, "ann", b"", "127.0.0.1"), unix_seconds=0.0)
    Entry(former=None, ended=[])
    >>> registry.enter(Join(2, "bob", b"", "127.0.0.1"), unix_seconds=0.0).ended
    [Ended(ref=2, reason=<CloseReason.SERVER_FULL: 'SERVER_FULL'>, text='')]
    >>> registry.enter(Join(3, "ann", b"", "127.0.0.1", token=b"hash"), unix_seconds=0.0)
    Entry(former=None, ended=[Ended(ref=1, reason=<CloseReason.REPLACED: 'REPLACED'>, text='')])
    >>> registry.enter(Join(4, "ann", b"", "192.0.2.1", claim=b"hash"), unix_seconds=0.0)
    Entry(former=3, ended=[Ended(ref=3, reason=<CloseReason.REPLACED: 'REPLACED'>, text='')])
    """

    def __init__(self, zone: str, players_max: int, secret: bytes = b"", watchers_max: int = 0) -> None:
        self.is_rerun = False
        """Whether recorded joins run again: their tickets are used up, but are not verified, for they were good."""
        self._players_max = players_max
        self._watchers_max = watchers_max
        self._watchers: set[int] = set()
        # None when players need no ticket.
        self._verifier = TicketVerifier(secret, zone) if secret else None
        self._by_ref: dict[int, Join] = {}
        self._by_name: dict[str, Join] = {}
        self.bans = Bans()
        self.is_draining = False
        """Whether no new player may come in. Those who are in may still come back."""

    def __len__(self) -> int:
        """The number of players, without watchers."""
        return len(self._by_ref)

    def __contains__(self, ref: int) -> bool:
        return ref in self._by_ref or ref in self._watchers

    def enter(self, join: Join, unix_seconds: float) -> Entry:
        """Registers a player, or rejects it.

        A player who may come back keeps their place when a new connection shows the token, or joins under the name as
        the same person: by a ticket, or from the same address. The older player of equal name is replaced otherwise,
        and the caller takes it out of the zone.
        """
        objection = self._objection(join, unix_seconds)
        if objection is not None:
            return Entry(None, [objection])
        if join.watch:
            if len(self._watchers) >= self._watchers_max:
                text = "the zone has no room for another watcher"
                return Entry(None, [Ended(join.ref, CloseReason.SERVER_FULL, text)])
            self._consume(join)
            self._watchers.add(join.ref)
            return Entry(None, [])
        former, ended = None, []
        namesake = self._by_name.get(join.name)
        if namesake is not None:
            ended.append(Ended(namesake.ref, CloseReason.REPLACED, ""))
            former = namesake.ref if namesake.token else None
            self.leave(namesake.ref)
        elif len(self._by_ref) >= self._players_max:
            return Entry(None, [Ended(join.ref, CloseReason.SERVER_FULL, "")])
        self._consume(join)
        # A ticket may be as long as a packet, and is not needed any more.
        # The token that was shown is good until the client has the new one, since WELCOME may be lost on its way.
        self._by_ref[join.ref] = self._by_name[join.name] = join._replace(ticket=b"", saved="")
        return Entry(former, ended)

    def _objection(self, join: Join, unix_seconds: float) -> Ended | None:
        """Why a join is rejected, whatever the number of players is."""
        ban = self.bans.objection(join.name, join.host, unix_seconds)
        if ban is not None:
            return Ended(join.ref, CloseReason.BANNED, ban)
        namesake = self._by_name.get(join.name)
        if join.claim:
            tokens = () if namesake is None else (namesake.token, namesake.claim)
            is_good = any(hmac.compare_digest(token, join.claim) for token in tokens)
            return None if is_good else Ended(join.ref, CloseReason.RESUME_FAILED, "")
        if self.is_draining and namesake is None and not join.watch:
            return Ended(join.ref, CloseReason.SERVER_STOPPING, "the server takes no new players")
        if self._verifier is not None:
            check = self._verifier.check
            objection = None if self.is_rerun else check(join.name, join.ticket, unix_seconds)
            return None if objection is None else Ended(join.ref, CloseReason.BAD_TICKET, objection)
        if namesake is not None and not join.watch and not is_same_network(namesake.host, join.host):
            # Without tickets, any client could disconnect any player by taking their name.
            return Ended(join.ref, CloseReason.NAME_TAKEN, "")
        return None

    def _consume(self, join: Join) -> None:
        if self._verifier is not None and not join.claim:
            self._verifier.consume(join.ticket)

    def confirm(self, ref: int) -> None:
        """The player has the newest token, and the one before it is not good any more."""
        join = self._by_ref.get(ref)
        if join is not None:
            self._by_ref[ref] = self._by_name[join.name] = join._replace(claim=b"")

    def ref_of(self, name: str) -> int | None:
        """The ref of the registered player of this name."""
        join = self._by_name.get(name)
        return None if join is None else join.ref

    def network_of(self, ref: int) -> str:
        """The network of the address of a registered player."""
        return address_networks(self._by_ref[ref].host)[0]

    def refs_from(self, host: str) -> list[int]:
        """The refs of the registered players from the network of this address, without watchers."""
        return [ref for ref, join in self._by_ref.items() if is_same_network(join.host, host)]

    def change_secret(self, secret: bytes, grace_until: float) -> bool:
        """Changes the secret of a registry that has one, as `TicketVerifier.change_secret` does."""
        assert self._verifier is not None
        return self._verifier.change_secret(secret, grace_until)

    def change(self, parameters: ZoneParameters, secret: bytes) -> None:
        """Goes on with other bounds, and with tickets or without. `secret` is for a registry that had none."""
        self._players_max, self._watchers_max = parameters.players_max, parameters.watchers_max
        if not parameters.needs_ticket:
            self._verifier = None
        elif self._verifier is None:
            self._verifier = TicketVerifier(secret, parameters.ticket_zone)
        else:
            self._verifier.zone = parameters.ticket_zone

    def players(self) -> list[int]:
        """The refs of all registered players, without watchers."""
        return list(self._by_ref)

    def refs(self) -> list[int]:
        """All who are registered: players, and watchers."""
        return [*self._by_ref, *sorted(self._watchers)]

    def state(self) -> dict[str, Any]:
        """The registry as plain values, for `restore`."""
        return {
            "registered": [list(join) for join in self._by_ref.values()],
            "watchers": sorted(self._watchers),
            "is_draining": self.is_draining,
            "tickets": None if self._verifier is None else self._verifier.state(),
            **self.bans.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over a state."""
        self._by_ref = {ref: Join(ref, *join) for ref, *join in state["registered"]}
        self._by_name = {join.name: join for join in self._by_ref.values()}
        self._watchers = set(state["watchers"])
        self.is_draining = state["is_draining"]
        self.bans.restore(state)
        if self._verifier is not None and state["tickets"] is not None:
            self._verifier.restore(state["tickets"])

    def leave(self, ref: int) -> None:
        """Forgets a registered player or watcher. Another player may take the name."""
        if ref in self._watchers:
            self._watchers.remove(ref)
            return
        del self._by_name[self._by_ref.pop(ref).name]
