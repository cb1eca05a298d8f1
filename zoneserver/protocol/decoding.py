"""Decoding: from untrusted bytes to a message, or to WireError.

Every decoder has limits on lengths and reads nothing beyond them. The type of each field of a decoded message has been
checked; only the arguments of an action and the values of an event are left to the game.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgpack

from zoneserver.protocol import messages
from zoneserver.protocol.columns import ColumnError, unpack_column, unpack_slots
from zoneserver.protocol.compression import inflate
from zoneserver.protocol.messages import Act, ClientMessage, Op, ServerMessage, op_of
from zoneserver.protocol.values import ACTIONS_PER_PACKET, NESTING_MAX
from zoneserver.protocol.zone_info import BOARD_INTEGER_MAX, BOARD_TEXT_BYTES_MAX, Kind, ZoneInfo

__all__ = ["WireError", "decode_act", "decode_client", "decode_server", "inflate_message"]

_SLOTS_MAX = 65_536
# Bounds of a server's message that no honest server meets. Beyond them a small payload would take a hundred times its
# size in memory once it is decoded. Only SNAPSHOT and TICK grow with the zone.
_SMALL_BYTES_MAX = 256 * 1024
_STATS_MAX = 256
_KINDS_MAX = 256
_ARRAY_MAX = 512 * 1024
_ELEMENTS_MAX = 1024 * 1024
_DEFLATABLE = {Op.SNAPSHOT, Op.TICK}
_LARGE = {*_DEFLATABLE, Op.DEFLATED}
_SEQ_MAX = 2**32 - 1
# An ACT with arrays that are nested too deeply has at least so many bytes, and so many headers of arrays among them.
_NESTED_BYTES_MIN, _NESTED_HEADERS_MIN = 7 + NESTING_MAX, 4 + NESTING_MAX
_NO_HEADERS = bytes(set(range(256)) - {*range(0x90, 0xA0), 0xDC, 0xDD})


class WireError(ValueError):
    """Bytes that are not a message of this protocol. The connection that they came on must be closed."""


def _refuse(*_: Any) -> Any:
    # msgpack calls this hook for a map or an extension of length zero, which passes the limits on lengths.
    raise WireError("a message must not contain a map or an extension")


def decode_client(payload: bytes) -> ClientMessage:
    """The message in a payload from a client. Raises WireError, whatever the bytes are."""
    try:
        message = _unpack(payload)
    except WireError:
        version = _version_of_hello(payload)
        if version in {None, messages.PROTOCOL_VERSION}:
            raise
        return messages.Hello(version, "", b"")
    if type(message) is tuple and message and type(message[0]) is int:
        decode = _CLIENT_DECODERS.get(message[0])
        if decode is not None:
            return decode(message)
    raise WireError("this is not a message that a client may send")


def decode_act(payload: bytes) -> tuple[int, Sequence[tuple[Any, ...]]]:
    """The sequence and the actions in a payload whose op is ACT. Raises WireError, whatever the other bytes are.

    It accepts exactly what `decode_client` accepts, but skips the dispatch and builds no Act: nearly every payload that
    a server reads is an ACT.
    """
    seq, actions = _act_in(_unpack(payload))
    # This is faster than a look at each argument.
    if len(payload) >= _NESTED_BYTES_MIN and len(payload.translate(None, _NO_HEADERS)) >= _NESTED_HEADERS_MIN:
        _check_nesting(actions)
    return seq, actions


def _unpack(payload: bytes) -> Any:
    try:
        return msgpack.unpackb(
            payload,
            use_list=False,
            max_array_len=ACTIONS_PER_PACKET,
            max_map_len=0,
            max_ext_len=0,
            max_str_len=1024,
            max_bin_len=1024,
            object_hook=_refuse,
            ext_hook=_refuse,
        )
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise WireError(f"the payload is not a msgpack value within the limits: {error}"[:120]) from None


def _version_of_hello(payload: bytes) -> int | None:
    """The version in a HELLO that may hold anything behind it; None if the payload does not begin as a HELLO."""
    reader = msgpack.Unpacker(max_buffer_size=len(payload), max_array_len=0, max_map_len=0)
    reader.feed(payload)
    try:
        # A later version may have more elements than this one.
        count, op, version = reader.read_array_header(), reader.unpack(), reader.unpack()
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException):
        return None
    return version if count > 1 and type(op) is int and op == Op.HELLO and type(version) is int else None


# In Python a bool is an int, so numbers are checked for their exact type. The functions below run once per packet, and
# use plain comparisons because a match statement takes three times as long.


def _act_in(message: tuple[Any, ...]) -> tuple[int, tuple[tuple[Any, ...], ...]]:
    if len(message) != 3:
        raise WireError("ACT must have three elements: op, sequence, actions")
    _, seq, actions = message
    if type(seq) is not int or not 0 < seq <= _SEQ_MAX - ACTIONS_PER_PACKET:
        raise WireError(f"a sequence must be a whole number from 1 to {_SEQ_MAX - ACTIONS_PER_PACKET}")
    if type(actions) is not tuple or not actions:
        raise WireError("ACT must contain at least one action")
    for act in actions:
        if type(act) is not tuple or not act or type(act[0]) is not str:
            raise WireError("an action must be an array whose first element is its kind, a str")
    return seq, actions


def _check_nesting(actions: tuple[tuple[Any, ...], ...]) -> None:
    """Raises WireError for an argument that is nested too deeply: a gateway passes it on within other arrays, and
    readers of msgpack have bounds of their own."""
    arrays, depth = list(actions), 0
    while arrays := [each for array in arrays for each in array if type(each) is tuple]:
        depth += 1
        if depth > NESTING_MAX:
            raise WireError(f"arrays in an action are nested more than {NESTING_MAX} deep")


def _decode_act(message: tuple[Any, ...]) -> Act:
    seq, actions = _act_in(message)
    _check_nesting(actions)
    return Act(seq, actions)


def _decode_hello(message: tuple[Any, ...]) -> messages.Hello:
    if len(message) > 1 and type(message[1]) is int and message[1] != messages.PROTOCOL_VERSION:
        # The HELLO of another version may have other elements; the answer is VERSION_MISMATCH in any case.
        return messages.Hello(message[1], "", b"")
    if tuple(map(type, message[1:])) != (int, str, bytes, tuple, str):
        raise WireError("HELLO must have the elements op, version, name, ticket, options and game version")
    _texts(message[4])
    return messages.Hello(*message[1:])


def _decode_resume(message: tuple[Any, ...]) -> messages.Resume | messages.Hello:
    if len(message) > 1 and type(message[1]) is int and message[1] != messages.PROTOCOL_VERSION:
        return messages.Hello(message[1], "", b"")
    if tuple(map(type, message[1:])) != (int, str, bytes, int, int, tuple, str):
        raise WireError("RESUME must have the elements op, version, name, token, epoch, tick, options and game version")
    _texts(message[6])
    if len(message[3]) != messages.TOKEN_BYTES or not 0 <= message[4] <= _SEQ_MAX or not 0 <= message[5] <= _SEQ_MAX:
        raise WireError(f"a token has {messages.TOKEN_BYTES} bytes, and epoch and tick are from 0 to {_SEQ_MAX}")
    return messages.Resume(*message[1:])


def _decode_ping(message: tuple[Any, ...]) -> messages.Ping:
    if len(message) != 2 or type(message[1]) is not int or not 0 <= message[1] < 2**63:
        raise WireError("PING must have two elements: op, and a token from 0 to 2**63 - 1")
    return messages.Ping(message[1])


def _decode_goodbye(message: tuple[Any, ...]) -> messages.Goodbye:
    if len(message) != 1:
        raise WireError("GOODBYE must have one element: op")
    return messages.Goodbye()


_CLIENT_DECODERS: dict[int, Callable[[tuple[Any, ...]], ClientMessage]] = {
    Op.ACT: _decode_act,
    Op.HELLO: _decode_hello,
    Op.RESUME: _decode_resume,
    Op.PING: _decode_ping,
    Op.GOODBYE: _decode_goodbye,
}


def decode_server(payload: bytes) -> ServerMessage:
    """The message in a payload from a server. Raises WireError, whatever the bytes are."""
    if len(payload) > _SMALL_BYTES_MAX and op_of(payload) not in _LARGE:
        raise WireError(f"this is not a message of a server: it has {len(payload)} bytes")
    try:
        message = msgpack.unpackb(
            payload,
            use_list=False,
            max_map_len=0,
            max_ext_len=0,
            max_array_len=_ARRAY_MAX,
            max_str_len=65_536,
            object_hook=_refuse,
            ext_hook=_refuse,
            # Each element takes a byte: a payload that is not larger needs no counting.
            list_hook=_element_counter() if len(payload) > _ELEMENTS_MAX else None,
        )
        if type(message) is not tuple or type(message[0]) is not int:
            raise WireError("a message must be an array whose first element is its op, a whole number")
        return _SERVER_DECODERS[message[0]](message)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, msgpack.UnpackException) as error:
        raise WireError(f"this is not a message of a server: {error}"[:120]) from None


def _element_counter() -> Callable[[Any], Any]:
    """A hook that lets all arrays of a message have _ELEMENTS_MAX elements together."""
    count = 0

    def counted(array: Any) -> Any:
        nonlocal count
        count += 1 + len(array)
        if count > _ELEMENTS_MAX:
            raise WireError(f"it has more than {_ELEMENTS_MAX:,} elements")
        return array

    return counted


def inflate_message(payload: bytes) -> bytes:
    """The payload of the SNAPSHOT or TICK within the payload of a DEFLATED. It is not decoded.

    Raises WireError, whatever the bytes are, and if the inflated payload is larger than SERVER_PAYLOAD_BYTES.
    """
    message = decode_server(payload)
    if not isinstance(message, messages.Deflated):
        raise WireError("the message is not DEFLATED")
    try:
        inflated = inflate(message.data, messages.SERVER_PAYLOAD_BYTES)
    except ValueError as error:
        raise WireError(str(error)) from None
    if op_of(inflated) not in _DEFLATABLE:
        raise WireError("DEFLATED must contain a SNAPSHOT or a TICK")
    return inflated


# Later versions may add elements at the end of a message of a server; `*_` ignores them.


def _decode_welcome(message: tuple[Any, ...]) -> messages.Welcome:
    _, version, slot, tick, (game, game_version), measures, kinds, board, limits, options, resume, *_ = message
    _integers((version, 0 if slot is None else slot, tick))
    _texts((game, game_version))
    hz, width, height, speed_step = _integers(measures)
    if hz < 1 or speed_step < 1:
        raise WireError("the tick rate and the step of speed must be above zero")
    if not 0 < len(kinds) <= _KINDS_MAX or not len(board) <= _STATS_MAX:
        raise WireError(f"a zone has 1 to {_KINDS_MAX} kinds, and at most {_STATS_MAX} entries on its board")
    named = tuple((name, _on_board(value)) for name, value in board)
    _texts(tuple(name for name, _ in named))
    zone = ZoneInfo(game, game_version, hz, width, height, speed_step, tuple(map(_kind, kinds)), named)
    payload_bytes_max, actions_max = _integers(limits)
    limits_and_options = payload_bytes_max, actions_max, _texts(options)
    return messages.Welcome(version, slot, tick, zone, *limits_and_options, None if resume is None else _return(resume))


def _return(resume: Any) -> messages.Return:
    token, *numbers = resume
    if type(token) is not bytes or len(token) != messages.TOKEN_BYTES:
        raise WireError(f"a token must have {messages.TOKEN_BYTES} bytes")
    grace_ticks, epoch, seq, *_ = _integers(tuple(numbers))
    return messages.Return(token, grace_ticks, epoch, seq)


def _kind(kind: Any) -> Kind:
    name, stats = kind
    if len(stats) > _STATS_MAX:
        raise WireError(f"a kind has at most {_STATS_MAX} stats")
    named = tuple((stat, first) for stat, first in stats)
    _texts((name, *(stat for stat, _ in named)))
    _integers(tuple(first for _, first in named))
    return Kind(name, named)


def _on_board(value: Any) -> int | str:
    if type(value) is int and -BOARD_INTEGER_MAX <= value <= BOARD_INTEGER_MAX:
        return value
    if type(value) is str and len(value.encode()) <= BOARD_TEXT_BYTES_MAX:
        return value
    raise WireError("a value of the board must be a whole number or a short str")


def _decode_snapshot(message: tuple[Any, ...]) -> messages.Snapshot:
    _, tick, holders, motion, stats, board, *_ = message
    motions = [unpack_column(code, data) for code, data in zip("iibbIB", motion, strict=True)]
    columns = [unpack_column("i", data) for data in stats]
    if type(holders) is not tuple or len(holders) > _SLOTS_MAX:
        raise WireError("the slots of SNAPSHOT must be an array of at most 65,536")
    if any(len(column) != len(holders) for column in (*motions, *columns)):
        raise ColumnError("each column of SNAPSHOT must have one value for each slot")
    if not all(holder is None or _is_holder(holder) for holder in holders):
        raise WireError("each slot in SNAPSHOT must hold a str, a kind above 0, or nil")
    _integers((tick,))
    x, y, vx, vy, since, seq = motions
    return messages.Snapshot(tick, list(holders), x, y, vx, vy, since, seq, columns, tuple(map(_on_board, board)))


def _is_holder(holder: Any) -> bool:
    return type(holder) is str or (type(holder) is int and holder > 0)


def _decode_tick(message: tuple[Any, ...]) -> messages.Tick:
    _, tick, dilation_percent, state_hash, leaves, came, acted, steered, placed, stats, board, events, *_ = message
    _integers((tick, dilation_percent, 0 if state_hash is None else state_hash))
    if not 1 <= dilation_percent <= 100:
        raise WireError("dilation must be from 1 to 100")
    _integers(leaves)
    if type(came) is not tuple or type(board) is not tuple or type(events) is not tuple:
        raise WireError("joins, board and events of TICK must be arrays")
    if len(came) % 2 or len(_integers(placed)) % 5 or len(_integers(stats)) % 3 or len(board) % 2:
        raise WireError("the last record of joins, placed, stats or board in TICK is cut short")
    joins = tuple(zip(came[::2], came[1::2], strict=True))
    for slot, holder in joins:
        # A slot above the maximum would make the receiver store all free slots below it.
        if type(slot) is not int or not 0 <= slot < _SLOTS_MAX or not _is_holder(holder):
            raise WireError("a join must have two elements: slot, name or kind")
    _integers(board[::2])
    for value in board[1::2]:
        _on_board(value)
    for slot, seq, kind, *_ in events:
        if type(kind) is not str or not (type(slot) is type(seq) is int or slot is seq is None):
            raise WireError("an event must begin with slot, sequence, kind, or with nil, nil, kind")
    moved = _motions(acted, "Bbb"), _motions(steered, "bb")
    return messages.Tick(
        *(tick, dilation_percent, state_hash, leaves, joins, *moved[0], *moved[1], placed, stats, board, events)
    )


def _motions(group: Any, codes: str) -> list[Any]:
    """A set of slots, and its columns with one value for each slot."""
    packed, *columns = group
    slots = unpack_slots(packed)
    unpacked = [unpack_column(code, data) for code, data in zip(codes, columns, strict=True)]
    if any(len(column) != len(slots) for column in unpacked):
        raise ColumnError("a column of TICK must have one value for each slot of its set")
    return [slots, *unpacked]


def _decode_told(message: tuple[Any, ...]) -> messages.Told:
    _, tick, kind, values, *_ = message
    _integers((tick,))
    _texts((kind,))
    return messages.Told(tick, kind, _array(values))


def _decode_answered(message: tuple[Any, ...]) -> messages.Answered:
    _, tick, seq, values, *_ = message
    _integers((tick, seq))
    return messages.Answered(tick, seq, _array(values))


def _array(values: Any) -> Sequence[Any]:
    if type(values) is not tuple:
        raise WireError("an array was expected")
    return values


def _decode_deflated(message: tuple[Any, ...]) -> messages.Deflated:
    if type(message[1]) is not bytes:
        raise WireError("the data of DEFLATED must be of type bin")
    return messages.Deflated(message[1])


def _texts(values: Any) -> Sequence[Any]:
    if type(values) is not tuple or not all(type(value) is str for value in values):
        raise WireError("a str was expected")
    return values


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise WireError("true or false was expected")
    return value


def _integers(values: Any) -> Sequence[Any]:
    if type(values) is not tuple or not all(type(value) is int for value in values):
        raise WireError("a whole number was expected")
    return values


_SERVER_DECODERS: dict[int, Callable[[tuple[Any, ...]], ServerMessage]] = {
    Op.WELCOME: _decode_welcome,
    Op.SNAPSHOT: _decode_snapshot,
    Op.TICK: _decode_tick,
    Op.PONG: lambda message: messages.Pong(*_integers((message[1], message[2], message[3]))),
    Op.REFUSED: lambda message: messages.Refusal(*_integers(message[1:3]), *_texts(message[3:5])),
    Op.TOLD: _decode_told,
    Op.ANSWERED: _decode_answered,
    Op.DEFLATED: _decode_deflated,
    Op.BYE: lambda message: messages.Bye(*(*_texts(message[1:3]), _flag(message[3]))),
}
