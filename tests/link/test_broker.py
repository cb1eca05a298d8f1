"""What `check-broker` finds wrong with a broker: each finding with a real nats-server of that setting."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from helpers.loops import one_loop
from helpers.nats import NEWER, SETTINGS, Broker, free_port, is_too_old
from helpers.paths import ROOT

from zoneserver.cli.main import main
from zoneserver.link.address import LinkAddress
from zoneserver.link.broker import BrokerReport, check_broker
from zoneserver.link.carrier import LinkSecurity


@pytest.fixture
def check() -> Iterator[Callable[..., BrokerReport]]:
    """Starts a broker with these settings and checks it: `check(settings, user="gw1:gw1", gateway="gw1")`."""
    if is_too_old():
        pytest.skip(NEWER)
    with ExitStack() as stack:

        def check(
            settings: str = SETTINGS, *, user: str = "", gateway: str | None = None, is_monitored: bool = True
        ) -> BrokerReport:
            server = Broker(settings)
            stack.callback(server.close)
            monitor = server.monitor if is_monitored else "http://127.0.0.1:1"
            return asyncio.run(
                check_broker(LinkAddress.parse(server.url("plaza", user)), LinkSecurity(), gateway, monitor)
            )

        yield check


def found(report: BrokerReport, verdict: str) -> dict[str, str]:
    """The lines for nats-server.conf of the findings with this verdict."""
    return {finding.about: finding.config for finding in report.findings if finding.verdict == verdict}


@pytest.mark.parametrize("is_monitored", [True, False])
def test_a_broker_with_the_documented_settings_is_fine(check: Callable[..., BrokerReport], is_monitored: bool) -> None:
    settings = (ROOT / "docs/nats-server.conf").read_text()
    report = check(settings, user="zone:change-me-zone", is_monitored=is_monitored)
    assert set(found(report, "fine")) == {
        *("version", "max_payload", "credentials", "TLS", "permissions", "max_pending", "no_fast_producer_stall")
    }
    assert len(report.findings) == 7
    report = check(settings, user="gw1:change-me-gw1", gateway="gw1", is_monitored=is_monitored)
    assert not report.is_wrong
    assert "isolation" in found(report, "fine")
    # What only the zone may try is said to be unknown, and not to be fine.
    unknown = {"no_fast_producer_stall"} if is_monitored else {"no_fast_producer_stall", "max_pending"}
    assert set(found(report, "unknown")) == unknown
    assert "only the zone's credentials can try it" in report.render()


@pytest.mark.parametrize("is_monitored", [True, False])
def test_the_defaults_of_a_broker_are_wrong(check: Callable[..., BrokerReport], is_monitored: bool) -> None:
    report = check("", is_monitored=is_monitored)
    assert found(report, "wrong") == {"max_payload": "max_payload: 8MB", "max_pending": "max_pending: 16MB"}
    assert found(report, "unknown") == {"no_fast_producer_stall": "no_fast_producer_stall: true"}


@pytest.mark.parametrize("is_monitored", [True, False])
def test_a_broker_that_keeps_no_more_than_the_largest_payload_is_wrong(
    check: Callable[..., BrokerReport], is_monitored: bool
) -> None:
    report = check("max_payload: 8MB\nmax_pending: 8MB\nno_fast_producer_stall: true\n", is_monitored=is_monitored)
    assert found(report, "wrong") == {"max_pending": "max_pending: 16MB"}
    assert "not above max_payload" in report.render()


def test_a_broker_that_lets_a_slow_reader_stall_the_zone_is_wrong(check: Callable[..., BrokerReport]) -> None:
    report = check("max_payload: 8MB\nmax_pending: 8200KB\n")
    assert found(report, "wrong") == {"no_fast_producer_stall": "no_fast_producer_stall: true"}


def test_missing_permissions_are_named_with_their_lines(check: Callable[..., BrokerReport]) -> None:
    users = """authorization { users: [
        { user: zone, password: z, permissions: {publish: "zone.plaza.down", subscribe: "zone.plaza.up.*"} }
        { user: gw1, password: g, permissions: {publish: "zone.plaza.up.gw1", subscribe: "zone.plaza.down"} }
    ] }"""
    report = check(SETTINGS + users, user="zone:z")
    wrong = [finding for finding in report.findings if finding.verdict == "wrong"]
    assert [(finding.about, finding.config) for finding in wrong] == [
        ("permissions", 'publish: "zone.plaza.to.*"'),
        ("permissions", 'subscribe: "zone.plaza.down"'),
    ]
    assert 'needs also publish: "zone.plaza.check" and subscribe: "zone.plaza.check"' in report.render()
    assert "let it publish zone.plaza.to.* (if they are those of a gateway: --as zone)" in report.render()
    report = check(SETTINGS + users, user="gw1:g", gateway="gw1")
    assert found(report, "wrong") == {"permissions": 'subscribe: "zone.plaza.to.gw1"'}
    assert "--as" not in report.render()


def test_a_gateway_that_can_speak_as_the_zone_is_wrong(check: Callable[..., BrokerReport]) -> None:
    users = 'authorization { users: [{ user: gw1, password: g, permissions: {publish: "zone.>", subscribe: ">"} }] }'
    report = check(SETTINGS + users, user="gw1:g", gateway="gw1")
    own = 'permissions: {publish: "zone.plaza.up.gw1", subscribe: ["zone.plaza.down", "zone.plaza.to.gw1"]}'
    assert found(report, "wrong") == {"isolation": own}
    assert "can publish zone.plaza.down and publish zone.plaza.up.gw1- and read zone.plaza.to.gw1-" in report.render()


@one_loop
async def test_an_old_broker_that_everybody_reaches_is_wrong() -> None:
    info = {"server_id": "X", "version": "2.9.10", "host": "0.0.0.0", "max_payload": 2**23}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"INFO {json.dumps(info)}\r\n".encode())
        while line := await reader.readline():
            if line == b"PING\r\n":
                writer.write(b"PONG\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = LinkAddress.parse(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}/plaza")
        report = await check_broker(address, LinkSecurity(), None, "http://127.0.0.1:1")
    assert {"version", "credentials", "TLS"} <= set(found(report, "wrong"))
    assert "it listens on 0.0.0.0" in report.render()
    assert "2.10.26" in report.render()


def test_the_command_prints_findings_and_its_exit_code_says_whether_one_is_wrong(
    broker: Broker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["check-broker", broker.url(), "--monitor", broker.monitor]) == 0
    assert "fine     max_pending: 16MiB\n" in capsys.readouterr().out
    assert main(["check-broker", broker.url(), "--monitor", broker.monitor, "--as", "gw1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["schema"], result["address"]) == ("zone-broker/1", broker.url())
    assert set(result["findings"][0]) == {"about", "verdict", "text", "config"}
    port = free_port()
    assert main(["check-broker", f"nats://u:hush@127.0.0.1:{port}/plaza"]) == 3
    assert (error := capsys.readouterr().err).startswith(f"zoneserver: no broker at nats://127.0.0.1:{port}/plaza: ")
    assert "hush" not in error
    for wrong in (
        ["unix:/run/zone.sock"],
        [broker.url(), "--as", "a.b"],
        [broker.url(), "--monitor", "x"],
        ["nats://h"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(["check-broker", *wrong])
        assert ended.value.code == 2
    for module in ("nats_client", "nats", "broker"):
        monkeypatch.delitem(sys.modules, f"zoneserver.link.{module}")
    monkeypatch.setitem(sys.modules, "nats", None)
    capsys.readouterr()
    assert main(["check-broker", broker.url()]) == 3
    assert "nats-py is not installed: pip install 'zoneserver[nats]'" in capsys.readouterr().err
