"""What is the text of an address, and what is this machine."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.support.host import is_loopback, parse_host


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("::", "::"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("localhost", "localhost"),
        ("zone-1.example.", "zone-1.example."),
        ("zone_1", "zone_1"),
        ("bücher.example", "bücher.example"),
    ],
)
def test_addresses_and_names_are_hosts(text: str, host: str) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "[", "999.1.1.1", "1.2.3", "127.1", "::1::", "[::1", "::1]", "[localhost]", "127.0.0.1:7777"),
        *("a..b", "a" * 64, "no such host", "-x", "a\x1bb", "a\0b", "\ud800", "http://zone", "[127.0.0.1"),
    ],
)
def test_other_texts_are_no_hosts(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"is not an address: write 127\.0\.0\.1, ::1, 0\.0\.0\.0 or a name$"
    ) as caught:
        parse_host(text)
    assert str(caught.value).isprintable()


@given(st.ip_addresses())
def test_only_loopback_addresses_are_loopback(address: Any) -> None:
    assert parse_host(str(address)) == str(address)
    assert is_loopback(str(address)) == address.is_loopback


@given(st.text(max_size=20))
def test_names_are_not_loopback(name: str) -> None:
    assert not is_loopback(f"{name}.example")
