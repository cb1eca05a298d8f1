"""What `zoneserver run` prints about itself."""

from __future__ import annotations

import errno
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from zoneserver.cli.console import banner, explain, gateway_banner, say
from zoneserver.config import Config
from zoneserver.games.plaza import Plaza
from zoneserver.gateway_server import GatewayServer
from zoneserver.server import ZoneServer


def test_explain_names_the_port_in_use_and_its_flag() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        text = explain(OSError(errno.EADDRINUSE, "in use"), Config(port=0, stats_port=port))
    assert text.startswith((f"port {port} is in use by ", f"port 0 or {port} is in use"))
    assert "--stats-port 0" in text


def test_explain_names_both_ports_when_the_holder_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneserver.cli.console.port_holder", lambda _port: None)
    text = explain(OSError(errno.EADDRINUSE, "in use"), Config(port=7000, stats_port=7001))
    assert text == "port 7000 or 7001 is in use; choose other ports, or any free ones with --port 0 --stats-port 0"


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
