"""The batches of a gateway while its zone is away."""

from __future__ import annotations

from zoneserver.link.batches import Batches
from zoneserver.link.carrier import PAYLOAD_UP_BYTES_MAX
from zoneserver.link.messages import Start
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
