"""A replay: a zone whose frames were recorded. It can be paused, and goes to any place at any speed."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoneserver.journal.recording import Place, Recording, parse_place
from zoneserver.journal.values import JournalError
from zoneserver.protocol.codes import CloseReason, GameReason
from zoneserver.protocol.zone_info import ZoneInfo
from zoneserver.support.format import format_clock
from zoneserver.support.parse import parse_number
from zoneserver.zone.bans import Bans, read_ban
from zoneserver.zone.commands import OF_A_REPLAY
from zoneserver.zone.counters import ZoneCounters
from zoneserver.zone.link import USAGE, Command, Ended, Requests, TickInput, TickOutput
from zoneserver.zone.rules import Refused

__all__ = ["SPEED_MAX", "SPEED_MIN", "ReplayZone", "parse_speed"]

log = logging.getLogger(__name__)

SPEED_MIN, SPEED_MAX = 0.1, 100.0
_COMMANDS = {
    "pause": ("pause", "stand still"),
    "play": ("play", "go on"),
    "seek": ("seek 1h05m|+30s|-30s|TICK", "go to a time since the beginning, by some time, or to a tick"),
    "speed": ("speed FACTOR", "go at 0.1 to 100 times the recorded speed"),
}
# How often a zone is ticked at least, so that it answers within a moment.
_TICKS_PER_SECOND_MIN = 10.0


def parse_speed(text: str) -> float:
    """A speed from `0.5`, `8` or `x8`. Raises ValueError otherwise."""
    speed = parse_number(text.removeprefix("x"))
    if not SPEED_MIN <= speed <= SPEED_MAX:
        raise ValueError(f"{text} is not from {SPEED_MIN:g} to {SPEED_MAX:g}")
    return speed


class ReplayZone:
    """Sends the frames of a recording to watchers; a `TickedZone`. Nobody can join as a player.

    It ends at the tick `last`, if that is given. At the end it stands still; with `loops` it begins again. `at_end` is
    called each time that the end is reached.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        speed: float = 1.0,
        last: int | None = None,
        loops: bool = False,
        watchers_max: int = 100,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.info = recording.info
        self.world = recording.world
        self.counters = ZoneCounters()
        self.parked = 0
        self.schema = _schema_of(recording.info)
        self.commands: Sequence[tuple[str, str]] = tuple(_COMMANDS.values())
        self.speed = speed
        self.is_paused = False
        self.at_end = at_end
        self._recording = recording
        self._first = recording.world.tick
        self._last = last
        self._loops = loops
        self._watchers_max = watchers_max
        self._watchers: set[int] = set()
        self.bans = Bans()
        self._unix_seconds = 0.0
        # Whether the last turn has stood still, and whether it has told that the end is reached.
        self._stands = self._has_ended = False
        # Turns until the next frame, at a speed that is slower than turns may be.
        self._turns_left = 0
        # The output of the present tick, but for the frame.
        self._records = 0
        self._joined: list[tuple[int, int | None]] = []
        self._ended: list[Ended] = []
        self._results: list[tuple[int, bool, str]] = []

    @property
    def ticks_per_second(self) -> float:
        """The rate of the frames; while the zone stands still, that of the recorded zone. Frames that are rarer than
        ten a second come with every so many ticks."""
        rate = self._frames_per_second()
        return rate * self._turns_per_frame(rate)

    def _frames_per_second(self) -> float:
        return self.info.hz * (1.0 if self._stands else self.speed)

    @staticmethod
    def _turns_per_frame(rate: float) -> int:
        return math.ceil(_TICKS_PER_SECOND_MIN / rate)

    @property
    def last_tick(self) -> int:
        """The tick at which the replay ends, at present."""
        last = self._recording.last_tick
        return last if self._last is None else min(last, self._last)

    @property
    def replay(self) -> Mapping[str, float]:
        first, last, hz = self._recording.first_tick, self.last_tick, self.info.hz
        return {
            "position_s": round((self.world.tick - first) / hz, 3),
            "length_s": round((last - first) / hz, 3),
            "speed": self.speed,
            "paused": self.is_paused,
            "first_tick": first,
            "last_tick": last,
            "players": sum(1 for _ in self.world.players()),
        }

    # --- The tick ---------------------------------------------------------------------------------

    def advance(self, tick_input: TickInput) -> None:
        """Lets watchers in, carries out commands, and goes on to the next frame if it is due."""
        self._unix_seconds = tick_input.unix_seconds
        self._let_in(tick_input.requests)
        before = self.world.tick
        for command in tick_input.requests.commands:
            self._results.append((command.ref, *self._run(command)))
        if self.world.tick != before:
            return  # The tick of the place that was sought is shown first.
        self._records = 0
        if self.is_paused:
            self._stands = True
        elif self._turns_left > 0 and not self._stands:
            self._turns_left -= 1
        else:
            self._play()

    def _play(self) -> None:
        try:
            if (self._last is None or self.world.tick < self._last) and self._recording.step():
                self._stands = self._has_ended = False
                self._records = self._recording.records
                self._turns_left = self._turns_per_frame(self._frames_per_second()) - 1
                return
            self._stands = True
            if self._has_ended:
                return
            self._has_ended = True
            if self._recording.end:
                log.warning("the replay stands still at tick %d: %s", self.world.tick, self._recording.end)
            if self._loops:
                self._seek(self._first)
        except JournalError as error:
            self._stands = True
            self._recording.end = str(error)
            log.error("the replay stands still at tick %d: %s", self.world.tick, error)
        self.at_end()

    def encode(self) -> TickOutput:
        """The frame of the present tick, again while the zone stands still: a receiver who has it is sent nothing."""
        self.counters.encodes_total += 1
        joined, self._joined = self._joined, []
        ended, self._ended = self._ended, []
        results, self._results = self._results, []
        frame = self._recording.frame
        return TickOutput(
            self.world.tick, frame, self._records, joined, ended, [], results=results, bans=self.bans.take_news()
        )

    def snapshot(self) -> bytes:
        return self.world.snapshot().encode()

    def slowest(self) -> tuple[str, float]:
        return "the journal", 0.0

    def stop(self, *, keep: bool = False) -> list[tuple[str, str]]:
        self._recording.close()
        return []

    # --- Watchers ---------------------------------------------------------------------------------

    def _let_in(self, requests: Requests) -> None:
        self._watchers.difference_update(requests.leaves, requests.drops)
        for join in requests.joins:
            ban = self.bans.objection("", join.host, self._unix_seconds)
            if ban is not None:
                self._ended.append(Ended(join.ref, CloseReason.BANNED, ban))
            elif not join.watch:
                self._ended.append(Ended(join.ref, GameReason("REPLAY"), "this is a replay: watch it"))
            elif len(self._watchers) >= self._watchers_max:
                text = "the replay has no room for another watcher"
                self._ended.append(Ended(join.ref, CloseReason.SERVER_FULL, text))
            else:
                self._watchers.add(join.ref)
                self._joined.append((join.ref, None))

    # --- Commands ---------------------------------------------------------------------------------

    def _run(self, command: Command) -> tuple[bool, str]:
        """Carries out a command. Returns whether it was done, and a text."""
        name, *words = command.words
        if name == "stop":
            return True, ""  # The server does it: there is nobody whom the zone would have to turn away before.
        if name in ("ban", "unban", "bans"):
            return self._change_bans(name, words)
        if name not in _COMMANDS:
            return False, f"this is a replay: it takes {', '.join(_COMMANDS)}, players, ban ADDRESS, bans and stop"
        try:
            if len(words) != (name in ("seek", "speed")):
                raise ValueError(f"{'a word is missing' if not words else f'{words[-1]!r:.80} is one word too many'}")
            if name == "seek":
                self._seek(self._tick_of(parse_place(words[0])))
            elif name == "speed":
                self.speed = parse_speed(words[0])
                self._turns_left = 0
            else:
                self.is_paused = name == "pause"
        except ValueError as error:
            return False, f"{USAGE}: {_COMMANDS[name][0]}: {error}"
        except JournalError as error:
            return False, str(error)
        if name == "play" and self._recording.end:
            return False, self._recording.end
        return True, self._told()

    def _change_bans(self, name: str, words: Sequence[str]) -> tuple[bool, str]:
        """Carries out a command about bans. Names cannot be banned, as watchers need none."""
        try:
            if name == "unban":
                return True, self.bans.lift(words, self._unix_seconds)
            if name == "bans":
                return True, self.bans.listed(self._unix_seconds)
            ban = read_ban(words)
            if not ban.is_address:
                raise ValueError("give an address: this is a replay, and watchers need no name")
            return True, self.bans.order(ban, self._unix_seconds)
        except ValueError as error:
            return False, f"{USAGE}: {OF_A_REPLAY[name][0]}: {error}"
        except Refused as refused:
            return False, str(refused)

    def _tick_of(self, place: Place) -> int:
        return place.tick_of(self._recording, self.world.tick)

    def _seek(self, tick: int) -> None:
        self._recording.seek(min(tick, self.last_tick))
        self._has_ended, self._turns_left, self._records = False, 0, 0

    def _told(self) -> str:
        facts = self.replay
        place = f"{format_clock(facts['position_s'])} of {format_clock(facts['length_s'])}"
        return f"{'paused' if self.is_paused else f'playing x{self.speed:g}'} at {place}, tick {self.world.tick}"


def _schema_of(info: ZoneInfo) -> dict[str, Any]:
    """The schema of a game as far as a recording tells it: nobody can act in it."""
    kinds = {kind.name: dict(kind.stats) for kind in info.kinds}
    return {
        "schema": "zone-game/1",
        "name": info.name,
        "version": info.version,
        "width": info.width,
        "height": info.height,
        "speed_step": info.speed_step,
        "stats": dict(info.kinds[0].stats),
        "board": dict(info.board),
        "kinds": {name: stats for name, stats in kinds.items() if name != info.kinds[0].name},
        "settings": {},
        "actions": [],
        "commands": [],
        "events": None,
    }
