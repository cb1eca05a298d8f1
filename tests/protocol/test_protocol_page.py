"""PROTOCOL.md agrees with the code: its worked example, its tables and its limits."""

import re
import unicodedata
import zlib

import pytest
from helpers.driven_zone import DrivenZone
from helpers.paths import ROOT

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.codes import CloseReason, RefusalCode
from zoneserver.protocol.decoding import WireError, decode_client, decode_server
from zoneserver.protocol.framing import HEADER_BYTES, Deframer, length_prefixed
from zoneserver.protocol.messages import (
    DEFLATE,
    PROTOCOL_VERSION,
    SERVER_PAYLOAD_BYTES,
    WATCH,
    Act,
    Hello,
    Op,
    Tick,
)
from zoneserver.protocol.player_names import is_name
from zoneserver.protocol.values import ACTIONS_PER_PACKET
from zoneserver.zone.rules import Player

PAGE = (ROOT / "PROTOCOL.md").read_text()
ARROWS = re.compile(r"^    ([→←]) ((?:[0-9a-f ]+\n)(?:      [0-9a-f ]+\n)*)", re.MULTILINE)


STREAMS = [(arrow, bytes.fromhex(digits.replace("\n", ""))) for arrow, digits in ARROWS.findall(PAGE)]


def test_the_worked_example_decodes_and_encodes_to_its_bytes() -> None:
    said = []
    for arrow, stream in STREAMS:
        (payload,) = Deframer(1024).receive(stream)
        message = decode_client(payload) if arrow == "→" else decode_server(payload)
        assert length_prefixed(message.encode()) == stream
        said.append(type(message).__name__)
    assert said == ["Hello", "Welcome", "Snapshot", "Act", "Tick", "Tick", "Goodbye", "Bye"]


def test_the_demo_game_produces_the_worked_example() -> None:
    class Middle(Plaza):
        def appear(self, player: Player) -> None:
            player.place(5000, 4000)

    _, _, snapshot, act, moved, hashed, *_ = [stream for _, stream in STREAMS]
    zone = DrivenZone(Middle(), hz=20, seed=1)
    zone.join(1, "ann")
    zone.step()
    assert length_prefixed(zone.world.snapshot().encode()) == snapshot
    zone.submit(1, *decode_client(act[HEADER_BYTES:]))
    assert length_prefixed(zone.step().frame) == moved
    while zone.world.tick < 12:
        zone.step()
    assert f"at {zone.world.position(0)} in tick 12, without another message" in PAGE
    while zone.world.tick < 19:
        zone.step()
    assert length_prefixed(zone.step().frame) == hashed


def test_the_hash_of_the_worked_example_covers_the_bytes_that_the_page_shows() -> None:
    found = re.search(r"CRC-32 of these (\d+) bytes.*\n\n    ([0-9a-f ]+)\n", PAGE)
    assert found is not None
    hashed = bytes.fromhex(found[2])
    assert len(hashed) == int(found[1])
    ticks = [decode_server(stream[HEADER_BYTES:]) for arrow, stream in STREAMS if arrow == "←"]
    assert [tick.hash for tick in ticks if isinstance(tick, Tick)] == [None, zlib.crc32(hashed)]


def test_the_page_names_the_highest_sequences() -> None:
    highest, last = re.findall(r"(?:1 to|up to) (42949672\d\d)", PAGE)
    actions = [("emote", 1)] * ACTIONS_PER_PACKET
    seq, decoded = decode_client(Act(int(highest), actions).encode())
    assert seq + len(decoded) - 1 == int(last)
    with pytest.raises(WireError):
        decode_client(Act(int(highest) + 1, actions[:1]).encode())


def test_the_demo_game_checks_its_refusals_in_the_order_of_the_page() -> None:
    (order,) = re.findall(r"\| `strike` \|.*\| (`SELF`.*) \|\n", PAGE)
    zone = DrivenZone(Plaza(), hz=20, seed=1)
    for ref, name in enumerate(("ann", "bob")):
        zone.join(ref, name)
    zone.step()
    ann, bob = zone.rules.players.values()
    ann.place(0, 0)
    bob.place(0, 0)
    zone.submit(0, 1, [("strike", 1)])
    zone.step()
    # Every reason to refuse holds at once. Each step removes one, so that the next shows.
    ann["hp"] = bob["hp"] = 0
    bob.place(9000, 9000)

    def refused(seq: int, target: int) -> str:
        zone.submit(0, seq, [("strike", target)])
        ((_, refusal, _),) = zone.step().refused
        return refusal.code

    found = [refused(2, 0), refused(3, 1)]
    ann["hp"] = 100
    found.append(refused(4, 1))
    for _ in range(10):
        zone.step()
    found.append(refused(5, 1))
    bob["hp"] = 100
    found.append(refused(6, 1))
    assert found == re.findall(r"`(\w+)`", order)


def test_every_op_has_a_row() -> None:
    for op in Op:
        assert f"| {op.value} | {op.name} |" in PAGE


def test_the_page_names_the_options_and_the_limit_of_deflated_messages() -> None:
    for option in (DEFLATE, WATCH):
        assert f"| `{option}` |" in PAGE
    assert f"inflated where it was deflated | {SERVER_PAYLOAD_BYTES // 2**20} MiB |" in PAGE
    asking = Hello(PROTOCOL_VERSION, "ann", b"", (DEFLATE,) * ACTIONS_PER_PACKET)
    assert f"array of at most {len(asking.options)} str" in PAGE
    assert decode_client(asking.encode()) == asking
    with pytest.raises(WireError):
        decode_client(asking._replace(options=(*asking.options, DEFLATE)).encode())


def test_the_page_is_about_the_version_of_the_code() -> None:
    assert PAGE.startswith(f"# The protocol, version {PROTOCOL_VERSION}\n")


def test_the_page_allows_the_names_that_the_server_allows() -> None:
    """The list of invisible code points in the page is that of the code."""
    section = PAGE.partition("#### Names\n")[2].partition("#### ")[0]
    listed = set[int]()
    for first, last in re.findall(
        r"U\+([0-9A-F]{4,5})(?:\s+to\s+U\+([0-9A-F]{4,5}))?", section.partition("- these")[2]
    ):
        listed |= set(range(int(first, 16), int(last or first, 16) + 1))
    # Beyond the plane in use, blocks of thousands of code points are alike.
    rare = [*range(0x32000, 0x110000, 0x7F), *range(0xE0000, 0xE1000), *range(0xFFFE, 0x110000, 0x10000)]
    for code in [*range(0x32000), *rare]:
        category = unicodedata.category(chr(code))
        hidden = category in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp", "Zs"} or code & 0xFFFE == 0xFFFE
        hidden |= 0xFDD0 <= code <= 0xFDEF or code == 0xFE0F or code in listed
        assert is_name(f"-{chr(code)}-") == (not hidden or code in {0x20, 0xFE0F}), hex(code)


def test_every_code_has_a_row_with_its_retry() -> None:
    for reason in CloseReason:
        assert f"| `{reason}` | {'yes' if reason.retry else 'no'} |" in PAGE
    for code in RefusalCode:
        assert re.search(rf"^\| (`\w+`, )*`{code}`(, `\w+`)* \|", PAGE, re.MULTILINE), code


def test_the_page_names_the_default_limits() -> None:
    limits = Limits()
    assert f"| a client's payload | {limits.client_frame_bytes:,} bytes" in PAGE
    assert f"| {limits.actions_per_tick} | refused with `TOO_MANY_ACTIONS`" in PAGE
    assert f"| {limits.handshake_seconds:g} s of connecting |" in PAGE
    assert f"| {limits.stall_seconds:g} s | `SLOW_CONSUMER` |" in PAGE
    assert (
        f"{limits.actions_per_second:g} actions a second and {limits.actions_burst:g} at once: then a client never"
        in PAGE
    )
    assert f"| packets | {limits.frames_per_second:g} | {limits.frames_burst:g} |" in PAGE
    kib = f"{limits.bytes_per_second / 1024:g} KiB | {limits.bytes_burst / 1024:g} KiB"
    assert f"| bytes, lengths included | {kib} |" in PAGE
    assert f"count as one where that is more | {limits.actions_per_second:g} | {limits.actions_burst:g} |" in PAGE
    assert f"| violations | {limits.violations_per_second:g} | {limits.violations_burst:g} |" in PAGE
    assert f"{limits.zone_actions_per_second:,} actions a second" in PAGE
    assert (
        f"{limits.address_connections_max} connections, {limits.address_handshakes_max} of them before HELLO; "
        f"{limits.address_connections_per_second:g} new ones a second, {limits.address_connections_burst:g} at once"
    ) in PAGE
    assert f"{limits.address_actions_per_second:g} actions a second, {limits.address_actions_burst:,g} at once" in PAGE
    assert (
        f"{limits.address_violations_per_second:g} violations a second, {limits.address_violations_burst:,g} at once"
        in PAGE
    )
