"""The swarm: its plan, its books and its report; and that each check of it can fail."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import itertools
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from helpers.fake_loop import FakeLoop
from helpers.fake_transport import FakeTransport
from helpers.stub_server import Connection, Honest
from helpers.swarm_results import errors_of, histogram, outcome, some_tally, text_of
from helpers.tick_frames import FrameStream, changed
from hypothesis import given
from hypothesis import strategies as st
from zoneclient.bots.action_tracker import ActionCounts
from zoneclient.bots.behaviours import Chatty
from zoneclient.bots.bot import Bot
from zoneclient.replica import Replica
from zonetools.swarm import worker
from zonetools.swarm.bot import SwarmBot
from zonetools.swarm.commands import Measure, Order, Stop
from zonetools.swarm.conductor import Conductor, Outcome
from zonetools.swarm.measure.errors import CLOSE, CONNECT, Errors
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.plan import DEFAULT_MIX, Plan, parse_mix
from zonetools.swarm.report import build as report
from zonetools.swarm.report.text import show
from zonetools.swarm.worker import Worker

from zoneserver.protocol.framing import HEADER_BYTES, frame
from zoneserver.protocol.messages import Hello
from zoneserver.support.histogram import Histogram
from zoneserver.zone.zone import TickResult

PATIENCE_SECONDS = 30.0

# --- The plan -------------------------------------------------------------------------------------

MIXES = st.dictionaries(
    st.sampled_from(["walker", "fighter", "chatty"]), st.integers(0, 12), min_size=1, max_size=3
).filter(lambda mix: any(mix.values()))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("dancer=3", "no role 'dancer'; there are walker, fighter, chatty"),
        ("walker", "'walker' is not of the form role=share"),
        ("walker=", "not of the form"),
        ("walker=-1", "not of the form"),
        ("walker=1.5", "not of the form"),
        ("walker=²", "not of the form"),
        ("walker=0", "a share above zero"),
        ("walker=0,chatty=0", "a share above zero"),
        ("", "no role ''"),
        ("walker=1,", "no role ''"),
        ("stuck=1", "needs an honest role"),
        ("walker=0,stuck=1,flood=2", "needs an honest role"),
        ("walker=1,chatty=2,walker=3", "the role 'walker' is there twice"),
    ],
)
def test_a_mix_that_makes_no_sense_is_explained(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_mix(text)


@given(mix=MIXES, mixes=st.integers(1, 4), start=st.integers(0, 100))
def test_any_whole_number_of_mixes_holds_the_roles_in_exact_proportion(
    mix: dict[str, int], mixes: int, start: int
) -> None:
    plan, whole = Plan(mix=mix), sum(mix.values())
    roles = Counter(plan.role(number) for number in range(start, start + mixes * whole))
    assert roles == Counter({role: share * mixes for role, share in mix.items() if share})


@given(mix=MIXES)
def test_roles_are_spread_evenly(mix: dict[str, int]) -> None:
    plan, whole = Plan(mix=mix), sum(mix.values())
    counts: Counter[str] = Counter()
    for number in range(2 * whole):
        counts[plan.role(number)] += 1
        for role, share in mix.items():
            # With three roles nobody is ever a whole bot ahead, or more than one and a half behind.
            assert -1.5 <= counts[role] - share * (number + 1) / whole <= 1


@given(seed=st.integers(0, 2**31), rate=st.floats(0.01, 1000), number=st.integers(0, 10**6))
def test_a_phase_lies_within_the_period_and_is_the_same_every_time(seed: int, rate: float, number: int) -> None:
    phase = Plan(seed=seed, rate=rate).phase(number)
    assert 0 <= phase < 1 / rate
    assert phase == Plan(seed=seed, rate=rate).phase(number)


def test_phases_are_spread_over_the_period() -> None:
    plan = Plan(rate=2.0)
    tenths = Counter(int(plan.phase(number) * 20) for number in range(1000))
    assert sorted(tenths) == list(range(10))
    assert min(tenths.values()) > 50


@given(bots=st.integers(1, 200), processes=st.integers(1, 9))
def test_the_processes_share_the_bots_among_them(bots: int, processes: int) -> None:
    plan = Plan(bots=bots, processes=processes)
    shares = [list(plan.numbers(process)) for process in range(processes)]
    assert sorted(itertools.chain(*shares)) == list(range(bots))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_plan_is_the_same_in_another_process() -> None:
    plan = Plan(port=1234, bots=7, mix=parse_mix("chatty=1"), seed=9, processes=2)
    assert Plan(**json.loads(json.dumps(plan.to_json()))) == plan
    assert Plan().mix == parse_mix(DEFAULT_MIX)


def test_names_differ_and_fit_the_protocol() -> None:
    plan = Plan(bots=20_000)
    names = {plan.name(number) for number in range(0, 20_000, 7)}
    assert len(names) == len(range(0, 20_000, 7))
    assert max(map(len, names)) <= 24
    assert Plan(bots=65_000, mix={"mybots:" + "Walker" * 9: 1}).name(64_999) == "WalkerWalkerWalker-64999"


# --- The frame_checker -----------------------------------------------------------------------------------


def test_the_same_bytes_are_right_however_often_they_come() -> None:
    stage = FrameStream()
    stage.zone.submit(0, 1, [("move", 1, 2), ("say", "hello")])
    stage.zone.submit(1, 257, [("emote", 3)])
    payload = stage.payload()
    for _ in range(3):
        tick, record = stage.frame_checker.frame(2, payload)
        assert tick == 2
        assert (record.motions, record.events, record.actions) == ({0: 1}, {0: (2,), 1: (1,)}, 3)
    assert stage.counts() == {"received": 3, "mismatched": 0, "gaps": 0, "diverged": 0}
    assert stage.frame_checker.deliveries == 9
    assert list(stage.frame_checker.new_digests) == [2]


class Crowd:
    """An owner of bots that have no connection, and are handed what they read."""

    def __init__(self, stage: FrameStream) -> None:
        self.plan = Plan(bots=2, mix={"chatty": 1})
        self.behaviours = {"chatty": Chatty}
        self.frame_checker = stage.frame_checker
        self.counts = ActionCounts()
        self.turns = 0

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    def bots_may_act(self) -> None:
        self.turns += 1

    def bot(self, slot: int) -> SwarmBot:
        bot = SwarmBot(self, slot)
        bot.connection_made(FakeTransport(FakeLoop(), bot))
        bot.slot, bot.tick = slot, 1
        return bot


@pytest.mark.parametrize("cut", [None, 3, 11, -1])
async def test_a_frame_that_others_have_read_is_seen_alike_in_one_piece_or_in_two(cut: int | None) -> None:
    stage = FrameStream()
    crowd = Crowd(stage)
    first, second = crowd.bot(0), crowd.bot(1)
    stage.zone.submit(1, 1, [("say", "hello")])
    data, more = frame(stage.payload()), frame(stage.payload())
    first.data_received(data + more)
    second.tracker.record_sent(1, False, 0.0, 0.0)
    for part in (data, more) if cut is None else (data[:cut], data[cut:], more):
        second.data_received(part)
    assert stage.counts() == {"received": 4, "mismatched": 0, "gaps": 0, "diverged": 0}
    assert stage.frame_checker.deliveries == 2
    assert (first.tick, second.tick, second.received_bytes) == (3, 3, len(data + more))
    assert (crowd.counts.delivered, crowd.counts.duplicated) == (1, 0)


async def test_a_frame_within_a_frame_is_no_repetition() -> None:
    stage = FrameStream()
    crowd = Crowd(stage)
    first, second = crowd.bot(0), crowd.bot(1)
    data = frame(stage.payload())
    first.data_received(data)
    # It is cut short, and comes once more: what now follows the beginning is not what should.
    second.data_received(data[:-2])
    second.data_received(data)
    assert second.tick == 1
    assert second.bye is not None, "its last two bytes are another frame's first"


async def test_whoever_has_to_act_does_while_thousands_of_frames_are_read() -> None:
    stage = FrameStream()
    crowd = Crowd(stage)
    bots = [crowd.bot(slot) for slot in range(200)]
    data = frame(stage.payload())
    for bot in bots:
        bot.data_received(data)
    assert crowd.turns == 200 // 64


def test_other_bytes_of_the_same_tick_are_a_mismatch_each_time() -> None:
    stage = FrameStream()
    payload = stage.payload()
    stage.frame_checker.frame(2, payload)
    stage.frame_checker.frame(2, changed(payload, dilation_percent=99))
    assert stage.counts() == {"received": 2, "mismatched": 1, "gaps": 0, "diverged": 0}
    stage.frame_checker.frame(2, changed(payload, dilation_percent=98))
    stage.frame_checker.frame(2, payload)
    assert stage.counts() == {"received": 4, "mismatched": 2, "gaps": 0, "diverged": 0}


def test_a_tick_that_is_not_the_next_is_a_gap() -> None:
    stage = FrameStream()
    first, second, third = (stage.payload() for _ in range(3))
    stage.frame_checker.frame(2, first)
    stage.frame_checker.frame(3, second)
    stage.frame_checker.frame(4, third)
    # Another bot, which does not get the second.
    stage.frame_checker.frame(2, first)
    assert stage.frame_checker.frame(3, third)[0] == 4
    assert stage.counts() == {"received": 5, "mismatched": 0, "gaps": 1, "diverged": 0}
    # And one that gets the second twice.
    stage.frame_checker.frame(4, second)
    assert stage.counts() == {"received": 6, "mismatched": 0, "gaps": 2, "diverged": 0}


def test_a_wrong_hash_is_a_divergence() -> None:
    stage = FrameStream(hz=2)
    payloads = [stage.payload() for _ in range(4)]
    for tick, payload in enumerate(payloads, 2):
        stage.frame_checker.frame(tick, changed(payload, hash=12345) if tick == 2 else payload)
    assert stage.counts() == {"received": 4, "mismatched": 0, "gaps": 0, "diverged": 1}
    assert stage.frame_checker.hashes_checked == 2


def test_a_frame_that_keeps_something_back_is_found_with_the_next_hash() -> None:
    stage = FrameStream(hz=2)
    stage.zone.submit(0, 1, [("move", 1, 2)])
    stage.payload()
    stage.frame_checker.frame(2, changed(stage.payload(), tick=2, hash=None))
    stage.frame_checker.frame(3, changed(stage.payload(), tick=3))
    assert stage.frame_checker.diverged == 1


def test_a_snapshot_is_held_against_the_replica() -> None:
    stage = FrameStream()
    stage.frame_checker.frame(2, stage.payload())
    checked = stage.frame_checker.hashes_checked
    for _ in range(2):
        stage.frame_checker.snapshot(stage.snapshot())
    assert (stage.frame_checker.hashes_checked, stage.frame_checker.diverged) == (checked + 1, 0)
    # The bytes are the world's own columns: this is the state of no zone.
    stage.zone.world.x[0] += 1
    stage.frame_checker.snapshot(stage.snapshot())
    assert stage.frame_checker.diverged == 1


def test_a_snapshot_from_ahead_is_taken_over_and_one_from_behind_is_not() -> None:
    stage = FrameStream()
    behind = stage.snapshot()
    stage.zone.submit(0, 1, [("move", 1, 2)])
    stage.payload()
    stage.payload()
    assert stage.frame_checker.snapshot(stage.snapshot()).tick == 3
    assert stage.frame_checker.replica is not None
    assert stage.frame_checker.replica.world.hash() == stage.zone.world.hash()
    assert stage.frame_checker.snapshot(behind).tick == 1
    assert stage.frame_checker.replica.tick == 3
    stage.frame_checker.frame(4, stage.payload())
    assert stage.frame_checker.replica.tick == 4
    assert stage.frame_checker.diverged == 0


# --- The tally ------------------------------------------------------------------------------------


def test_tallies_add_up_field_by_field() -> None:
    one, two = some_tally(1), some_tally(10)
    both = (one + two).to_json()
    for place, field in enumerate(dataclasses.fields(Tally), 1):
        if field.name in {"seconds_measured", "join_seconds"}:
            assert both[field.name] == 10 * place
        elif field.default_factory is Histogram:
            expected = histogram(place, 1000 * place, 10 * place, 10_000 * place)
            assert both[field.name] == expected.to_json(), field.name
        elif field.default_factory is Counter:
            assert both[field.name] == {"A": 11 * place, "ONLY_1": 1, "ONLY_10": 1}, field.name
        elif field.default_factory is Errors:
            counts = {group.code: group.count for group in (one + two).errors.groups()}
            assert counts == {"A": 11 * place, "ONLY_1": 1, "ONLY_10": 1}, field.name
        else:
            assert both[field.name] == 11 * place, field.name


def test_an_empty_tally_adds_nothing() -> None:
    assert (some_tally(3) + Tally()).to_json() == some_tally(3).to_json()
    assert sum([some_tally(3), some_tally(4)], Tally()).to_json() == (some_tally(3) + some_tally(4)).to_json()


def test_a_tally_comes_back_from_json_as_it_was() -> None:
    tally = some_tally(7)
    back = Tally.from_json(json.loads(json.dumps(tally.to_json())))
    assert back.to_json() == tally.to_json()
    assert (back + back).to_json() == (tally + tally).to_json()
    assert back.refused["NEVER"] == 0


# --- The report -----------------------------------------------------------------------------------


def test_the_report_is_what_was_counted() -> None:
    result = report.summary(outcome())
    assert result["bots"] == {"requested": 10, "joined": 10, "failed": 0}
    assert result["actions"] == {
        "sent": 110,
        "delivered": 100,
        "superseded": 5,
        "refused": {"COOLDOWN": 5},
        "lost": 0,
        "duplicated": 0,
        "reordered": 0,
        "unaccounted": 0,
    }
    assert result["latency_ms"]["p50"] == pytest.approx(50, rel=0.01)
    assert result["latency_ms"]["max"] == 100
    assert result["bytes_in_per_bot_per_s"] == 500
    assert result["bytes_per_delivered_action"] == 20
    assert result["cpu_percent"] == {"swarm": 25.0, "server": 40.0}
    assert result["closed"] == {"CLIENT_LEFT": 10}
    assert not result["limited_by_swarm"]
    assert report.passed(result)
    assert "everybody got everything" in text_of(result)
    assert "NOT" not in text_of(result)


def test_a_run_in_which_nothing_happened_divides_by_nothing_and_claims_nothing() -> None:
    result = report.summary(outcome(Tally(), superseded_server=None, cpu_percent_server=None, hz=None))
    assert result["bytes_per_delivered_action"] is result["bytes_in_per_bot_per_s"] is None
    assert set(result["latency_ms"].values()) == {None}
    assert result["cpu_percent"] == {"swarm": None, "server": None}
    assert text_of(result).count("not measured") == 4
    assert "0.0" not in text_of(result)
    assert not report.passed(result), "nobody joined"
    assert "no admin port" in text_of(result)


FAULTS: list[dict[str, int]] = [
    {"lost": 1},
    {"duplicated": 1},
    {"reordered": 1},
    {"delivered": 1},
    {"broken": 1},
    {"mismatched": 1},
    {"gaps": 1},
    {"diverged": 1},
    {"failed": 1},
    {"closed_early": 1},
    {"joined": 9},
    # One more than the server says.
    {"superseded": 6},
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: next(iter(fault)))
def test_each_single_fault_fails_the_run(fault: dict[str, int]) -> None:
    result = report.summary(outcome(dataclasses.replace(outcome().tally, **fault)))
    assert not report.passed(result)
    assert "NOT everybody got everything" in text_of(result)


def test_frames_that_differ_between_processes_fail_the_run() -> None:
    result = report.summary(outcome(digests_mismatched=2))
    assert result["frames"]["mismatched"] == 2
    assert not report.passed(result)


def test_an_action_that_no_count_explains_fails_the_run() -> None:
    result = report.summary(outcome(dataclasses.replace(outcome().tally, sent=111)))
    assert not report.passed(result)


def test_superseded_beyond_the_servers_count_is_lost() -> None:
    tally = dataclasses.replace(outcome().tally, superseded=8)
    actions = report.summary(outcome(tally, superseded_server=5))["actions"]
    assert (actions["superseded"], actions["lost"]) == (5, 3)
    # More on the server's side are those of others, or of what a snapshot made up for.
    actions = report.summary(outcome(tally, superseded_server=50))["actions"]
    assert (actions["superseded"], actions["lost"]) == (8, 0)
    # Without a word from the server there is nothing to hold it against.
    actions = report.summary(outcome(tally, superseded_server=None))["actions"]
    assert (actions["superseded"], actions["lost"]) == (8, 0)


def test_an_interrupted_ramp_is_no_failure_but_a_failed_bot_is() -> None:
    tally = dataclasses.replace(outcome().tally, joined=4)
    assert report.passed(report.summary(outcome(tally, interrupted=True)))
    assert "(interrupted)" in text_of(report.summary(outcome(tally, interrupted=True)))
    tally = dataclasses.replace(tally, failed=1)
    assert not report.passed(report.summary(outcome(tally, interrupted=True)))


def test_an_interrupted_ramp_is_not_said_to_be_everybody() -> None:
    text = text_of(report.summary(outcome(plan=Plan(bots=1000), interrupted=True)))
    assert "the 10 of 1,000 who had joined got everything  (interrupted)" in text
    assert "everybody got everything" not in text


def test_a_server_that_did_not_last_is_not_measured_rather_than_without_an_admin_port() -> None:
    assert "server not measured, swarm 25 % of a core" in text_of(report.summary(outcome(cpu_percent_server=None)))


def test_a_report_in_a_pipe_is_neither_wrapped_nor_filled_up(capsys: pytest.CaptureFixture[str]) -> None:
    errors = Errors()
    errors.add(CLOSE, "CONNECTION_LOST", "x" * 300, bot="ann", now=0.0)
    tally = dataclasses.replace(outcome().tally, errors=errors)
    show(report.summary(outcome(tally)))
    lines = capsys.readouterr().out.splitlines()
    assert any(line.endswith("x" * 300) for line in lines)
    assert [line for line in lines if line != line.rstrip()] == []


def test_the_report_says_when_the_swarm_itself_was_the_limit() -> None:
    assert report.summary(outcome(cpu_percent_busiest=99.0))["limited_by_swarm"]
    for late in ("loop_lag", "send_delay"):
        tally = dataclasses.replace(outcome().tally, **{late: histogram(50_000)})
        result = report.summary(outcome(tally))
        assert result["limited_by_swarm"]
        assert report.passed(result), "the figures are in doubt, the deliveries are not"
        assert "limited by the swarm" in text_of(result)


def test_errors_are_grouped_the_largest_group_first_and_the_first_of_each_in_full() -> None:
    errors = errors_of({f"CODE_{n}": n for n in range(1, 9)})
    errors.add(CONNECT, "ConnectionRefusedError", "Connection refused", bot="bob", now=12.5)
    result = report.summary(outcome(dataclasses.replace(outcome().tally, errors=errors), began=10.0))
    assert result["errors"][0]["count"] == 8
    first = {"s": 2.5, "bot": "bob", "text": "Connection refused"}
    assert {"kind": "connect", "code": "ConnectionRefusedError", "count": 1, "first": first} in result["errors"]
    shown = text_of(result)
    assert "8 x close CODE_8, first at -10.0 s, ann: the text of CODE_8 number 0" in shown
    assert "CODE_1" not in shown, "the smallest groups stand in the JSON alone"


# --- A server that lies ---------------------------------------------------------------------------


class Dropping(Honest):
    """Keeps one action of this kind to itself."""

    kind = "say"

    def submit(self, ref: int, seq: int, actions: Any) -> None:
        for number, action in enumerate(actions, seq):
            if not self.lies and number > 2 and action[0] == self.kind:
                self.lies += 1
            else:
                self.zone.submit(ref, number, [action])


class DroppingAMotion(Dropping):
    kind = "move"


class Repeating(Honest):
    """Lets one action happen twice."""

    def submit(self, ref: int, seq: int, actions: Any) -> None:
        super().submit(ref, seq, actions)
        if not self.lies and seq > 2 and actions[0][0] == "say":
            self.lies += 1
            self.zone.submit(ref, seq, actions[:1])


class Reordering(Honest):
    """Lets one action happen after one that was done after it."""

    def submit(self, ref: int, seq: int, actions: Any) -> None:
        said = actions[0][0] == "say"
        if not self.lies and not self.late and seq > 2 and said:
            self.late.append((ref, seq, actions))
            return
        super().submit(ref, seq, actions)
        if self.late and self.late[0][0] == ref and said:
            self.lies += 1
            super().submit(*self.late.pop())


class TwoFaced(Honest):
    """Sends one of the bots other bytes, once."""

    def say_tick(self, result: TickResult) -> None:
        for place, connection in enumerate(self.playing()):
            data = result.frame
            if not self.lies and place == 1 and result.tick > 20:
                self.lies += 1
                data = frame(changed(data[HEADER_BYTES:], dilation_percent=99))
            connection.transport.write(data)


class Skipping(Honest):
    """Keeps one frame, in which nothing happens, from one of the bots."""

    def say_tick(self, result: TickResult) -> None:
        playing = self.playing()
        if not self.lies and len(playing) == 2 and result.tick > 20 and not result.records:
            self.lies += 1
            del playing[0]
        for connection in playing:
            connection.transport.write(result.frame)


class Mishashing(Honest):
    """Sends everybody a state hash that is not the state's."""

    def say_tick(self, result: TickResult) -> None:
        data = result.frame
        if not self.lies and len(self.playing()) == 2:
            self.lies += 1
            data = frame(changed(data[HEADER_BYTES:], hash=0xBAD))
        for connection in self.playing():
            connection.transport.write(data)


class Misremembering(Honest):
    """Sends the second bot a snapshot of another world."""

    def say_snapshot(self, connection: Connection) -> bytes:
        if len(self.playing()) < 2:
            return super().say_snapshot(connection)
        self.lies += 1
        world = self.zone.world
        world.x[0] ^= 1
        data = super().say_snapshot(connection)
        world.x[0] ^= 1
        return data


class Expelling(Honest):
    """Throws one bot out when it has acted a little."""

    def submit(self, ref: int, seq: int, actions: Any) -> None:
        super().submit(ref, seq, actions)
        if not self.lies and seq > 3:
            self.lies += 1
            self.clients[ref].end("INTERNAL_ERROR")


class Refusing(Honest):
    """Lets the second bot not in."""

    def hello(self, connection: Connection, hello: Hello) -> None:
        if connection.ref == 1:
            self.lies += 1
            connection.end("SERVER_FULL")
        else:
            super().hello(connection, hello)


class TakingOut(Honest):
    """Takes the last player out of the zone, and tells everybody, while its connection stays."""

    def say_tick(self, result: TickResult) -> None:
        if not self.lies and len(self.playing()) == 2 and result.tick > 20:
            self.lies += 1
            self.zone.leave(self.playing()[-1].ref)
        super().say_tick(result)


async def run_against(server: Honest, rate: float = 50.0) -> Tally:
    """Two talkative bots against this server, until some time after it has lied."""
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0)

    async def tick() -> None:
        while True:
            server.tick()
            await asyncio.sleep(0.01)

    ticking = asyncio.create_task(tick())
    mix = {"chatty": 1}
    plan = Plan(port=listener.sockets[0].getsockname()[1], bots=2, ramp=50, rate=rate, mix=mix)
    swarm, orders = Worker(plan, 0), asyncio.Queue[Order]()
    running = asyncio.create_task(swarm.run(orders))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not swarm.progress()["done"]:
                await asyncio.sleep(0.01)
            orders.put_nowait(Measure())
            while not server.lies and type(server) is not Honest:
                await asyncio.sleep(0.01)
            enough = server.zone.world.tick + 30
            while server.zone.world.tick < enough:
                await asyncio.sleep(0.01)
            orders.put_nowait(Stop())
            return Tally.from_json(await running)
    finally:
        ticking.cancel()
        running.cancel()
        await asyncio.gather(ticking, running, return_exceptions=True)
        listener.close()


COUNTED = (
    "failed",
    "lost",
    "duplicated",
    "reordered",
    "mismatched",
    "gaps",
    "diverged",
    "closed_early",
    "catch_ups",
)


@pytest.mark.parametrize(
    ("server", "faults"),
    [
        (Honest, {}),
        (Dropping, {"lost": 1}),
        (Repeating, {"duplicated": 1}),
        (Reordering, {"reordered": 1}),
        (TwoFaced, {"mismatched": 1}),
        (Skipping, {"gaps": 1}),
        (Mishashing, {"diverged": 1}),
        (Misremembering, {"diverged": 1}),
        (Refusing, {"failed": 1}),
    ],
)
def test_the_swarm_counts_exactly_what_a_server_does_wrong(
    server: Callable[[], Honest], faults: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What never comes is waited for: less long than in a real run.
    monkeypatch.setattr(worker, "_DRAIN_SECONDS", 1.0)
    lying = server()
    tally = asyncio.run(run_against(lying))
    assert lying.lies == sum(faults.values())
    assert {name: count for name in COUNTED if (count := getattr(tally, name))} == faults
    assert tally.sent == tally.delivered + tally.superseded + tally.lost + sum(tally.refused.values())
    assert tally.sent > 10
    assert (tally.requested, tally.joined) == (2, 2 - faults.get("failed", 0))
    result = report.summary(outcome(tally, plan=Plan(bots=2), superseded_server=lying.zone.superseded_total))
    assert report.passed(result) == (not faults)


def test_a_bot_that_is_thrown_out_is_counted_with_the_reason() -> None:
    tally = asyncio.run(run_against(Expelling()))
    assert (tally.closed_early, tally.joined, tally.failed) == (1, 2, 0)
    assert tally.closed == {"INTERNAL_ERROR": 1, "CLIENT_LEFT": 1}
    assert [(group.kind, group.code, group.count) for group in tally.errors.groups(CLOSE)] == [
        (CLOSE, "INTERNAL_ERROR", 1)
    ]
    # What it had just done died with it.
    assert tally.lost >= 1
    assert tally.sent == tally.delivered + tally.superseded + tally.lost + sum(tally.refused.values())
    assert not report.passed(report.summary(outcome(tally, plan=Plan(bots=2), superseded_server=None)))


def test_a_motion_that_is_dropped_is_lost_by_the_servers_own_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_DRAIN_SECONDS", 1.0)
    lying = DroppingAMotion()
    tally = asyncio.run(run_against(lying))
    assert tally.superseded + tally.lost == lying.zone.superseded_total + 1
    result = report.summary(outcome(tally, plan=Plan(bots=2), superseded_server=lying.zone.superseded_total))
    assert result["actions"]["lost"] == 1
    assert not report.passed(result)


def test_a_bot_that_the_server_took_out_of_the_zone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_DRAIN_SECONDS", 1.0)
    lying = TakingOut()
    with pytest.MonkeyPatch.context() as patch:
        # The zone forgets the player: what it still asks for is nobody's.
        patch.setattr(Connection, "gone", lambda self: self.server.clients.pop(self.ref, None))
        tally = asyncio.run(run_against(lying))
    assert not report.passed(report.summary(outcome(tally, plan=Plan(bots=2), superseded_server=None)))


def test_frames_are_compared_across_processes_too() -> None:
    async def conduct() -> tuple[Outcome, TwoFaced]:
        server = TwoFaced()
        listener = await asyncio.get_running_loop().create_server(lambda: Connection(server), "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        conductor = Conductor(Plan(port=port, bots=2, processes=2, seconds=0, rate=5), None)

        async def tick() -> None:
            while True:
                server.tick()
                if server.lies:
                    conductor.stop()
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await conductor.run(lambda _progress: None), server
        finally:
            ticking.cancel()
            listener.close()

    found, server = asyncio.run(conduct())
    assert (server.lies, found.digests_mismatched) == (1, 1)
    assert (found.tally.mismatched, found.tally.joined) == (0, 2)
    assert not report.passed(report.summary(found))


def test_the_summary_leaves_the_outcome_as_it_was() -> None:
    made = outcome()
    before = copy.deepcopy(made.tally.to_json())
    report.summary(made)
    assert made.tally.to_json() == before


def test_a_behaviour_that_breaks_does_not_pass_for_a_good_run(monkeypatch: pytest.MonkeyPatch) -> None:
    decide, calls = Chatty.decide, itertools.count()

    def breaking(self: Chatty, bot: Bot, replica: Replica) -> Any:
        if next(calls) == 4:
            raise IndexError("no such slot")
        return decide(self, bot, replica)

    monkeypatch.setattr(Chatty, "decide", breaking)
    try:
        tally = asyncio.run(run_against(Honest()))
    except (IndexError, ExceptionGroup):
        return
    assert not report.passed(report.summary(outcome(tally, plan=Plan(bots=2), superseded_server=None)))
