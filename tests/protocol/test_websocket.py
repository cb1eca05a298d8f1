"""WebSocket: whatever the network and the peer's fragments do to a stream, the payloads are the same."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import BINARY, CLOSE, CONT, PING, PONG, Close, Frame
from websockets.protocol import OPEN, Protocol, Side
from websockets.server import ServerProtocol

from zoneserver.protocol.messages import Bye
from zoneserver.protocol.upgrade import SUBPROTOCOL, accept_key, response_error, upgrade_request
from zoneserver.protocol.websocket import (
    WEBSOCKET,
    WEBSOCKET_CLIENT,
    Opcode,
    WebSocketReader,
    frame,
    masked_frame,
)

PAYLOAD_BYTES_MAX = 300
SIDES = {Side.SERVER: WEBSOCKET, Side.CLIENT: WEBSOCKET_CLIENT}
BYE = Bye("KICKED", "no reason", False).encode()

sides = st.sampled_from([Side.SERVER, Side.CLIENT])
# Messages of both lengths of a header; a ping or a pong between fragments.
LONG = bytes(range(100, 200)) * 3
messages = st.binary(min_size=1, max_size=20) | st.integers(120, PAYLOAD_BYTES_MAX).map(lambda size: LONG[:size])
controls = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))
# Per mille of a length.
places = st.lists(st.integers(0, 1000), max_size=6)
turns = st.lists(st.tuples(messages, places, st.lists(controls, max_size=2)), max_size=6)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut * len(data) // 1000 for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


def reader_of(side: Side) -> WebSocketReader:
    """A reader for the bytes that the other side sends."""
    reader = SIDES[side].reader(PAYLOAD_BYTES_MAX)
    assert isinstance(reader, WebSocketReader)
    return reader


def peer_of(side: Side) -> Protocol:
    """`websockets`, in an open connection with this side."""
    return Protocol(Side.CLIENT if side is Side.SERVER else Side.SERVER, state=OPEN, max_size=None)


def said_by(peer: Protocol, turns: Iterable[tuple[bytes, list[int], list[tuple[int, bytes]]]]) -> bytes:
    """What the peer sends: each message in fragments, with control frames behind the first fragment."""
    for message, cuts, controls in turns:
        fragments = pieces(message, cuts)
        for place, fragment in enumerate(fragments):
            opcode = CONT if place else BINARY
            peer.send_frame(Frame(opcode, fragment, fin=place == len(fragments) - 1))
            if not place:
                for control in controls:
                    peer.send_frame(Frame(*control))
    return b"".join(peer.data_to_send())


def heard_by(peer: Protocol, data: bytes) -> list[Frame]:
    """The frames that the peer reads."""
    peer.receive_data(data)
    assert peer.parser_exc is None
    return [event for event in peer.events_received() if isinstance(event, Frame)]


def violation(side: Side, data: bytes) -> str | None:
    """What the reader says about bytes that come behind a good message. Every split gives the same."""
    good = (masked_frame if side is Side.SERVER else frame)(b"good")
    said = set()
    for step in (len(good) + len(data), 1):
        reader, found, stream = reader_of(side), list[bytes](), good + data
        for start in range(0, len(stream), step):
            found += reader.receive(stream[start : start + step])
        assert found[0] == b"good" and not any(found[1:])
        assert not reader.error or (reader.buffered_bytes == 0 and reader.receive(good) == [])
        said.add(
            (reader.error, reader.goodbye(BYE, "PROTOCOL_ERROR", False)[len(BYE) :] if side is Side.SERVER else b"")
        )
    ((error, _),) = said
    return error


# --- Any split, any fragmentation, both roles -----------------------------------------------------


@given(sides, turns, places, st.none() | st.integers(1, 3))
def test_any_split_of_a_peers_fragments_gives_its_messages(
    side: Side, turns: list[tuple[bytes, list[int], list[tuple[int, bytes]]]], cuts: list[int], limit: int | None
) -> None:
    reader, peer, found, frames = reader_of(side), peer_of(side), list[bytes](), 0
    for piece in pieces(said_by(peer, turns), cuts):
        some = reader.receive(piece, limit)
        assert reader.buffered_bytes <= PAYLOAD_BYTES_MAX * 2 or limit is not None
        while some:
            assert limit is None or len(some) <= limit
            found, frames = found + [payload for payload in some if payload], frames + len(some)
            some = reader.receive(b"", limit)
    assert (found, reader.error, reader.buffered_bytes) == ([message for message, _, _ in turns], None, 0)
    assert frames == sum(len(cuts) + 1 + len(controls) for _, cuts, controls in turns)
    pings = [body for _, _, controls in turns for opcode, body in controls if opcode is PING]
    assert [(pong.opcode, pong.data) for pong in heard_by(peer, b"".join(reader.replies))] == [
        (PONG, ping) for ping in pings
    ]


@given(sides, st.lists(messages | st.just(bytes(70_000)), max_size=4))
def test_a_peer_reads_what_is_wrapped(side: Side, payloads: list[bytes]) -> None:
    sent = b"".join(map(SIDES[side].wrap, payloads))
    assert [(got.opcode, got.data) for got in heard_by(peer_of(side), sent)] == [(BINARY, body) for body in payloads]


@pytest.mark.parametrize("length", [1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("side", SIDES)
def test_a_message_in_one_piece_is_not_held_back(side: Side, length: int) -> None:
    payload = bytes(range(256)) * (length // 256 + 1)
    sent = SIDES[Side.CLIENT if side is Side.SERVER else Side.SERVER].wrap(payload[:length])
    reader = SIDES[side].reader(length)
    assert reader.receive(sent) == [payload[:length]]
    assert reader.receive(sent[:-1]) == [] and reader.receive(sent[-1:]) == [payload[:length]]
    assert SIDES[side].reader(length - 1).receive(sent) == []


def test_a_client_masks_each_frame_anew() -> None:
    sent = {WEBSOCKET_CLIENT.wrap(b"hello") for _ in range(20)}
    assert len(sent) > 1
    assert all(reader_of(Side.SERVER).receive(data) == [b"hello"] for data in sent)
    assert {len(data) for data in sent} == {5 + WEBSOCKET.overhead_bytes}


def test_a_whole_message_stays_in_line_behind_what_is_buffered() -> None:
    reader = reader_of(Side.SERVER)
    reader.receive(masked_frame(b"a") + masked_frame(b"b"), 1)
    assert reader.receive(masked_frame(b"c")) == [b"b", b"c"]


def test_fragments_count_against_the_limit_even_if_they_carry_nothing() -> None:
    reader = reader_of(Side.SERVER)
    start, more = fragment(b"", Opcode.BINARY), fragment(b"", Opcode.CONTINUATION)
    assert reader.receive(start + more * 100, 5) == [b""] * 5
    assert reader.receive(b"", 200) == [b""] * 96
    assert reader.buffered_bytes == 0


# --- Violations -------------------------------------------------------------------------------------


def fragment(payload: bytes, opcode: int, *, last: bool = False) -> bytes:
    """A masked frame that may be a fragment."""
    data = masked_frame(payload, opcode)
    return bytes((data[0] & (0xFF if last else 0x7F),)) + data[1:]


@pytest.mark.parametrize(
    ("data", "words", "status"),
    [
        pytest.param(frame(b"a"), "without a mask", 1002, id="no mask"),
        pytest.param(bytes((0xC2, 0x81)), "reserved bits", 1002, id="RSV1"),
        pytest.param(bytes((0x92, 0x81)), "reserved bits", 1002, id="RSV3"),
        pytest.param(bytes((0x83, 0x81)), "reserved opcode 3", 1002, id="opcode 3"),
        pytest.param(bytes((0x8B, 0x81)), "reserved opcode 11", 1002, id="opcode 11"),
        pytest.param(bytes((0x09, 0x80)), "control frame in fragments", 1002, id="a ping in fragments"),
        pytest.param(bytes((0x89, 0xFE)), "more than 125 bytes", 1002, id="a long ping"),
        pytest.param(masked_frame(b"a", Opcode.CONTINUATION), "a fragment of no message", 1002, id="no first fragment"),
        pytest.param(
            fragment(b"a", Opcode.BINARY) + masked_frame(b"b"), "within another", 1002, id="a message within a message"
        ),
        pytest.param(masked_frame(b"a", Opcode.TEXT), "text message", 1003, id="text"),
        pytest.param(bytes((0x82, 0xFE, 1, 45)), "frame of 301 bytes, allowed are 1 to 300", 1009, id="too big"),
        pytest.param(bytes((0x82, 0xFF)) + b"\xff" * 8, "frame of 18446744073709551615 bytes", 1009, id="far too big"),
        pytest.param(
            fragment(bytes(200), Opcode.BINARY) + fragment(bytes(101), Opcode.CONTINUATION)[:8],
            "frame of 301 bytes",
            1009,
            id="fragments too big together",
        ),
        pytest.param(bytes((0x82, 0xFE, 0, 125)), "a length of 125 in 2 bytes", 1002, id="a long length"),
        pytest.param(bytes((0x82, 0xFE, 0, 4)) + bytes(8), "a length of 4 in 2 bytes", 1002, id="a whole one"),
        pytest.param(bytes((0x82, 0xFF)) + bytes(7) + b"\x05", "a length of 5 in 8 bytes", 1002, id="a longer length"),
        pytest.param(masked_frame(b""), "frame of 0 bytes", 4001, id="an empty message"),
        pytest.param(masked_frame(b"\x03", Opcode.CLOSE), "close frame with the status 3", 1002, id="half a status"),
        pytest.param(masked_frame(b"\x03\xed", Opcode.CLOSE), "status 1005", 1002, id="a status not for the wire"),
        pytest.param(masked_frame(b"\x03\xe8\xff", Opcode.CLOSE), "not UTF-8", 1007, id="a reason that is no text"),
    ],
)
def test_violation_is_refused_with_its_status(data: bytes, words: str, status: int) -> None:
    error = violation(Side.SERVER, data)
    assert error is not None and words in error
    reader = reader_of(Side.SERVER)
    reader.receive(data)
    bye, close = heard_by(peer_of(Side.SERVER), reader.goodbye(BYE, "PROTOCOL_ERROR", False))
    assert bye.data == BYE
    assert Close.parse(close.data) == Close(status, "PROTOCOL_ERROR")


def test_client_refuses_masked_frames() -> None:
    assert violation(Side.CLIENT, masked_frame(b"a")) == "a masked frame"


def test_violation_behind_the_limit_is_refused_when_its_turn_comes() -> None:
    reader = reader_of(Side.SERVER)
    assert reader.receive(masked_frame(b"a") + frame(b"b"), 1) == [b"a"]
    assert reader.error is None
    assert reader.receive(b"", 1) == []
    assert reader.error is not None


def test_body_of_an_oversize_frame_is_never_kept() -> None:
    reader = reader_of(Side.SERVER)
    reader.receive(masked_frame(bytes(PAYLOAD_BYTES_MAX + 1)))
    reader.receive(bytes(1000))
    assert reader.error is not None and reader.buffered_bytes == 0


# --- The end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("retry", "status"), [(True, 4000), (False, 4001)])
@pytest.mark.parametrize("side", SIDES)
def test_goodbye_is_bye_and_a_close_frame_with_the_code(side: Side, retry: bool, status: int) -> None:
    said = reader_of(side).goodbye(BYE, "KICKED", retry)
    bye, close = heard_by(peer_of(side), said)
    assert (bye.opcode, bye.data, close.opcode) == (BINARY, BYE, CLOSE)
    assert Close.parse(close.data) == Close(status, "KICKED")


@pytest.mark.parametrize("code", [1000, 1001, 4999, None])
@pytest.mark.parametrize("side", SIDES)
def test_a_peers_close_frame_ends_the_stream_and_is_answered_in_kind(side: Side, code: int | None) -> None:
    reader, peer = reader_of(side), peer_of(side)
    peer.send_binary(b"last")
    peer.send_close(code)
    assert reader.receive(b"".join(peer.data_to_send()) + b"more") == [b"last"]
    assert (reader.is_ended, reader.error, reader.buffered_bytes) == (True, "the peer closed the connection", 0)
    assert reader.receive(b"\x82\x81") == []
    (close,) = heard_by(peer, reader.goodbye(BYE, "CONNECTION_LOST", True))
    assert close.opcode is CLOSE
    assert close.data == (b"" if code is None else code.to_bytes(2))


# --- The opening handshake ----------------------------------------------------------------------------


def test_accept_is_that_of_the_standard() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_peer_answers_the_request_and_the_client_takes_its_answer() -> None:
    server = ServerProtocol(subprotocols=[SUBPROTOCOL])  # type: ignore[list-item]
    request, accept = upgrade_request("localhost:7000", "/play")
    server.receive_data(request)
    (asked,) = server.events_received()
    assert (asked.path, asked.headers["Host"]) == ("/play", "localhost:7000")  # type: ignore[union-attr]
    server.send_response(server.accept(asked))  # type: ignore[arg-type]
    head = b"".join(server.data_to_send())
    assert head.endswith(b"\r\n\r\n")
    assert response_error(head, accept) is None


def test_each_request_has_a_key_of_its_own() -> None:
    assert upgrade_request("localhost") != upgrade_request("localhost")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("101 Switching", "403 Forbidden", "answered 'HTTP/1.1 403"),
        ("websocket\r", "h2c\r", "answered Upgrade: 'h2c'"),
        ("s3pP", "xxxx", "answered Sec-WebSocket-Accept: 'xxxx"),
        (SUBPROTOCOL, "zone.99", "answered Sec-WebSocket-Protocol: 'zone.99'"),
        ("Connection: Upgrade\r\n", "", "answered Connection: ''"),
    ],
)
def test_client_refuses_another_answer(old: str, new: str, words: str) -> None:
    head = (
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    )
    assert response_error(head.encode(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") is None
    error = response_error(head.replace(old, new).encode(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    assert error is not None and words in error
