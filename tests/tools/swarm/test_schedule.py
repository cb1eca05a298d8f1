"""The schedule of the bots of a process."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from zonetools.swarm.schedule import Schedule


@given(st.lists(st.tuples(st.sampled_from(["join", "leave", "take", "wait"]), st.integers(0, 30)), max_size=60))
def test_bots_act_in_the_order_of_their_times_however_late_they_are(steps: list[tuple[str, int]]) -> None:
    schedule, due, now = Schedule(period_seconds=10.0), dict[int, float](), 0.0
    for number, (step, value) in enumerate(steps):
        if step == "join":
            due[number] = now + value % 10
            schedule.add(number, due[number])
        elif step == "leave" and due:
            left = sorted(due)[value % len(due)]
            schedule.remove(left)
            del due[left]
        elif step == "take":
            taken = schedule.take(now)
            first = min(((at, bot) for bot, at in due.items()), default=(now + 1, -1))
            assert taken == (first if first[0] <= now else None)
            if taken is not None:
                due[taken[1]] += 10
        else:
            now += value
        assert schedule.next_at == min(due.values(), default=None)
