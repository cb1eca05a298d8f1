"""Checks join tickets. Pure: the time is passed in."""

from __future__ import annotations

import heapq
import hmac
from collections.abc import Iterable
from typing import Any

from zoneserver.protocol.tickets import HEAD, MAC_BYTES, ticket_mac

__all__ = ["TicketVerifier"]


class TicketVerifier:
    """Accepts each good ticket once.

    The verifier remembers used tickets until they expire, at most `used_max` of them. While it remembers
    that many, it accepts no ticket. If the clock is set back, a ticket that may have been forgotten stays used.
    """

    def __init__(self, secret: bytes, zone: str, used_max: int = 200_000) -> None:
        self._secret = secret
        # The secret before this one, and when it ceases to hold, in seconds since 1970.
        self._former, self._former_until = secret, 0.0
        self.zone = zone
        """The zone for which tickets must have been made."""
        self._used_max = used_max
        # The nonces of used tickets.
        self._used: set[bytes] = set()
        # (expiry, nonce) of each used ticket, the earliest first.
        self._expiries: list[tuple[int, bytes]] = []
        # The latest expiry of a used ticket that is remembered no longer.
        self._forgotten_until = 0

    def check(self, name: str, ticket: bytes, unix_seconds: float) -> str | None:
        """Returns why the ticket is rejected for this name, or None."""
        while self._expiries and self._expiries[0][0] <= unix_seconds:
            self._forgotten_until, nonce = heapq.heappop(self._expiries)
            self._used.discard(nonce)
        if not ticket:
            return "this zone requires a ticket"
        head, mac = ticket[: HEAD.size], ticket[HEAD.size :]
        if len(ticket) != HEAD.size + MAC_BYTES:
            return "not a ticket"
        # The comparison takes constant time, and precedes every use of what the ticket says.
        if not self._is_signed(name, head, mac, unix_seconds):
            return "the ticket is not for this name and zone, or was not made with this zone's secret"
        expires_at, nonce = HEAD.unpack(head)
        if expires_at <= max(unix_seconds, self._forgotten_until):
            return "the ticket has expired"
        if nonce in self._used:
            return "the ticket has been used"
        if len(self._used) >= self._used_max:
            return "too many tickets are in use"
        return None

    def change_secret(self, secret: bytes, grace_until: float) -> bool:
        """Verifies with another secret from now on, and until `grace_until`, in seconds since 1970, with the present
        one too. Returns False, and changes nothing, if the secret is the present one. Used tickets stay used."""
        if secret == self._secret:
            return False
        self._former, self._former_until = self._secret, grace_until
        self._secret = secret
        return True

    def _is_signed(self, name: str, head: bytes, mac: bytes, unix_seconds: float) -> bool:
        secrets = (self._secret, self._former) if unix_seconds < self._former_until else (self._secret,)
        return any(hmac.compare_digest(mac, ticket_mac(secret, name, self.zone, head)) for secret in secrets)

    def consume(self, ticket: bytes) -> None:
        """Marks a ticket that `check` accepted as used."""
        expires_at, nonce = HEAD.unpack(ticket[: HEAD.size])
        self._used.add(nonce)
        heapq.heappush(self._expiries, (expires_at, nonce))

    def state(self) -> list[Any]:
        """The used tickets as plain values, for `restore`."""
        return [self._forgotten_until, [list(each) for each in self._expiries]]

    def restore(self, state: Iterable[Any]) -> None:
        """Remembers the used tickets of `state`, and no others."""
        self._forgotten_until, expiries = state
        self._expiries = sorted((expires_at, nonce) for expires_at, nonce in expiries)
        self._used = {nonce for _, nonce in self._expiries}
