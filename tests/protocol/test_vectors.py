"""The golden vectors, for authors of clients in other languages: `vectors.json` agrees with the code, and a client that
breaks any rule of PROTOCOL.md disagrees with it.
"""

import json
from typing import Any

import msgpack
import pytest
from golden.document import PATH, document
from golden.meaning import meaning, plain
from golden.messages import bytes_of
from small_client.checks import complaints
from small_client.client import SmallClient
from small_client.rules import RULES
from zoneclient.outcomes import Outcomes
from zoneclient.protocol import ClientProtocol

from zoneserver.protocol.codes import RefusalCode
from zoneserver.protocol.decoding import WireError, decode_client, decode_server, inflate_message
from zoneserver.protocol.framing import Deframer, length_prefixed
from zoneserver.protocol.messages import (
    PROTOCOL_VERSION,
    SERVER_PAYLOAD_BYTES,
    Act,
    Answered,
    ClientMessage,
    Hello,
    Op,
    Refusal,
    ServerMessage,
    Snapshot,
    Tick,
    Welcome,
    op_of,
)
from zoneserver.protocol.player_names import is_name
from zoneserver.protocol.tickets import issue_ticket, ticket_to_text
from zoneserver.protocol.websocket import WEBSOCKET, WEBSOCKET_CLIENT, Opcode, frame, masked_frame
from zoneserver.protocol.world import World

VECTORS: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
MESSAGES = {vector["name"]: vector for vector in VECTORS["messages"]}


def named(section: str) -> pytest.MarkDecorator:
    """A parameter for each vector of a section."""
    return pytest.mark.parametrize("vector", VECTORS[section], ids=lambda vector: vector["name"])


def bytes_in(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["hex"])


def decoded(vector: dict[str, Any]) -> ClientMessage | ServerMessage:
    return (decode_client if vector.get("from") == "client" else decode_server)(bytes_in(vector))


def read(payload: bytes) -> ServerMessage:
    return decode_server(inflate_message(payload) if op_of(payload) == Op.DEFLATED else payload)


def test_the_file_is_what_the_generator_writes() -> None:
    assert PATH.read_text(encoding="utf-8") == document(), "run `python -m golden` in the folder `tests`"


# --- The code of the project agrees -----------------------------------------------------------------


@named("messages")
def test_the_bytes_decode_to_the_meaning_and_back(vector: dict[str, Any]) -> None:
    message = decoded(vector)
    assert meaning(message) == vector["message"]
    assert bytes_of(message) == bytes_in(vector)


@pytest.mark.parametrize("name", [name for name, vector in MESSAGES.items() if "holds" in vector])
def test_the_deflated_vector_inflates_to_the_named_vector(name: str) -> None:
    # Only inflating is checked: another server may deflate a message to other bytes.
    assert inflate_message(bytes_in(MESSAGES[name])).hex() == MESSAGES[MESSAGES[name]["holds"]]["hex"]


def test_the_messages_cover_every_op_and_both_forms_of_slots() -> None:
    assert {op_of(bytes_in(vector)) for vector in MESSAGES.values()} == set(Op)
    frames = [message for message in map(decoded, MESSAGES.values()) if isinstance(message, Tick)]
    movers = [list(frame.movers) for frame in frames]
    assert [0, 1, 2, 7, 8, 15] in movers  # a bitmap is shorter
    assert [3, 513, 65535] in movers  # a list is shorter


@named("reads")
def test_a_client_reads_other_forms(vector: dict[str, Any]) -> None:
    message = decoded(vector)
    assert meaning(message) == vector["message"]
    assert message.encode() != bytes_in(vector)


@named("ignored")
async def test_a_client_ignores_ops_of_later_versions(vector: dict[str, Any]) -> None:
    ClientProtocol("ann").on_payload(bytes_in(vector))


@named("client_refuses")
def test_a_client_refuses_what_no_server_sends(vector: dict[str, Any]) -> None:
    payload, before = bytes_in(vector), vector.get("after")
    if before is None:
        with pytest.raises(WireError):
            read(payload)
        return
    welcome, snapshot = map(decode_server, map(bytes.fromhex, before))
    assert isinstance(welcome, Welcome)
    assert isinstance(snapshot, Snapshot)
    world = World(welcome.zone)
    world.restore(snapshot)
    if "strict" in vector:
        take(world, read(payload))  # It changes numbers of a free slot, and nothing else.
        return
    with pytest.raises((ValueError, LookupError)):
        take(world, read(payload))


def take(world: World, message: ServerMessage) -> None:
    """Applies a SNAPSHOT or TICK."""
    if isinstance(message, Snapshot):
        world.restore(message)
    else:
        assert isinstance(message, Tick)
        world.apply(message)


@named("server_refuses")
def test_a_server_refuses_what_no_client_sends(vector: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        decode_client(bytes_in(vector))


@named("other_versions")
def test_a_server_sees_the_version_whatever_follows(vector: dict[str, Any]) -> None:
    hello = decode_client(bytes_in(vector))
    assert isinstance(hello, Hello)
    assert hello.version != PROTOCOL_VERSION


@named("streams")
def test_the_stream_splits_into_the_payloads(vector: dict[str, Any]) -> None:
    deframer, payloads = Deframer(SERVER_PAYLOAD_BYTES), list[str]()
    for chunk in vector["chunks"]:
        payloads += [payload.hex() for payload in deframer.receive(bytes.fromhex(chunk))]
    assert payloads == vector["payloads"]
    assert (deframer.error is not None) == vector["error"]
    joined = b"".join(length_prefixed(bytes.fromhex(payload)) for payload in payloads)
    assert bytes.fromhex("".join(vector["chunks"])).startswith(joined)


@named("web_frames")
def test_both_sides_of_a_web_socket_write_and_read_the_frames(vector: dict[str, Any]) -> None:
    payload, opcode, mask = bytes.fromhex(vector["payload"]), vector["opcode"], bytes.fromhex(vector["mask"])
    assert frame(payload, opcode).hex() == vector["server"]
    assert masked_frame(payload, opcode, mask).hex() == vector["client"]
    for framing, side in ((WEBSOCKET, "client"), (WEBSOCKET_CLIENT, "server")):
        reader = framing.reader(SERVER_PAYLOAD_BYTES)
        expected = {Opcode.BINARY: [payload], Opcode.CLOSE: []}.get(opcode, [b""])
        assert reader.receive(bytes.fromhex(vector[side])) == expected
        assert reader.is_ended == (opcode == Opcode.CLOSE) == (reader.error is not None)


@named("tickets")
def test_the_ticket_is_made_of_its_parts(vector: dict[str, Any]) -> None:
    secret, nonce = bytes.fromhex(vector["secret"]), bytes.fromhex(vector["nonce"])
    ticket = issue_ticket(secret, vector["name"], vector["zone"], vector["expiry"], nonce)
    assert (ticket.hex(), ticket_to_text(ticket)) == (vector["ticket"], vector["text"])


def test_a_server_allows_and_refuses_the_names() -> None:
    assert [name for name in VECTORS["names"]["allowed"] if not is_name(name)] == []
    assert [name for name in VECTORS["names"]["refused"] if is_name(name)] == []


@named("chains")
def test_each_step_of_a_chain_makes_the_state(vector: dict[str, Any]) -> None:
    welcome = decode_server(bytes.fromhex(vector["welcome"]))
    assert isinstance(welcome, Welcome)
    world = World(welcome.zone)
    for step in vector["steps"]:
        message, state = read(bytes.fromhex(step["hex"])), step["state"]
        take(world, message)
        assert world.hash() == state["hash"]
        assert getattr(message, "hash", None) in {None, state["hash"]}
        columns = {name: list(getattr(world, name)) for name in ("x", "y", "vx", "vy", "since", "seq")}
        whole = {"tick": world.tick, "slots": world.holders, **columns, "board": plain(world.board)}
        assert whole == {name: state[name] for name in whole}
        assert [list(column) for column in world.stats] == state["stats"]
        places = [None if holder is None else list(world.position(at)) for at, holder in enumerate(world.holders)]
        assert places == state["positions"]


@named("sessions")
def test_the_client_knows_the_outcomes_of_a_session(vector: dict[str, Any]) -> None:
    outcomes, slot, known, sent = Outcomes(), None, dict[int, str](), set[int]()
    for step in vector["steps"]:
        payload = bytes_in(step)
        if step["from"] == "client":
            message = decode_client(payload)
            for seq in range(message.seq, message.seq + len(message.actions)) if isinstance(message, Act) else ():
                outcomes.sent(seq)
                sent.add(seq)
        elif op_of(payload) in set(Op):
            received = read(payload)
            if isinstance(received, Welcome):
                slot = received.slot
            elif slot is not None:
                tell(outcomes, slot, received)
        known |= {int(seq): outcome for seq, outcome in step.get("outcomes", {}).items()}
        assert {seq for seq in sent if outcomes.fate(seq) is not None} == set(known)
        for seq, outcome in known.items():
            assert agrees(outcomes.fate(seq), outcome), (seq, outcome)
    assert {seq for seq in sent if outcomes.fate(seq) is None} == set(vector["waiting"])


def tell(outcomes: Outcomes, slot: int, message: ServerMessage) -> None:
    match message:
        case Refusal():
            outcomes.refused(message)
        case Answered():
            outcomes.answered(message.seq)
        case Tick():
            acted = [seq for mover, seq in zip(message.movers, message.seqs, strict=True) if mover == slot]
            outcomes.in_frame(acted + [event[1] for event in message.events if event[0] == slot])
        case Snapshot():
            outcomes.in_snapshot(message.seq[slot])


def agrees(fate: bool | Refusal | None, outcome: str) -> bool:
    match outcome:
        case "happened" | "answered":
            return fate is True
        case "superseded":
            return fate is False
        case "past":
            return isinstance(fate, bool)
        case "dropped":
            return isinstance(fate, Refusal) and fate.code == RefusalCode.MUTED
    return isinstance(fate, Refusal) and fate.code == outcome


# --- A client of a stranger -------------------------------------------------------------------------


def test_a_client_that_was_written_from_the_page_agrees_with_all_vectors() -> None:
    assert list(complaints(VECTORS, SmallClient)) == []


@pytest.mark.parametrize("rule", RULES)
def test_the_vectors_notice_a_client_that_breaks_a_rule(rule: str) -> None:
    assert list(complaints(VECTORS, lambda: SmallClient(broken=rule))) != []


def test_a_vector_of_the_client_has_the_same_meaning_for_another_library() -> None:
    for vector in VECTORS["messages"]:
        if vector["from"] == "client":
            assert msgpack.unpackb(bytes_in(vector))[0] == Op[vector["message"]["op"]]
