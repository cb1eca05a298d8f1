"""Everything that is known about several admin ports, as if they were one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from zoneserver.admin.stats import SESSION_SORTS, SessionList
from zonetools.common.admin_client import ServerUnreachable
from zonetools.dashboard.data.history import History, Sample
from zonetools.dashboard.data.monitor import LISTED, WINDOWS, Monitor, ServerState
from zonetools.dashboard.data.rows import ProcessRow, rows_of_ports
from zonetools.dashboard.data.whole import merged, whole


class Group:
    """Asks several servers at once, and adds up their answers. It has the methods of a `Monitor`.

    Nobody waits for a server that did not answer last time: it is asked beside the others, until it does.
    """

    def __init__(self, monitors: Sequence[Monitor], interval: float) -> None:
        self.monitors = monitors
        addresses = [monitor.address for monitor in monitors]
        self.address = ", ".join(addresses) if len(addresses) < 3 else f"{len(addresses)} admin ports"
        self.interval = interval
        self.history = History(interval, max(WINDOWS))
        self.last: Sample | None = None
        # The question that is on its way to each server, or was answered last.
        self._asking: dict[Monitor, asyncio.Task[None]] = {}
        self._sort = SESSION_SORTS[0]

    async def ask(self, with_map: bool = False, sort: str | None = None) -> Sample:
        """As `Monitor.ask`. Raises ServerUnreachable if no server answers."""
        self._sort = sort or self._sort
        first = self._first() or self.monitors[0]
        here = []
        for monitor in self.monitors:
            asking = self._asking.get(monitor)
            if asking is None or asking.done():
                asking = asyncio.create_task(_ask(monitor, with_map and monitor is first, sort))
                self._asking[monitor] = asking
            if monitor.outage is None:
                here.append(asking)
        await asyncio.wait(here or self._asking.values())
        for asking in self._asking.values():
            if asking.done():
                asking.result()
        answering = [each.last.stats for each in self.monitors if each.last and each.outage is None]
        if not answering:
            raise ServerUnreachable("; ".join(dict.fromkeys(self.outages().values())))
        away = [each.last.stats for each in self.monitors if each.last and each.outage]
        # The figures of another process are no later figures of this one.
        run = [each.last and each.last.stats.pid for each in self.monitors]
        self.last = self.history.add(whole(answering, away), time.monotonic(), run)
        return self.last

    def outages(self) -> dict[str, str]:
        """The reasons of the outages of now, by address."""
        return {address: reason for each in self.monitors for address, reason in each.outages().items()}

    def rows(self) -> tuple[ProcessRow, ...]:
        """A row for each port, in their order, and for each gateway that has none here."""
        ports = [(each.address, each.last, each.outage is not None) for each in self.monitors]
        return tuple(rows_of_ports(ports))

    def who_may_kick(self, name: str) -> list[int]:
        """The places of the servers that may kick the player of this name, the best first: the zone of the gateway that
        holds the session, and the server that holds it."""
        holding = [
            place
            for place, monitor in enumerate(self.monitors)
            if (listed := monitor.listed()) and any(session.name == name for session in listed.sessions)
        ]
        lasts = [monitor.last for monitor in self.monitors]
        gateways = {last.stats.gateway for place in holding if (last := lasts[place])}
        zones = [
            place
            for place, last in enumerate(lasts)
            if last and any(gateway.name in gateways for gateway in last.stats.gateways)
        ]
        return [place for place in zones + holding if self.monitors[place].outage is None]

    def reset(self) -> None:
        """Forget the past of all servers, and count from zero."""
        self.history.reset(time.monotonic(), time.strftime("%H:%M:%S"))
        for monitor in self.monitors:
            monitor.reset()

    def state(self, only: int | None = None) -> ServerState:
        """All servers as one, or the one at this place alone, with the map of the zone that all have."""
        first, reset = self._first(), self.history.reset_at
        if only is not None:
            alone = self.monitors[only].state()
            return replace(alone, zone=first.zone if first else alone.zone)
        return ServerState(
            address=self.address,
            samples=self.history.samples(),
            now=time.monotonic(),
            zone=first.zone if first else None,
            sessions=self._listed(),
            outage=None if first else self.monitors[0].outage,
            reset_clock=None if reset is None else reset.clock,
            ports=self.rows(),
        )

    def close(self) -> None:
        for asking in self._asking.values():
            asking.cancel()
        for monitor in self.monitors:
            monitor.close()

    def _first(self) -> Monitor | None:
        """The first zone that answers, else the first server that does."""
        here = [each for each in self.monitors if each.last and each.outage is None]
        return next((each for each in here if each.last and not each.last.stats.gateway), here[0] if here else None)

    def _listed(self) -> SessionList | None:
        lists = [(monitor, monitor.listed()) for monitor in self.monitors if monitor.outage is None]
        names = {each: each.last.stats.gateway or each.last.stats.game for each, _ in lists if each.last}
        count = Counter(names.values())
        named = [
            (name if count[name := names[monitor]] == 1 else monitor.address, listed)
            for monitor, listed in lists
            if listed is not None and listed.sort == self._sort and monitor in names
        ]
        return merged(named, self._sort, LISTED) if named else None


async def _ask(monitor: Monitor, with_map: bool, sort: str | None) -> None:
    """Asks a server. Its state tells of an outage."""
    with contextlib.suppress(ServerUnreachable):
        await monitor.ask(with_map, sort)
