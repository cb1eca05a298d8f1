"""The bans of a zone: of names and of addresses, by operators, and of addresses after a kick.

They belong to the zone and not to a gateway, so that they hold at every gateway and over a restart from a journal.
Pure: the time of day is passed in.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.player_names import NAME_TEXT, is_name
from zoneserver.support.addresses import LOOPBACK, address_networks, is_same_network
from zoneserver.support.ban_list import BanList
from zoneserver.support.format import exact_duration
from zoneserver.support.parse import above_zero, parse_duration, parse_said, take_option
from zoneserver.zone.link import AddressBan
from zoneserver.zone.rules import Refused

__all__ = ["Ban", "Bans", "read_ban"]

_LISTED_MAX = 1_000


class Ban(NamedTuple):
    """What a command `ban` says."""

    banned: str
    """A name, or the network of an address."""
    is_address: bool
    seconds: float
    """How long the ban lasts; infinite until it is lifted."""
    text: str


def read_ban(words: Sequence[str]) -> Ban:
    """The words behind `ban`. Raises ValueError.

    >>> read_ban(["ann", "--for", "1h"])
    Ban(banned='ann', is_address=False, seconds=3600.0, text='an operator has banned this name')
    >>> read_ban(["2001:db8::1", "go", "away"])
    Ban(banned='2001:db8::/64', is_address=True, seconds=inf, text='go away')
    """
    duration, left = take_option(words, "--for")
    seconds = math.inf if duration is None else above_zero(parse_duration)(duration)
    if not left:
        raise ValueError("NAME is missing")
    network = _network_of(left[0])
    if network is None and not is_name(left[0]):
        raise ValueError(NAME_TEXT)
    text = parse_said(left[1:]) or f"an operator has banned this {'name' if network is None else 'address'}"
    return Ban(network or left[0], network is not None, seconds, text)


def _network_of(word: str) -> str | None:
    """The network of an IP address; None for another word."""
    try:
        return address_networks(str(ipaddress.ip_address(word)))[0]
    except ValueError:
        return None


class Bans:
    """The names and addresses that may not come in, until when and why.

    The bans after a kick have room of their own, so that no crowd of flooders takes that of operators.

    >>> bans = Bans()
    >>> bans.after_kick("192.0.2.1", 60.0, now=0.0), bans.order(read_ban(["ann"]), now=0.0)
    (True, 'ann is banned until it is lifted (unban)')
    >>> bans.objection("ann", "192.0.2.2", now=1.0), bans.objection("bob", "192.0.2.1", now=1.0)
    ('an operator has banned this name', '')
    >>> bans.take_news()
    [AddressBan(network='192.0.2.1', seconds=60.0, text='', is_ordered=False)]
    """

    def __init__(self) -> None:
        self._names = BanList()
        self._ordered = BanList()
        self._after_kicks = BanList()
        # What the gateways have to be told of bans of addresses.
        self._news: list[AddressBan] = []

    def objection(self, name: str, host: str, now: float) -> str | None:
        """Why a player of this name and address may not come in: empty after a kick; None if they may."""
        network = address_networks(host)[0]
        lists = (self._names, name), (self._ordered, network), (self._after_kicks, network)
        return next((text for bans, key in lists if (text := bans.objection(key, now)) is not None), None)

    def after_kick(self, host: str, seconds: float, now: float) -> bool:
        """Bans an address as a gateway has done. Returns False, and does nothing, for one that cannot be banned."""
        if seconds <= 0 or _is_exempt(host):
            return False
        network = address_networks(host)[0]
        self._after_kicks.extend(network, now + seconds, "", now)
        # Where the list is full, gateways keep the ban.
        self._news.append(AddressBan(network, seconds, "", is_ordered=False))
        return True

    def order(self, ban: Ban, now: float) -> str:
        """Bans a name or an address, or changes its ban, and returns what was done. Raises Refused."""
        banned, is_address, seconds, text = ban
        if is_address and _is_exempt(banned):
            raise Refused("EXEMPT", f"{banned} cannot be banned, since proxies connect from there: ban the name")
        bans = self._ordered if is_address else self._names
        if not bans.add(banned, now + seconds, text, now):
            raise Refused("TOO_MANY_BANS", "unban somebody first")
        if is_address:
            # It may be shorter than the one before.
            self._news += (
                AddressBan(banned, 0.0, "", is_ordered=True),
                AddressBan(banned, seconds, text, is_ordered=True),
            )
        return f"{banned} is banned {_duration(seconds)}"

    def lift(self, words: Sequence[str], now: float) -> str:
        """Carries out a command `unban`, and returns what was done. Raises ValueError and Refused."""
        if len(words) != 1:
            raise ValueError("give one name")
        network = _network_of(words[0])
        banned = network or words[0]
        if network is None:
            was_banned = self._names.lift(banned, now)
        else:
            # Either list may have one.
            was_banned = sum(bans.lift(banned, now) for bans in (self._ordered, self._after_kicks)) > 0
            # In any case: a gateway may have a ban that this zone has no room for.
            self._news.append(AddressBan(banned, 0.0, "", is_ordered=True))
        if not was_banned:
            raise Refused("NOT_BANNED", f"{banned!r:.80} is not banned")
        return f"{banned} is not banned any more"

    def of_addresses(self, now: float) -> list[AddressBan]:
        """All bans of addresses, as gateways are told of them."""
        lists = (self._after_kicks, False), (self._ordered, True)
        return [
            AddressBan(network, until - now, text, is_ordered)
            for bans, is_ordered in lists
            for network, until, text in bans.present(now)
        ]

    def take_news(self) -> list[AddressBan]:
        """The bans of addresses that began or were lifted since the last call, in order."""
        news, self._news = self._news, []
        return news

    def listed(self, now: float) -> str:
        """All bans, for people: a line for each."""
        rows = [("ends in", "banned", "")]
        for bans in (self._names, self._ordered, self._after_kicks):
            for banned, until, text in bans.present(now):
                left = "-" if until == math.inf else exact_duration(math.ceil(until - now))
                rows.append((left, banned, text or CloseReason.BANNED.text))
        if len(rows) == 1:
            return "nobody is banned"
        shown, more = rows[: _LISTED_MAX + 1], len(rows) - _LISTED_MAX - 1
        widths = [max(len(row[column]) for row in shown) for column in (0, 1)]
        lines = [f"{left:>{widths[0]}}  {banned:<{widths[1]}}  {text}".rstrip() for left, banned, text in shown]
        return "\n".join([*lines, *([f"and {more:,} more"] if more > 0 else [])])

    # --- Checkpoints ------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All bans as plain values, for `restore`."""
        return {
            "bans": self._names.state(),
            "address_bans": self._ordered.state(),
            "kick_bans": self._after_kicks.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over a state. That of an earlier version has no bans of addresses."""
        self._names.restore(state["bans"])
        self._ordered.restore(state.get("address_bans", ()))
        self._after_kicks.restore(state.get("kick_bans", ()))


def _is_exempt(host: str) -> bool:
    """Whether a network holds an address that nobody can ban, in any spelling."""
    return any(is_same_network(host, exempt) for exempt in LOOPBACK)


def _duration(seconds: float) -> str:
    return "until it is lifted (unban)" if seconds == math.inf else f"for {exact_duration(seconds)}"
