"""Join tickets: who may come in under which name, signed by whoever knows the secret.

A ticket is good for one name, one zone, one use, and until a moment. It is made where players log in
(`issue_ticket`, or the command `zoneserver ticket`) and carried to the zone by the client, so that the
zone asks nobody: HMAC-SHA256 (RFC 2104) over name, zone, expiry and a nonce. Pure: time and chance are
passed in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct

__all__ = ["HEAD", "MAC_BYTES", "issue_ticket", "ticket_from_text", "ticket_mac", "ticket_to_text"]

HEAD = struct.Struct(">Q16s")
MAC_BYTES = hashlib.sha256().digest_size


def issue_ticket(secret: bytes, name: str, zone: str, expires_at: int, nonce: bytes) -> bytes:
    """A ticket of 56 bytes. `expires_at` is in seconds since 1970; `nonce` is 16 bytes never used before.

    >>> len(issue_ticket(b"a secret of at least 16 bytes", "ann", "plaza", 1_900_000_000, bytes(16)))
    56
    """
    if len(nonce) != 16:
        raise ValueError("a nonce has 16 bytes")
    head = HEAD.pack(expires_at, nonce)
    return head + ticket_mac(secret, name, zone, head)


def ticket_mac(secret: bytes, name: str, zone: str, head: bytes) -> bytes:
    encoded = zone.encode()
    # The length of the zone's name tells where it ends and the player's begins.
    signed = b"zone-ticket/1" + head + len(encoded).to_bytes(2) + encoded + name.encode()
    return hmac.digest(secret, signed, "sha256")


def ticket_to_text(ticket: bytes) -> str:
    """The form in which people and programs hand a ticket on: base64url, without padding."""
    return base64.urlsafe_b64encode(ticket).rstrip(b"=").decode()


def ticket_from_text(text: str) -> bytes:
    """The ticket that `ticket_to_text` wrote. Raises ValueError for anything else.

    >>> ticket_from_text(ticket_to_text(bytes(range(56)))) == bytes(range(56))
    True
    """
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a ticket is base64url text, as `zoneserver ticket` prints it") from None
