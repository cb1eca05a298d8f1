"""What the targets are fed: golden messages, spoilt in every way, among bytes that mean nothing."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from fuzz.crowd import CHAIRS
from fuzz.deeds import ACTIONS, VERBS, act, again, hang_up, hello, misspeak, read_slowly, speak, tick
from fuzz.scripts import RECIPE, SPOKEN, UNPACKABLE
from zoneserver.protocol.framing import frame

__all__ = ["inputs", "seeds"]

STREAM_HEAD, WOVEN_HEAD = bytes((2, 6, 3, 20)), bytes((2, 6, 3 | 128, 20))
"""How a seed's stream is cut and read, see `targets.head_and_stream`."""
RECIPES = [RECIPE + bytes((which,)) for which in range(len(UNPACKABLE))]

ACT_HEAD, TICK_HEAD = bytes.fromhex("9302019192a161"), bytes.fromhex("9d120264c0c40101c400c400c400909090909194c0c0a161")
DEEP = [head + b"\x91" * depth + b"\xc0" for head in (ACT_HEAD, TICK_HEAD) for depth in (250, 500, 600, 1000, 1017)]
"""An action and an event that carry as deep a nest of arrays as fits a payload."""


def seeds(target: str) -> list[bytes]:
    """Inputs that reach deep, for a fuzzer to begin with."""
    match target:
        case "decoding":
            return [*SPOKEN, *RECIPES, *DEEP]
        case "replica":
            said = list(map(counted, [*SPOKEN, *RECIPES]))
            return [*said, b"".join(said)]
        case "client":
            said = [bytes((how,)) + counted(payload) for payload in [*SPOKEN, *RECIPES] for how in range(6)]
            return [*said, b"".join(said[::6] + said[1::6])]
        case "gateway":
            come, go = b"\0" + step(hello, 3 | 64) + step(tick), step(tick) * 2 + step(hang_up) + step(tick)
            # Whole lives: in, doing everything there is while reading slowly, too far behind or not,
            # caught up, then too much of everything, and out.
            slow, caught_up, too_much = step(read_slowly, 9), step(read_slowly, 255) * 3 + step(tick), step(again, 20)
            lives = [[come, slow, *acts(), step(tick) * behind, caught_up, too_much, go] for behind in (2, 12)]
            scripts = [come + words + go for words in (*spoken(), *misspoken())] + list(map(b"".join, lives))
            return scripts + [bytes((settings,)) + script[1:] for script in scripts[-2:] for settings in (1, 2, 3)]
        case _:
            streams = [STREAM_HEAD + frame(said) for said in SPOKEN]
            return [*streams, STREAM_HEAD + b"".join(map(frame, SPOKEN)), WOVEN_HEAD + bytes(range(256))]


def inputs(target: str) -> st.SearchStrategy[bytes]:
    """Seeds as they are, seeds of which some bytes are others, and scraps of them in any order."""
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
        case _:
            return spoilt | st.tuples(st.sampled_from([STREAM_HEAD, WOVEN_HEAD]), pieced).map(b"".join)


def scraps(target: str) -> Sequence[bytes]:
    """Pieces of inputs that mean something wherever they stand."""
    match target:
        case "decoding":
            return [said[:2] for said in SPOKEN] + [said[2:] for said in SPOKEN]
        case "gateway":
            joins = [step(hello, chair, chair=chair) for chair in range(CHAIRS)]
            return [step(tick), *joins, *acts(), *spoken(), *misspoken(), *(seed[1:] for seed in seeds(target))]
        case _:
            return list(map(frame, SPOKEN))


def counted(payload: bytes) -> bytes:
    """A payload behind a byte with its length, for a script to read; cut off where it is too long for that."""
    return bytes((min(len(payload), 255),)) + payload[:255]


def step(verb: object, *read: int, chair: int = 0) -> bytes:
    """One step of a script for the gateway."""
    return bytes((VERBS.index(verb) * CHAIRS + chair, *read))  # type: ignore[arg-type]


def acts() -> list[bytes]:
    """A packet with one action of each kind, with arguments that suit it."""
    text = (2, 104, 105)
    read = [(10, 20), (1,), (1,), (0,), text, (5,), (*text, 7), (3, 2)]
    return [step(act, 0, kind, *bytes_read) for kind, bytes_read in zip(range(len(ACTIONS)), read, strict=True)]


def spoken() -> list[bytes]:
    return [step(speak, which) for which in range(len(SPOKEN))]


def misspoken() -> list[bytes]:
    """Recipes that change nothing, or the value that is all but the last."""
    return [step(misspeak, 3, which, 200, what) for which in range(len(UNPACKABLE)) for what in range(0, 128, 16)]
