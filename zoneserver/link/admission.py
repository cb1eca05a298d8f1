"""Which gateway may attach: each name and each number belong to one gateway at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from zoneserver.link.attached_gateway import AttachedGateway
from zoneserver.link.messages import LINK_VERSION, Attach
from zoneserver.zone.gateways import Gateways

__all__ = ["Admission", "Objection"]

_CONTENDERS_MAX = 64
# For how long a gateway asks for the name of one that lives before it is rejected.
_CONTEND_SECONDS = 2.0


class Objection(NamedTuple):
    """Why a gateway may not attach."""

    text: str
    """Empty if it is not known yet: the gateway asks again."""
    may_begin_anew: bool = False
    """Whether it may come with another number."""
    is_final: bool = True
    """Whether its way leads to no other gateway, and may be closed."""


class Admission:
    """Judges who asks to attach. `gateways` are those that the zone knows, `attached` those that the hub has.

    With `names_peers` the carrier vouches that a peer is the name of the gateway.
    """

    def __init__(
        self, gateways: Gateways, attached: Mapping[int, AttachedGateway], hz: int, *, names_peers: bool
    ) -> None:
        self._gateways = gateways
        self._attached = attached
        self._hz = hz
        self._names_peers = names_peers
        # The name with which each peer came first, where a peer is no name.
        self._names: dict[str, str] = {}
        # The tick in which each gateway first asked for the name of another one.
        self._contenders: dict[int, int] = {}

    def objection(self, peer: str, message: Attach, tick: int) -> Objection | None:
        """Why the gateway may not attach in this tick; None if it may."""
        if message.version != LINK_VERSION:
            spoken = f"the zone speaks version {LINK_VERSION} of the link, this gateway {message.version}"
            return Objection(spoken)
        owner = peer if self._names_peers else self._names.setdefault(peer, message.name)
        if message.name != owner:
            return Objection(f"gateway {owner} asks to attach as {message.name}")
        if not self._may_have_number(peer, message):
            taken = f"gateway {message.name} has made up the number {message.gateway}, which another gateway has"
            return Objection(taken, may_begin_anew=True)
        namesake = next((each for each in self._attached.values() if each.name == message.name), None)
        if namesake is not None and self._is_another(namesake, message) and namesake.number != message.gateway:
            return self._contend(peer, message, namesake, tick)
        self._contenders.pop(message.gateway, None)
        return None

    def gone(self, peer: str) -> None:
        """The way to a gateway is closed."""
        self._names.pop(peer, None)

    def _may_have_number(self, peer: str, message: Attach) -> bool:
        """Whether the number is the gateway's own: with that of another one it would act for players there. The same
        gateway may come by another way before it is known that its former way is lost."""
        before = self._attached.get(message.gateway)
        if before is None:
            return self._gateways.name(message.gateway) in ("", message.name)
        return before.name == message.name and (before.peer == peer or not self._is_another(before, message))

    def _is_another(self, gateway: AttachedGateway, message: Attach) -> bool:
        """Whether the gateway lives, and another process asks."""
        return gateway.is_here(self._hz) and _process(gateway.figures) != _process(message.figures)

    def _contend(self, peer: str, message: Attach, namesake: AttachedGateway, tick: int) -> Objection:
        """A gateway asks for the name of another one. It has been started again, and the other one is about to be found
        dead; or two gateways were given one name, and the second one is rejected."""
        if len(self._contenders) >= _CONTENDERS_MAX:
            self._contenders.clear()
        since = self._contenders.setdefault(message.gateway, tick)
        if tick - since <= _CONTEND_SECONDS * self._hz:
            return Objection("")
        host, pid = _process(namesake.figures)
        text = f"a gateway called {namesake.name} is attached already (pid {pid} on {host}): give it another --name"
        return Objection(text, is_final=namesake.peer != peer)


def _process(figures: Mapping[str, Any]) -> tuple[Any, Any]:
    return figures.get("host"), figures.get("pid")
