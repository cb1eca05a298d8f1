"""Persistence: the store and the journal of a server, from its start to its stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from zoneserver.config import Config
from zoneserver.journal.counters import JournalCounters
from zoneserver.journal.recent import recent_frames
from zoneserver.journal.recorder import Recorder
from zoneserver.journal.start import start_zone
from zoneserver.journal.unsaved import Unsaved
from zoneserver.journal.values import JournalError
from zoneserver.journal.writer import Journal
from zoneserver.store.backend import shown_target
from zoneserver.store.counters import StoreCounters
from zoneserver.store.desk import StoreDesk
from zoneserver.store.store import Store
from zoneserver.store.unsaved import write_unsaved
from zoneserver.support.errors import CannotStartError
from zoneserver.support.event_loop import run_in_turns
from zoneserver.support.logs import fields
from zoneserver.zone.link import ZoneLink
from zoneserver.zone.parameters import ZoneParameters
from zoneserver.zone.rules import Rules
from zoneserver.zone.zone import Zone

__all__ = ["STORE_SECONDS", "Persistence"]

STORE_SECONDS = 10.0
"""How long a stop waits for the store."""

_log = logging.getLogger(__name__)


class Persistence:
    """What outlives the process of a server. A server may have a store, a journal, both or neither.

    Call `open`, `make_zone` and `link_to`, in this order; at the end `close`, or `abandon` for a server that did not
    start.
    """

    def __init__(self, config: Config) -> None:
        self.epoch = 1
        """Which start of the zone this is. A server without a journal begins anew each time."""
        self.recorder: Recorder | None = None
        """Records the ticks of the zone; None without a journal."""
        self._config = config
        self._store: Store | None = None
        self._desk: StoreDesk | None = None
        self._journal: Journal | None = None
        # What the journal has for the store.
        self._unsaved = Unsaved()

    async def open(self) -> None:
        """Opens store and journal. Raises CannotStartError when one of them cannot be opened."""
        config = self._config
        if config.store != "":
            self._store = await Store.open(config.store)
        if config.journal:
            self._journal = Journal.open(config.journal, sync=config.journal_sync, keep=config.journal_keep)

    def abandon(self) -> None:
        """Closes what is open. Nothing is written any more."""
        if self._journal is not None:
            self._journal.close()
        if self._store is not None:
            self._store.abandon()

    async def make_zone(self, rules: Rules, is_stopping: Callable[[], bool]) -> Zone:
        """Makes the zone, or brings back the one that the journal has, in turns of the event loop.

        Raises TypeError or GameError for a game that cannot run, and CannotStartError for a journal that cannot be
        used, or when the server is to stop meanwhile.
        """
        config, clock = self._config, time.perf_counter
        parameters = ZoneParameters.of(config)
        if self._journal is None:
            return Zone(rules, **parameters.for_zone(), secret=config.secret, clock=clock)
        starting = start_zone(self._journal, config.journal, rules, parameters, config.secret, clock)
        started = await run_in_turns(starting, is_stopping)
        if started is None:
            raise CannotStartError("the server was stopped before it had run the journal again")
        zone, self.epoch, self.recorder, self._unsaved = started
        return zone

    def link_to(self, link: ZoneLink, now: Callable[[], float]) -> ZoneLink:
        """The link for a gateway: with a store, joins wait at a desk for what is saved of their players."""
        unsaved, recorder = self._unsaved, self.recorder
        if self._store is not None:
            self._desk = StoreDesk(link, self._store, now)
            self._desk.save(list(unsaved.texts.items()), unsaved.tick + 1)
            if recorder is not None:
                recorder.saved_up_to = self._store.saved_up_to
        elif unsaved.texts and recorder is not None:
            recorder.saved_up_to = lambda _: unsaved.tick
            text = "%d players were saved and are not in the store yet: they wait for a start with --store"
            _log.warning(text, len(unsaved.texts), extra=fields(players=len(unsaved.texts)))
        return self._desk or link

    def former_frames(self) -> Sequence[tuple[int, bytes]]:
        """The last frames before this start."""
        config = self._config
        return recent_frames(config.journal, config.limits.history_ticks) if self.epoch > 1 else []

    def save(self, saves: Sequence[tuple[str, str]], tick: int) -> None:
        """Hands players that were saved to the store, if there is one."""
        if self._desk is not None:
            self._desk.save(saves, tick)

    async def close(self, game: str) -> bool:
        """Waits until all players are in the store, and closes store and journal.

        Players who cannot be written within STORE_SECONDS go to a file with the name of the game. Returns False if
        there are any, and if the journal could not be written to its end.
        """
        is_stored = await self._close_store(game)
        return self._close_journal() and is_stored

    async def _close_store(self, game: str) -> bool:
        if self._store is None or self._desk is None:
            return True
        self._desk = None  # A second stop has nothing to close.
        unsaved = await self._store.close(STORE_SECONDS)
        if not unsaved:
            return True
        told = f"{len(unsaved)} players could not be written to the store {shown_target(self._config.store)}"
        try:
            path = write_unsaved(game, time.time(), unsaved)
        except OSError as error:
            _log.critical("%s, and are lost: %s", told, error)
        else:
            rest = ". With this journal the next start writes them by itself" if self._config.journal else ""
            _log.critical("%s: they are in %s%s", told, path, rest)
        return False

    def _close_journal(self) -> bool:
        try:
            if self.recorder is not None:
                self.recorder.close()
        except JournalError as error:
            _log.critical("%s: what happened shortly before the stop may be lost when the power fails", error)
            return False
        return True

    # --- Statistics -------------------------------------------------------------------------------

    @property
    def counters(self) -> tuple[StoreCounters, JournalCounters]:
        """The counters of store and journal."""
        store = self._store.counters if self._store else StoreCounters()
        return store, self._journal.counters if self._journal else JournalCounters()

    @property
    def unsaved_count(self) -> int:
        """How many players wait to be written to the store."""
        return 0 if self._store is None else len(self._store.pending)
