"""Which gateways at a broker the zone listens to.

The broker keeps what it has for this process in one queue, so a gateway that sends without end would delay all others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from zoneserver.link.carrier import IGNORED_SECONDS
from zoneserver.link.nats_client import BrokerError, NatsClient
from zoneserver.support.logs import fields

__all__ = ["Hearing"]

log = logging.getLogger(__name__)

# What a gateway sends at most in a second: batches, questions, and what was lost again.
_PAYLOADS_PER_SECOND = 2_000
_BYTES_PER_SECOND = 32 * 2**20
_ACCEPTED_MAX = 1_000


class Hearing:
    """Hands the payloads of gateways on. `subject` returns the subject of one gateway, and with * that of all.

    A gateway that was ignored, or that sends far more than a gateway does, is not heard for IGNORED_SECONDS. While it
    goes on sending, the broker is asked for the payloads of the other gateways that have attached, and of nobody else.
    """

    def __init__(self, subject: Callable[[str], str]) -> None:
        self.receive: Callable[[str, bytes], None] = lambda _peer, _payload: None
        """Called with each payload that is heard, and its gateway."""
        self._subject = subject
        self._client: NatsClient | None = None
        # The gateways that have attached, the oldest first.
        self._accepted: dict[str, None] = {}
        # Those that are not heard, until a timer ends.
        self._ignored: dict[str, asyncio.TimerHandle] = {}
        # Those of them that go on sending.
        self._flooding: set[str] = set()
        # What each has sent since the beginning of this second: payloads and bytes.
        self._second = 0
        self._sent: dict[str, tuple[int, int]] = {}
        self._subscribed: set[str] = set()
        self._changing: asyncio.Task[None] | None = None

    def begin(self, client: NatsClient) -> None:
        """A connection stands that is subscribed to all gateways."""
        self._client = client
        self._flooding.clear()
        self._subscribed = {self._subject("*")}

    def accept(self, peer: str) -> None:
        """A gateway has attached."""
        self._accepted[peer] = None
        if len(self._accepted) > _ACCEPTED_MAX:
            del self._accepted[next(iter(self._accepted))]

    def ignore(self, peer: str) -> None:
        """Does not listen to a gateway for IGNORED_SECONDS."""
        if peer not in self._ignored:
            self._ignored[peer] = asyncio.get_running_loop().call_later(IGNORED_SECONDS, self._listen_again, peer)

    def take(self, subject: str, payload: bytes) -> None:
        """Takes a payload of a gateway."""
        peer = subject.rpartition(".")[2]
        self._count(peer, len(payload))
        if peer not in self._ignored:
            self.receive(peer, payload)

    async def close(self) -> None:
        """Ends the timers."""
        for timer in self._ignored.values():
            timer.cancel()
        self._client = None
        if self._changing is not None:
            self._changing.cancel()
            await asyncio.wait([self._changing])

    def _count(self, peer: str, size: int) -> None:
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            self._second = second
            self._sent.clear()
        payloads, sent = self._sent.get(peer, (0, 0))
        payloads, sent = self._sent[peer] = payloads + 1, sent + size
        is_flood = payloads > _PAYLOADS_PER_SECOND or sent > _BYTES_PER_SECOND
        if is_flood and peer not in self._flooding:
            text = "gateway %s floods the link: it is not listened to for %g s, and no other can attach anew meanwhile"
            log.error(text, peer, IGNORED_SECONDS, extra=fields(gateway=peer))
            self._flooding.add(peer)
            self.ignore(peer)
            self._change()

    def _listen_again(self, peer: str) -> None:
        del self._ignored[peer]
        self._flooding.discard(peer)
        self._sent.pop(peer, None)
        self._change()

    def _change(self) -> None:
        if self._changing is None or self._changing.done():
            self._changing = asyncio.create_task(self._subscribe())

    async def _subscribe(self) -> None:
        """Subscribes to all gateways, or while one floods to each of the others, until nothing is left to change."""
        while (client := self._client) is not None and not client.lost.done():
            wanted = {self._subject("*")}
            if self._flooding:
                wanted = {self._subject(peer) for peer in self._accepted if peer not in self._flooding}
            if wanted == self._subscribed:
                return
            try:
                for subject in self._subscribed - wanted:
                    await client.listen_no_more(subject)
                for subject in wanted - self._subscribed:
                    await client.listen(subject, self.take)
            except BrokerError:
                return  # The next connection begins anew.
            if client is self._client:
                self._subscribed = wanted
