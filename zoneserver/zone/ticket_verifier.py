"""Checks join tickets, and lets each in once."""

from __future__ import annotations

import heapq
import hmac

from zoneserver.protocol.tickets import HEAD, MAC_BYTES, ticket_mac

__all__ = ["TicketVerifier"]


class TicketVerifier:
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
        head, mac = ticket[: HEAD.size], ticket[HEAD.size :]
        if len(ticket) != HEAD.size + MAC_BYTES:
            return "not a ticket"
        # In constant time, and before anything in the ticket is believed.
        if not hmac.compare_digest(mac, ticket_mac(self._secret, name, self._zone, head)):
            return "the ticket is not for this name and zone, or was not made with this zone's secret"
        expires_at, nonce = HEAD.unpack(head)
        if expires_at <= now:
            return "the ticket has expired"
        if nonce in self._used:
            return "the ticket has been used"
        if len(self._used) >= self._used_max:
            return "too many tickets are in use"
        return None

    def redeem(self, ticket: bytes) -> None:
        """Its holder is in: the ticket, to which there was no objection, is used up."""
        expires_at, nonce = HEAD.unpack(ticket[: HEAD.size])
        self._used.add(nonce)
        heapq.heappush(self._expiries, (expires_at, nonce))
