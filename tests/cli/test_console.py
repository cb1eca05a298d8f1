"""What `zoneserver run` prints about itself."""

from __future__ import annotations

import errno
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from zoneserver.cli import console
from zoneserver.cli.console import banner, explain, gateway_banner, say
from zoneserver.config import Config
from zoneserver.games.plaza import Plaza
from zoneserver.gateway_server import GatewayServer
from zoneserver.link.address import LinkAddress
from zoneserver.server import ZoneServer


@pytest.mark.parametrize(
    ("error", "flag"), [((errno.EADDRINUSE, ""), "--port"), ((errno.EADDRINUSE, "", "::1"), "--stats-port")]
)
def test_explain_names_the_port_in_use_and_its_flag(error: tuple[Any, ...], flag: str) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        ports = (sock.getsockname()[1], 0) if flag == "--port" else (0, sock.getsockname()[1])
        text = explain(OSError(*error), Config(port=ports[0], stats_port=ports[1]))
    assert text.startswith(f"port {sum(ports)} is in use")
    assert text.endswith(f"; choose another port, or any free one with {flag} 0")


def test_explain_names_the_address_that_cannot_be_bound() -> None:
    error = OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
    text = explain(error, Config(host="::1", port=7000))
    assert text == "cannot listen on [::1]:7000: Cannot assign requested address"


def test_say_is_silent_at_the_log_level_warning(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    level = root.level
    try:
        root.setLevel(logging.WARNING)
        say("hello", "text")
        assert capsys.readouterr().err == ""
        root.setLevel(logging.INFO)
        say("hello", "text")
        assert capsys.readouterr().err == "hello\n"
    finally:
        root.setLevel(level)


async def test_banners_of_zone_and_gateway_say_how_they_find_each_other(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level("INFO")
    link = f"unix:{tmp_path / 'zone.sock'}"
    here: dict[str, Any] = {"stats_port": None, "link": link, "drain_seconds": 0.0, "page": "off"}
    async with ZoneServer(Plaza, hz=50, **here) as zone:
        banner(zone, "asyncio", "text")
        gateway = GatewayServer("gw1", Config(port=0, **here))
        await gateway.start()
        try:
            gateway_banner(gateway, "asyncio", "text")
        finally:
            await gateway.stop()
    printed = capsys.readouterr().err.splitlines()
    assert printed[1:3] == [
        "players    no port of this process",
        f"gateways   {link} (zoneserver gateway --link {link})",
    ]
    head = next(line for line in printed if ", gateway " in line)
    assert head.endswith(f", gateway gw1 of zone plaza at {link}, asyncio, 50 Hz")


@pytest.mark.parametrize(
    ("link", "more", "command"),
    [
        ("tcp:127.0.0.1:0", {}, "tcp:127.0.0.1:7900 --link-token-file FILE"),
        ("tcp:127.0.0.1:0", {"link_cert": "a.pem"}, "tcp:127.0.0.1:7900 --link-token-file FILE --link-ca FILE"),
        ("nats://broker/plaza", {}, "nats://broker:4222/plaza"),
        ("nats://zone:hush@broker/plaza", {}, "nats://NAME:PASSWORD@broker:4222/plaza --name NAME"),
        (
            "tls://broker/plaza",
            {"link_creds": "zone.creds", "link_ca": "ca.pem"},
            "tls://broker:4222/plaza --name NAME --link-creds NAME.creds --link-ca ca.pem",
        ),
    ],
)
def test_command_for_gateways_says_what_to_fill_in_and_shows_no_password(
    link: str, more: dict[str, Any], command: str
) -> None:
    config = Config(link=link, link_token="x" * 16, **more)
    shown = "tcp:127.0.0.1:7900" if link.startswith("tcp") else str(LinkAddress.parse(link))
    assert console._gateway_command(shown, config) == f"zoneserver gateway --link {command}"


def test_banner_of_a_zone_without_a_port_says_nothing_of_tls() -> None:
    assert console._players_at([], Config(tls_cert="a.pem")) == "no port of this process"
    assert console._players_at(["a:1", "b:2"], Config(tls_cert="a.pem")) == "a:1 and b:2 by TLS"
