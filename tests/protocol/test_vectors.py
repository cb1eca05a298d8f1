"""Golden vectors: the bytes of every message on the wire, for authors of clients in other languages.

In `vectors.json` a meaning holds the type of the message and its fields by name, with columns as lists of numbers and
bytes in hex. The bytes change only when the protocol does.
"""

import dataclasses
import json
from array import array
from typing import Any, cast

import pytest
from helpers.paths import ROOT

from zoneserver.protocol import messages
from zoneserver.protocol.decoding import WireError, decode_client, decode_server, inflate_message
from zoneserver.protocol.framing import Deframer, length_prefixed
from zoneserver.protocol.messages import ClientMessage, Op, ServerMessage, Snapshot, Tick
from zoneserver.protocol.world import World

VECTORS: dict[str, Any] = json.loads((ROOT / "tests/vectors.json").read_text(encoding="utf-8"))
MESSAGES = {vector["name"]: vector for vector in VECTORS["messages"]}
REFUSED = {vector["name"]: bytes.fromhex(vector["hex"]) for vector in VECTORS["refused"]}
NOT_DEFLATED = {vector["name"]: bytes.fromhex(vector["hex"]) for vector in VECTORS["not_deflated"]}


def names(*directions: str) -> list[str]:
    return [name for name, vector in MESSAGES.items() if vector["direction"] in directions]


def decoded(name: str) -> ClientMessage | ServerMessage:
    vector = MESSAGES[name]
    return {"client": decode_client, "server": decode_server}[vector["direction"]](bytes.fromhex(vector["hex"]))


def plain(value: Any) -> Any:
    """A value of a message in types of JSON."""
    if isinstance(value, bytes):
        return value.hex()
    return [plain(element) for element in value] if isinstance(value, list | tuple | array) else value


def meaning_of(message: ClientMessage | ServerMessage) -> dict[str, Any]:
    fields = message._asdict() if isinstance(message, tuple) else vars_of(message)
    return {"type": type(message).__name__} | {name: plain(value) for name, value in fields.items()}


def vars_of(message: Any) -> dict[str, Any]:
    return {field.name: getattr(message, field.name) for field in dataclasses.fields(message)}


def message_of(meaning: dict[str, Any]) -> ClientMessage | ServerMessage:
    fields = {name: value for name, value in meaning.items() if name != "type"}
    for name in {"ticket", "data"} & set(fields):
        fields[name] = bytes.fromhex(fields[name])
    return cast("ClientMessage | ServerMessage", getattr(messages, meaning["type"])(**fields))


@pytest.mark.parametrize("name", names("client", "server"))
def test_the_bytes_decode_to_the_meaning(name: str) -> None:
    assert meaning_of(decoded(name)) == MESSAGES[name]["meaning"]


@pytest.mark.parametrize("name", names("client", "server"))
def test_the_meaning_encodes_to_the_bytes(name: str) -> None:
    assert message_of(MESSAGES[name]["meaning"]).encode().hex() == MESSAGES[name]["hex"]


@pytest.mark.parametrize("name", names("stream"))
def test_the_stream_splits_into_the_payloads_and_back(name: str) -> None:
    stream = bytes.fromhex(MESSAGES[name]["hex"])
    payloads = [bytes.fromhex(payload) for payload in MESSAGES[name]["meaning"]["payloads"]]
    assert Deframer(64).receive(stream) == payloads
    assert b"".join(map(length_prefixed, payloads)) == stream


@pytest.mark.parametrize("name", [name for name, vector in MESSAGES.items() if "holds" in vector])
def test_the_deflated_vector_inflates_to_the_named_vector(name: str) -> None:
    # Only inflating is checked: another server may deflate a message to other bytes.
    assert inflate_message(bytes.fromhex(MESSAGES[name]["hex"])).hex() == MESSAGES[MESSAGES[name]["holds"]]["hex"]


@pytest.mark.parametrize("name", NOT_DEFLATED)
def test_a_client_rejects_these_bytes_as_deflated(name: str) -> None:
    with pytest.raises(WireError):
        inflate_message(NOT_DEFLATED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_a_server_rejects_these_bytes(name: str) -> None:
    with pytest.raises(WireError):
        decode_client(REFUSED[name])


def test_the_vectors_cover_every_op_and_both_forms_of_slots() -> None:
    payloads = [bytes.fromhex(MESSAGES[name]["hex"]) for name in names("client", "server")]
    assert {messages.op_of(payload) for payload in payloads} == set(Op)
    ticks = [message for message in map(decoded, names("server")) if isinstance(message, Tick)]
    movers = [list(tick.movers) for tick in ticks]
    assert [0, 1, 2, 7, 8, 15] in movers  # a bitmap is shorter
    assert [3, 500] in movers  # a list is shorter


def test_applying_the_tick_to_the_snapshot_gives_the_hash() -> None:
    chain = VECTORS["chain"]
    snapshot, tick = decoded(chain["snapshot"]), decoded(chain["tick"])
    assert isinstance(snapshot, Snapshot)
    assert isinstance(tick, Tick)
    world = World(chain["width"], chain["height"], chain["stats"])
    world.restore(snapshot)
    world.apply(tick)
    assert world.hash() == chain["hash"] == tick.hash
    assert world.holders == chain["names"]
    assert [list(world.position(slot)) for slot in world.slots()] == chain["positions"]
