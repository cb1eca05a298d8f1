"""A journal as a recording: a world that goes from frame to frame, and to any place."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

from zoneserver.journal.reader import JournalReader
from zoneserver.journal.values import Checkpoint, Header, JournalError, RecordedTick
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Snapshot, Tick
from zoneserver.protocol.world import World
from zoneserver.protocol.zone_info import ZoneInfo
from zoneserver.support.errors import UsageError
from zoneserver.support.format import exact_duration, format_clock
from zoneserver.support.logs import fields
from zoneserver.support.parse import NUMBER_MAX, parse_duration

__all__ = ["Place", "Recording", "parse_place"]

log = logging.getLogger(__name__)

# What a frame raises that does not fit the world, or is no frame.
_MISFITS = (ValueError, TypeError, LookupError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a recording: a tick; or seconds after the beginning, or with a sign after or before another place."""

    tick: int | None = None
    seconds: float = 0.0
    sign: str = ""

    def __str__(self) -> str:
        return f"{self.sign}{exact_duration(self.seconds)}" if self.tick is None else str(self.tick)

    def tick_of(self, recording: Recording, here: int) -> int:
        """The tick of this place, which may lie outside of the recording. A sign counts from the tick `here`."""
        if self.tick is not None:
            return self.tick
        ticks = round(self.seconds * recording.info.hz)
        return here - ticks if self.sign == "-" else (here if self.sign else recording.first_tick) + ticks


def parse_place(text: str) -> Place:
    """A place from `36000`, which is a tick, `1h05m`, `+30s` or `-30s`. Raises ValueError otherwise.

    >>> parse_place("36000"), parse_place("-1m30s")
    (Place(tick=36000, seconds=0.0, sign=''), Place(tick=None, seconds=90.0, sign='-'))
    """
    sign = text[:1] if text[:1] in ("+", "-") else ""
    number = text.removeprefix(sign)
    if number.isascii() and number.isdigit():
        # With a sign, a number alone could be either.
        if sign or len(number) > len(str(NUMBER_MAX)):
            raise ValueError(f"{text:.40} is no place: write a tick as 36000, or a duration as 1h05m, +30s or -30s")
        return Place(int(number))
    try:
        return Place(None, parse_duration(number), sign)
    except ValueError:
        raise ValueError(f"{text!r:.80} is no place: write a tick as 36000, or a duration as 1h05m or -30s") from None


class Recording:
    """The frames of a journal, from its first to its last tick, and the world at one of them.

    It begins at `start`, where a minus counts from the end. Where the journal goes on with a game of another shape, the
    recording ends. It locks nothing: a server may write the journal meanwhile.
    Raises JournalError for a journal that cannot be read, and UsageError for a start that it does not have.
    """

    def __init__(self, directory: str | Path, start: Place | None = None) -> None:
        self._reader = JournalReader(directory)
        self._entries = self._reader.follow()
        first, newest = self._reader.first_tick, self._reader.newest_tick
        self._newest = newest
        segments = self._reader.segments
        start = start if start is not None else Place(first)
        self.info: ZoneInfo = segments[-1 if start.sign == "-" else 0].header.game
        self.first_tick = first
        """The tick of the first state."""
        tick = max(first, start.tick_of(self, newest)) if start.sign == "-" else start.tick_of(self, first)
        if not first <= tick <= newest:
            has = f"the ticks {first} to {newest} ({format_clock((newest - first) / self.info.hz)})"
            raise UsageError(f"the journal {directory} has {has}, and no tick {tick}")
        index = max(number for number, segment in enumerate(segments) if segment.first_tick <= tick)
        self.info = segments[index].header.game
        # The tick at which another game begins.
        self._limit = next((one.first_tick for one in segments[index:] if not self._is_same(one.header)), None)
        while index and self._is_same(segments[index - 1].header):
            index -= 1
        self.first_tick = segments[index].first_tick
        self.world = World(self.info)
        self.frame = b""
        """The frame of the world's tick, as the payload of a TICK message."""
        self.records = 0
        """How many changes the frame tells."""
        self.end = ""
        """Why the recording does not go on behind the world's tick. It is empty at the end of the journal, too, since a
        server may write more."""
        self._go_to(tick)

    @property
    def last_tick(self) -> int:
        """The last tick that there is, at present."""
        if self._limit is not None:
            return self._limit
        # A directory that is gone changes nothing about what was there.
        with contextlib.suppress(JournalError):
            self._newest = self._reader.newest_tick
        return max(self.world.tick, self._newest)

    def seek(self, tick: int) -> None:
        """Goes to a tick, or to the first or the last one if it lies outside. Raises JournalError."""
        self._go_to(max(self.first_tick, min(tick, self.last_tick)))

    def step(self) -> bool:
        """Goes on to the next tick that was recorded; returns False where there is none.

        A frame that does not fit the world, as behind a tick that failed, is left out with all others up to the next
        checkpoint. A step over more than one tick is a gap: no frame leads over it.
        """
        before, has_misfit, is_cut = self.world.tick, False, False
        try:
            while not self.end and (entry := next(self._entries, None)) is not None:
                if isinstance(entry, Header):
                    self._meet(entry)
                elif isinstance(entry, Checkpoint):
                    if has_misfit or not self._is_at(entry):
                        self._restore(entry)
                        has_misfit, is_cut = False, True
                elif not has_misfit:
                    has_misfit = not self._apply(entry)
                    # The next frame would lead from the state that was told to another one than that of the checkpoint.
                    if not has_misfit and (entry.tick > before + 1 or not is_cut):
                        return True
        except JournalError as error:
            self.end = str(error)
        if has_misfit or is_cut:
            end = self.end or f"the frames after tick {before} do not fit, and no checkpoint follows"
            self._go_to(before)
            self.end = end
        return False

    def close(self) -> None:
        """Closes the file."""
        self._entries.close()

    # --- Entries ----------------------------------------------------------------------------------

    def _go_to(self, tick: int) -> None:
        self._entries.close()
        # The frame of the tick itself is wanted, too.
        self._entries = self._reader.follow(max(self.first_tick, tick - 1))
        self.end = ""
        checkpoint = next((entry for entry in self._entries if not isinstance(entry, Header)), None)
        if not isinstance(checkpoint, Checkpoint):
            raise JournalError(f"{self._reader.directory}: no checkpoint is left before tick {tick}")
        self._restore(checkpoint)
        if checkpoint.tick > tick:
            self.first_tick = checkpoint.tick  # The server has deleted what is older.
        while self.world.tick < tick and self.step():
            pass

    def _is_same(self, header: Header) -> bool:
        """Whether a header is of a game of the same shape."""
        return header.game._replace(version="") == self.info._replace(version="")

    def _meet(self, header: Header) -> None:
        if not self._is_same(header):
            self._limit = self.world.tick
            text = f"the journal goes on with another game, {header.game.name} {header.game.version}".rstrip()
            self.end = f"{text}: replay it with --from {self._limit}"

    def _is_at(self, checkpoint: Checkpoint) -> bool:
        """Whether the world has the state of a checkpoint."""
        if checkpoint.tick != self.world.tick:
            return False
        other = World(self.info)
        self._load(checkpoint, other)
        return other.hash() == self.world.hash()

    def _load(self, checkpoint: Checkpoint, world: World) -> None:
        try:
            snapshot = decode_server(checkpoint.snapshot)
            if not isinstance(snapshot, Snapshot):
                raise TypeError("this is no snapshot")
            world.restore(snapshot)
        except _MISFITS as error:
            text = f"the checkpoint of tick {checkpoint.tick} cannot be read: {error}"
            raise JournalError(f"{self._reader.directory}: {text}") from None

    def _restore(self, checkpoint: Checkpoint) -> None:
        self._load(checkpoint, self.world)
        # Nobody who has the tick before it can be told what happened in this one.
        self.frame, self.records = Tick(checkpoint.tick, 100, None).encode(), 0

    def _apply(self, recorded: RecordedTick) -> bool:
        """Brings the world to a recorded tick. Returns False if the frame does not fit it."""
        world = self.world
        if not recorded.frame:
            return False  # The tick failed. The next one is followed by a checkpoint.
        try:
            frame = decode_server(recorded.frame)
            if not isinstance(frame, Tick):
                raise TypeError("this is no frame")
            # Ticks that are missing may have changed nothing, or what they changed may be in this frame.
            world.tick = max(world.tick, recorded.tick - 1)
            world.apply(frame)
            if frame.hash is not None and frame.hash != world.hash():
                raise ValueError("the state is another one")
        except _MISFITS as error:
            text = "the frame of tick %d does not fit: the replay goes on at the next checkpoint (%s)"
            log.warning(text, recorded.tick, error, extra=fields(tick=recorded.tick))
            return False
        self.frame, self.records = recorded.frame, _records(frame)
        return True


def _records(frame: Tick) -> int:
    """How many changes a frame tells, as the zone counts them."""
    motions = len(frame.movers) + len(frame.steered) + len(frame.placed) // 5
    slots = len(frame.leaves) + len(frame.joins)
    return motions + slots + len(frame.stats) // 3 + len(frame.board) // 2 + len(frame.events)
