"""The C# client agrees with `vectors.json`, both ways, and its clock with the one of the Python client."""

from __future__ import annotations

import json
import random
from typing import Any

import msgpack
import pytest
from golden.document import PATH
from helpers.csharp import Driver
from helpers.worlds import zone_info
from zoneclient.clock import Clock

from zoneserver.protocol.messages import Snapshot, Tick, Welcome

VECTORS: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))


def test_it_reads_every_message_of_a_server(driver: Driver) -> None:
    for vector in VECTORS["messages"] + VECTORS["reads"]:
        if vector.get("from") != "client":
            assert json.loads(driver.ask("?decode", vector["hex"])[0]) == vector["message"], vector["name"]
        if "holds" in vector:
            held = next(each for each in VECTORS["messages"] if each["name"] == vector["holds"])
            assert json.loads(driver.ask("?read", vector["hex"])[0]) == held["message"]


def test_it_writes_every_message_of_a_client(driver: Driver) -> None:
    for vector in VECTORS["messages"]:
        if vector.get("from") == "client":
            written = bytes.fromhex(driver.ask("?encode", vector["hex"])[0])
            # A float may be written in another width.
            assert msgpack.unpackb(written) == msgpack.unpackb(bytes.fromhex(vector["hex"])), vector["name"]
            assert written[:2] == bytes.fromhex(vector["hex"])[:2]


def test_it_ignores_later_ops_and_refuses_what_no_server_sends(driver: Driver) -> None:
    for vector in VECTORS["ignored"]:
        assert driver.ask("?decode", vector["hex"]) == ["ignored"]
    for vector in VECTORS["client_refuses"]:
        if "after" not in vector:
            answers = [driver.ask("?read", vector["hex"])[0]]
        else:
            driver.ask("?new")
            answers = [driver.ask("?apply", hex_)[0] for hex_ in [*vector["after"], vector["hex"]]]
            assert not answers[0].startswith(("refused", "failed")), vector["name"]
        assert answers[-1] == "refused" or "strict" in vector, (vector["name"], answers[-1])


def test_it_cuts_streams_and_reads_tickets(driver: Driver) -> None:
    for vector in VECTORS["streams"]:
        expected = ["error" if vector["error"] else "complete", *vector["payloads"]]
        assert driver.ask("?cut", *vector["chunks"]) == expected, vector["name"]
    for vector in VECTORS["tickets"]:
        assert driver.ask("?ticket", vector["text"]) == [vector["ticket"]]


@pytest.mark.parametrize("vector", VECTORS["chains"], ids=lambda vector: vector["name"])
def test_its_state_is_that_of_each_step(driver: Driver, vector: dict[str, Any]) -> None:
    driver.ask("?new")
    driver.ask("?apply", vector["welcome"])
    for step in vector["steps"]:
        assert json.loads(driver.ask("?apply", step["hex"])[0]) == step["state"]


@pytest.mark.parametrize("vector", VECTORS["sessions"], ids=lambda vector: vector["name"])
def test_it_knows_the_outcomes_of_a_session(driver: Driver, vector: dict[str, Any]) -> None:
    driver.ask("?new")
    known: dict[str, str] = {}
    waiting: list[str] = []
    for step in vector["steps"]:
        if step["from"] == "server":
            outcomes, *waiting = driver.ask("?outcomes", step["hex"])
        elif step["message"]["op"] == "ACT":
            first = step["message"]["seq"]
            outcomes, *waiting = driver.ask("?sent", *range(first, first + len(step["message"]["actions"])))
        else:
            continue
        known |= step.get("outcomes", {})
        assert json.loads(outcomes) == known
    assert [int(seq) for seq in waiting] == vector["waiting"]


def test_it_gives_up_outcomes_that_a_return_has_lost(driver: Driver) -> None:
    driver.ask("?new")
    driver.ask("?sent", 1, 2, 3)
    driver.ask("?resumed", 2, 50)
    assert driver.ask("?tick", 49) == ["{}", "1", "2", "3"]
    assert driver.ask("?tick", 50) == ['{"1":"past","2":"past"}', "3"]


def test_its_clock_is_that_of_the_python_client_and_its_picture_runs_smoothly_behind(driver: Driver) -> None:
    chance = random.Random(5)
    hz, now, zone = 20, 100.0, 0.0
    model = Clock(hz, 0, now)
    driver.ask("?clock", "new", now, hz, 0)
    drawn = -1.0
    for step in range(400):
        # Frames arrive up to 30 ms late, and a PONG comes every second; in between the program draws.
        seconds = 0.05 + chance.uniform(0, 0.03) - (now - 100.0 - zone / hz)
        zone += 1
        for _ in range(3):
            now += seconds / 3
            shown, next_drawn, jitter = map(float, driver.ask("?clock", "now", now))
            assert shown == pytest.approx(model.now(now), abs=1e-6)
            # It never runs backwards, and never more than 2 % too fast or 4 % too slow.
            passed = (next_drawn - drawn) / (seconds / 3 * hz)
            assert step == 0 or 0.96 - 1e-6 <= passed <= 1.02 + 1e-6
            drawn = next_drawn
        driver.ask("?clock", "tick", now, int(zone), 1.0)
        model.tick_arrived(int(zone), 1.0, now)
        if step % 20 == 0:
            driver.ask("?clock", "pong", now, int(zone), 0, now - 0.004)
            model.pong_arrived(int(zone), 0, now - 0.004, now)
        if step > 100:
            # What is drawn has arrived: a tick and the jitter, which is at most 30 ms, behind.
            assert zone - 1 - 0.6 - 0.5 <= drawn <= zone
            assert 0 < jitter <= 0.7
    # A zone that stands still stops the picture, and one that goes on makes it go on.
    stopped = [float(driver.ask("?clock", "now", now + seconds)[1]) for seconds in (2, 3, 5)]
    assert drawn < stopped[0] == stopped[2]


def test_it_draws_ticks_before_the_present_motion_from_the_one_before(driver: Driver) -> None:
    nobody = Snapshot(0, [], *[[]] * 6, [])  # type: ignore[arg-type,list-item]
    frames = {tick: Tick(tick, 100, None) for tick in range(1, 10)}
    frames[1] = Tick(1, 100, None, joins=[(0, "ann")], placed=[0, 50, 60, 10, 0])
    frames[4] = Tick(4, 100, None, movers=[0], seqs=[1], vx=[0], vy=[4])
    frames[8] = Tick(8, 100, None, placed=[0, 7, 9, 0, 0])
    driver.ask("?new")
    for message in (Welcome(2, None, 0, zone_info(1000, 1000), 1024, 16), nobody, *list(frames.values())[:7]):
        driver.ask("?apply", message.encode().hex())

    def drawn(tick: float) -> list[float]:
        return [float(part) for part in driver.ask("?draw", 0, tick)]

    assert [drawn(tick) for tick in (0, 1, 2.5, 4, 4.5, 7)] == [
        [50, 60],
        [50, 60],
        [65, 60],
        [80, 60],
        [80, 62],
        [80, 72],
    ]
    driver.ask("?apply", frames[8].encode().hex())
    assert [drawn(tick) for tick in (7.5, 8, 9)] == [[80, 74], [7, 9], [7, 9]]
    assert drawn(3) == [80, 60]  # Two motions are kept: before the older one nobody runs backwards.
