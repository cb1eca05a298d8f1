"""What may be shown to people of what others call themselves and say."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.protocol.names import NAME_CHARACTERS, is_name
from zoneserver.support.format import printable


@pytest.mark.parametrize("name", ["a", "Ann Smith", "안녕", "Ωmega", "x" * NAME_CHARACTERS, "🐍", "e\u0301"])
def test_who_may_be_called_so(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", " ann", "ann ", "x" * (NAME_CHARACTERS + 1)),
        *("a\nb", "a\x1b[2J", "a\x7f", "\u202eann", "a\u200bb", "a\u00a0b", "a\u3000b", "\ud800", "\ue000", "\u0378"),
        *("\u3164", "\u2800", "\u115f", "\u1160", "\uffa0", "\u034f", "\ufe0f", "\U000e0100", "\U0001d159", "\u17b5"),
        *("ann\u3164", "a\u2800b", "\u115f\u1160", "ann\ufe0f"),
    ],
)
def test_who_may_not(name: str) -> None:
    assert not is_name(name)


@given(st.text())
def test_a_name_has_nothing_that_does_not_show(text: str) -> None:
    if is_name(text):
        assert not {unicodedata.category(character) for character in text} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        assert not any(character.isspace() and character != " " for character in text)
        assert printable(text) == text


def test_no_filler_and_no_blank_of_unicode_is_forgotten() -> None:
    words = (
        "HANGUL FILLER",
        "SEONG FILLER",
        "VARIATION SELECTOR",
        "BRAILLE PATTERN BLANK",
        "NULL NOTEHEAD",
        "SCRIPT FILLER",
    )
    for code in range(0x110000):
        name = unicodedata.name(chr(code), "")
        if any(word in name for word in words):
            assert not is_name(chr(code)), name


@given(st.text())
def test_what_is_printable_is_one_line_and_says_the_same(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert text.isprintable() or shown != text
    assert all(character in shown for character in text if character.isprintable())
