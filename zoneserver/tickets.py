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
import heapq
import hmac
import struct

__all__ = ["Turnstile", "issue_ticket", "ticket_from_text", "ticket_to_text"]

_HEAD = struct.Struct(">Q16s")
_MAC_BYTES = hashlib.sha256().digest_size


def issue_ticket(secret: bytes, name: str, zone: str, expires_at: int, nonce: bytes) -> bytes:
    """A ticket of 56 bytes. `expires_at` is in seconds since 1970; `nonce` is 16 bytes never used before.

    >>> len(issue_ticket(b"a secret of at least 16 bytes", "ann", "plaza", 1_900_000_000, bytes(16)))
    56
    """
    if len(nonce) != 16:
        raise ValueError("a nonce has 16 bytes")
    head = _HEAD.pack(expires_at, nonce)
    return head + _mac(secret, name, zone, head)


def _mac(secret: bytes, name: str, zone: str, head: bytes) -> bytes:
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


class Turnstile:
    """Lets each good ticket through once.

    Used tickets are remembered until they expire, for as long as this object lives; so many at the
    most, and while that many are remembered nobody is let through.
    """

    def __init__(self, secret: bytes, zone: str, used_max: int = 200_000) -> None:
        self._secret = secret
        self._zone = zone
        self._used_max = used_max
        self._used: set[bytes] = set()
        # (expiry, nonce) of the same, the earliest first.
        self._expiries: list[tuple[int, bytes]] = []

    def objection(self, name: str, ticket: bytes, now: float) -> str | None:
        """Why this ticket does not let this name in, `now` being seconds since 1970; None when it does."""
        while self._expiries and self._expiries[0][0] <= now:
            self._used.discard(heapq.heappop(self._expiries)[1])
        if not ticket:
            return "this zone asks for a ticket"
        head, mac = ticket[: _HEAD.size], ticket[_HEAD.size :]
        if len(ticket) != _HEAD.size + _MAC_BYTES:
            return "not a ticket"
        # In constant time, and before anything in the ticket is believed.
        if not hmac.compare_digest(mac, _mac(self._secret, name, self._zone, head)):
            return "the ticket is not for this name and zone, or was not made with this zone's secret"
        expires_at, nonce = _HEAD.unpack(head)
        if expires_at <= now:
            return "the ticket has expired"
        if nonce in self._used:
            return "the ticket has been used"
        if len(self._used) >= self._used_max:
            return "too many tickets are in use"
        return None

    def redeem(self, ticket: bytes) -> None:
        """Its holder is in: the ticket, to which there was no objection, is used up."""
        expires_at, nonce = _HEAD.unpack(ticket[: _HEAD.size])
        self._used.add(nonce)
        heapq.heappush(self._expiries, (expires_at, nonce))
