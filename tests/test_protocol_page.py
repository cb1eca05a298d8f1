"""PROTOCOL.md is exact: its worked example and its tables are what the code does."""

import re
from pathlib import Path

from zoneserver.closing import CloseReason, RefusalCode
from zoneserver.config import Limits
from zoneserver.wire.decoding import decode_client, decode_server
from zoneserver.wire.framing import Deframer, frame
from zoneserver.wire.messages import Op

PAGE = (Path(__file__).parent.parent / "PROTOCOL.md").read_text()
ARROWS = re.compile(r"^    ([→←]) ((?:[0-9a-f ]+\n)(?:      [0-9a-f ]+\n)*)", re.MULTILINE)


def test_the_worked_example_is_what_the_code_reads_and_writes() -> None:
    said = []
    for arrow, digits in ARROWS.findall(PAGE):
        stream = bytes.fromhex(digits.replace("\n", ""))
        (payload,) = Deframer(1024).receive(stream)
        message = decode_client(payload) if arrow == "→" else decode_server(payload)
        assert frame(message.encode()) == stream
        said.append(type(message).__name__)
    assert said == ["Hello", "Welcome", "Snapshot", "Act", "Tick", "Goodbye", "Bye"]


def test_every_operation_has_its_row() -> None:
    for op in Op:
        assert f"| {op.value} | {op.name} |" in PAGE


def test_every_code_has_its_row_and_says_whether_to_come_back() -> None:
    for reason in CloseReason:
        assert f"| `{reason}` | {'yes' if reason.retry else 'no'} |" in PAGE
    for code in RefusalCode:
        assert re.search(rf"^\| (`\w+`, )*`{code}`(, `\w+`)* \|", PAGE, re.MULTILINE), code


def test_the_limits_are_the_default_ones() -> None:
    limits = Limits()
    assert f"| a client's payload | {limits.client_frame_bytes:,} bytes" in PAGE
    assert f"| {limits.actions_per_tick} | refused with `TOO_MANY_ACTIONS`" in PAGE
    assert f"| {limits.handshake_seconds:g} s of connecting |" in PAGE
    assert f"| {limits.stall_seconds:g} s | `SLOW_CONSUMER` |" in PAGE
    assert (limits.send_hard_bytes, limits.send_soft_bytes) == (1024 * 1024, 256 * 1024)
    assert f"| frames | {limits.frames_per_second:g} | {limits.frames_burst:g} |" in PAGE
    kib = f"{limits.bytes_per_second / 1024:g} KiB | {limits.bytes_burst / 1024:g} KiB"
    assert f"| bytes, lengths included | {kib} |" in PAGE
    assert f"| actions | {limits.actions_per_second:g} | {limits.actions_burst:g} |" in PAGE
    assert f"| actions that are refused | {limits.glitches_per_second:g} | {limits.glitches_burst:g} |" in PAGE
    assert (
        f"{limits.address_connections_max} connections, {limits.address_handshakes_max} of them before HELLO; "
        f"{limits.address_connections_per_second:g} new ones a second, {limits.address_connections_burst:g} at once"
    ) in PAGE
