"""Each action of a bot has exactly one outcome: by example, and compared with a naive model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoneclient.bots.action_tracker import ActionCounts, ActionTimes, ActionTracker

from zoneserver.protocol.messages import Refusal

MOTION, EVENT = True, False
KINDS = {MOTION: "move", EVENT: "say"}


def tracker_with(*kinds: bool) -> tuple[ActionTracker, ActionCounts]:
    """Return a tracker to which one action of each kind was sent, from sequence 1 on, and its counts."""
    counts = ActionCounts()
    tracker = ActionTracker(counts)
    for seq, is_motion in enumerate(kinds, 1):
        tracker.record_sent(seq, KINDS[is_motion], due=0.0, now=0.0)
    return tracker, counts


def refusal(seq: int, code: str = "COOLDOWN") -> Refusal:
    return Refusal(1, seq, code, "")


def ended(counts: ActionCounts) -> int:
    known = counts.delivered + counts.answered + counts.superseded + sum(counts.refused.values())
    return known + counts.lost + counts.unanswered


def test_action_in_a_frame_is_delivered() -> None:
    tracker, counts = tracker_with(EVENT, MOTION)
    tracker.record_seen(1, EVENT, now=0.0)
    tracker.record_seen(2, MOTION, now=0.0)
    assert (counts.sent, counts.delivered, len(tracker)) == (2, 2, 0)
    assert (counts.duplicated, counts.reordered, counts.lost) == (0, 0, 0)


def test_motion_supersedes_earlier_motions_but_no_events() -> None:
    tracker, counts = tracker_with(MOTION, EVENT, MOTION, MOTION)
    tracker.record_seen(3, MOTION, now=0.0)
    assert (counts.delivered, counts.superseded, len(tracker)) == (1, 1, 2)
    tracker.record_seen(2, EVENT, now=0.0)
    tracker.record_seen(4, MOTION, now=0.0)
    assert (counts.delivered, counts.superseded, len(tracker), counts.reordered) == (3, 1, 0, 0)


def test_kind_that_was_once_a_motion_is_superseded_by_motions_of_another_kind() -> None:
    counts = ActionCounts()
    tracker = ActionTracker(counts)
    for seq, kind in enumerate(("walk", "run", "say", "run"), 1):
        tracker.record_sent(seq, kind, due=0.0, now=0.0)
    tracker.record_seen(2, MOTION, now=0.0)
    assert (counts.superseded, len(tracker)) == (0, 3), "nothing has shown yet that a walk is a motion"
    tracker.record_sent(5, "walk", due=0.0, now=0.0)
    tracker.record_seen(5, MOTION, now=0.0)
    assert (counts.delivered, counts.superseded, len(tracker)) == (2, 2, 1)


def test_refusals_are_counted_by_code() -> None:
    tracker, counts = tracker_with(EVENT, MOTION, EVENT)
    tracker.record_refused(refusal(3, "OUT_OF_RANGE"))
    tracker.record_refused(refusal(1))
    tracker.record_refused(refusal(2))
    assert counts.refused == {"OUT_OF_RANGE": 1, "COOLDOWN": 2}
    tracker.record_refused(refusal(2))
    assert counts.duplicated == 1


def test_mute_refuses_the_actions_that_it_names() -> None:
    tracker, counts = tracker_with(*[EVENT] * 6)
    tracker.record_refused(refusal(0, "WARNED"))
    tracker.record_refused(refusal(3, "MUTED"))
    tracker.record_seen(1, EVENT, now=0.0)
    assert (counts.refused, len(tracker)) == ({}, 5), "what comes last may be dropped or not"
    tracker.record_refused(refusal(5, "UNMUTED"))
    assert (counts.refused, len(tracker)) == ({"MUTED": 3}, 2)
    tracker.record_seen(2, EVENT, now=0.0)
    tracker.record_seen(6, EVENT, now=0.0)
    tracker.record_refused(refusal(7, "MUTED"))
    tracker.record_refused(refusal(0, "UNMUTED"))
    tracker.record_sent(7, KINDS[EVENT], due=0.0, now=0.0)
    tracker.close()
    assert (counts.delivered, counts.refused, counts.lost, counts.duplicated) == (3, {"MUTED": 3}, 1, 0)


def test_mute_that_lasts_to_the_end_refuses_all_that_it_dropped() -> None:
    tracker, counts = tracker_with(*[EVENT] * 4)
    tracker.record_refused(refusal(3, "MUTED"))
    tracker.record_sent(5, KINDS[EVENT], due=0.0, now=0.0)
    tracker.close()
    assert (counts.refused, counts.lost) == ({"MUTED": 3}, 2)


def test_mute_longer_than_the_low_byte_tells_apart_leaves_later_actions_in_order() -> None:
    tracker, counts = tracker_with(*[EVENT] * 600)
    tracker.record_refused(refusal(2, "MUTED"))
    tracker.record_seen(1, EVENT, now=0.0)
    tracker.record_refused(refusal(598, "UNMUTED"))
    tracker.record_seen(599 & 0xFF, EVENT, now=0.0)
    tracker.record_seen(600 & 0xFF, EVENT, now=0.0)
    assert (counts.delivered, counts.refused, len(tracker)) == (3, {"MUTED": 597}, 0)


def test_close_counts_outstanding_actions_as_lost() -> None:
    tracker, counts = tracker_with(EVENT, MOTION, EVENT)
    tracker.record_seen(2, MOTION, now=0.0)
    tracker.close()
    assert (counts.delivered, counts.lost, len(tracker)) == (1, 2, 0)
    tracker.close()
    assert counts.lost == 2


@pytest.mark.parametrize("is_motion", [MOTION, EVENT])
def test_action_seen_twice_is_duplicated(is_motion: bool) -> None:
    tracker, counts = tracker_with(is_motion, is_motion)
    tracker.record_seen(1, is_motion, now=0.0)
    tracker.record_seen(1, is_motion, now=0.0)
    tracker.record_seen(2, is_motion, now=0.0)
    assert (counts.delivered, counts.duplicated) == (2, 1)


def test_action_that_was_never_sent_is_duplicated() -> None:
    tracker, counts = tracker_with()
    tracker.record_seen(17, EVENT, now=0.0)
    tracker.record_refused(refusal(9))
    assert (counts.duplicated, counts.delivered, counts.refused) == (2, 0, {})


def test_events_out_of_order_are_reordered() -> None:
    tracker, counts = tracker_with(EVENT, EVENT, EVENT, EVENT)
    for seq in (1, 4, 2, 3):
        tracker.record_seen(seq, EVENT, now=0.0)
    assert (counts.delivered, counts.reordered) == (4, 2)


def test_snapshot_delivers_every_action_up_to_its_sequence() -> None:
    tracker, counts = tracker_with(EVENT, MOTION, EVENT, MOTION)
    tracker.record_refused(refusal(1))
    tracker.record_snapshot(3)
    assert (counts.delivered, len(tracker)) == (2, 1)
    tracker.record_seen(4, MOTION, now=0.0)
    assert (counts.delivered, counts.superseded, len(tracker)) == (3, 0, 0)


def test_snapshot_from_before_the_first_action_delivers_nothing() -> None:
    tracker, counts = tracker_with(EVENT, MOTION)
    tracker.record_snapshot(0)
    assert (counts.delivered, len(tracker)) == (0, 2)


def test_private_action_is_answered_and_no_snapshot_tells_of_it() -> None:
    tracker, counts = tracker_with(EVENT)
    tracker.record_seen(1, False, now=0.0)
    for seq in range(2, 200):
        tracker.record_sent(seq, "inventory", due=0.0, now=0.0)
        tracker.record_snapshot(1)
        tracker.record_answered(seq, now=0.25)
    assert (counts.delivered, counts.answered, counts.duplicated, len(tracker)) == (1, 198, 0, 0)
    assert counts.times.latency.percentile(99) == pytest.approx(250_000, rel=0.1)
    tracker.record_answered(7, now=1.0)
    assert (counts.answered, counts.duplicated) == (198, 1)


def test_latency_counts_from_due_time_and_uncorrected_from_sending() -> None:
    counts = ActionCounts()
    tracker = ActionTracker(counts)
    tracker.record_sent(1, KINDS[EVENT], due=1.0, now=1.25)
    tracker.record_seen(1, EVENT, now=1.5)
    times = counts.times
    assert (times.latency.max, times.latency_uncorrected.max, times.send_delay.max) == (500_000, 250_000, 250_000)
    assert (times.to_tick.total, times.from_tick.total) == (0, 0), "the start of the tick is not known"


def test_latency_is_split_at_the_start_of_the_tick() -> None:
    counts = ActionCounts()
    tracker = ActionTracker(counts)
    tracker.record_sent(1, KINDS[EVENT], due=1.0, now=1.125)
    tracker.record_seen(1, EVENT, now=1.5, tick_began=1.25)
    times, counts.times = counts.times, ActionTimes()
    assert (times.send_delay.max, times.to_tick.max, times.from_tick.max) == (125_000, 125_000, 250_000)
    assert times.latency.max == 500_000
    tracker.record_sent(2, KINDS[EVENT], due=2.0, now=2.0)
    assert counts.times.send_delay.total == times.send_delay.total == 1, "the replaced times do not change any more"
    assert (times + counts.times).send_delay.total == 2


def test_action_seen_as_another_kind_still_has_one_outcome() -> None:
    tracker, counts = tracker_with(MOTION)
    tracker.record_seen(1, EVENT, now=0.0)
    tracker.close()
    assert ended(counts) == counts.sent == 1


# --- Coming back ----------------------------------------------------------------------------------


def test_actions_that_the_zone_never_took_are_sent_again_after_a_return() -> None:
    tracker, counts = tracker_with(EVENT, EVENT)
    tracker.record_sent(3, "say", due=0.0, now=0.0, action=b"third")
    tracker.record_sent(4, "move", due=0.0, now=0.0, action=b"fourth")
    tracker.record_seen(1, EVENT, now=0.0)
    assert tracker.record_return(taken=2) == [(b"third", 3), (b"fourth", 4)]
    assert (counts.sent, counts.resent, len(tracker)) == (4, 2, 3)
    for seq, is_motion in (2, EVENT), (3, EVENT), (4, MOTION):
        tracker.record_seen(seq, is_motion, now=0.0)
    assert (counts.delivered, counts.duplicated, counts.reordered, counts.lost) == (4, 0, 0, 0)


def test_taken_action_without_an_outcome_after_a_return_is_unanswered_and_not_lost() -> None:
    tracker, counts = tracker_with(EVENT, EVENT, EVENT)
    tracker.record_return(taken=2)
    tracker.record_seen(1, EVENT, now=0.0)
    tracker.give_up(2)
    assert (counts.delivered, counts.unanswered, len(tracker)) == (1, 1, 1)
    tracker.close()
    assert (counts.unanswered, counts.lost) == (1, 1)


def test_actions_of_a_player_who_is_away_are_unanswered_at_the_end() -> None:
    tracker, counts = tracker_with(EVENT, MOTION)
    tracker.close(is_away=True)
    assert (counts.unanswered, counts.lost, ended(counts)) == (2, 0, 2)


def test_action_that_outlived_its_connection_has_no_latency() -> None:
    tracker, counts = tracker_with(EVENT)
    tracker.record_return(taken=0)
    tracker.record_sent(2, "say", due=1.0, now=1.0)
    tracker.record_seen(1, EVENT, now=9.0, tick_began=8.9)
    tracker.record_seen(2, EVENT, now=1.5, tick_began=1.4)
    times = counts.times
    assert [each.total for each in (times.latency, times.latency_uncorrected, times.to_tick, times.from_tick)] == [
        1
    ] * 4
    assert times.latency.percentile(100) < 1_000_000


def test_mute_before_a_drop_does_not_count_actions_after_the_return() -> None:
    tracker, counts = tracker_with(EVENT)
    tracker.record_refused(refusal(1, "MUTED"))
    tracker.record_return(taken=0)
    tracker.record_refused(refusal(1, "UNMUTED"))
    assert (counts.refused, len(tracker)) == ({}, 1)


class NaiveTracker:
    """A slow tracker that uses whole sequences, and keeps the outcome of each action."""

    def __init__(self) -> None:
        self.kinds: dict[int, bool] = {}
        self.outcomes: dict[int, str] = {}
        self.duplicated = 0
        self.reordered = 0
        self.last_event = 0

    def outstanding(self) -> list[int]:
        return [seq for seq in self.kinds if seq not in self.outcomes]

    def record_seen(self, seq: int) -> None:
        if seq in self.outcomes:
            self.duplicated += 1
            return
        self.outcomes[seq] = "delivered"
        if self.kinds[seq] is MOTION:
            for earlier in self.outstanding():
                if earlier < seq and self.kinds[earlier] is MOTION:
                    self.outcomes[earlier] = "superseded"
        else:
            self.reordered += seq < self.last_event
            self.last_event = max(seq, self.last_event)

    def count(self, outcome: str) -> int:
        return list(self.outcomes.values()).count(outcome)


def play_randomly(data: st.DataObject, tracker: ActionTracker, naive: NaiveTracker, first: int) -> None:
    """Send random actions, and give them random outcomes, to both trackers."""
    seq = first
    for _ in range(data.draw(st.integers(1, 60))):
        step = data.draw(st.sampled_from(["act", "act", "frame", "refuse", "repeat", "overtake", "answer", "snapshot"]))
        waiting = naive.outstanding()
        if step == "act":
            # At most 40 outstanding actions: the low byte cannot tell more than 256 apart.
            for is_motion in data.draw(st.lists(st.booleans(), max_size=max(0, 40 - len(waiting)))):
                naive.kinds[seq] = is_motion
                tracker.record_sent(seq, KINDS[is_motion], due=0.0, now=0.0)
                seq += 1
        elif step == "repeat" and naive.outcomes and waiting:
            # A recent action that has its outcome: its low byte names no other action yet.
            recent = [old for old in naive.outcomes if waiting[0] - 100 < old]
            if recent:
                old = data.draw(st.sampled_from(recent))
                naive.record_seen(old)
                tracker.record_seen(old & 0xFF, naive.kinds[old], now=0.0)
        elif not waiting:
            continue
        elif step == "frame":
            chosen = waiting[0]
            naive.record_seen(chosen)
            tracker.record_seen(chosen & 0xFF, naive.kinds[chosen], now=0.0)
        elif step == "overtake":
            chosen = data.draw(st.sampled_from(waiting))
            naive.record_seen(chosen)
            tracker.record_seen(chosen & 0xFF, naive.kinds[chosen], now=0.0)
        elif step == "refuse":
            chosen = data.draw(st.sampled_from(waiting))
            naive.outcomes[chosen] = "refused"
            tracker.record_refused(refusal(chosen))
        elif step == "answer":
            chosen = data.draw(st.sampled_from(waiting))
            naive.outcomes[chosen] = "answered"
            tracker.record_answered(chosen, now=0.0)
        elif step == "snapshot":
            # Before the first action that happened, 0 means that there was none.
            known = [chosen for chosen in waiting if chosen & 0xFF or "delivered" in naive.outcomes.values()]
            if not known:
                continue
            newest = data.draw(st.sampled_from(known))
            naive.outcomes |= dict.fromkeys([chosen for chosen in waiting if chosen <= newest], "delivered")
            tracker.record_snapshot(newest & 0xFF)
        # Deliver the oldest action before the outstanding ones span more than the byte can tell apart.
        while naive.outstanding() and seq - naive.outstanding()[0] > 100:
            chosen = naive.outstanding()[0]
            naive.record_seen(chosen)
            tracker.record_seen(chosen & 0xFF, naive.kinds[chosen], now=0.0)


@given(data=st.data(), first=st.sampled_from([1, 100, 250, 255, 256, 300, 65_500]))
def test_tracker_agrees_with_naive_model_across_wraps_of_the_byte(data: st.DataObject, first: int) -> None:
    counts, naive = ActionCounts(), NaiveTracker()
    tracker = ActionTracker(counts)
    play_randomly(data, tracker, naive, first)
    assert len(tracker) == len(naive.outstanding())
    tracker.close()
    naive.outcomes |= dict.fromkeys(naive.outstanding(), "lost")
    assert (counts.delivered, counts.superseded, counts.lost) == tuple(
        map(naive.count, ("delivered", "superseded", "lost"))
    )
    assert (counts.answered, sum(counts.refused.values())) == (naive.count("answered"), naive.count("refused"))
    assert (counts.duplicated, counts.reordered) == (naive.duplicated, naive.reordered)
    assert ended(counts) == counts.sent == len(naive.kinds)


def test_five_thousand_actions_wrap_the_byte_many_times() -> None:
    tracker, counts = tracker_with()
    for seq in range(1, 5001):
        tracker.record_sent(seq, KINDS[seq % 3 == 0], due=0.0, now=0.0)
        if seq > 200:
            done = seq - 200
            tracker.record_seen(done & 0xFF, done % 3 == 0, now=0.0)
    tracker.close()
    assert (counts.delivered, counts.lost) == (4800, 200)
    assert (counts.duplicated, counts.reordered, counts.superseded) == (0, 0, 0)


ANYTHING = st.one_of(
    st.tuples(st.just("seen"), st.integers(0, 12) | st.integers(0, 255), st.booleans()),
    st.tuples(st.just("refused"), st.integers(0, 80), st.booleans()),
    st.tuples(st.sampled_from(["MUTED", "UNMUTED", "WARNED"]), st.integers(0, 80), st.booleans()),
    st.tuples(st.just("caught_up"), st.integers(0, 12) | st.integers(0, 255), st.booleans()),
    st.tuples(st.just("sent"), st.integers(1, 5), st.booleans()),
    st.tuples(st.sampled_from(["back", "given up"]), st.integers(0, 80), st.booleans()),
)


@given(st.lists(ANYTHING, max_size=60))
def test_each_action_has_one_outcome_after_any_server_messages(said: list[tuple[str, int, bool]]) -> None:
    tracker, counts = tracker_with()
    seq = 1
    for what, number, is_motion in said:
        if what == "seen":
            tracker.record_seen(number, is_motion, now=0.0)
        elif what == "refused":
            tracker.record_refused(refusal(number))
        elif what.isupper():
            tracker.record_refused(refusal(number, what))
        elif what == "caught_up":
            tracker.record_snapshot(number)
        elif what == "back":
            tracker.record_return(number)
        elif what == "given up":
            tracker.give_up(number)
        else:
            for _ in range(number):
                tracker.record_sent(seq, KINDS[is_motion], due=0.0, now=0.0)
                seq += 1
        assert ended(counts) + len(tracker) == counts.sent
    tracker.close(is_away=bool(seq & 1))
    assert ended(counts) == counts.sent
