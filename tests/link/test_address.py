"""Addresses of links: what is read from them, what is said of wrong ones, and that no password is shown."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.link.address import LinkAddress, parse_link


@pytest.mark.parametrize(
    ("text", "parts", "shown"),
    [
        ("unix:/run/zone.sock", ("unix", "/run/zone.sock", "", 0, "", ""), "unix:/run/zone.sock"),
        ("unix:a:b", ("unix", "a:b", "", 0, "", ""), "unix:a:b"),
        ("tcp:127.0.0.1:7900", ("tcp", "", "127.0.0.1", 7900, "", ""), "tcp:127.0.0.1:7900"),
        ("tcp:[::1]:0", ("tcp", "", "::1", 0, "", ""), "tcp:[::1]:0"),
        ("nats://broker/a-Z_9", ("nats", "", "broker", 4222, "a-Z_9", ""), "nats://broker:4222/a-Z_9"),
        ("tls://[::1]:1/z", ("tls", "", "::1", 1, "z", ""), "tls://[::1]:1/z"),
        ("nats://u:p%40w@h:2/z", ("nats", "", "h", 2, "z", "u:p%40w"), "nats://h:2/z"),
    ],
)
def test_parse_takes_an_address_apart(text: str, parts: tuple[object, ...], shown: str) -> None:
    address = LinkAddress.parse(text)
    assert (address.scheme, address.path, address.host, address.port, address.zone, address.user) == parts
    assert str(address) == shown
    assert LinkAddress.parse(shown).server == address.server.replace("u:p%40w@", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no address of a link: write unix:PATH, tcp:HOST:PORT or nats://HOST:PORT/ZONE"),
        ("/run/zone.sock", "is no address of a link"),
        ("http://h/z", "is no address of a link"),
        ("unix:", "names no file: write unix:PATH"),
        ("unix:///run/zone.sock", "names no file: write unix:PATH"),
        ("unix:" + "ä" * 54, "may have 107 bytes, and this one has 108"),
        ("tcp:7900", "names no host and port: write tcp:HOST:PORT"),
        ("tcp:h:65536", "names no host and port"),
        ("tcp:h:-1", "names no host and port"),
        ("tcp://h:1", "names no host and port"),
        ("tcp:::1:7900", "names no host and port"),
        ("tcp:a b:7900", "'a b' is not an address"),
        ("nats:h:1/z", "names no broker: write nats://HOST:PORT/ZONE"),
        ("nats://h:0/z", "names no broker"),
        ("nats://h:x/z", "names no broker"),
        ("nats://h:/z", "names no broker"),
        ("nats://h:1", "names no zone"),
        ("nats://h:1/a.b", "names no zone"),
        ("nats://h:1/" + "z" * 65, "names no zone"),
    ],
)
def test_parse_says_what_is_wrong_and_how_to_write_it(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LinkAddress.parse(text)


@pytest.mark.parametrize("text", ["nats://u:hush@h:x/z", "nats://u:hush@h:1", "nast://u:hush@h:1/z", "u:hush@h:1/z"])
def test_no_error_shows_a_password(text: str) -> None:
    with pytest.raises(ValueError, match=r"nats://HOST:PORT/ZONE") as raised:
        LinkAddress.parse(text)
    assert "hush" not in str(raised.value)
    assert "hush" not in repr(LinkAddress.parse("nats://u:hush@h:1/z"))


@given(st.sampled_from(["", "unix:", "tcp:", "nats://", "tls://"]), st.text())
def test_any_text_is_an_address_or_a_value_error(scheme: str, text: str) -> None:
    try:
        address = LinkAddress.parse(scheme + text)
    except ValueError:
        return
    assert LinkAddress.parse(str(address)) == dataclasses.replace(address, user="")


def test_parse_link_returns_the_text_and_takes_none() -> None:
    assert parse_link("") == ""
    assert parse_link("nats://u:p@h:1/z") == "nats://u:p@h:1/z"
