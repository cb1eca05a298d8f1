"""The desk between gateway and zone: it reads the saved data of a player before the player joins."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zoneserver.protocol.codes import CloseReason
from zoneserver.store.store import Found, Store
from zoneserver.zone.link import Ended, Join, Requests, TickOutput, ZoneLink

__all__ = ["PATIENCE_SECONDS", "StoreDesk"]

PATIENCE_SECONDS = 1.5
"""A join ends with STORE_FAILED if the store has not answered after this time. A handshake may take longer."""

# The most joins that wait for the store.
_WAITING_MAX = 4_096
# While more characters than this wait to be written, joins are refused. So many wait only if writes fail for a long
# time and reads succeed.
_PENDING_CHARACTERS_MAX = 256 * 2**20


class StoreDesk:
    """The link of a zone with a store: it holds each join until its read has ended, and saves the zone's output.

    A join gets the text that was last saved under its name, or it ends with STORE_FAILED. After a join was sent to the
    zone, its text becomes outdated only if a player of this name leaves in the same tick. The zone then renews it.
    """

    def __init__(self, link: ZoneLink, store: Store, now: Callable[[], float]) -> None:
        self.info = link.info
        self.epoch = link.epoch
        self.commands = link.commands
        self.snapshot = link.snapshot
        self.former_tick = link.former_tick
        self.next_ref = link.next_ref
        self.subscribe = link.subscribe
        self._link = link
        self._store = store
        self._now = now
        # Joins that wait for the store, by ref, with their deadlines: the earliest first.
        self._waiting: dict[int, tuple[Join, float]] = {}
        # The refs of these joins by name, in the order in which they came.
        self._refs: dict[str, list[int]] = {}
        link.subscribe(self._receive)

    @property
    def has_room(self) -> bool:
        return self._link.has_room

    def send(self, requests: Requests) -> None:
        joins, requests.joins = requests.joins, []
        for join in joins:
            if join.ref in self._waiting:
                continue  # The gateway has lost count: no ref is of two players.
            known = self._store.pending.get(join.name)
            if join.watch or join.claim:
                requests.joins.append(join)
            elif known is not None:
                requests.joins.append(join._replace(saved=known))
            elif len(self._waiting) >= _WAITING_MAX:
                self._fail(join.ref, "too many joins wait for the store")
            elif self._store.pending_characters > _PENDING_CHARACTERS_MAX:
                self._fail(join.ref, "too many saved players wait to be written")
            else:
                self._wait(join)
        for ref in (*requests.leaves, *requests.drops):
            if ref in self._waiting:
                self._forget(ref)
        self._link.send(requests)

    def save(self, saves: Sequence[tuple[str, str]], tick: int = 0) -> None:
        """Hands the players that the zone has saved in this tick to the store."""
        self._store.save(dict(saves), tick)
        for name, text in saves:
            # A read that is under way finds an older text.
            self._answer(name, text)

    def _receive(self, output: TickOutput) -> None:
        if output.saves:
            self.save(output.saves, output.tick)
        self._expire()
        self._store.poll()

    # --- Joins that wait --------------------------------------------------------------------------

    def _wait(self, join: Join) -> None:
        self._waiting[join.ref] = join, self._now() + PATIENCE_SECONDS
        refs = self._refs.setdefault(join.name, [])
        refs.append(join.ref)
        if len(refs) == 1:
            self._store.read(join.name, lambda found: self._answer(join.name, found))

    def _answer(self, name: str, found: Found) -> None:
        """Sends the joins of this name to the zone with the text that was found, or ends them."""
        self._store.forget(name)
        joins = [self._waiting.pop(ref)[0] for ref in self._refs.pop(name, ())]
        if isinstance(found, Exception):
            for join in joins:
                self._fail(join.ref, "")
        elif joins:
            self._link.send(Requests(joins=[join._replace(saved=found or "") for join in joins]))

    def _fail(self, ref: int, text: str) -> None:
        # The zone tells the gateway of the player, wherever it runs.
        self._link.send(Requests(failed=[Ended(ref, CloseReason.STORE_FAILED, text)]))

    def _forget(self, ref: int) -> None:
        """Drops a join that waits."""
        join, _ = self._waiting.pop(ref)
        self._refs[join.name].remove(ref)
        if not self._refs[join.name]:
            del self._refs[join.name]
            self._store.forget(join.name)

    def _expire(self) -> None:
        now = self._now()
        while self._waiting:
            ref, (_, deadline) = next(iter(self._waiting.items()))
            if deadline > now:
                break
            self._forget(ref)
            self._fail(ref, f"the store did not answer within {PATIENCE_SECONDS:g} s")
