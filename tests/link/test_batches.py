"""The batches of a gateway while its zone is away."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from zoneserver.link.batches import Batches
from zoneserver.link.carrier import PAYLOAD_UP_BYTES_MAX
from zoneserver.link.messages import BatchMessage, Start
from zoneserver.link.validation import decode_up
from zoneserver.protocol.decoding import WireError, decode_act
from zoneserver.protocol.values import NESTING_MAX
from zoneserver.zone.link import Actions, Join, Requests, first_ref

ANN = first_ref(5)


def test_what_waited_for_the_zone_leaves_in_batches_that_the_zone_reads() -> None:
    batches = Batches(5)
    actions: list[Actions] = [(ANN, seq, (("say", "a" * 900),)) for seq in range(1, 20_001)]
    batches.add(Requests(actions=actions))
    joins = [Join(ref, "bob", bytes(1000), "127.0.0.1") for ref in range(ANN + 1, ANN + 2_000)]
    batches.add(Requests(joins=joins))
    sent = Requests()
    for _ in range(80):
        batch = batches.next(Start(1, 1), 1, None)
        assert batch is not None
        assert len(batch.encode()) < PAYLOAD_UP_BYTES_MAX
        batches.take_until(batch.number)
        sent.add(batch.requests)
    assert sent == Requests(joins=joins, actions=actions)


def test_players_who_come_and_go_while_the_zone_is_away_cost_nothing() -> None:
    batches = Batches(5)
    for ref in range(ANN + 1, ANN + 100):
        batches.add(Requests(joins=[Join(ref, "bob", b"", "127.0.0.1")], leaves=[ANN] if ref == ANN + 7 else []))
        batches.add(Requests(leaves=[ref]))
    batch = batches.next(Start(1, 1), 1, None)
    assert batch is not None
    assert batch.requests == Requests(leaves=[ANN])


def test_batch_with_the_most_deeply_nested_action_of_a_client_is_read_by_the_zone() -> None:
    """A larger `client_frame_bytes` has room for deeper arrays than msgpack reads."""
    head, taken = b"\x93\x02\x01\x91\x92\xa1a", []
    for depth in (*range(1, 30), *range(1_000, 1_030)):
        with contextlib.suppress(WireError):
            seq, actions = decode_act(head + b"\x91" * depth + b"\xc0")
            batch = BatchMessage(5, 1, Start(1, 1), 1, Requests(actions=[(ANN, seq, actions)]), None)
            taken.append(decode_up(batch.encode()))
    assert len(taken) == NESTING_MAX


@given(
    packets=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 70)), max_size=40),
    ticks=st.integers(3, 20),
)
def test_backlog_leaves_in_order_and_no_batch_has_more_of_a_player_than_one_tick_takes(
    packets: list[tuple[int, int]], ticks: int
) -> None:
    actions: list[Actions] = [(ANN + ref, number, (("wave",),) * count) for number, (ref, count) in enumerate(packets)]
    batches, sent = Batches(5), []
    for tick in range(ticks):
        batches.add(Requests(actions=actions[tick::ticks]))
    added = [packet for tick in range(ticks) for packet in actions[tick::ticks]]
    while len(sent) < len(added):
        batch = batches.next(Start(1, 1), 1, None)
        assert batch is not None
        batches.take_until(batch.number)
        sent += batch.requests.actions
        for ref in range(ANN, ANN + 4):
            counts = [len(acts) for each, _, acts in batch.requests.actions if each == ref]
            assert sum(counts) <= 40 or len(counts) == 1
    for ref in range(ANN, ANN + 4):
        assert [each for each in sent if each[0] == ref] == [each for each in added if each[0] == ref]


def test_what_waited_for_no_longer_than_a_tick_leaves_at_once() -> None:
    batches = Batches(5)
    actions: list[Actions] = [(ANN, seq, (("wave",),)) for seq in range(100)]
    batches.add(Requests(actions=actions))
    batch = batches.next(Start(1, 1), 1, None)
    assert batch is not None
    assert batch.requests.actions == actions
