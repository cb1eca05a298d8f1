"""The settings of a link: what is wrong is said in one line before anything starts, and nothing secret is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.pki import Pki

from zoneserver.cli.main import main
from zoneserver.cli.token import read_link_token
from zoneserver.config import Config, check_zone_link
from zoneserver.link.carriers import link_security, open_gateway_carrier, open_zone_carrier
from zoneserver.link.stream import StreamZoneCarrier
from zoneserver.link.stream_gateway import StreamGatewayCarrier
from zoneserver.support.logs import drain_logs

TOKEN = "sixteen-or-more-characters"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"link": "somewhere"}, "'somewhere' is no address of a link: write unix:PATH, tcp:HOST:PORT or nats:"),
        ({"link": "unix:" + 108 * "x"}, "the path of a socket may have 107 bytes, and this one has 108"),
        ({"link": "tcp:127.0.0.1:1"}, r"needs a token, by which gateways are known: set --link-token-file"),
        ({"link": "tcp:127.0.0.1:1", "link_token": "short"}, "a link token must have 16 to 1024 characters"),
        ({"link_token": 1025 * "x"}, "a link token must have 16 to 1024 characters"),
        ({"link_key": "key.pem"}, r"the key of the link needs its certificate \(--link-cert\)"),
    ],
)
def test_config_rejects_a_link_that_cannot_be(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Config(**settings)


def test_zone_needs_a_certificate_beyond_this_machine() -> None:
    for address in ("tcp:0.0.0.0:7900", "tcp:zone.example:7900"):
        config = Config(link=address, link_token=TOKEN)
        with pytest.raises(ValueError, match=f"the token and all players at {address}: set --link-cert"):
            check_zone_link(config)
        check_zone_link(Config(link=address, link_token=TOKEN, link_cert="cert.pem"))
    for address in ("", "unix:zone.sock", "tcp:localhost:7900", "nats://broker/plaza"):
        check_zone_link(Config(link=address, link_token=TOKEN))


def test_security_has_what_the_settings_say(tmp_path: Path) -> None:
    config = Config(link="tcp:localhost:1", link_token=TOKEN, link_cert="c", link_key="k", link_ca="a", link_creds="d")
    security = link_security(config)
    assert (security.token, security.cert, security.key) == (TOKEN, "c", "k")
    assert (security.ca, security.creds) == ("a", "d")
    assert TOKEN not in repr(config) + repr(security)
    assert "hush" not in repr(Config(link="nats://ann:hush@broker/plaza"))
    assert link_security(object()) == link_security(Config())
    assert isinstance(open_zone_carrier(config.link, security), StreamZoneCarrier)
    assert isinstance(open_gateway_carrier(f"unix:{tmp_path}/z", "gw1", security), StreamGatewayCarrier)


def test_run_tells_a_wrong_link_in_one_line_and_shows_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pki = Pki(tmp_path)
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    assert read_link_token(token) == TOKEN
    far = ["--link", "tcp:0.0.0.0:7900", "--link-token-file", str(token)]
    cases = [
        (["--link", "tcp:localhost:1"], 2, "set --link-token-file"),
        (["--link", "nats://ann:hush@broker"], 2, "names no zone"),
        (far, 2, "set --link-cert"),
        ([*far, "--link-cert", pki.ca], 3, "holds no key: name the file of the key with --link-key"),
    ]
    for flags, code, said in cases:
        try:
            assert main(["run", "--check", *flags]) == code
        except SystemExit as error:
            assert error.code == code
        drain_logs()
        err = capsys.readouterr().err
        assert said in err
        assert "hush" not in err
    monkeypatch.setenv("ZONE_LINK_TOKEN", TOKEN)
    with pytest.raises(SystemExit):
        main(["run", "--show-config", "--link", "nats://ann:hush@broker/plaza"])
    out = capsys.readouterr().out
    assert 'link = "nats://broker:4222/plaza"' in out
    assert "hush" not in out
    assert TOKEN not in out
