"""The inputs of the targets: golden messages, damaged in many ways, among random bytes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hypothesis import strategies as st

from fuzz.crowd import VISITORS
from fuzz.gateway_script import ACTIONS, VERBS, act, hang_up, hello, read_slowly, repeat, send_golden, send_recipe, tick
from fuzz.scripts import GOLDEN, RECIPE, UNPACKABLE
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.websocket import frame, masked_frame

__all__ = ["inputs", "seeds"]

STREAM_HEAD, MIXED_HEAD = bytes((2, 6, 3, 20)), bytes((2, 6, 3 | 128, 20))
"""The heads of seeds for streams, see `targets.head_and_stream`."""
RECIPES = [RECIPE + bytes((which,)) for which in range(len(UNPACKABLE))]

WEB_HEADS = [bytes((2, 6, 3, side)) for side in range(4)]
"""The heads of seeds for frames of WebSocket: of a client or a server, as they are or by `web_stream`."""


def web_step(kind: int, payload: bytes = b"", *, goes_on: bool = False) -> bytes:
    """A frame for `web_stream`."""
    return bytes((kind | len(payload) << 3 | goes_on << 7,)) + payload


WEB_SEEDS = [
    # A message, a ping within fragments, a pong and a close frame; fragments above the limit together.
    web_step(0, b"hi") + web_step(0, b"a", goes_on=True) + web_step(3, b"x") + web_step(2, b"b") + web_step(4),
    web_step(0, bytes(15)) + web_step(5, b"ok") + web_step(0, b"later"),
    web_step(0, bytes(15), goes_on=True) + web_step(2, bytes(15)),
]

ACT_HEAD = bytes.fromhex("9302019192a161")
TICK_HEAD = bytes.fromhex("9c120264c0909094c40101c400c400c40093c40101c400c4009090909194c0c0a161")
DEEP = [head + b"\x91" * depth + b"\xc0" for head in (ACT_HEAD, TICK_HEAD) for depth in (250, 500, 600, 1000, 1017)]
"""Actions and events with arrays nested as deeply as fits a payload."""


def seeds(target: str) -> list[bytes]:
    """The inputs that a fuzzer begins with."""
    match target:
        case "decoding":
            return [*GOLDEN, *RECIPES, *DEEP]
        case "replica":
            said = list(map(counted, [*GOLDEN, *RECIPES]))
            return [*said, b"".join(said)]
        case "client":
            said = [bytes((how,)) + counted(payload) for payload in [*GOLDEN, *RECIPES] for how in range(6)]
            return [*said, b"".join(said[::6] + said[1::6])]
        case "gateway":
            come, go = b"\0" + step(hello, 3 | 64) + step(tick), step(tick) * 2 + step(hang_up) + step(tick)
            # Whole lives of a player: join, send every action while reading slowly, catch up, flood, leave.
            slow, caught_up, too_much = step(read_slowly, 9), step(read_slowly, 255) * 3 + step(tick), step(repeat, 20)
            lives = [[come, slow, *acts(), step(tick) * behind, caught_up, too_much, go] for behind in (2, 12)]
            scripts = [come + words + go for words in (*golden_steps(), *recipe_steps())] + list(map(b"".join, lives))
            return scripts + [bytes((settings,)) + script[1:] for script in scripts[-2:] for settings in (1, 2, 3)]
        case "web_frames" | "web_session":
            hidden = partial(masked_frame, mask=b"\1\2\3\4")
            whole = [
                head + wrap(said) for said in GOLDEN for head, wrap in zip(WEB_HEADS, (hidden, frame), strict=False)
            ]
            kinds = bytes(range(0, 256, 3)) + bytes(range(256))
            return whole + [head + said for head in WEB_HEADS[2:] for said in (*WEB_SEEDS, kinds)]
        case _:
            streams = [STREAM_HEAD + length_prefixed(said) for said in GOLDEN]
            return [*streams, STREAM_HEAD + b"".join(map(length_prefixed, GOLDEN)), MIXED_HEAD + bytes(range(256))]


def inputs(target: str) -> st.SearchStrategy[bytes]:
    """Seeds, damaged seeds, and pieces of seeds in any order."""
    spoilt = st.tuples(
        st.sampled_from(seeds(target)), st.integers(0, 200), st.integers(0, 4), st.binary(max_size=4)
    ).map(lambda parts: parts[0][: parts[1]] + parts[3] + parts[0][parts[1] + parts[2] :])
    some = st.sampled_from(scraps(target)) | st.binary(max_size=12)
    pieced = st.lists(some, max_size=30).map(b"".join)
    recipes = st.tuples(st.sampled_from(RECIPES), st.binary(max_size=6)).map(b"".join)
    match target:
        case "decoding":
            return recipes | spoilt | pieced
        case "replica":
            return spoilt | st.lists(recipes.map(counted), max_size=10).map(b"".join)
        case "client":
            said = st.tuples(st.integers(0, 5).map(lambda how: bytes((how,))), recipes.map(counted)).map(b"".join)
            return spoilt | st.lists(said, max_size=10).map(b"".join)
        case "gateway":
            return spoilt | pieced
        case "web_frames" | "web_session":
            return spoilt | st.tuples(st.sampled_from(WEB_HEADS), pieced).map(b"".join)
        case _:
            return spoilt | st.tuples(st.sampled_from([STREAM_HEAD, MIXED_HEAD]), pieced).map(b"".join)


def scraps(target: str) -> Sequence[bytes]:
    """Pieces of inputs that have a meaning at any place."""
    match target:
        case "decoding":
            return [said[:2] for said in GOLDEN] + [said[2:] for said in GOLDEN]
        case "web_frames" | "web_session":
            return [seed[4:] for seed in seeds(target)] + [bytes((what,)) for what in range(0, 256, 5)]
        case "gateway":
            joins = [step(hello, visitor, visitor=visitor) for visitor in range(VISITORS)]
            return [
                step(tick),
                *joins,
                *acts(),
                *golden_steps(),
                *recipe_steps(),
                *(seed[1:] for seed in seeds(target)),
            ]
        case _:
            return list(map(length_prefixed, GOLDEN))


def counted(payload: bytes) -> bytes:
    """A payload after a byte with its length, cut to 255 bytes."""
    return bytes((min(len(payload), 255),)) + payload[:255]


def step(verb: object, *read: int, visitor: int = 0) -> bytes:
    """One step of a script for the gateway."""
    return bytes((VERBS.index(verb) * VISITORS + visitor, *read))  # type: ignore[arg-type]


def acts() -> list[bytes]:
    """A step for each kind of action, with suitable arguments."""
    text = (2, 104, 105)
    read = [(10, 20), (1,), (1,), (0,), text, (5,), (*text, 7), (3, 2)]
    return [step(act, 0, kind, *bytes_read) for kind, bytes_read in zip(range(len(ACTIONS)), read, strict=True)]


def golden_steps() -> list[bytes]:
    return [step(send_golden, which) for which in range(len(GOLDEN))]


def recipe_steps() -> list[bytes]:
    """A step for each recipe, with some changed values."""
    return [step(send_recipe, 3, which, 200, what) for which in range(len(UNPACKABLE)) for what in range(0, 128, 16)]
