"""A dry run of a game: a zone without a server, whose players send random actions.

The actions come from a fixed seed, so that every dry run has equal input and must give equal bytes, even in another
process, at another time of day and with another order of sets. `python -m zoneserver.authoring.dry_run module:Rules` is
that other process; `digests_elsewhere` starts it and reads its output.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from zoneserver.authoring.load import load_class
from zoneserver.journal.bodies import private_checksum, recorded_tick
from zoneserver.journal.restart import first_checkpoint
from zoneserver.journal.values import Checkpoint, Entry, Header
from zoneserver.support.errors import raised_by, where_raised
from zoneserver.support.watchdog import Watchdog
from zoneserver.zone.actions import Parameter, action_methods, parameters_of
from zoneserver.zone.failures import RuleFailure
from zoneserver.zone.game_class import new_game
from zoneserver.zone.link import Join, Requests, TickInput
from zoneserver.zone.parameters import ZoneParameters
from zoneserver.zone.rules import Rules
from zoneserver.zone.zone import Zone

__all__ = ["PLAYERS", "TICKS", "Digest", "Trial", "digests_elsewhere", "run_trial"]

TICKS = 200
_HZ, _SEED = 20, 1
# The ticks in which each player joins and leaves. One slot is used twice, and one player joins late. A longer run takes
# so many times as long for it.
PLAYERS = {"trial-1": (1, TICKS), "trial-2": (1, 120), "trial-3": (40, TICKS), "trial-4": (150, 160)}
# This player loses the connection once in so many ticks, and is away for some.
_RETURNING, _DROP_TICKS, _AWAY_TICKS = "trial-1", 60, 20
_TOKEN = bytes(32)
_CLOCKS = ("time", "monotonic", "perf_counter", "process_time")
# The clocks of the other process are so far ahead, and each reading moves them on: a cooldown by the clock ends early.
_CLOCK_SHIFT_S, _CLOCK_STEP_S = 1_000_003, 3_607
# The first run took seconds at most, or a watchdog ended it.
_TIMEOUT_SECONDS = 120


class Digest(NamedTuple):
    """What one tick told and saved, as checksums."""

    frame: int
    private: int
    """As `RecordedTick.private`."""
    saves: int


@dataclass(slots=True)
class Trial:
    """The result of a dry run."""

    digests: list[Digest] = field(default_factory=list)
    """That of each tick, from tick 1 on."""
    tried: Counter[str] = field(default_factory=Counter)
    """The number of actions of each kind that were sent."""
    refused: dict[str, Counter[str]] = field(default_factory=dict)
    """For each kind of action, the number of refusals by code."""
    failures: list[str] = field(default_factory=list)
    """Exceptions of rules, the first one of each place in the code, in one line each."""
    failures_total: int = 0
    entries: list[Entry] = field(default_factory=list)
    """The run as a journal has it, if it has checkpoints."""
    save_problem: str = ""
    """Why a checkpoint did not have, or could not have, the game's own state."""


def run_trial(
    rules: Rules,
    watchdog: Watchdog | None = None,
    settings: Mapping[str, Any] | None = None,
    ticks: int = TICKS,
    checkpoint_ticks: int = 0,
) -> Trial:
    """Runs so many ticks, as fast as they go, with a beat of the watchdog for each, and with checkpoints at this
    interval. Raises GameError if the game fails in on_start."""
    trial, chance = Trial(), random.Random(_SEED)
    failures: dict[str, str] = {}
    game = type(rules)
    kinds = {kind: parameters_of(game, method) for kind, method in sorted(action_methods(game).items())}

    def failed(failure: RuleFailure) -> None:
        # What `save` raised is the problem of the checkpoint.
        if failure.what != "save":
            place = f"{type(failure.error).__name__}{where_raised(failure.error)}"
            failures.setdefault(place, f"tick {failure.tick}: {failure.what} raised {raised_by(failure.error)}")

    parameters = ZoneParameters(hz=_HZ, seed=_SEED, resume_ticks=3 * _HZ, save_ticks=_HZ, settings=settings or {})
    zone = Zone(rules, **parameters.for_zone(), on_failure=failed, is_trial=True)
    if checkpoint_ticks:
        trial.entries += Header(1, zone.info, parameters=parameters.to_plain()), first_checkpoint(zone)
    seqs, refs = dict.fromkeys(PLAYERS, 0), {name: ref for ref, name in enumerate(PLAYERS)}
    for tick in range(1, ticks + 1):
        requests = Requests()
        # What was sent in this tick, by player and sequence.
        sent: dict[tuple[int, int], str] = {}
        for name in PLAYERS:
            if _comes_or_goes(name, tick, ticks // TICKS, refs, requests) and kinds and chance.random() < 0.5:
                kind = chance.choice(list(kinds))
                seqs[name] += 1
                sent[refs[name], seqs[name]] = kind
                requests.actions.append((refs[name], seqs[name], ((kind, *_made_up(kinds[kind], rules, chance)),)))
        if watchdog is not None:
            watchdog.beats += 1
        tick_input = TickInput(tick, 0.0, 100, requests)
        output = zone.tick(tick_input)
        if checkpoint_ticks:
            trial.entries.append(recorded_tick(tick_input, output))
        # Without checkpoints one is tried out, as long as players are in.
        if tick % checkpoint_ticks == 0 if checkpoint_ticks else tick == ticks - 1:
            checkpoint = Checkpoint(tick, zone.snapshot(), zone.state())
            trial.save_problem = trial.save_problem or zone.save_problem
            if checkpoint_ticks:
                trial.entries.append(checkpoint)
        saves = zlib.crc32(ascii(output.saves).encode())
        trial.digests.append(Digest(zlib.crc32(output.frame), private_checksum(output), saves))
        trial.tried.update(sent.values())
        for refused in output.refused:
            kind = sent[refused.ref, refused.refusal.seq]
            trial.refused.setdefault(kind, Counter())[refused.refusal.code] += 1
    zone.stop()
    trial.failures, trial.failures_total = list(failures.values()), zone.counters.rule_failures_total
    return trial


def _comes_or_goes(name: str, tick: int, longer: int, refs: dict[str, int], requests: Requests) -> bool:
    """Lets a player join, leave, lose the connection or come back in this tick. Returns whether they may act."""
    first, last = ((tick - 1) * longer + 1 for tick in PLAYERS[name])
    ref, since_drop, host = refs[name], tick % _DROP_TICKS, "127.0.0.1"
    token = _TOKEN if name == _RETURNING else b""
    if tick == first:
        requests.joins.append(Join(ref, name, b"", host, token=token))
    elif tick == last:
        requests.leaves.append(ref)
    elif not first < tick < last:
        return False
    elif not token or tick < _DROP_TICKS or since_drop > _AWAY_TICKS:
        return True
    elif since_drop == 0:
        requests.drops.append(ref)
    elif since_drop == _AWAY_TICKS:
        refs[name] += len(PLAYERS)
        requests.joins.append(Join(refs[name], name, b"", host, token=token, claim=token, tick=tick - _AWAY_TICKS))
    return False


def digests_elsewhere(target: str, settings: Mapping[str, Any] | None = None, ticks: int = TICKS) -> list[Digest]:
    """The digests of a dry run in another process. Raises ValueError with the last line of its errors if it fails, and
    when it does not end."""
    # The seed of hashes must differ from the seed of this process, so that sets of texts have another order.
    environment = os.environ | {"PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"}
    command = [
        sys.executable,
        "-P",
        "-m",
        "zoneserver.authoring.dry_run",
        target,
        json.dumps(dict(settings or {})),
        str(ticks),
    ]
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"it did not end within {_TIMEOUT_SECONDS} s") from None
    if done.returncode:
        raise ValueError((done.stderr.strip().splitlines() or ["nothing"])[-1])
    return [Digest(*each) for each in json.loads(done.stdout.splitlines()[-1])]


def _made_up(parameters: Sequence[Parameter], rules: Rules, chance: random.Random) -> list[Any]:
    """Random arguments that the parameters allow, sometimes without those that have a default."""
    required = sum(not parameter.has_default for parameter in parameters)
    count = chance.randint(required, len(parameters))
    return [parameter.argument.example(rules, chance) for parameter in parameters[:count]]


def _shift_clocks() -> None:
    """Sets all clocks of this process forward by some days, and by an hour more with each reading."""
    ahead = itertools.count(_CLOCK_SHIFT_S, _CLOCK_STEP_S)
    for name in _CLOCKS:
        seconds, nanoseconds = getattr(time, name), getattr(time, f"{name}_ns")
        setattr(time, name, lambda clock=seconds: clock() + next(ahead))
        setattr(time, f"{name}_ns", lambda clock=nanoseconds: clock() + next(ahead) * 10**9)


if __name__ == "__main__":
    # The clocks are shifted before the game is imported, because it may import a clock by name.
    _shift_clocks()
    game = load_class(sys.argv[1], "Rules class", lambda found: issubclass(found, Rules))
    trial = run_trial(new_game(game), settings=json.loads(sys.argv[2]), ticks=int(sys.argv[3]))
    print(json.dumps(trial.digests))
