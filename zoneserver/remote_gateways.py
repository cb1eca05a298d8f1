"""The gateways of a zone in other processes: the zone's end of the link, and what operators see of them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

from zoneserver.admin.gateway_stats import GatewayStats
from zoneserver.admin.gateways import GatewayTotals, gateway_row
from zoneserver.admin.stats import Stats
from zoneserver.config import Config
from zoneserver.link.attached_gateway import AttachedGateway
from zoneserver.link.carriers import link_security, open_zone_carrier
from zoneserver.link.hub import GatewayHub
from zoneserver.link.messages import Facts, Start
from zoneserver.zone.link import ZoneLink, gateway_of
from zoneserver.zone.zone import Zone

__all__ = ["RemoteGateways"]

# For how long operators see a gateway that is lost or has stopped, unless another one takes its name.
_SHOWN_SECONDS = 60.0


class RemoteGateways:
    """The gateways that reach a zone by the link of the settings.

    `link` is the zone's own, whose ticks it reads; the rest is as for GatewayHub. `uptime_s` is that of the server.
    """

    def __init__(
        self,
        config: Config,
        zone: Zone,
        link: ZoneLink,
        epoch: int,
        former: Sequence[tuple[int, bytes]],
        due: Callable[[], float],
        superseded: Callable[[], None],
        uptime_s: Callable[[], float],
    ) -> None:
        self._zone = zone
        self._now = time.monotonic
        self._totals = GatewayTotals()
        # By name, those that operators see: the gateways that are attached, or were a short while ago.
        self._shown: dict[str, AttachedGateway] = {}
        self._uptime_s = uptime_s
        facts = Facts(
            zone.info,
            zone.schema,
            tuple(zone.commands),
            zone.world.tick,
            config.resume_seconds,
            config.max_players,
            bool(config.secret),
        )
        self.hub = GatewayHub(
            link,
            zone.attendance.gateways,
            open_zone_carrier(config.link, link_security(config)),
            Start(epoch, round(time.time() * 1000)),
            facts,
            config.limits.history_ticks,
            config.limits.zone_actions_per_second // config.hz,
            former,
            time.monotonic,
            due,
            superseded,
            self._take_figures,
            lambda: zone.address_bans(time.time()),
        )

    def players(self) -> list[tuple[str, int | None, str]]:
        """Name, slot and gateway of each player whose connection a gateway has."""
        names = {each.number: each.name for each in self.hub.gateways}
        attendance = self._zone.attendance
        return [
            (player.name, player.slot, names.get(number, "a gateway that is awaited"))
            for ref, player in attendance.by_ref.items()
            if (number := gateway_of(ref)) and ref not in attendance.parking
        ]

    def _take_figures(self, gateway: AttachedGateway) -> None:
        self._shown[gateway.name] = gateway
        self._shown = {name: each for name, each in self._shown.items() if self._is_shown(each)}
        self._totals.take(gateway.name, gateway.figures, self._uptime_s(), self._players)

    @property
    def _players(self) -> int:
        """The players in the zone who have a connection."""
        return len(self._zone.attendance.registry) - self._zone.parked

    def add_to(self, own: Stats) -> Stats:
        """The statistics of the server, with those of the gateways."""
        here = {each.name: self._row(each) for each in self.hub.gateways}
        gone = [self._gone(each) for each in self._shown.values() if each.name not in here and self._is_shown(each)]
        # A gateway that was killed is lost after two seconds. Its players may be back elsewhere long before.
        ticks = 1 + self._zone.info.hz // 2
        silent = [each.name for each in self.hub.gateways if not each.is_here(ticks)]
        return self._totals.add_to(own, [*here.values(), *gone], self._players, silent)

    def _is_shown(self, gateway: AttachedGateway) -> bool:
        return self._now() - gateway.figures_at < _SHOWN_SECONDS

    def _gone(self, gateway: AttachedGateway) -> GatewayStats:
        """The row of a gateway that is lost and has no players in the zone any more, or has stopped."""
        row = dataclasses.replace(self._row(gateway), is_stopped=gateway.lost_at is None)
        return dataclasses.replace(row, players=0, watchers=0, connections=0, behind=0, queued_bytes=0)

    def _row(self, gateway: AttachedGateway) -> GatewayStats:
        now, figures = self._now(), gateway.figures
        return gateway_row(
            figures,
            name=gateway.name,
            address=figures.get("address", ""),
            stats=figures.get("stats", ""),
            pid=figures.get("pid", 0),
            host=figures.get("host", ""),
            attached_s=round(now - gateway.attached_at, 3),
            is_lost=gateway.lost_at is not None,
            is_stopped=False,
            tick=gateway.tick,
            behind_ticks=max(0, self._zone.world.tick - gateway.tick),
            waited_ms=round(gateway.waited_us / 1000, 3),
            batches_total=gateway.taken,
            resent_total=gateway.resent_total,
            age_s=round(now - gateway.figures_at, 3),
        )
