"""The bodies of records: from values to bytes and back."""

from __future__ import annotations

from operator import itemgetter
from typing import Any
from zlib import crc32

import msgpack

from zoneserver.journal.values import Checkpoint, Header, RecordedTick
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.zone_info import Kind, ZoneInfo
from zoneserver.zone.link import Batch, Command, Ended, Join, Requests, Resumed, Standing, TickInput, TickOutput
from zoneserver.zone.schema import SCHEMA_START

__all__ = [
    "decode_checkpoint",
    "decode_header",
    "decode_tick",
    "encode_header",
    "encode_input",
    "encode_output",
    "encode_state",
    "failed_output",
    "private_checksum",
    "recorded_tick",
]

_TEXT = "surrogatepass"
"""An operator's words come from JSON, which allows texts that are no Unicode."""
# The codes of the extensions for what msgpack does not have.
_TUPLE, _LARGE_INTEGER = 1, 2
_PAYLOAD = itemgetter(1)
# How many lists an INPUT has at most.
_LISTS = 11
# An ANSWERED has a few numbers ahead of its values.
_ANSWER_HEAD_BYTES = 60

_pack = msgpack.Packer(autoreset=True, unicode_errors=_TEXT).pack


# --- Ticks ----------------------------------------------------------------------------------------

# Everything in a tick is a number, a text, bytes or a tuple of these: the lists are known by their place. What the zone
# gets again has the types that it had.


def encode_input(tick_input: TickInput, output: TickOutput) -> bytes:
    """The body of an INPUT. A join with a bad ticket is left out: the zone took nothing from it."""
    tick, unix_seconds, dilation_percent, requests = tick_input
    joins = requests.joins
    if joins and output.ended:
        rejected = {ended.ref for ended in output.ended if ended.reason is CloseReason.BAD_TICKET}
        joins = [join for join in joins if join.ref not in rejected]
    lists = joins, requests.leaves, requests.drops, requests.confirmed, requests.actions, requests.commands
    rare = requests.batches, requests.lost, requests.bans, requests.standings, requests.failed
    # Most ticks of a zone without gateways in other processes have no such lists.
    return _pack((tick, unix_seconds, dilation_percent, *lists, *(rare if any(rare) else ())))


def encode_output(output: TickOutput) -> bytes:
    """The body of an OUTPUT."""
    return _pack((output.frame, output.joined, output.resumed, private_checksum(output), output.saves))


def private_checksum(output: TickOutput) -> int:
    """The CRC-32 of what a tick told somebody alone; 0 of nothing.

    What says nothing of the state of the game is left out: bad tickets, as in the INPUT; the schema of the game; and
    why a command was not done, which may name a line of the code.
    """
    told = output.told
    payloads = b"".join(map(_PAYLOAD, told))
    if SCHEMA_START in payloads:
        told = [each for each in told if SCHEMA_START not in each[1][:_ANSWER_HEAD_BYTES]]
        payloads = b"".join(map(_PAYLOAD, told))
    ended = [one for one in output.ended if one.reason is not CloseReason.BAD_TICKET]
    results = [(ref, is_done, text if is_done else "") for ref, is_done, text in output.results]
    if not (told or output.refused or ended or results):
        return 0
    refs = [ref for ref, _ in told]
    return crc32(payloads, crc32(_pack((refs, output.refused, ended, results))))


def recorded_tick(tick_input: TickInput, output: TickOutput) -> RecordedTick:
    """A tick as a journal would give it back."""
    told = output.frame, output.joined, output.resumed, private_checksum(output), output.saves
    return RecordedTick(tick_input, *told)


def failed_output(tick: int) -> TickOutput:
    """What the journal has of a tick that failed: an empty frame."""
    return TickOutput(tick, b"", 0, [], [], [])


def decode_tick(input_body: bytes, output_body: bytes) -> RecordedTick:
    """A tick from its two records. Raises ValueError or TypeError for a body of another form."""
    tick, unix_seconds, dilation_percent, *lists = _unpack(input_body)
    # An earlier version has fewer, and most ticks have.
    lists += [()] * (_LISTS - len(lists))
    joins, leaves, drops, confirmed, actions, commands, batches, lost, bans, standings, failed = lists
    requests = Requests(
        joins=[Join(*join) for join in joins],
        leaves=list(leaves),
        drops=list(drops),
        confirmed=list(confirmed),
        actions=list(actions),
        commands=[Command(*command) for command in commands],
        batches=[Batch(*batch) for batch in batches],
        lost=list(lost),
        bans=list(bans),
        standings=[(ref, Standing(*standing)) for ref, standing in standings],
        failed=[Ended.of(each) for each in failed],
    )
    frame, joined, resumed, private, saves = _unpack(output_body)
    tick_input = TickInput(tick, unix_seconds, dilation_percent, requests)
    return RecordedTick(tick_input, frame, list(joined), [Resumed.of(one) for one in resumed], private, list(saves))


def _unpack(body: bytes) -> Any:
    return msgpack.unpackb(body, use_list=False, unicode_errors=_TEXT)


# --- Plain values ---------------------------------------------------------------------------------

# A state and the parameters of a zone are any plain values: a list stays a list, a tuple a tuple, and a whole number
# may have any size.


def _pack_plain(value: Any) -> bytes:
    # A packer is in use while it calls `default`, so a tuple within a tuple needs another one.
    packer = msgpack.Packer(default=_extension, strict_types=True, unicode_errors=_TEXT, buf_size=1024)  # type: ignore[call-arg]
    return packer.pack(value)


def _extension(value: Any) -> msgpack.ExtType:
    if type(value) is tuple:
        return msgpack.ExtType(_TUPLE, _pack_plain(list(value)))
    if type(value) is int:
        return msgpack.ExtType(_LARGE_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, signed=True))
    raise TypeError(f"a {type(value).__name__} is no plain value, so no journal can keep it")


def _unpack_plain(body: bytes) -> Any:
    return msgpack.unpackb(body, ext_hook=_value_of, strict_map_key=False, unicode_errors=_TEXT)


def _value_of(code: int, body: bytes) -> Any:
    if code == _TUPLE:
        return tuple(_unpack_plain(body))
    if code == _LARGE_INTEGER:
        return int.from_bytes(body, signed=True)
    raise ValueError(f"there is no extension {code}")


def encode_state(state: dict[str, Any]) -> bytes:
    """The body of a STATE. Raises TypeError for a value that is not plain."""
    return _pack_plain(state)


def decode_checkpoint(tick: int, snapshot: bytes, state_body: bytes) -> Checkpoint:
    """A checkpoint from its two records. Raises ValueError or TypeError for a body of another form."""
    return Checkpoint(tick, snapshot, _unpack_plain(state_body))


def encode_header(header: Header) -> bytes:
    """The body of a HEADER. Raises as `encode_state` does."""
    game = header.game
    kinds = tuple(tuple(kind) for kind in game.kinds)
    return _pack_plain(header._asdict() | {"game": game._asdict() | {"kinds": kinds}})


def decode_header(body: bytes) -> Header:
    """A header. Raises ValueError or TypeError for a body of another form."""
    values = _unpack_plain(body)
    game = values["game"]
    kinds = tuple(Kind(*kind) for kind in game["kinds"])
    return Header(**values | {"game": ZoneInfo(**game | {"kinds": kinds})})
