"""Vectors beside the messages: the stream, tickets and names."""

from __future__ import annotations

from typing import Any

from zoneserver.protocol.messages import Act, Goodbye, Ping, Pong
from zoneserver.protocol.tickets import issue_ticket, ticket_to_text
from zoneserver.protocol.websocket import Opcode, frame, masked_frame

__all__ = ["names", "streams", "tickets", "web_frames"]


def streams() -> list[dict[str, Any]]:
    """What is received in pieces, the payloads in it, and whether the connection ends for an error."""
    return [
        {"name": name, "chunks": chunks.split(), "payloads": payloads.split(), "error": error}
        for name, chunks, payloads, error in [
            ("two payloads in one piece", "00000003920305000000029104", "920305 9104", False),
            ("a payload in three pieces", "0000 000392 0305", "920305", False),
            ("byte by byte", "00 00 00 03 92 03 05", "920305", False),
            ("one payload and a half", "000000029104000000039203 05", "9104 920305", False),
            ("the beginning of a payload", "0000000392", "", False),
            ("a length of 0", "00000002910400000000 000000029104", "9104", True),
            ("a length above the limit of 16 MiB", "000000029104ffffffff9104", "9104", True),
        ]
    ]


def web_frames() -> list[dict[str, Any]]:
    """Messages of WebSocket in one frame: as a server sends it, and as a client sends it with the mask."""
    told = [
        ("goodbye", Opcode.BINARY, Goodbye().encode()),
        ("act with a motion", Opcode.BINARY, Act(300, [("move", 24, -7)]).encode()),
        ("pong of the game", Opcode.BINARY, Pong(123456789012345, 61, 31_250).encode()),
        ("payload of 125 bytes", Opcode.BINARY, Act(1, [("say", "x" * 114)]).encode()),
        ("payload of 126 bytes", Opcode.BINARY, Act(1, [("say", "x" * 115)]).encode()),
        ("payload of 1,024 bytes", Opcode.BINARY, Act(1, [("say", "x" * 1012)]).encode()),
        ("ping of the framing", Opcode.PING, Ping(7).encode()),
        ("pong of the framing without a payload", Opcode.PONG, b""),
        ("close, come back", Opcode.CLOSE, (4000).to_bytes(2) + b"SERVER_STOPPING"),
        ("close for good", Opcode.CLOSE, (4001).to_bytes(2) + b"KICKED"),
        ("close of a browser's tab", Opcode.CLOSE, (1001).to_bytes(2)),
    ]
    mask = bytes.fromhex("37fa213d")
    return [
        {
            "name": name,
            "opcode": opcode,
            "payload": payload.hex(),
            "server": frame(payload, opcode).hex(),
            "mask": mask.hex(),
            "client": masked_frame(payload, opcode, mask).hex(),
        }
        for name, opcode, payload in told
    ]


def tickets() -> list[dict[str, Any]]:
    """Tickets for two zones, so that no part can change its place unseen."""
    entries = []
    for secret, zone, name in [
        (b"0123456789abcdef", "plaza", "ann"),
        (b"0123456789abcdef", "plazaa", "nn"),
        (bytes(range(32)), "Größe", "Zoë 🐍"),
    ]:
        expiry, nonce = 2_000_000_000, bytes(range(100, 116))
        ticket = issue_ticket(secret, name, zone, expiry, nonce)
        entry = {"secret": secret.hex(), "expiry": expiry, "nonce": nonce.hex(), "zone": zone, "name": name}
        entries.append({**entry, "ticket": ticket.hex(), "text": ticket_to_text(ticket)})
    return entries


def names() -> dict[str, list[str]]:
    """Names that a server allows, and names that it refuses."""
    return {
        "allowed": [
            *("a", "Ann Smith", "x" * 24, "Zoë", "Zoe\u0308", "안녕", "Ωmega", "क्षि", "🐍" * 24, "👍🏽"),
            *("\u2764\ufe0f", "ann \u2764\ufe0f", "1\ufe0f\u20e3", "\U0001fae8", "\u0378"),
        ],
        "refused": [
            *("", " ", " ann", "ann ", "x" * 25, "🐍" * 25, "a\nb", "a\x1b[2J", "a\x7f", "a\u00a0b", "a\u3000b"),
            *(
                "\u202eann",
                "a\u200bb",
                "👩\u200d🚀",
                "\ue000",
                "\ufdd0",
                "\uffff",
                "\u2028",
                "\u3164",
                "a\u2800b",
                "\u034f",
            ),
            *(
                "\u034f",
                "\u0301",
                "\u0301ann",
                "ann\ufe0f",
                "\ufe0fann",
                "a \ufe0f",
                "\u2764\ufe0f\ufe0f",
                "\U000e0041",
            ),
        ],
    }
