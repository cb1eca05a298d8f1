"""Bytes that are no message, and messages that are not allowed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

import msgpack

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.decoding import WireError, decode_client
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import Op
from zonetools.common.server_process import ServerProcess
from zonetools.soak.clients import act, hello, packet
from zonetools.soak.fault_lab import Checks, Finding, Lab, stats
from zonetools.soak.tasks import together

_PACKET_BYTES_MAX = 1024


def _worst_candidates(seed: int) -> list[bytes]:
    """Packets that were built to be expensive to reject, and random ones."""
    room = _PACKET_BYTES_MAX
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
    """Time the decoder on the worst known packet, and check that an oversize one is rejected on its header."""
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
    checks.expect(worst[0] <= 100e-6, f"a packet takes longer than 100 us: {worst[1][:16].hex()}...")
    megabytes = lab.pick(16, 4)
    async with lab.server() as server:
        before = await stats(server)
        client = await lab.raw(server)
        # Only the header: it announces one byte too many, and no byte follows.
        await client.send((_PACKET_BYTES_MAX + 1).to_bytes(4))
        bye = await client.bye(1.0)
        checks.expect(bye.code == CloseReason.PROTOCOL_ERROR, f"oversize ends with {bye}")
        client.close()
        client = await lab.raw(server)
        await client.send((2**31).to_bytes(4))
        try:
            for _ in range(megabytes):
                await client.send(bytes(1024 * 1024))
        except OSError:
            pass  # The server closes the connection long before.
        grown = ((await stats(server)).rss_bytes - before.rss_bytes) / 1024**2
        client.close()
        client = await lab.raw(server)
        await client.send(hello("largest") + length_prefixed(b"\xc0" * _PACKET_BYTES_MAX)[:-1])
        await client.send(b"\xc0")
        largest = await client.bye()
        client.close()
    checks.expect(
        largest.text != "" and "while in" not in largest.text and "bytes" not in largest.text,
        "a packet of exactly 1 KB is rejected on its header",
    )
    checks.expect(grown < 2.0, f"the body of an oversize packet is buffered: +{grown:.1f} MB")
    return checks.finding(
        f"{worst[0] * 1e6:.0f} us for the worst of {len(_worst_candidates(lab.seed))} packets "
        f"(only the decoder, best of many); 1,025 bytes rejected on the header, "
        f"{megabytes} MB behind a header cost {max(0.0, grown):.1f} MB"
    )


# --- Garbage --------------------------------------------------------------------------------------


def _streams(seed: int) -> dict[str, bytes]:
    """Byte streams that break the protocol, as sent after HELLO."""
    chance = random.Random(seed)
    nested = b"\x91" * 1000
    return {
        "noise": length_prefixed(chance.randbytes(200)),
        "no length": bytes(4) + b"abc",
        "huge header": b"\xff\xff\xff\xff" + bytes(100),
        "one byte too large": (_PACKET_BYTES_MAX + 1).to_bytes(4) + bytes(100),
        "deep nesting": length_prefixed(nested),
        "cut short": length_prefixed(packet(Op.ACT, 1, [["say", "hello"]])[4:-3]),
        "bytes after the message": length_prefixed(packet(Op.PING, 1)[4:] + b"\xc0"),
        "a map": packet(Op.ACT, 1, [["say", {}]]),
        "an extension": packet(Op.ACT, 1, [["say", msgpack.ExtType(5, b"")]]),
        "not UTF-8": length_prefixed(b"\x93\x02\x01\x91\x92\xa3say\xa2\xff\xfe"),
        "huge string header": length_prefixed(b"\x93\x02\x01\x91\x92\xa3say\xdb\xff\xff\xff\xff"),
        "unknown op": packet(9, 1),
        "an op of the server": packet(Op.TICK, 1),
        "HELLO again": hello("again"),
        "wide ACT": packet(Op.ACT, 1, [["say", "x"]] * 17),
        "empty ACT": packet(Op.ACT, 1, []),
        "ACT without a kind": packet(Op.ACT, 1, [[]]),
        "sequence 0": packet(Op.ACT, 0, [["emote", 1]]),
        "sequence too large": packet(Op.ACT, 2**32, [["emote", 1]]),
        "stale sequence": act(5, ("emote", 1)) + act(5, ("emote", 1)),
        "true for a number": packet(Op.PING, True),
        "PING below zero": packet(Op.PING, -1),
        "text for GOODBYE": packet(Op.GOODBYE, "bye"),
        "a GET": b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
    }


async def garbage(lab: Lab) -> Finding:
    """Send every stream in one piece, byte by byte, and split at random, before and after HELLO."""
    checks, chance = Checks(), random.Random(lab.seed)
    sessions = 0
    async with lab.server() as server, lab.recorder(server, "recorder") as recorder:
        for name, stream in _streams(lab.seed).items():
            splits = [[chance.randint(1, 40) for _ in range(20)] for _ in range(lab.pick(6, 2))]
            answers = await together(
                *(_answer(lab, server, stream, sizes, playing=True) for sizes in ([len(stream)], [1], *splits))
            )
            sessions += len(answers)
            checks.expect(len(set(answers)) == 1, f"{name!r} ends differently for different splits: {set(answers)}")
            codes = {code for code, _ in answers}
            checks.expect(codes == {CloseReason.PROTOCOL_ERROR}, f"{name!r} ends with {codes}")
            # A GET is answered with a page as long as there is no player.
            if name not in {"HELLO again", "a GET"}:
                code, _ = await _answer(lab, server, stream, [len(stream)], playing=False)
                sessions += 1
                checks.expect(code == CloseReason.PROTOCOL_ERROR, f"{name!r} before HELLO ends with {code}")
        seen = await stats(server)
        await recorder.ticks(1)
        checks.expect(seen.players == 1, "the honest player is gone, or another one is not")
    longest = max((len(line) for line in server.log.splitlines()), default=0)
    checks.expect_no_traceback(server)
    checks.expect(longest <= 200, f"a log line has {longest} bytes")
    return checks.finding(
        f"{len(_streams(lab.seed))} kinds, {sessions} sessions, every tried split: PROTOCOL_ERROR, "
        f"no traceback, longest log line {longest} bytes"
    )


async def _answer(lab: Lab, server: ServerProcess, stream: bytes, sizes: list[int], playing: bool) -> tuple[str, str]:
    """Send a stream in pieces of these sizes, in turn. Returns the code and text of the answer."""
    with contextlib.closing(await lab.raw(server)) as client:
        if playing:
            await client.join(f"junk-{lab.address()}")
        try:
            start = pieces = 0
            while start < len(stream):
                size = sizes[pieces % len(sizes)]
                await client.send(stream[start : start + size])
                start, pieces = start + size, pieces + 1
                await asyncio.sleep(0)
        except OSError:
            pass  # The server may close the connection before the end.
        bye = await client.bye()
        return bye.code, bye.text
