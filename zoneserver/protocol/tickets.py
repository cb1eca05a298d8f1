"""Join tickets: a signed permission to join a zone under a name.

A ticket is valid for one name, one zone and one use, until it expires. A login service that knows the zone's secret
makes it (`issue_ticket`, or the command `zoneserver ticket`), and the client brings it along, so that the zone needs to
ask no other service. The signature is HMAC-SHA256 (RFC 2104) over name, zone, expiry and a nonce. The functions are
pure: the expiry and the nonce are passed in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct

__all__ = ["HEAD", "MAC_BYTES", "issue_ticket", "ticket_from_text", "ticket_mac", "ticket_to_text"]

HEAD = struct.Struct(">Q16s")
"""The first part of a ticket: the expiry and the nonce. The signature follows."""
MAC_BYTES = hashlib.sha256().digest_size


def issue_ticket(secret: bytes, name: str, zone: str, expires_at: int, nonce: bytes) -> bytes:
    """A ticket of 56 bytes. `expires_at` is in seconds since 1970; `nonce` is 16 bytes that were never used before."""
    if len(nonce) != 16:
        raise ValueError(f"a nonce must have 16 bytes, not {len(nonce)}")
    head = HEAD.pack(expires_at, nonce)
    return head + ticket_mac(secret, name, zone, head)


def ticket_mac(secret: bytes, name: str, zone: str, head: bytes) -> bytes:
    """The signature of a ticket with this head."""
    encoded = zone.encode()
    # Without the length of the zone's name, ("ab", "c") and ("a", "bc") would have one signature.
    signed = b"zone-ticket/1" + head + len(encoded).to_bytes(2) + encoded + name.encode()
    return hmac.digest(secret, signed, "sha256")


def ticket_to_text(ticket: bytes) -> str:
    """A ticket as text, for people and command lines: base64url without padding."""
    return base64.urlsafe_b64encode(ticket).rstrip(b"=").decode()


def ticket_from_text(text: str) -> bytes:
    """The ticket that `ticket_to_text` wrote. Raises ValueError for anything else."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a ticket must be base64url text, as `zoneserver ticket` prints it") from None
