"""What became of one's own actions: by example, and beside a server that knows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoneclient.outcomes import Outcomes

from zoneserver.protocol.messages import Refusal


def outcomes_of(count: int, first: int = 1) -> Outcomes:
    """Outcomes to which this many actions were sent."""
    outcomes = Outcomes()
    for seq in range(first, first + count):
        outcomes.sent(seq)
    return outcomes


def fates(outcomes: Outcomes, seqs: range) -> list[object]:
    """Return the fates, with a refusal as its code."""
    found = map(outcomes.fate, seqs)
    return [fate.code if isinstance(fate, Refusal) else fate for fate in found]


def test_frame_tells_an_action_and_passes_all_before_it() -> None:
    outcomes = outcomes_of(4)
    outcomes.in_frame([3])
    assert fates(outcomes, range(1, 5)) == [False, False, True, None]
    assert len(outcomes) == 1


def test_frame_tells_each_of_its_actions_in_any_order() -> None:
    outcomes = outcomes_of(5)
    outcomes.in_frame([4, 1, 2])
    assert fates(outcomes, range(1, 6)) == [True, True, False, True, None]


def test_low_byte_names_the_oldest_unanswered_action() -> None:
    outcomes = outcomes_of(255, first=200)
    outcomes.in_frame([200])
    outcomes.sent(455)
    outcomes.in_frame([255, 0])
    assert (outcomes.fate(255), outcomes.fate(256), outcomes.fate(257), outcomes.fate(454)) == (True, True, None, None)


def test_answer_tells_nothing_of_other_actions() -> None:
    outcomes = outcomes_of(3)
    outcomes.answered(2)
    assert fates(outcomes, range(1, 4)) == [None, True, None]


def test_snapshot_passes_all_up_to_the_newest_action_in_it() -> None:
    outcomes = outcomes_of(5)
    outcomes.in_snapshot(3)
    assert fates(outcomes, range(1, 6)) == [False, False, True, None, None]


@pytest.mark.parametrize("told", [0, 300])
def test_snapshot_that_holds_no_newer_action_tells_nothing(told: int) -> None:
    outcomes = outcomes_of(told % 256, first=told - told % 256 + 1) if told else Outcomes()
    outcomes.in_frame([told & 0xFF])
    for seq in range(told + 1, told + 256):
        outcomes.sent(seq)
    outcomes.in_snapshot(told & 0xFF)
    assert len(outcomes) == 255


def test_snapshot_that_may_hold_the_same_action_as_before_tells_nothing() -> None:
    outcomes = outcomes_of(257)
    outcomes.in_frame([3])
    for seq in range(4, 257):
        outcomes.answered(seq)  # Private actions, which leave the byte in a snapshot alone.
    outcomes.sent(258)
    outcomes.sent(259)
    outcomes.in_snapshot(3)
    assert fates(outcomes, range(257, 260)) == [None, None, None]


def test_refusal_settles_its_action_alone() -> None:
    outcomes = outcomes_of(3)
    outcomes.refused(Refusal(1, 2, "NO", ""))
    outcomes.refused(Refusal(1, 0, "WARNED", ""))
    assert fates(outcomes, range(1, 4)) == [None, "NO", None]


def test_mute_refuses_from_its_first_to_its_last_dropped_action() -> None:
    outcomes = outcomes_of(6)
    outcomes.refused(Refusal(1, 3, "MUTED", "too much"))
    assert fates(outcomes, range(1, 7)) == [None] * 6
    outcomes.in_frame([1, 2])
    outcomes.refused(Refusal(9, 5, "UNMUTED", "you may act again"))
    assert fates(outcomes, range(1, 7)) == [True, True, "MUTED", "MUTED", "MUTED", None]
    fate = outcomes.fate(5)
    assert isinstance(fate, Refusal)
    assert fate == Refusal(9, 5, "MUTED", "too much")


def test_mute_that_dropped_nothing_settles_nothing() -> None:
    outcomes = outcomes_of(2)
    outcomes.refused(Refusal(1, 2, "MUTED", ""))
    outcomes.refused(Refusal(1, 0, "UNMUTED", ""))
    outcomes.refused(Refusal(1, 2, "WARNED", ""))
    assert fates(outcomes, range(1, 3)) == [None, None]


def test_action_that_a_frame_could_not_tell_from_others_is_not_taken() -> None:
    outcomes = outcomes_of(255)
    assert not outcomes.takes(256)
    outcomes.answered(1)
    assert outcomes.takes(256)
    outcomes.answered(100)
    assert not outcomes.takes(257), "the gap makes no low byte free"


def test_fate_of_an_action_that_was_not_sent_or_is_long_past_is_a_lookup_error() -> None:
    outcomes = Outcomes()
    for seq in range(1, 3001):
        outcomes.sent(seq)
        outcomes.in_frame([seq & 0xFF])
    assert outcomes.fate(2999) is True
    for seq in (0, 1, 3001):
        with pytest.raises(LookupError):
            outcomes.fate(seq)
    assert len(outcomes._fates) <= 1024


class ModelServer:
    """A zone and its gateway for one player, as the protocol describes them. It knows the truth of each action."""

    def __init__(self, draw: st.DrawFn, outcomes: Outcomes, first: int) -> None:
        self.draw = draw
        self.outcomes = outcomes
        self.next = first
        # Actions that wait for their tick, in order: sequence and kind.
        self.waiting: list[tuple[int, str]] = []
        self.truth: dict[int, str] = {}
        # What was superseded or happened in a frame that was skipped: the client cannot know it.
        self.unseen: set[int] = set()
        # The newest public action that happened, and the newest of which the client was told.
        self.seq = self.known = first - 1
        self.is_behind = False
        self.is_muted = False
        self.last_dropped = 0

    def act(self) -> None:
        """The client sends some actions."""
        for kind in self.draw(st.lists(st.sampled_from(["event", "motion", "private"]), max_size=12)):
            # The low byte tells 256 sequences apart, from the newest action that a client knows of.
            if self.next - min([self.known, *self.unseen]) > 250:
                return
            self.outcomes.sent(self.next)
            if self.is_muted:
                self.truth[self.next] = "refused"
                self.last_dropped = self.next
            else:
                self.waiting.append((self.next, kind))
            self.next += 1

    def tick(self) -> None:
        """Do some of the waiting actions, and send what tells of them."""
        count = self.draw(st.integers(0, len(self.waiting)))
        now, self.waiting = self.waiting[:count], self.waiting[count:]
        events, motion = [], 0
        for seq, kind in now:
            if self.draw(st.integers(0, 5)) == 0:
                self.truth[seq] = "refused"
                self.outcomes.refused(Refusal(0, seq, "NO", ""))
                continue
            self.truth[seq] = "happened"
            if kind == "private":
                self.outcomes.answered(seq)
                continue
            self.seq = seq
            if kind == "event":
                events.append(seq)
            else:
                if motion:
                    self.truth[motion] = "superseded"
                motion = seq
        shown = events + [motion] * bool(motion)
        if self.is_behind:
            self.unseen.update(shown)
        else:
            self.known = self.seq
            self.outcomes.in_frame([seq & 0xFF for seq in (shown if self.draw(st.booleans()) else shown[::-1])])

    def catch_up(self) -> None:
        """The client has skipped frames, and gets a snapshot."""
        if self.is_behind:
            self.outcomes.in_snapshot(self.seq & 0xFF)
            self.known = self.seq
            self.unseen.discard(self.seq)
        self.is_behind = not self.is_behind

    def mute(self) -> None:
        """The mute begins with the next action, or ends."""
        if self.is_muted:
            self.outcomes.refused(Refusal(0, self.last_dropped, "UNMUTED", ""))
        else:
            self.outcomes.refused(Refusal(0, self.next, "MUTED", ""))
            self.last_dropped = 0
        self.is_muted = not self.is_muted

    def check(self) -> None:
        """Compare each fate with the truth."""
        waiting = {seq for seq, _ in self.waiting}
        for seq in range(max(1, self.next - 300), self.next):
            try:
                fate = self.outcomes.fate(seq)
            except LookupError:
                continue
            truth = self.truth.get(seq)
            if seq in waiting:
                assert fate is None, f"{seq} waits"
            elif truth == "refused":
                assert isinstance(fate, Refusal) or (fate is None and self.is_muted), f"{seq} was refused"
            elif truth == "superseded":
                assert fate is False or fate is None, f"{seq} was superseded"
            elif seq in self.unseen:
                assert fate is not True or fate is None, f"{seq} happened in a frame that was skipped"
            else:
                assert fate is True, f"{seq} happened"


@given(st.data(), st.sampled_from([1, 100, 250, 256, 300, 65_500]))
def test_fates_agree_with_a_server_that_knows_them(data: st.DataObject, first: int) -> None:
    outcomes = outcomes_of(1, first - 1) if first > 1 else Outcomes()
    outcomes.in_frame([first - 1 & 0xFF] * (first > 1))
    server = ModelServer(data.draw, outcomes, first)  # type: ignore[arg-type]
    steps = [server.act, server.act, server.tick, server.tick, server.catch_up, server.mute]
    for step in data.draw(st.lists(st.sampled_from(steps), max_size=40)):
        step()
        server.check()
    # Whatever came before, one more public action that shows settles everything.
    if server.is_muted:
        server.mute()
    if server.is_behind:
        server.catch_up()
    outcomes.sent(server.next)
    for seq, _ in server.waiting:
        outcomes.refused(Refusal(0, seq, "NO", ""))
    outcomes.in_frame([server.next & 0xFF])
    assert len(outcomes) == 0
