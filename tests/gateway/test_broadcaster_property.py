"""Properties of the broadcaster over random sequences of ticks, joins and stalls."""

from __future__ import annotations

from helpers.sample_messages import frame_of, plain, snapshot_of
from helpers.session_fixture import SessionFixture
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.config import Config
from zoneserver.gateway.broadcaster import Broadcaster
from zoneserver.gateway.counters import GatewayCounters
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.framing import LENGTH_PREFIX, Deframer
from zoneserver.protocol.messages import (
    SERVER_PAYLOAD_BYTES,
    Op,
    Snapshot,
    Tick,
    op_of,
)
from zoneserver.zone.frame_history import Form, History

SIZES = st.integers(0, 400)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.just(0), SIZES),
        st.tuples(st.just("take"), st.integers(0, 3), st.integers(1, 1500)),
        st.tuples(st.just("leave"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("join"), st.integers(0, 3), st.integers(0, 1500)),
    ),
    max_size=60,
)


@given(STEPS, st.sampled_from([0.0, 4000.0]))
def test_stalled_receivers_of_either_form_miss_and_repeat_nothing(
    steps: list[tuple[str, int, int]], send_rate: float
) -> None:
    """Two plain and two deflated receivers join, take bytes, stall and leave at random."""
    counters, now = GatewayCounters(), 0.0
    history = History(4, lambda: snapshot_of(history.tick, 50))
    broadcaster = Broadcaster(history, Config(send_rate=send_rate), counters)
    places: list[SessionFixture | None] = [None] * 4
    joined: list[tuple[SessionFixture, int]] = []
    forms: dict[SessionFixture, bool] = {}

    def join(place: int, room: int) -> SessionFixture:
        connection = SessionFixture(room=room)
        joined.append((connection, history.tick))
        connection.attach(broadcaster, lambda: now)
        forms[connection] = place >= 2
        broadcaster.join(connection.session, Form(LENGTH_PREFIX, place >= 2), now)
        connection.session.flush()
        return connection

    def tick(size: int) -> None:
        nonlocal now
        now += 0.05
        history.append(history.tick + 1, frame_of(history.tick + 1, size))
        broadcaster.send(1, now)

    tick(0)
    for what, place, amount in [*steps, *[("take", place, 10**6) for place in range(4)]]:
        connection = places[place]
        if what == "tick":
            tick(amount)
        elif what == "join" and connection is None:
            places[place] = join(place, amount)
        elif what == "take" and connection is not None:
            connection.transport.take(amount)
        elif what == "leave" and connection is not None:
            broadcaster.leave(connection.session)
            places[place] = None
    for _ in range(100):  # Paused players resume.
        tick(0)
        for connection in places:
            if connection is not None:
                connection.transport.take(10**6)
    for connection, first in joined:
        has_gone = connection not in places
        last = followed(bytes(connection.transport.kernel), first, forms[connection], is_cut=has_gone)
        assert has_gone or last == history.tick
    if not any(forms.values()):
        assert counters.deflates_total == 0
    assert counters.deflates_total <= history.tick + history.snapshots_total
    assert broadcaster.behind == 0
    assert broadcaster._subscriptions.keys() == {connection.session for connection in places if connection is not None}


def followed(stream: bytes, first: int, wants_deflate: bool, is_cut: bool) -> int:
    """Checks that a stream begins with a snapshot of tick `first` and has no gap. Returns its last tick."""
    deframer, tick = Deframer(SERVER_PAYLOAD_BYTES), -1
    for payload in deframer.receive(stream):
        assert wants_deflate or op_of(payload) != Op.DEFLATED
        message = decode_server(plain(payload))
        assert isinstance(message, Tick | Snapshot)
        if tick < 0:
            assert isinstance(message, Snapshot)
            assert message.tick == first
        else:
            assert message.tick > tick if isinstance(message, Snapshot) else message.tick == tick + 1
        tick = message.tick
    assert is_cut or not deframer.buffered_bytes
    return tick
