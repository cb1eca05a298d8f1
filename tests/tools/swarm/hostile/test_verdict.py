"""The verdict on hostile bots."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from zonetools.swarm.hostile.verdict import RoleTally, judge_roles
from zonetools.swarm.hostile.worker import CANNOT_CONNECT, NO_END


def kicked(**changes: Any) -> RoleTally:
    """Two bots that got what they should: twice, and a ban each time."""
    values: dict[str, Any] = {
        "bots": 2,
        "expected": ["FLOOD", "BANNED"],
        "refusals": ["WARNED", "MUTED"],
        "got": Counter(FLOOD=2, BANNED=2),
        "refused": Counter(WARNED=2, MUTED=2),
    }
    return RoleTally(**values | changes)


SERVER = {"FLOOD": 2, "BANNED": 2, "CLIENT_LEFT": 10}


def verdict(tally: RoleTally, server: dict[str, int] | None = SERVER, interrupted: bool = False) -> dict[str, Any]:
    return judge_roles({"flood": tally}, server, {"CLIENT_LEFT": 10}, interrupted)["flood"]


def test_who_got_what_it_should_is_right() -> None:
    found = verdict(kicked())
    assert (found["ok"], found["why"], found["unread"]) == (True, [], 0)
    assert found["got"] == {"BANNED": 2, "FLOOD": 2}
    # Without the server's count too, as long as it was told itself.
    assert verdict(kicked(), server=None)["ok"]
    # And one that had a packet refused because the tick was full.
    assert verdict(kicked(refused=Counter(WARNED=1, MUTED=1, TOO_MANY_ACTIONS=300)))["ok"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"got": Counter(FLOOD=2, BANNED=2, INTERNAL_ERROR=1)}, "1 x INTERNAL_ERROR"),
        ({"got": Counter(FLOOD=2)}, "never BANNED"),
        ({"got": Counter()}, "never FLOOD"),
        ({"got": Counter({"FLOOD": 2, "BANNED": 2, NO_END: 1})}, "1 x NO_END"),
        ({"got": Counter({"FLOOD": 2, "BANNED": 2, CANNOT_CONNECT: 1})}, "1 x CANNOT_CONNECT"),
        ({"got": Counter(FLOOD=2, BANNED=2, CONNECTION_LOST=1)}, "1 connections ended without a BYE"),
        ({"refused": Counter(WARNED=2)}, "never refused with MUTED"),
        ({"refused": Counter(WARNED=2, MUTED=2, TOO_FAST=1)}, "1 x refused with TOO_FAST"),
        ({"refusals": []}, "2 x refused with WARNED"),
    ],
)
def test_whoever_got_something_else_says_so(changes: dict[str, Any], why: str) -> None:
    found = verdict(kicked(**changes))
    assert not found["ok"]
    assert any(why in reason for reason in found["why"]), found["why"]


def test_a_bye_that_nobody_read_is_found_in_the_servers_count() -> None:
    unread = kicked(got=Counter(FLOOD=1, BANNED=2, CONNECTION_LOST=1))
    found = verdict(unread)
    assert (found["ok"], found["unread"], found["got"]) == (True, 1, {"BANNED": 2, "FLOOD": 2})
    # Not if the server counts one less, or says nothing, or the end of another is the one it counts.
    assert not verdict(unread, SERVER | {"FLOOD": 1})["ok"]
    assert not verdict(unread, None)["ok"]
    assert not verdict(kicked(got=unread.got, cut_short=Counter(FLOOD=1)))["ok"]


def test_two_roles_do_not_share_an_end_that_the_server_counted_once() -> None:
    tallies = {role: RoleTally(1, ["SLOW_CONSUMER"], [], got=Counter(CONNECTION_LOST=1)) for role in ("one", "two")}
    assert all(role["ok"] for role in judge_roles(tallies, {"SLOW_CONSUMER": 2}, {}, False).values())
    assert [role["ok"] for role in judge_roles(tallies, {"SLOW_CONSUMER": 1}, {}, False).values()] == [True, False]


def test_what_an_interrupt_left_no_time_for_is_nobodys_fault() -> None:
    early = kicked(got=Counter(FLOOD=1), refused=Counter(WARNED=1), cut_short=Counter(CLIENT_LEFT=1))
    assert verdict(early, interrupted=True)["ok"]
    assert not verdict(early)["ok"]
    assert not verdict(kicked(got=Counter(SLOW_CONSUMER=1)), interrupted=True)["ok"]


def test_a_tally_comes_back_from_json_as_it_was() -> None:
    tally = kicked(note="from here")
    tally.record_end("FLOOD", 0.5)
    tally.record_end("FLOOD", 1.5)
    assert tally.seconds == [0.5, 1.5]
    back = RoleTally.from_json(json.loads(json.dumps(tally.to_json())))
    assert back == tally
    assert back.got["NEVER"] == 0
