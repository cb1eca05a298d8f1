"""The verdict on hostile bots."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from helpers.swarm_results import SERVER_CLOSES, flood_tally
from zonetools.swarm.hostile.verdict import RoleTally, judge_roles
from zonetools.swarm.hostile.worker import CANNOT_CONNECT, NO_END


def verdict(
    tally: RoleTally, server: dict[str, int] | None = SERVER_CLOSES, interrupted: bool = False
) -> dict[str, Any]:
    return judge_roles({"flood": tally}, server, {"CLIENT_LEFT": 10}, interrupted)["flood"]


def test_expected_codes_are_ok() -> None:
    found = verdict(flood_tally())
    assert (found["ok"], found["why"], found["unread"]) == (True, [], 0)
    assert found["got"] == {"BANNED": 2, "FLOOD": 2}
    # The count of the server is not needed if the bots have read their close codes.
    assert verdict(flood_tally(), server=None)["ok"]
    # A packet may also be refused because the tick is full.
    assert verdict(flood_tally(refused=Counter(WARNED=1, MUTED=1, TOO_MANY_ACTIONS=300)))["ok"]


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
def test_unexpected_or_missing_code_is_explained(changes: dict[str, Any], why: str) -> None:
    found = verdict(flood_tally(**changes))
    assert not found["ok"]
    assert any(why in reason for reason in found["why"]), found["why"]


def test_unread_bye_is_found_in_the_servers_count() -> None:
    unread = flood_tally(got=Counter(FLOOD=1, BANNED=2, CONNECTION_LOST=1))
    found = verdict(unread)
    assert (found["ok"], found["unread"], found["got"]) == (True, 1, {"BANNED": 2, "FLOOD": 2})
    # Not if the server counted one end less, if its count is not known, or if that end is of another connection.
    assert not verdict(unread, SERVER_CLOSES | {"FLOOD": 1})["ok"]
    assert not verdict(unread, None)["ok"]
    assert not verdict(flood_tally(got=unread.got, cut_short=Counter(FLOOD=1)))["ok"]


def test_two_roles_do_not_share_one_counted_end() -> None:
    tallies = {role: RoleTally(1, ["SLOW_CONSUMER"], [], got=Counter(CONNECTION_LOST=1)) for role in ("one", "two")}
    assert all(role["ok"] for role in judge_roles(tallies, {"SLOW_CONSUMER": 2}, {}, False).values())
    assert [role["ok"] for role in judge_roles(tallies, {"SLOW_CONSUMER": 1}, {}, False).values()] == [True, False]


def test_missing_codes_of_an_interrupted_run_are_ok() -> None:
    early = flood_tally(got=Counter(FLOOD=1), refused=Counter(WARNED=1), cut_short=Counter(CLIENT_LEFT=1))
    assert verdict(early, interrupted=True)["ok"]
    assert not verdict(early)["ok"]
    assert not verdict(flood_tally(got=Counter(SLOW_CONSUMER=1)), interrupted=True)["ok"]


def test_tally_keeps_its_shortest_and_longest_connection() -> None:
    tally = flood_tally(note="from here")
    tally.record_end("FLOOD", 0.5)
    tally.record_end("FLOOD", 1.5)
    assert tally.seconds == [0.5, 1.5]
