"""The batches of a gateway while its zone is away."""

from __future__ import annotations

from zoneserver.link.batches import Batches
from zoneserver.link.messages import Start
from zoneserver.zone.link import Actions, Join, Requests, first_ref

ANN = first_ref(5)


def test_what_waited_for_the_zone_leaves_in_batches_that_a_broker_takes() -> None:
    batches = Batches(5)
    actions: list[Actions] = [(ANN, seq, (("say", "a" * 900),)) for seq in range(1, 20_001)]
    batches.add(Requests(actions=actions))
    sent: list[Actions] = []
    for _ in range(6):
        batch = batches.next(Start(1, 1), 1, None)
        assert batch is not None
        assert len(batch.encode()) < 8_000_000
        sent += batch.requests.actions
    assert sent == actions


def test_players_who_come_and_go_while_the_zone_is_away_cost_nothing() -> None:
    batches = Batches(5)
    for ref in range(ANN + 1, ANN + 100):
        batches.add(Requests(joins=[Join(ref, "bob", b"", "127.0.0.1")], leaves=[ANN] if ref == ANN + 7 else []))
        batches.add(Requests(leaves=[ref]))
    batch = batches.next(Start(1, 1), 1, None)
    assert batch is not None
    assert batch.requests == Requests(leaves=[ANN])
