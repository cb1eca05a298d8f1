"""Everything that is known about one server: it is asked, and its answers are remembered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from zoneserver.admin.stats import SESSION_SORTS, SessionList
from zonetools.common.admin_client import AdminClient, ServerUnreachable, ZoneMap
from zonetools.dashboard.data.history import History, Sample
from zonetools.dashboard.data.rows import ProcessRow

WINDOWS = (30.0, 60.0, 120.0, 300.0, 600.0)
"""The lengths of time that a chart may cover, in seconds."""
LISTED = 40
"""The tallest screen has room for this many sessions, and for this many closed ones."""


@dataclass(frozen=True, slots=True)
class Outage:
    """The server does not answer at the moment."""

    reason: str
    clock: str
    """The time of day at which the outage began."""
    seconds: float
    """How long the outage has lasted."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """Everything that is known about a server at one moment."""

    address: str
    samples: Sequence[Sample]
    now: float
    """The moment, on the clock of the samples."""
    zone: ZoneMap | None = None
    sessions: SessionList | None = None
    outage: Outage | None = None
    reset_clock: str | None = None
    """The time of day of the last reset; None if there was none."""
    ports: tuple[ProcessRow, ...] = ()
    """A row for each server, if several are watched as one."""


class Monitor:
    """Asks one server and remembers its answers.

    With `ascii` the text in its answers is reduced to ASCII. With `complete` every question includes the
    map and the list of sessions.
    """

    def __init__(
        self,
        host: str,
        port: int,
        interval: float,
        *,
        ascii: bool = False,  # noqa: A002
        complete: bool = False,
        token: str = "",
    ) -> None:
        self._client = AdminClient(host, port, ascii=ascii, token=token)
        self.address = self._client.address
        self._complete = complete
        self.interval = interval
        self.history = History(interval, max(WINDOWS))
        self.zone: ZoneMap | None = None
        self.last: Sample | None = None
        self._sessions: SessionList | None = None
        # When that list was requested.
        self._sessions_at = 0.0
        # The reason of an outage and when it began, by the monotonic clock and the time of day.
        self._outage: tuple[str, float, str] | None = None

    async def ask(self, with_map: bool = False, sort: str | None = None) -> Sample:
        """Take one more sample; with `sort`, also fetch the list of sessions sorted by it.

        Raises ServerUnreachable, after noting when the outage began.
        """
        if self._complete:
            with_map, sort = True, sort or SESSION_SORTS[0]
        try:
            stats = await self._client.stats()
            if with_map:
                self.zone = await self._client.map()
            if sort is not None:
                now, old = time.monotonic(), self._sessions
                # At most once per interval: the server examines every session to make the list.
                if old is None or old.sort != sort or now - self._sessions_at >= 0.9 * self.interval:
                    self._sessions, self._sessions_at = await self._client.sessions(sort, LISTED), now
        except ServerUnreachable as error:
            began = self._outage[1:] if self._outage else (time.monotonic(), time.strftime("%H:%M:%S"))
            self._outage = (str(error), *began)
            raise
        self._outage = None
        self.last = self.history.add(stats, time.monotonic())
        return self.last

    def reset(self) -> None:
        """Forget the past and count from zero."""
        self.history.reset(time.monotonic(), time.strftime("%H:%M:%S"))

    @property
    def outage(self) -> Outage | None:
        """The outage of now; None while the server answers, and before the first question."""
        if self._outage is None:
            return None
        reason, began, clock = self._outage
        return Outage(reason, clock, time.monotonic() - began)

    def outages(self) -> dict[str, str]:
        """The reason of the outage of now, by the server's address."""
        return {self.address: self._outage[0]} if self._outage else {}

    def rows(self) -> tuple[ProcessRow, ...]:
        """As `Group.rows`: one server has none."""
        return ()

    def listed(self) -> SessionList | None:
        """The newest list of sessions, without those that closed before the last reset."""
        sessions, reset = self._sessions, self.history.reset_at
        if sessions is None or reset is None:
            return sessions
        age = self._sessions_at - reset.at
        return replace(sessions, closed=[closed for closed in sessions.closed if closed.ago_s <= age])

    def state(self, only: int | None = None) -> ServerState:
        """Everything that is known now. Of one server, `only` is for `Group.state`."""
        reset = self.history.reset_at
        return ServerState(
            address=self.address,
            samples=self.history.samples(),
            now=time.monotonic(),
            zone=self.zone,
            sessions=self.listed(),
            outage=self.outage,
            reset_clock=None if reset is None else reset.clock,
        )

    def close(self) -> None:
        self._client.close()
