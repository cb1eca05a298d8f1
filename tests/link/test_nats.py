"""A link by a broker, with a real nats-server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.nats import SETTINGS, Broker, free_port
from helpers.paths import ROOT
from helpers.tls import issue_pki
from helpers.waiting import until

from zoneserver.link import nats_client, nats_hearing
from zoneserver.link.address import LinkAddress
from zoneserver.link.carrier import QUEUE_BYTES_MAX, LinkSecurity
from zoneserver.link.nats import NatsGatewayCarrier, NatsZoneCarrier
from zoneserver.link.nats_client import NatsClient, connect
from zoneserver.support.errors import CannotStartError, MissingExtraError

USERS = """
authorization { users: [
    { user: Zone, password: "p@ss", permissions: {publish: ["zone.Plaza.down"], subscribe: "zone.Plaza.>"} }
    { user: gw1, password: "gw1", permissions: {publish: "zone.Plaza.up.gw1", subscribe: "zone.Plaza.down"} }
] }
"""


class End:
    """A carrier, and what it received."""

    def __init__(self, carrier: NatsZoneCarrier | NatsGatewayCarrier) -> None:
        self.carrier = carrier
        self.payloads: list[Any] = []
        """(peer, payload) at a zone, payloads at a gateway."""
        self.changes: list[bool] = []

    async def open(self) -> None:
        if isinstance(self.carrier, NatsZoneCarrier):
            await self.carrier.open(lambda *payload: self.payloads.append(payload), self.fail)
        else:
            await self.carrier.open(self.payloads.append, self.changes.append)

    def fail(self, peer: str) -> None:
        raise AssertionError(f"{peer} cannot be gone")


OpenEnd = Callable[..., Any]


@pytest.fixture
def open_end(cleanup: contextlib.AsyncExitStack) -> OpenEnd:
    """Opens the end of a zone, or with a name that of a gateway: `await open_end(url, "gw1")`."""

    async def open_end(url: str, gateway: str = "", **security: Any) -> End:
        address, secured = LinkAddress.parse(url), LinkSecurity(**security)
        end = End(NatsGatewayCarrier(address, gateway, secured) if gateway else NatsZoneCarrier(address, secured))
        cleanup.push_async_callback(end.carrier.close)
        await end.open()
        return end

    return open_end


@pytest.fixture
def own_broker() -> Iterator[Callable[..., Broker]]:
    """Starts brokers for one test."""
    with contextlib.ExitStack() as stack:

        def own_broker(settings: str = SETTINGS) -> Broker:
            server = Broker(settings)
            stack.callback(server.close)
            return server

        yield own_broker


async def test_a_zone_reaches_all_gateways_or_one_and_each_reaches_the_zone(broker: Broker, open_end: OpenEnd) -> None:
    url = broker.url("both-ways")
    zone, one, two, other_zone = [await open_end(url, name) for name in ("", "gw1", "gw2", "")]
    foreign = await open_end(broker.url("other"), "gw1")
    large = bytes(range(256)) * 20_000
    zone.carrier.accept("gw1")
    zone.carrier.publish(b"tick 1")
    zone.carrier.send("gw1", large)
    zone.carrier.publish(b"tick 2")
    one.carrier.send(b"batch 1")
    one.carrier.send(b"batch 2")
    await until(lambda: len(one.payloads) == 3 and len(two.payloads) == 2 and len(other_zone.payloads) == 4)
    assert one.payloads == [b"tick 1", large, b"tick 2"]
    assert two.payloads == [b"tick 1", b"tick 2"]
    assert zone.payloads == [("gw1", b"batch 1"), ("gw1", b"batch 2")]
    assert [payload for payload in other_zone.payloads if not payload[0]] == [("", b"tick 1"), ("", b"tick 2")]
    assert not foreign.payloads
    assert one.changes == [True]
    assert zone.carrier.address == url
    await zone.carrier.close()
    await zone.carrier.close()
    assert not zone.carrier.is_up


async def test_a_payload_leaves_before_close_returns(broker: Broker, open_end: OpenEnd) -> None:
    zone, gateway = await open_end(broker.url("close")), await open_end(broker.url("close"), "gw1")
    large = bytes(3_000_000)
    zone.carrier.publish(large)
    await zone.carrier.close()
    await until(lambda: gateway.payloads == [large])
    await NatsZoneCarrier(LinkAddress.parse(broker.url()), LinkSecurity()).close()


async def test_a_gateway_that_floods_does_not_hold_up_the_others(
    broker: Broker, open_end: OpenEnd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(nats_hearing, "_PAYLOADS_PER_SECOND", 50)
    monkeypatch.setattr(nats_hearing, "IGNORED_SECONDS", 0.5)
    zone, one, two, late = [await open_end(broker.url("flood"), name) for name in ("", "gw1", "gw2", "gw3")]
    for name in ("gw1", "gw2"):
        zone.carrier.accept(name)
    client = zone.carrier._client

    def flood() -> bool:
        for _ in range(100):
            one.carrier.send(b"batch")
        return bool(client._listening.keys() == {"zone.flood.down", "zone.flood.up.gw2"})

    await until(flood)
    assert {*zone.payloads} == {("gw1", b"batch")}
    late.carrier.send(b"unheard")
    await late.carrier._client.flush()
    two.carrier.send(b"batch")
    await until(lambda: zone.payloads[-1] == ("gw2", b"batch"))
    assert {line for line in caplog.messages if "floods the link" in line} == {
        "gateway gw1 floods the link: it is not listened to for 0.5 s, and no other can attach anew meanwhile"
    }
    await until(lambda: client._listening.keys() == {"zone.flood.down", "zone.flood.up.*"})
    await client.flush()
    one.carrier.send(b"again")
    late.carrier.send(b"heard")
    await until(lambda: {("gw1", b"again"), ("gw3", b"heard")} <= {*zone.payloads})


async def test_a_gateway_that_is_dropped_is_not_heard_for_a_while(
    broker: Broker, open_end: OpenEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_hearing, "IGNORED_SECONDS", 0.3)
    zone, one, two = [await open_end(broker.url("drop"), name) for name in ("", "gw1", "gw2")]
    zone.carrier.drop("gw1")
    zone.carrier.drop("gw1")
    one.carrier.send(b"unheard")
    await one.carrier._client.flush()
    two.carrier.send(b"heard")
    await until(lambda: zone.payloads == [("gw2", b"heard")])
    await until(lambda: one.carrier.send(b"heard") or ("gw1", b"heard") in zone.payloads)
    assert ("gw1", b"unheard") not in zone.payloads


async def test_nothing_is_received_before_the_way_stands(
    broker: Broker, open_end: OpenEnd, cleanup: contextlib.AsyncExitStack
) -> None:
    first = await open_end(broker.url("early"))
    events: list[object] = []

    async def send_for_ever() -> None:
        while True:
            first.carrier.publish(b"tick")
            first.carrier.send("gw1", b"part")
            await asyncio.sleep(0)

    sending = asyncio.create_task(send_for_ever())
    carrier = NatsGatewayCarrier(LinkAddress.parse(broker.url("early")), "gw1", LinkSecurity())
    cleanup.push_async_callback(carrier.close)
    await carrier.open(events.append, events.append)
    second = await open_end(broker.url("early"))
    assert not second.payloads
    await until(lambda: second.payloads and len(events) > 10)
    sending.cancel()
    assert events[0] is True


async def test_both_ends_come_back_after_the_death_of_the_broker_and_bring_nothing_stale(
    own_broker: Callable[..., Broker], open_end: OpenEnd, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = own_broker()
    zone, gateway = await open_end(server.url()), await open_end(server.url(), "gw1")
    server.kill()
    await until(lambda: not zone.carrier.is_up and gateway.changes == [True, False])
    for number in range(3):
        zone.carrier.publish(b"stale %d" % number)
        gateway.carrier.send(b"stale %d" % number)
    server.start()
    await until(lambda: zone.carrier.is_up and gateway.carrier.is_up)
    assert gateway.changes == [True, False, True]
    zone.carrier.publish(b"tick")
    gateway.carrier.send(b"batch")
    await until(lambda: gateway.payloads and zone.payloads)
    assert (gateway.payloads, zone.payloads) == ([b"tick"], [("gw1", b"batch")])
    assert zone.carrier.skipped_total == gateway.carrier.skipped_total == 3
    # Each end says once that it lost the broker, and once that it is back.
    assert [record.message.partition(": ")[0] for record in caplog.records if "lost" in record.message] == [
        f"the broker of {server.url()} is lost"
    ] * 2
    assert caplog.text.count("connected to the broker") == 2


async def test_a_silent_broker_takes_a_bounded_number_of_bytes_and_is_given_up(
    own_broker: Callable[..., Broker], open_end: OpenEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_client, "_PING_SECONDS", 0.2)
    server = own_broker()
    zone = await open_end(server.url())
    piece = bytes(QUEUE_BYTES_MAX // 8)
    server.stop()
    try:
        # The system takes some of them.
        for _ in range(64):
            zone.carrier.publish(piece)
        waiting = zone.carrier._client.unsent_bytes
        assert QUEUE_BYTES_MAX < waiting < QUEUE_BYTES_MAX + 2 * len(piece)
        assert zone.carrier.skipped_total > 8
        await until(lambda: not zone.carrier.is_up)
    finally:
        server.go_on()
    await until(lambda: zone.carrier.is_up)


async def test_a_payload_above_the_brokers_bound_is_dropped_and_the_connection_stays(
    own_broker: Callable[..., Broker], open_end: OpenEnd, caplog: pytest.LogCaptureFixture
) -> None:
    server = own_broker("max_payload: 1000\n")
    zone, gateway = await open_end(server.url()), await open_end(server.url(), "gw1")
    for size in (1_001, 1_001, 1_000):
        zone.carrier.publish(bytes(size))
    await until(lambda: gateway.payloads)
    assert gateway.payloads == [bytes(1_000)]
    assert (zone.carrier.too_large_total, zone.carrier.skipped_total, gateway.changes) == (2, 0, [True])
    (text,) = caplog.messages
    assert text.startswith("a payload for zone.plaza.down is dropped: it has 1001 bytes, the broker takes 1000; raise")


async def test_an_end_without_a_broker(open_end: OpenEnd, caplog: pytest.LogCaptureFixture) -> None:
    url = f"nats://127.0.0.1:{free_port()}/plaza"
    with pytest.raises(CannotStartError, match=r"no broker at .*: connection refused; start one with: nats-server"):
        await open_end(url)
    gateway = await open_end(url, "gw1")
    gateway.carrier.send(b"lost")
    assert not gateway.carrier.is_up
    assert not gateway.changes
    await until(lambda: caplog.records)
    text = "connection refused; start one with: nats-server -c nats-server.conf; trying again every 0.2 s"
    assert caplog.messages == [f"no broker at {url}: {text}"]


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"INFO {\r\n", b"INFO {}\r\nPING\r\n", b""])
async def test_a_server_that_is_no_broker_is_no_reason_to_give_up(said: bytes, open_end: OpenEnd) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}/plaza"
        gateway = await open_end(url, "gw1")
        assert not gateway.carrier.is_up
        with pytest.raises(CannotStartError, match="no broker at"):
            await open_end(url)
        await gateway.carrier.close()


async def test_wrong_credentials_and_missing_permissions_end_the_start_of_either_end(
    own_broker: Callable[..., Broker], open_end: OpenEnd, caplog: pytest.LogCaptureFixture
) -> None:
    server = own_broker(USERS)
    for gateway in ("", "gw1"):
        for user, what in ("Zone:hush", "the credentials"), ("", "a connection without credentials"):
            with pytest.raises(CannotStartError, match=f"rejects {what}; write nats://USER:PASSWORD@") as raised:
                await open_end(server.url("Plaza", user), gateway)
            assert "hush" not in str(raised.value)
    with pytest.raises(CannotStartError) as raised:
        # An @ in a password is written as %40.
        await open_end(server.url("Plaza", "Zone:p%40ss"))
    assert str(raised.value) == (
        f"the broker of {server.url('Plaza')} does not let zone Plaza publish zone.Plaza.to.*: "
        'in nats-server.conf, give its user publish: "zone.Plaza.to.*"'
    )
    with pytest.raises(CannotStartError, match=r'not let gateway gw1 read zone.Plaza.to.gw1: .* subscribe: "zone.Pla'):
        await open_end(server.url("Plaza", "gw1:gw1"), "gw1")
    # Afterwards an end that runs says it, and goes on.
    server.reload(USERS.replace('["zone.Plaza.down"]', '"zone.Plaza.>"'))
    await until(lambda: "Reloaded server configuration" in server.log())
    zone = await open_end(server.url("Plaza", "Zone:p%40ss"))
    server.reload(USERS)
    await until(lambda: server.log().count("Reloaded server configuration") == 2)
    zone.carrier.send("gw7", b"refused")
    await until(lambda: "does not let zone Plaza publish" in caplog.text)


async def test_with_the_documented_file_a_gateway_can_speak_for_itself_alone(
    own_broker: Callable[..., Broker], open_end: OpenEnd, cleanup: contextlib.AsyncExitStack
) -> None:
    server = own_broker((ROOT / "docs/nats-server.conf").read_text())
    url = server.url("plaza", "gw1:change-me-gw1")
    zone = await open_end(server.url("plaza", "zone:change-me-zone"))
    one = await open_end(url, "gw1")
    two = await open_end(server.url("plaza", "gw2:change-me-gw2"), "gw2")
    spy = await connect(LinkAddress.parse(url), LinkSecurity(), "spy")
    cleanup.push_async_callback(spy.end)
    tried = ("zone.plaza.down", "zone.plaza.up.gw2", "zone.plaza.to.gw2")
    for subject in tried:
        spy.put(subject, b"forged")
    for subject in ("zone.plaza.to.gw2", "zone.plaza.up.gw2", "zone.>"):
        await spy.listen(subject, lambda _subject, _payload: pytest.fail("it reads what is not its own"))
    await spy.flush()
    assert {subject for kind, subject in spy.refused if kind == "publish"} == set(tried)
    assert len(spy.refused) == 6
    zone.carrier.send("gw2", b"secret")
    zone.carrier.publish(b"tick")
    one.carrier.send(b"one")
    two.carrier.send(b"two")
    await until(lambda: len(zone.payloads) == 2 and one.payloads and len(two.payloads) == 2)
    assert (sorted(zone.payloads), one.payloads) == ([("gw1", b"one"), ("gw2", b"two")], [b"tick"])
    assert two.payloads == [b"secret", b"tick"]


async def test_tls_needs_a_certificate_that_the_authority_signed(
    own_broker: Callable[..., Broker], open_end: OpenEnd, broker: Broker, tmp_path: Path
) -> None:
    pki = issue_pki(tmp_path)
    (tmp_path / "ca.pem").write_bytes(Path(pki.cert).read_bytes())
    pytest.importorskip("trustme")
    from helpers.pki import Pki

    authority = Pki(tmp_path)
    cert, key = authority.issue("broker")
    server = own_broker(f'tls {{ cert_file: "{cert}", key_file: "{key}" }}\n')
    zone = await open_end(server.url(scheme="tls"), ca=authority.ca)
    gateway = await open_end(server.url(), "gw1", ca=authority.ca)
    zone.carrier.publish(bytes(100_000))
    await until(lambda: gateway.payloads == [bytes(100_000)])
    for name in ("", "gw2"):
        with pytest.raises(
            CannotStartError, match=r"certificate is not accepted: .*; name its authority with --link-ca"
        ):
            await open_end(server.url(scheme="tls"), name)
        # Nothing secret goes to a broker that would read it in the clear.
        with pytest.raises(CannotStartError, match="it offers no TLS"):
            await open_end(broker.url(scheme="tls", user="zone:hush"), name)
        with pytest.raises(CannotStartError, match="cannot use the authorities in /none: No such file"):
            await open_end(server.url(scheme="tls"), name, ca="/none")
        with pytest.raises(CannotStartError, match="cannot read the credentials /none: No such file"):
            await open_end(server.url(), name, creds="/none")


async def test_a_gateway_at_a_leaf_gets_everything(own_broker: Callable[..., Broker], open_end: OpenEnd) -> None:
    settings, port = (ROOT / "docs/nats-server.conf").read_text(), free_port()
    own = 'authorization { user: leaf, password: "change-me-leaf" }'
    hub = own_broker(f"{settings}leafnodes {{ listen: 127.0.0.1:{port}\n{own} }}\n")
    remote = f"nats-leaf://leaf:change-me-leaf@127.0.0.1:{port}"
    leaf = own_broker(f'{settings}leafnodes {{ remotes: [{{ url: "{remote}" }}] }}\n')
    zone = await open_end(hub.url("plaza", "zone:change-me-zone"))
    near = await open_end(hub.url("plaza", "gw1:change-me-gw1"), "gw1")
    far = await open_end(leaf.url("plaza", "gw2:change-me-gw2"), "gw2")
    frames = [b"frame %d" % number for number in range(1, 101)]

    def has_come(end: End) -> bool:
        return any(payload == b"begin" for payload in end.payloads)

    while not (has_come(near) and has_come(far)):
        # The brokers need a moment to tell each other who reads what.
        zone.carrier.publish(b"begin")
        await asyncio.sleep(0.01)
    for frame in frames:
        zone.carrier.publish(frame)
    zone.carrier.send("gw2", b"part")
    far.carrier.send(b"batch")
    await until(lambda: frames[-1] in near.payloads and b"part" in far.payloads and zone.payloads)
    assert [payload for payload in near.payloads if payload != b"begin"] == frames
    assert [payload for payload in far.payloads if payload != b"begin"] == [*frames, b"part"]
    assert zone.payloads == [("gw2", b"batch")]


async def test_a_payload_that_cannot_be_taken_is_logged_and_the_connection_stays(
    broker: Broker, cleanup: contextlib.AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    address = LinkAddress.parse(broker.url("raises"))
    taken: list[bytes] = []

    def receive(_subject: str, payload: bytes) -> None:
        taken.append(payload)
        raise ZeroDivisionError

    client: NatsClient = await connect(address, LinkSecurity(), "test", no_echo=False)
    cleanup.push_async_callback(client.end)
    await client.listen("zone.raises", receive)
    await client.flush()
    for payload in (b"one", b"", b"two"):
        client.put("zone.raises", payload)
    await until(lambda: len(taken) == 2)
    assert taken == [b"one", b"two"]
    assert not client.lost.done()
    assert caplog.text.count("ZeroDivisionError") >= 2


def test_a_name_that_would_be_part_of_another_subject_is_rejected() -> None:
    address = LinkAddress.parse("nats://broker/plaza")
    for name in ("", "a.b", "*", ">", "a b", "x" * 65):
        with pytest.raises(ValueError, match="1 to 64 letters"):
            NatsGatewayCarrier(address, name, LinkSecurity())


def test_without_the_library_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nats", None)
    monkeypatch.delitem(sys.modules, "zoneserver.link.nats_client")
    with pytest.raises(MissingExtraError, match=r"nats-py is not installed: pip install 'zoneserver\[nats\]'"):
        __import__("zoneserver.link.nats_client")
