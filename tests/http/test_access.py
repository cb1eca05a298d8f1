"""Access to a port by the Host and the Origin of a request."""

from __future__ import annotations

import pytest

from zoneserver.http.access import Access
from zoneserver.support.host import parse_origin


@pytest.mark.parametrize(
    "text",
    [
        "play.example",
        "ftp://play.example",
        "https://",
        "https://a/b",
        "https://a?b",
        "https://u@a",
        "http://a:x",
        "https://*.a",
        "https://a b",
    ],
)
def test_text_that_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        parse_origin(text)


def test_name_in_other_letters_is_taken_as_browsers_send_it() -> None:
    assert parse_origin("https://größe.example") == "https://xn--grsse-kua.example"


@pytest.mark.parametrize(
    ("host", "origin", "is_allowed"),
    [
        ("localhost:7777", None, True),
        ("127.0.0.1:7777", "http://127.0.0.1:7777", True),
        ("[::1]:7777", "http://[::1]:7777", True),
        (None, None, True),
        # A page of the same name at another port is another page.
        ("localhost:7777", "http://localhost:8000", False),
        ("localhost:7777", "https://evil.example", False),
        ("localhost:7777", "null", False),
        (None, "http://localhost", False),
        # DNS rebinding: the name of the page leads to this machine, and both headers agree.
        ("evil.example:7777", "http://evil.example:7777", False),
        ("evil.example", None, False),
        ("192.0.2.1", None, False),
        ("[", None, False),
        ("", None, False),
        ("127.0.0.5:7777", None, True),
        ("play.example", "https://play.example", True),
        ("localhost:7777", "https://play.example", True),
    ],
)
def test_loopback_port_answers_its_own_pages_and_those_of_its_origins(
    host: str | None, origin: str | None, is_allowed: bool
) -> None:
    access = Access(is_local=True, origins=frozenset({"https://play.example"}))
    assert (access.objection(host, origin) is None) == is_allowed


def test_port_without_the_setting_names_none() -> None:
    for host, origin in (("evil.example", None), ("localhost", "https://evil.example")):
        assert "--origin" not in (Access(is_local=True).objection(host, origin) or "--origin")


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [("192.0.2.1:7777", True), ("[2001:db8::1]", True), ("localhost", True), ("evil.example", False)],
)
def test_public_port_answers_to_its_addresses_and_to_no_name_but_its_origins(host: str, is_allowed: bool) -> None:
    access = Access(is_local=False, origins=frozenset())
    assert (access.objection(host, f"http://{host}") is None) == is_allowed


def test_origin_null_is_allowed_where_it_is_listed() -> None:
    assert Access(is_local=True, origins=frozenset({"null"})).objection("localhost", "null") is None
