"""Micro benchmarks: each times one part of a tick by itself, on fixed seeds.

They show what a change did to one part. The work is prepared in advance, and only the work is timed.
"""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.gateway.broadcast_group import BroadcastGroup
from zoneserver.gateway.session import Session
from zoneserver.gateway.session_handler import SessionHandler
from zoneserver.protocol.decoding import decode_client
from zoneserver.protocol.framing import LENGTH_PREFIX, Deframer, Framing, length_prefixed
from zoneserver.protocol.messages import Act
from zoneserver.protocol.websocket import WEBSOCKET, WEBSOCKET_CLIENT
from zoneserver.protocol.world import World
from zoneserver.protocol.zone_info import ZoneInfo, player_kind
from zoneserver.zone.frame_builder import FrameBuilder
from zoneserver.zone.frame_history import Form, Message
from zoneserver.zone.link import Actions, Join, Requests, TickInput
from zoneserver.zone.zone import Zone
from zonetools.bench.counter import open_counter

_SEED = 1
_RUN_SECONDS = 0.1
_CALLS_BEFORE = 3
_COUNT = 1_000


@dataclass(frozen=True, slots=True)
class MicroResult:
    """The result of one micro benchmark: CPU time and instructions in user mode, each per `unit`."""

    name: str
    unit: str
    cpu_us: float
    """The median of the runs."""
    cpu_us_runs: list[float]
    instructions: float | None
    """None if the processor's counter cannot be read."""


@dataclass(frozen=True, slots=True)
class Micro:
    """A micro benchmark. `prepare` returns a function that does `units` units of work."""

    unit: str
    units: int
    prepare: Callable[[], Callable[[], object]]


def run_micro(name: str, runs: int) -> MicroResult:
    """Time one of MICRO this many times."""
    micro = MICRO[name]
    work = micro.prepare()
    for _ in range(_CALLS_BEFORE):
        began = time.process_time()
        work()
        once_seconds = time.process_time() - began
    calls = max(1, int(_RUN_SECONDS / max(once_seconds, 1e-6)))
    units = calls * micro.units
    read = open_counter()
    cpu_us, instructions = [], []
    gc.collect()
    gc.disable()
    try:
        for _ in range(runs):
            counted, began = read() if read else 0, time.process_time()
            for _ in range(calls):
                work()
            cpu_us.append(round(1e6 * (time.process_time() - began) / units, 3))
            if read:
                instructions.append((read() - counted) / units)
    finally:
        gc.enable()
    return MicroResult(
        name, micro.unit, statistics.median(cpu_us), cpu_us, statistics.median(instructions) if instructions else None
    )


# --- The benchmarks -------------------------------------------------------------------------------


def _frame_encode() -> Callable[[], object]:
    """Encode a frame with the motions of 1,000 of 4,000 players, as at five actions per second and player."""
    chance, world, builder = random.Random(_SEED), World(ZoneInfo(kinds=(player_kind(hp=100),))), FrameBuilder()
    for slot in range(4 * _COUNT):
        world.join(slot, f"player-{slot}")
        world.place(slot, chance.randrange(10_001), chance.randrange(10_001), chance.randint(-25, 25))
    moved = {slot: chance.randrange(256) for slot in chance.sample(range(4 * _COUNT), _COUNT)}

    def work() -> bytes:
        builder.moved = moved.copy()
        return builder.encode(world, 100, None)

    return work


def _frame_deflate() -> Callable[[], object]:
    """Deflate that frame, which a zone does once per tick if any session asked for it. The frame repeats little."""
    encode: Any = _frame_encode()
    data: bytes = encode()
    form = Form(LENGTH_PREFIX, deflated=True)

    def work() -> bytes:
        return Message(data).form(form)

    return work


def _packet_decode() -> Callable[[], object]:
    """Turn the bytes that a socket read into checked messages."""
    # Packets of players that walk, fight and talk as the swarm does.
    chance, packets, deframer = random.Random(_SEED), [], Deframer(1024)
    for _ in range(_COUNT):
        walk: tuple[Any, ...] = ("move", chance.randint(-17, 17), chance.randint(-17, 17))
        others = (("strike", chance.randrange(_COUNT)), ("say", "what a crowd today"))
        action = walk if chance.random() < 0.9 else chance.choice(others)
        packets.append(length_prefixed(Act(chance.randrange(1, 1000), [action]).encode()))

    def work() -> None:
        for packet in packets:
            for payload in deframer.receive(packet, 64):
                decode_client(payload)

    return work


def _packet_read(framing: Framing, client: Framing) -> Callable[[], object]:
    """Take the payload out of each read of a session: one ACT. Each packet has a mask of its own, if there is one."""
    chance = random.Random(_SEED)
    reader = framing.reader(Limits().client_frame_bytes)
    acts = [Act(seq, [("move", chance.randint(-17, 17), chance.randint(-17, 17))]) for seq in range(1, 1 + _COUNT)]
    packets = [client.wrap(act.encode()) for act in acts]

    def work() -> None:
        for packet in packets:
            reader.receive(packet, 64)

    return work


def _action_apply() -> Callable[[], object]:
    """Apply actions from the zone's inbox through the rules to the world. The frame is not encoded."""
    zone = Zone(Plaza(), hz=20, seed=_SEED, limits=Limits(joins_per_second=20 * _COUNT))
    joins = [Join(ref, f"player-{ref}", b"", "127.0.0.1") for ref in range(_COUNT)]
    zone.tick(TickInput(1, 0.0, 100, Requests(joins=joins)))
    chance = random.Random(_SEED)
    actions = [(("move", chance.randint(-17, 17), chance.randint(-17, 17)),) for _ in range(_COUNT)]

    def work() -> None:
        requests = Requests(actions=[(ref, 1, sent) for ref, sent in enumerate(actions)])
        zone.advance(TickInput(zone.world.tick + 1, 0.0, 100, requests))

    return work


class _Wandering(Plaza):
    """The demo game with things that wander."""

    kinds: ClassVar = {"wolf": {"hp": 30}}

    def __init__(self, wolves: int, turns_per_second: float) -> None:
        self.wolves_count, self.turns_per_second = wolves, turns_per_second

    def on_start(self) -> None:
        super().on_start()
        self.wolves = [self.spawn("wolf", *self.anywhere()) for _ in range(self.wolves_count)]

    def on_tick(self) -> None:
        turns = self.wolves_count * self.turns_per_second / self.hz
        chance, wolves = self.random.randint, self.wolves
        for turn in range(int(self.tick * turns), int((self.tick + 1) * turns)):
            wolves[turn % len(wolves)].move(chance(-9, 9), chance(-9, 9))


def tick_with_things(things: int, turns_per_second: float = 1.0) -> Callable[[], object]:
    """Run whole ticks of 1,000 players with five actions per second each, beside things that wander.

    Each thing takes a new direction `turns_per_second` times a second.
    """
    zone = Zone(_Wandering(things, turns_per_second), hz=20, seed=_SEED, limits=Limits(joins_per_second=20 * _COUNT))
    zone.tick(TickInput(1, 0.0, 100, Requests(joins=[Join(r, f"player-{r}", b"", "127.0.0.1") for r in range(_COUNT)])))
    chance = random.Random(_SEED)

    def work() -> None:
        walk = chance.randint
        actions: list[Actions] = [
            (ref, zone.world.tick, [("move", walk(-17, 17), walk(-17, 17))])
            for ref in range(zone.world.tick % 4, _COUNT, 4)
        ]
        zone.tick(TickInput(zone.world.tick + 1, 0.0, 100, Requests(actions=actions)))

    return work


def _near() -> Callable[[], object]:
    """Look for what is near, among 10,000 movers: 20 of them in the mean."""
    rules = Plaza()
    movers = 10 * _COUNT
    zone = Zone(rules, hz=20, seed=_SEED, limits=Limits(joins_per_second=20 * movers))
    zone.tick(TickInput(1, 0.0, 100, Requests(joins=[Join(r, f"player-{r}", b"", "127.0.0.1") for r in range(movers)])))
    chance = random.Random(_SEED)
    for player in rules.players.values():
        player.move(chance.randint(-17, 17), chance.randint(-17, 17))
    zone.tick(TickInput(2, 0.0, 100, Requests()))
    places = [(chance.randint(1_000, 9_000), chance.randint(1_000, 9_000)) for _ in range(_COUNT)]
    radius = math.sqrt(20 / (math.pi * movers)) * rules.width

    def work() -> int:
        return sum(len(rules.near(place, radius, "player")) for place in places)

    return work


def _sessions() -> list[Session]:
    # Nothing here is ever called back: the loop has a clock and nothing else, and the handler does nothing.
    loop: Any = SimpleNamespace(time=time.monotonic)
    events = [name for name in vars(SessionHandler) if name.startswith("session_")]
    handler: Any = SimpleNamespace(**dict.fromkeys(events, lambda *_: None))
    # The kernel accepts everything.
    kernel: Any = SimpleNamespace(
        write=lambda _data: None,
        set_write_buffer_limits=lambda **_limits: None,
        get_extra_info=lambda _name: None,
        get_write_buffer_size=lambda: 0,
    )
    sessions = [Session(handler, Limits(), loop, len) for _ in range(_COUNT)]
    for session in sessions:
        session.connection_made(kernel)
    return sessions


def _session_send() -> Callable[[], object]:
    """Send one buffer to every member of a broadcast group, with nothing waiting before it."""
    group, data = BroadcastGroup[Session](), bytes(1_000)
    for session in _sessions():
        assert session.kernel_send is not None
        group.set_sender(session, session.kernel_send)
    return lambda: group.send(data)


def _session_gather() -> Callable[[], object]:
    """Queue two buffers per session and flush them as one gather send."""
    sessions, data = _sessions(), bytes(500)

    def work() -> None:
        for session in sessions:
            session.queue_bytes(data)
            session.queue_bytes(data)
            session.flush()

    return work


MICRO = {
    "frame_encode": Micro("1,000 records", 1, _frame_encode),
    "frame_deflate": Micro("1,000 records", 1, _frame_deflate),
    "packet_prefix": Micro("packet", _COUNT, lambda: _packet_read(LENGTH_PREFIX, LENGTH_PREFIX)),
    "packet_masked": Micro("packet", _COUNT, lambda: _packet_read(WEBSOCKET, WEBSOCKET_CLIENT)),
    "packet_decode": Micro("packet", _COUNT, _packet_decode),
    "action_apply": Micro("action", _COUNT, _action_apply),
    "tick": Micro("tick", 1, lambda: tick_with_things(0)),
    "tick_things": Micro("tick", 1, lambda: tick_with_things(2 * _COUNT)),
    "near": Micro("search", _COUNT, _near),
    "session_send": Micro("session", _COUNT, _session_send),
    "session_gather": Micro("session", _COUNT, _session_gather),
}
