"""A game tried out without a server: a few made-up players do at random what its actions allow.

The same seed makes the same input, and the same input has to give the same bytes: in another process as
well, at another time of day, with another order of sets. `python -m zoneserver.authoring.dry_run module:Rules` is
that other process; it prints what `digests_elsewhere` reads.
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from zoneserver.authoring.load import load_class
from zoneserver.support.errors import raised_by
from zoneserver.zone.actions import Parameter, handlers_of, parameters_of
from zoneserver.zone.link import Actions, Join, Requests, TickInput
from zoneserver.zone.rules import Between, Player, Rules, Text
from zoneserver.zone.zone import RuleFailure, Zone, new_game

__all__ = ["PLAYERS", "TICKS", "Trial", "digests_elsewhere", "run_trial"]

TICKS = 200
_HZ, _SEED = 20, 1
# When each comes and goes: (first tick, last tick), so that all that a game does about it is tried.
PLAYERS = {"ann": (1, TICKS), "bob": (1, 120), "cid": (40, TICKS), "bob again": (150, 160)}
_WORDS = ("hello", "who is there?", "över hier", "x")
_CLOCKS = ("time", "monotonic", "perf_counter")
_CLOCK_SHIFT_S = 1_000_003


@dataclass(slots=True)
class Trial:
    """What came of it."""

    digests: list[int] = field(default_factory=list)
    """CRC-32 of each frame, the first that of tick 1."""
    tried: Counter[str] = field(default_factory=Counter)
    """How often each action was tried."""
    refused: dict[str, Counter[str]] = field(default_factory=dict)
    """How often each was refused, by code."""
    failures: list[str] = field(default_factory=list)
    """Rules that raised: one line for each place where one did, and second of the game."""
    failures_total: int = 0


def run_trial(rules: Rules) -> Trial:
    """Ten seconds of a game, without waiting for them. Raises GameError when the game fails as it starts."""
    trial, chance = Trial(), random.Random(_SEED)
    kinds = {kind: parameters_of(handler) for kind, handler in sorted(handlers_of(rules).items())}

    def failed(failure: RuleFailure) -> None:
        trial.failures.append(f"tick {failure.tick}: {failure.what} raised {raised_by(failure.error)}")

    zone = Zone(rules, hz=_HZ, seed=_SEED, on_failure=failed)
    seqs = dict.fromkeys(PLAYERS, 0)
    for tick in range(1, TICKS + 1):
        requests = Requests()
        # What was sent in this tick, by player and sequence.
        sent: dict[tuple[int, int], str] = {}
        for ref, (name, (first, last)) in enumerate(PLAYERS.items()):
            if tick == first:
                requests.joins.append(Join(ref, name, b"", "127.0.0.1"))
            elif tick == last:
                requests.leaves.append(ref)
            elif kinds and first < tick < last and chance.random() < 0.5:
                kind = chance.choice(list(kinds))
                seqs[name] += 1
                sent[ref, seqs[name]] = kind
                action = (kind, *(_made_up(parameter, rules, chance) for parameter in kinds[kind]))
                requests.actions.append(Actions(ref, seqs[name], [action]))
        output = zone.tick(TickInput(tick, 0.0, 100, requests))
        trial.digests.append(zlib.crc32(output.frame))
        trial.tried.update(sent.values())
        for refused in output.refused:
            kind = sent[refused.ref, refused.refusal.seq]
            trial.refused.setdefault(kind, Counter())[refused.refusal.code] += 1
    trial.failures_total = zone.counters.rule_failures_total
    return trial


def digests_elsewhere(target: str) -> list[int]:
    """The digests of the same trial in another process. Raises ValueError with what it said instead."""
    # Sets of texts have another order there: it must differ from ours, which may itself be a given one.
    environment = os.environ | {"PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"}
    command = [sys.executable, "-m", "zoneserver.authoring.dry_run", target]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise ValueError((done.stderr.strip().splitlines() or ["nothing"])[-1])
    digests: list[int] = json.loads(done.stdout.splitlines()[-1])
    return digests


def _made_up(parameter: Parameter, rules: Rules, chance: random.Random) -> Any:
    """Something that the parameter allows, at its bounds now and then."""
    bound = parameter.bound
    low, high = (bound.low, bound.high) if isinstance(bound, Between) else (-1_000, 1_000)
    if parameter.type is int:
        low, high = math.ceil(low), math.floor(high)
        # Near zero as well: that is where the rules of many games allow most.
        near = max(low, min(high, chance.randint(-9, 9)))
        return chance.choice((low, high, near, near, chance.randint(low, high)))
    if parameter.type is float:
        return chance.choice((float(low), float(high), chance.uniform(low, high)))
    if parameter.type is bool:
        return chance.random() < 0.5
    if parameter.type is Player:
        return chance.choice(list(rules.players) or [0])
    bytes_max = bound.bytes_max if isinstance(bound, Text) else 200
    return chance.choice(_WORDS).encode()[:bytes_max].decode(errors="ignore") or "x"


def _shift_clocks() -> None:
    """From now on it is some days later for whoever looks at a clock."""
    for name in _CLOCKS:
        seconds, nanoseconds = getattr(time, name), getattr(time, f"{name}_ns")
        setattr(time, name, lambda clock=seconds: clock() + _CLOCK_SHIFT_S)
        setattr(time, f"{name}_ns", lambda clock=nanoseconds: clock() + _CLOCK_SHIFT_S * 10**9)


if __name__ == "__main__":
    # Before the game is there: it may take a clock for itself as it is imported.
    _shift_clocks()
    game = load_class(sys.argv[1], "Rules class", lambda found: issubclass(found, Rules))
    print(json.dumps(run_trial(new_game(game)).digests))
