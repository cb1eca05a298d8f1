"""The address of a client behind HTTP proxies."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.http.forwarded import forwarded_address
from zoneserver.support.addresses import Networks

TRUSTED = Networks(["127.0.0.1", "10.0.0.0/8", "2001:db8:0:1::/64"])


def address(*headers: tuple[str, str], peer: str = "127.0.0.1") -> str:
    return forwarded_address(peer, [(name.encode(), value.encode("latin-1")) for name, value in headers], TRUSTED)


def told(value: str) -> str:
    return address(("x-forwarded-for", value))


def told_by_rfc(value: str) -> str:
    return address(("host", "zone.example"), ("forwarded", value))


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("203.0.113.9,198.51.100.1 ,10.1.2.3, 127.0.0.1", "198.51.100.1"),
        ("10.1.2.3, 127.0.0.1", "10.1.2.3"),
        ("198.51.100.1:4711", "198.51.100.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[2001:db8::1]:80, 2001:db8:0:1::5", "2001:db8::1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("<script>, 198.51.100.1", "198.51.100.1"),
        # What is no address where the client should stand.
        ("198.51.100.1, unknown", "127.0.0.1"),
        ("198.51.100.1, unknown, 10.1.2.3", "127.0.0.1"),
        ("198.51.100.1,", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("fe80::1%eth0", "127.0.0.1"),
        ("198.51.100.01", "127.0.0.1"),
        ("\xb9.2.3.4", "127.0.0.1"),
    ],
)
def test_client_is_the_rightmost_address_that_is_not_trusted(value: str, client: str) -> None:
    assert told(value) == client


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("for=198.51.100.1", "198.51.100.1"),
        ("For=203.0.113.9, FOR=198.51.100.1;proto=https;by=10.0.0.1", "198.51.100.1"),
        ('for=198.51.100.1, proto=http;for="[2001:db8::17]:4711", for=10.0.0.1', "2001:db8::17"),
        (r'for="\198.51.100.1:80"', "198.51.100.1"),
        ('for=198.51.100.1;host="a,for=203.0.113.9;b"', "198.51.100.1"),
        ("for=[2001:db8::17]", "2001:db8::17"),
        # The client opens a quote, which ends within what the proxy appends.
        ('for=203.0.113.9;x=", for="[2001:db8::17]:4711"', "127.0.0.1"),
        ('for=203.0.113.9;x=", for=198.51.100.1;host="zone"', "127.0.0.1"),
        ('for=203.0.113.9;x="a\\",for=198.51.100.1', "127.0.0.1"),
        ("for=198.51.100.1, for=unknown", "127.0.0.1"),
        ("for=198.51.100.1, for=_hidden, for=10.0.0.1", "127.0.0.1"),
        ("for=198.51.100.1, proto=http", "127.0.0.1"),
        ("198.51.100.1", "127.0.0.1"),
    ],
)
def test_client_of_a_header_forwarded(value: str, client: str) -> None:
    assert told_by_rfc(value) == client


def test_headers_of_a_peer_that_is_not_trusted_are_not_read() -> None:
    assert address(("x-forwarded-for", "198.51.100.1"), peer="192.0.2.1") == "192.0.2.1"
    assert address(peer="127.0.0.1") == "127.0.0.1"


def test_header_that_is_there_twice_is_one_chain() -> None:
    assert address(("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.1")) == "198.51.100.1"
    assert address(("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "10.0.0.1")) == "198.51.100.1"


def test_two_headers_that_differ_are_not_believed() -> None:
    ours, theirs = ("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=203.0.113.9")
    assert address(ours, theirs) == address(theirs, ours) == "127.0.0.1"
    assert address(ours, ("forwarded", "for=198.51.100.1")) == "198.51.100.1"


hosts = st.ip_addresses().map(str)


@given(st.text(st.characters(max_codepoint=255)), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_any_value_gives_an_address(value: str, name: str) -> None:
    ipaddress.ip_address(address((name, value)))


@given(st.text(st.characters(max_codepoint=255)), hosts.filter(lambda host: host not in TRUSTED))
def test_client_writes_no_address_of_its_own_choice(written: str, client: str) -> None:
    """What a client writes stands before what the trusted proxy appends."""
    expected = str(getattr(ipaddress.ip_address(client), "ipv4_mapped", None) or client)
    assert told(f"{written}, {client}") == expected
    assert address(("x-forwarded-for", written), ("x-forwarded-for", f"{client}, 10.0.0.1")) == expected


pieces = st.sampled_from(['"', "\\", ",", ";", "=", " ", "for", "x", "203.0.113.9", "[2001:db8::9]"])


@given(st.lists(pieces).map("".join), st.sampled_from(["for=198.51.100.1", 'for="198.51.100.1:80";host="zone"']))
def test_client_hides_nothing_that_a_proxy_appends_to_a_header_forwarded(written: str, appended: str) -> None:
    assert told_by_rfc(f"{written}, {appended}") in {"198.51.100.1", "127.0.0.1"}
    assert address(("forwarded", written), ("forwarded", appended)) == "198.51.100.1"
