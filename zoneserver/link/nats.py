"""A link by a broker of NATS: the zone publishes each tick once, for any number of gateways.

| subject | published by | read by |
|---|---|---|
| `zone.NAME.down` | the zone | all gateways, and other zones of this name |
| `zone.NAME.to.GATEWAY` | the zone | one gateway |
| `zone.NAME.up.GATEWAY` | one gateway | the zone |

A broker that is away takes nothing: no payload waits for it, since a later one is worth more. Each end connects again
every 0.2 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Mapping

from zoneserver.link.address import LinkAddress
from zoneserver.link.carrier import QUEUE_BYTES_MAX, LinkSecurity
from zoneserver.link.nats_client import BrokerError, NatsClient, connect
from zoneserver.link.nats_hearing import Hearing
from zoneserver.support.errors import CannotStartError

__all__ = ["NatsGatewayCarrier", "NatsZoneCarrier", "Subjects", "permission"]

log = logging.getLogger(__name__)

_RETRY_SECONDS = 0.2
_FLUSH_SECONDS = 1.0
# The contract of a gateway's carrier: `open` returns by then.
_OPEN_SECONDS = 1.0
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Subjects:
    """The subjects of one zone.

    >>> Subjects("plaza").up("gw1")
    'zone.plaza.up.gw1'
    """

    def __init__(self, zone: str) -> None:
        self.down = f"zone.{zone}.down"
        self.trial = f"zone.{zone}.check"
        """No carrier uses this subject: `zoneserver check-broker` tries the broker with it."""
        self._zone = zone

    def to(self, gateway: str) -> str:
        return f"zone.{self._zone}.to.{gateway}"

    def up(self, gateway: str) -> str:
        return f"zone.{self._zone}.up.{gateway}"


def permission(kind: str, subject: str) -> str:
    """The permission of nats-server.conf that lets somebody use a subject; `kind` is `publish` or `subscription`.

    >>> permission("subscription", "zone.plaza.down")
    'subscribe: "zone.plaza.down"'
    """
    return f'{"publish" if kind == "publish" else "subscribe"}: "{subject}"'


class _NatsEnd:
    """What both ends have in common: a connection to the broker, and after its end the next one."""

    # What may be tried first when the broker refuses something.
    _remedy = ""

    def __init__(
        self,
        address: LinkAddress,
        security: LinkSecurity,
        name: str,
        *,
        reads: Mapping[str, Callable[[str, bytes], None]],
        writes: Mapping[str, str],
    ) -> None:
        """`reads` has the callback of each subject to read. `writes` has for each subject on which a payload is tried
        the subject of the permission for it."""
        self.address = str(address)
        self.skipped_total = 0
        """Payloads that the broker did not take in time, or for which it was away."""
        self.too_large_total = 0
        """Payloads that are larger than the broker allows."""
        self._link = address
        self._security = security
        self._name = name
        self._reads = reads
        self._writes = writes
        # The permission for each subject in small letters, as refusals name it.
        self._permissions = {subject.lower(): subject for subject in reads}
        self._permissions |= {subject.lower(): needed for subject, needed in writes.items()}
        self._has_told_too_large = False
        # The connection, while it stands.
        self._client: NatsClient | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._changed: Callable[[bool], None] = lambda _is_up: None

    @property
    def is_up(self) -> bool:
        return self._client is not None and not self._client.lost.done()

    async def close(self) -> None:
        """See `carrier`."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])
        client, self._client = self._client, None
        if client is not None:
            if not client.lost.done():
                with contextlib.suppress(BrokerError):
                    await client.flush(_FLUSH_SECONDS)
            await client.end()

    def _publish(self, subject: str, payload: bytes) -> None:
        client = self._client
        if client is None or client.lost.done():
            self.skipped_total += 1
        elif len(payload) > client.max_payload:
            # The broker would close the connection.
            self.too_large_total += 1
            if not self._has_told_too_large:
                self._has_told_too_large = True
                text = "a payload for %s is dropped: it has %d bytes, the broker takes %d; raise its max_payload"
                log.error(text, subject, len(payload), client.max_payload)
        elif client.unsent_bytes > QUEUE_BYTES_MAX:
            self.skipped_total += 1
        else:
            client.put(subject, payload)

    async def _connect(self) -> NatsClient:
        """A connection that reads its subjects. Raises CannotStartError."""
        client = await connect(self._link, self._security, self._name)
        try:
            for subject, receive in self._reads.items():
                await client.listen(subject, self._while_up(receive))
            # Payloads that nobody reads show which permissions are missing.
            for subject in self._writes:
                client.put(subject, b"")
            await client.flush(_FLUSH_SECONDS)
        except BaseException:
            await client.end()
            raise
        return client

    def _while_up(self, receive: Callable[[str, bytes], None]) -> Callable[[str, bytes], None]:
        """Drops what comes before the owner knows that the connection stands, and after its end."""

        def checked(subject: str, payload: bytes) -> None:
            if self.is_up:
                receive(subject, payload)

        return checked

    def _begin(self, client: NatsClient) -> None:
        """The connection stands from now on."""
        client.on_refused = self._refused
        for refusal in sorted(client.refused):
            self._refused(*refusal)
        self._client = client
        self._has_told_too_large = False
        self._changed(True)

    def _refused(self, kind: str, subject: str) -> None:
        log.error("%s", self._refusal(kind, subject))

    def _refusal(self, kind: str, subject: str) -> str:
        what = "publish" if kind == "publish" else "read"
        subject = self._permissions.get(subject, subject)
        text = f"the broker of {self.address} does not let {self._name} {what} {subject}"
        return f"{text}: {self._remedy}in nats-server.conf, give its user {permission(kind, subject)}"

    def _require_permissions(self, client: NatsClient) -> None:
        for refusal in sorted(client.refused):
            raise CannotStartError(self._refusal(*refusal))

    async def _keep(self, cause: str = "") -> None:
        """Keeps a connection for ever. Without one at the beginning, `cause` says why."""
        loop = asyncio.get_running_loop()
        while True:
            was_up = self._client is not None
            if self._client is not None:
                cause = f"the broker of {self.address} is lost: {await asyncio.shield(self._client.lost)}"
                self._changed(False)
                await self._client.end()
                self._client = None
            since = loop.time()
            log.warning("%s; trying again every %g s", cause, _RETRY_SECONDS)
            client = await self._next_client(cause)
            again = " again" if was_up else ""
            log.info("connected to the broker of %s%s after %.1f s", self.address, again, loop.time() - since)
            self._begin(client)

    async def _next_client(self, cause: str) -> NatsClient:
        while True:
            try:
                return await self._connect()
            except CannotStartError as error:
                is_final = not isinstance(error, BrokerError) or error.is_final
                if is_final and str(error) != cause:
                    # An operator has to do something about it.
                    cause = str(error)
                    log.error("%s", cause)
            await asyncio.sleep(_RETRY_SECONDS)


class NatsZoneCarrier(_NatsEnd):
    """The zone's end, a `ZoneCarrier`. A peer is the name of a gateway.

    No gateway has a connection here: `gone` is never called, and a gateway that is dropped is not listened to for a
    while.
    """

    names_peers = True

    def __init__(self, address: LinkAddress, security: LinkSecurity) -> None:
        self._subjects = subjects = Subjects(address.zone)
        self._hearing = Hearing(subjects.up)
        reads = {subjects.up("*"): self._hearing.take, subjects.down: self._from_zone}
        # One name stands for those of all gateways.
        writes = {subjects.down: subjects.down, subjects.to("-"): subjects.to("*")}
        super().__init__(address, security, f"zone {address.zone}", reads=reads, writes=writes)
        self._receive: Callable[[str, bytes], None] = lambda _peer, _payload: None

    async def open(self, receive: Callable[[str, bytes], None], gone: Callable[[str], None]) -> None:
        client = await self._connect()
        try:
            self._require_permissions(client)
        except CannotStartError:
            await client.end()
            raise
        self._receive = self._hearing.receive = receive
        self._begin(client)
        self._keeper = asyncio.create_task(self._keep())

    def accept(self, peer: str) -> None:
        """Every gateway reads what the zone publishes. This one is heard even while another one floods."""
        self._hearing.accept(peer)

    def publish(self, payload: bytes) -> None:
        self._publish(self._subjects.down, payload)

    def send(self, peer: str, payload: bytes) -> None:
        self._publish(self._subjects.to(peer), payload)

    def drop(self, peer: str) -> None:
        """Does not listen to the gateway for IGNORED_SECONDS."""
        self._hearing.ignore(peer)

    async def close(self) -> None:
        """See `carrier`."""
        await self._hearing.close()
        await super().close()

    def reload_certificate(self) -> None:
        """Does nothing: the broker has the certificate."""

    def _begin(self, client: NatsClient) -> None:
        self._hearing.begin(client)
        super()._begin(client)

    def _from_zone(self, _subject: str, payload: bytes) -> None:
        self._receive("", payload)


class NatsGatewayCarrier(_NatsEnd):
    """A gateway's end, a `GatewayCarrier`.

    Raises ValueError for a name that cannot be part of a subject.
    """

    _remedy = "start it with the name that its user has (--name gw1), or "

    def __init__(self, address: LinkAddress, name: str, security: LinkSecurity) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"the name of a gateway at a broker has 1 to 64 letters, digits, _ and -, unlike {name!r}")
        subjects = Subjects(address.zone)
        self._up = subjects.up(name)
        reads = dict.fromkeys((subjects.down, subjects.to(name)), self._from_zone)
        super().__init__(address, security, f"gateway {name}", reads=reads, writes={self._up: self._up})
        self._receive: Callable[[bytes], None] = lambda _payload: None

    async def open(self, receive: Callable[[bytes], None], changed: Callable[[bool], None]) -> None:
        self._receive, self._changed = receive, changed
        cause = f"the broker of {self.address} has not answered yet"
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                client = await self._connect()
        except TimeoutError:
            pass
        except BrokerError as error:
            if error.is_final:
                raise
            cause = str(error)
        else:
            try:
                self._require_permissions(client)
            except CannotStartError:
                await client.end()
                raise
            self._begin(client)
        self._keeper = asyncio.create_task(self._keep(cause))

    def send(self, payload: bytes) -> None:
        self._publish(self._up, payload)

    def _from_zone(self, _subject: str, payload: bytes) -> None:
        self._receive(payload)
