"""Bytes that are no message, messages that are no action, and actions that may not be."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter

import msgpack

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.decoding import WireError, decode_client
from zoneserver.protocol.framing import frame
from zoneserver.protocol.messages import Bye, Op, Refusal
from zonetools.common.server_process import ServerProcess
from zonetools.soak.lab import Checks, Finding, Lab, stats
from zonetools.soak.peers import RawClient, RecordingClient, act, hello, packet
from zonetools.soak.tasks import together

__all__ = ["bad_actions", "garbage", "worst_frame"]

_FRAME_BYTES_MAX = 1024


def _worst_candidates(seed: int) -> list[bytes]:
    """Frames that are as much work to refuse as we can think of, and some that chance thinks of."""
    room = _FRAME_BYTES_MAX
    chance = random.Random(seed)
    wide = b"\x9f" + b"\xc0" * 15
    candidates = [
        b"\x91" * room,
        b"\x9f" * room,
        b"\x93\x02\x01" + b"\x9f" + (b"\x9f" + b"\xc0" * 15) * 15,
        b"\x93\x02\x01\x9f" + b"".join(b"\x9f" + b"\xa1x" + b"\xc0" * 14 for _ in range(15)),
        b"\x93\x02\x01\xdc\x00\x10" + (b"\xdc\x00\x10" + b"\xa1a" * 16) * 16,
        b"\x9f" + (wide * 4) * 15,
        b"\x93\x02\x01\x91" + b"\xda\x03\xf0" + b"\xff" * 1008,
        b"\x93\x02\x01\x91\x92\xa1k\xda\x03\xe8" + "ä".encode() * 500,
        b"\x93\x02\x01\x91\x92\xa1k\xc5\x03\xe8" + b"\x00" * 1000,
        b"\xdf\xff\xff\xff\xff" + b"\xc0" * 1000,
        b"\xdd\xff\xff\xff\xff" + b"\x91" * 1000,
        b"\x93\x02\xcf" + b"\xff" * 8 + b"\x91\x91\xa1k",
        b"\xc7\xff\x01" + b"\x00" * 1000,
    ]
    pieces = (b"\x91", b"\x92", b"\x9f", b"\xdc\x00\x10", b"\xc0", b"\xa0", b"\xcb" + b"\x00" * 8, b"\xc4\x00", b"\x80")
    for _ in range(300):
        drawn = b"".join(chance.choice(pieces) for _ in range(room))
        candidates.append(chance.choice((b"", b"\x93\x02\x01\x9f"))[:4] + drawn)
    return [candidate[:room] for candidate in candidates]


async def worst_frame(lab: Lab) -> Finding:
    """Row 7: what the decoder needs for the worst frame we know, and what an oversize one is refused on."""
    checks, worst = Checks(), (0.0, b"")
    for candidate in _worst_candidates(lab.seed):
        times = []
        for _ in range(lab.pick(25, 9)):
            began = time.perf_counter()
            with contextlib.suppress(WireError):
                decode_client(candidate)
            times.append(time.perf_counter() - began)
        worst = max(worst, (min(times), candidate))
        await asyncio.sleep(0)
    checks.expect(worst[0] <= 100e-6, f"a frame takes longer than 100 us: {worst[1][:16].hex()}...")
    megabytes = lab.pick(16, 4)
    async with lab.server() as server:
        before = await stats(server)
        client = await lab.raw(server)
        # The header alone: one byte too many is announced, none is sent.
        await client.send((_FRAME_BYTES_MAX + 1).to_bytes(4))
        said = await client.bye(1.0)
        checks.expect(said is not None and said.code == CloseReason.PROTOCOL_ERROR, f"oversize ends with {said}")
        client.close()
        client = await lab.raw(server)
        await client.send((2**31).to_bytes(4))
        try:
            for _ in range(megabytes):
                await client.send(bytes(1024 * 1024))
        except OSError:
            pass  # It is thrown out long before.
        grown = ((await stats(server)).rss_bytes - before.rss_bytes) / 1024**2
        client.close()
        client = await lab.raw(server)
        await client.send(hello("largest") + frame(b"\xc0" * _FRAME_BYTES_MAX)[:-1])
        await client.send(b"\xc0")
        largest = await client.bye()
        client.close()
    checks.expect(
        largest is not None and "while in" not in largest.text and "bytes" not in largest.text,
        "a frame of exactly 1 KB is refused on its header",
    )
    checks.expect(grown < 2.0, f"the body of an oversize frame is buffered: +{grown:.1f} MB")
    return checks.finding(
        f"{worst[0] * 1e6:.0f} us for the worst of {len(_worst_candidates(lab.seed))} frames (decoder alone, best of "
        f"many); 1,025 bytes refused on the header, {megabytes} MB behind one cost {max(0.0, grown):.1f} MB"
    )


# --- Garbage --------------------------------------------------------------------------------------


def _streams(seed: int) -> dict[str, bytes]:
    """Streams that break the protocol, whole: what comes after HELLO."""
    chance = random.Random(seed)
    nested = b"\x91" * 1000
    return {
        "noise": frame(chance.randbytes(200)),
        "no length": bytes(4) + b"abc",
        "huge header": b"\xff\xff\xff\xff" + bytes(100),
        "one byte too large": (_FRAME_BYTES_MAX + 1).to_bytes(4) + bytes(100),
        "deep nesting": frame(nested),
        "cut short": frame(packet(Op.ACT, 1, [["say", "hello"]])[4:-3]),
        "too much": frame(packet(Op.PING, 1)[4:] + b"\xc0"),
        "a map": packet(Op.ACT, 1, [["say", {}]]),
        "an extension": packet(Op.ACT, 1, [["say", msgpack.ExtType(5, b"")]]),
        "not UTF-8": frame(b"\x93\x02\x01\x91\x92\xa3say\xa2\xff\xfe"),
        "huge string header": frame(b"\x93\x02\x01\x91\x92\xa3say\xdb\xff\xff\xff\xff"),
        "unknown op": packet(9, 1),
        "a server's op": packet(Op.TICK, 1),
        "HELLO again": hello("again"),
        "wide ACT": packet(Op.ACT, 1, [["say", "x"]] * 17),
        "empty ACT": packet(Op.ACT, 1, []),
        "ACT without a kind": packet(Op.ACT, 1, [[]]),
        "sequence 0": packet(Op.ACT, 0, [["emote", 1]]),
        "sequence beyond": packet(Op.ACT, 2**32, [["emote", 1]]),
        "stale sequence": act(5, ("emote", 1)) + act(5, ("emote", 1)),
        "true for a number": packet(Op.PING, True),
        "PING below zero": packet(Op.PING, -1),
        "text for GOODBYE": packet(Op.GOODBYE, "bye"),
        "a GET": b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
    }


async def garbage(lab: Lab) -> Finding:
    """Row 10: every stream, in one piece, byte by byte, and split at random, before HELLO and after."""
    checks, chance = Checks(), random.Random(lab.seed)
    sessions = 0
    async with lab.server() as server, lab.witness(server, "witness") as witness:
        for name, stream in _streams(lab.seed).items():
            answers = await together(
                *(
                    _answer(lab, server, stream, sizes, playing=True)
                    for sizes in ([len(stream)], [1], *_splits(chance, lab.pick(6, 2)))
                )
            )
            sessions += len(answers)
            checks.expect(len(set(answers)) == 1, f"{name!r} ends differently for different splits: {set(answers)}")
            codes = {code for code, _ in answers}
            checks.expect(codes == {CloseReason.PROTOCOL_ERROR}, f"{name!r} ends with {codes}")
            if name != "HELLO again":
                code, _ = await _answer(lab, server, stream, [len(stream)], playing=False)
                sessions += 1
                checks.expect(code == CloseReason.PROTOCOL_ERROR, f"{name!r} before HELLO ends with {code}")
        seen = await stats(server)
        await witness.ticks(1)
        checks.expect(seen.players == 1, "somebody honest is gone, or somebody else is not")
    longest = max((len(line) for line in server.log.splitlines()), default=0)
    checks.expect("Traceback" not in server.log, "the server logs a traceback")
    checks.expect(longest <= 200, f"a log line has {longest} bytes")
    return checks.finding(
        f"{len(_streams(lab.seed))} kinds, {sessions} sessions, any split: PROTOCOL_ERROR, "
        f"no traceback, longest log line {longest} bytes"
    )


def _splits(chance: random.Random, count: int) -> list[list[int]]:
    return [[chance.randint(1, 40) for _ in range(20)] for _ in range(count)]


async def _answer(lab: Lab, server: ServerProcess, stream: bytes, sizes: list[int], playing: bool) -> tuple[str, str]:
    """What a stream that comes in pieces of such sizes, over and over, is answered with: code and text."""
    client = await lab.raw(server)
    try:
        if playing:
            await client.join(f"junk-{lab.address()}")
        try:
            start = turn = 0
            while start < len(stream):
                size = sizes[turn % len(sizes)]
                await client.send(stream[start : start + size])
                start, turn = start + size, turn + 1
                await asyncio.sleep(0)
        except OSError:
            pass  # It is over before all of it is sent.
        said = await client.bye()
        return (said.code, said.text) if said is not None else ("nothing", "")
    finally:
        client.close()


# --- Actions --------------------------------------------------------------------------------------

_NAN = float("nan")
# What is tried, and the code that answers it.
_ACTIONS: list[tuple[str, tuple[object, ...]]] = [
    ("TOO_FAST", ("move", 26, 0)),
    ("BAD_PAYLOAD", ("move", 128, 0)),
    ("BAD_PAYLOAD", ("move", _NAN, 0)),
    ("BAD_PAYLOAD", ("move", float("inf"), 0)),
    ("BAD_PAYLOAD", ("move", True, 0)),
    ("BAD_PAYLOAD", ("move", "1", 0)),
    ("BAD_PAYLOAD", ("move", 1)),
    ("BAD_PAYLOAD", ("move", 1, 1, 0)),
    ("BAD_PAYLOAD", ("move", 2**63, 0)),
    ("BAD_PAYLOAD", ("emote", 6)),
    ("BAD_PAYLOAD", ("emote", -1)),
    ("BAD_PAYLOAD", ("say", "")),
    ("BAD_PAYLOAD", ("say", "\x1b[2J")),
    ("BAD_PAYLOAD", ("say", "x" * 201)),
    ("BAD_PAYLOAD", ("say", b"bytes")),
    ("BAD_PAYLOAD", ("say", None)),
    ("UNKNOWN_ACTION", ("teleport", 1, 1)),
    ("UNKNOWN_ACTION", ("on_join",)),
    ("UNKNOWN_ACTION", ("__init__",)),
    ("UNKNOWN_ACTION", ("",)),
    ("NO_TARGET", ("strike", 999)),
    ("NO_TARGET", ("heal", 60_000)),
    ("SELF", ("strike", None)),
    ("OUT_OF_RANGE", ("strike", None)),
]


async def bad_actions(lab: Lab) -> Finding:
    """Row 16: none of it is broadcast, all of it is answered, and who goes on is out at the twentieth."""
    checks = Checks()
    async with lab.server() as server, lab.witness(server, "witness") as witness:
        offenders = await together(
            *(_try(lab, server, witness, number, *each, checks) for number, each in enumerate(_ACTIONS))
        )
        cooldown = await _cooldown(lab, server)
        checks.expect(cooldown == ["COOLDOWN"], f"a second heal within its cooldown is answered with {cooldown}")
        ladder = await _ladder(lab, server, witness)
        checks.expect(
            ladder == {"WARNED": 10, "MUTED": 15, "PROTOCOL_ERROR": 20},
            f"the ladder of glitches is {ladder} rather than 10, 15, 20",
        )
        state = await _bad_states(lab, server)
        checks.expect(set(state) == {"PROTOCOL_ERROR"}, f"messages in a wrong state end with {state}")
        await witness.ticks(2)
        seen = await stats(server)
    slots = set(offenders)
    told = [
        event for _, tick in witness.frames for event in tick.events if event[0] in slots and event[2] != "heal"
    ] + [slot for _, tick in witness.frames for slot in tick.movers if slot in slots]
    checks.expect(not told, f"something of it is broadcast: {told[:2]}")
    refused = sum(seen.refusals.values())
    checks.expect("Traceback" not in server.log, "the server logs a traceback")
    return checks.finding(
        f"{len(_ACTIONS) + 1} kinds refused with their codes ({refused} in all), 0 broadcast; glitches: warned at "
        f"{ladder.get('WARNED')}, muted at {ladder.get('MUTED')}, out at {ladder.get('PROTOCOL_ERROR')}"
    )


async def _try(
    lab: Lab,
    server: ServerProcess,
    witness: RecordingClient,
    number: int,
    code: str,
    action: tuple[object, ...],
    checks: Checks,
) -> int:
    """Does one thing, and sees how it is answered; returns the slot that must not be seen to do anything."""
    client = await lab.raw(server)
    try:
        slot = (await client.join(f"bad-{number}")).slot
        if action[-1] is None and code in {"SELF", "OUT_OF_RANGE"}:
            action = (action[0], slot if code == "SELF" else witness.slot)
        await client.send(packet(Op.ACT, 1, [action]))
        found = await _refusals(client, 1)
        checks.expect(found == [code], f"{action!r:.40} is answered with {found} rather than {code}")
        return slot
    finally:
        client.close()


async def _refusals(client: RawClient, count: int) -> list[str]:
    """The codes of the next refusals, and of the end if it comes before."""
    codes: list[str] = []
    async with asyncio.timeout(3):
        while len(codes) < count:
            message = await client.receive()
            if message is None or isinstance(message, Bye):
                return [*codes, "ended" if message is None else message.code]
            if isinstance(message, Refusal):
                codes.append(message.code)
    return codes


async def _cooldown(lab: Lab, server: ServerProcess) -> list[str]:
    client = await lab.raw(server)
    try:
        slot = (await client.join("impatient")).slot
        await client.send(act(1, ("heal", slot), ("heal", slot)))
        return await _refusals(client, 1)
    finally:
        client.close()


async def _ladder(lab: Lab, server: ServerProcess, witness: RecordingClient) -> dict[str, int]:
    """How many glitches it takes until each step, when all come within one tick."""
    client = await lab.raw(server)
    reached: dict[str, int] = {}
    try:
        await client.join("cheater")
        await witness.ticks(1)
        await client.send(b"".join(packet(Op.ACT, seq, [["teleport", 1, 1]]) for seq in range(1, 31)))
        answered: Counter[str] = Counter()
        for message in await client.messages():
            if isinstance(message, Refusal) and message.seq:
                answered["refused"] += 1
            elif isinstance(message, Refusal):
                reached.setdefault(message.code, answered["refused"])
            elif isinstance(message, Bye):
                reached[message.code] = answered["refused"]
    finally:
        client.close()
    return reached


async def _bad_states(lab: Lab, server: ServerProcess) -> Counter[str]:
    """ACT and PING before HELLO, ACT right behind it, HELLO twice."""
    tries = (
        act(1, ("emote", 1)),
        packet(Op.PING, 1),
        hello("early-1") + act(1, ("emote", 1)),
        hello("early-2") + hello("early-2"),
    )
    codes: Counter[str] = Counter()
    for data in tries:
        client = await lab.raw(server)
        await client.send(data)
        said = await client.bye()
        codes[said.code if said is not None else "nothing"] += 1
        client.close()
    return codes
