"""Errors are grouped: each group has a count and its first error."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from zonetools.swarm.measure.errors import BEHAVIOUR, CLOSE, CONNECT, REFUSAL, Errors

KINDS = st.sampled_from([CONNECT, CLOSE, BEHAVIOUR, REFUSAL])
ADDED = st.lists(st.tuples(KINDS, st.sampled_from("ABC"), st.text(max_size=5), st.floats(0, 100)), max_size=40)
Added = list[tuple[str, str, str, float]]


def errors_of(added: Added) -> Errors:
    errors = Errors()
    for kind, code, text, now in added:
        errors.add(kind, code, text, bot=f"bot of {text}", now=now)
    return errors


@given(ADDED)
def test_each_error_is_in_one_group_with_its_first_error(added: Added) -> None:
    groups = errors_of(added).groups()
    assert {(group.kind, group.code): group.count for group in groups} == Counter(
        (kind, code) for kind, code, _, _ in added
    )
    assert [group.count for group in groups] == sorted((group.count for group in groups), reverse=True)
    for group in groups:
        mine = [(now, text) for kind, code, text, now in added if (kind, code) == (group.kind, group.code)]
        assert group.first_at == min(now for now, _ in mine)
        assert (group.first_at, group.first_text) in mine
        assert group.first_bot == f"bot of {group.first_text}"


@given(ADDED, ADDED)
def test_errors_of_two_processes_add_up(some: Added, others: Added) -> None:
    both = errors_of(some) + errors_of(others)
    assert both.groups() == errors_of(some + others).groups()


def test_groups_are_selected_by_kind() -> None:
    errors = errors_of([(CLOSE, "A", "", 1.0), (REFUSAL, "A", "", 1.0), (CONNECT, "B", "", 1.0)])
    assert {group.kind for group in errors.groups(CLOSE, CONNECT)} == {CLOSE, CONNECT}


def test_number_of_groups_is_bounded() -> None:
    errors = Errors()
    for number in range(10_000):
        errors.add(CLOSE, f"CODE_{number}", "x" * 10_000, bot="ann", now=float(number))
    groups = errors.groups()
    assert len(groups) <= 65
    assert sum(group.count for group in groups) == 10_000
    assert (groups[0].code, groups[0].first_at) == ("OTHERS", 64.0)
    assert max(len(group.first_text) for group in groups) <= 300


def test_plain_values_count_time_from_the_start_of_the_run() -> None:
    errors = Errors()
    errors.add(CONNECT, "TimeoutError", "timed out", bot="walker-3", now=12.3456)
    assert [group.plain(began=10.0) for group in errors.groups()] == [
        {
            "kind": "connect",
            "code": "TimeoutError",
            "count": 1,
            "first": {"s": 2.346, "bot": "walker-3", "text": "timed out"},
        }
    ]
