"""Which texts are names of players."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.protocol.player_names import NAME_CHARACTERS, is_name
from zoneserver.support.format import printable


@pytest.mark.parametrize("name", ["a", "Ann Smith", "안녕", "Ωmega", "x" * NAME_CHARACTERS, "🐍", "e\u0301", "क्षि"])
def test_is_name_accepts_visible_names_of_every_script(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", " ann", "ann ", "x" * (NAME_CHARACTERS + 1)),
        *("a\nb", "a\x1b[2J", "a\x7f", "\u202eann", "a\u200bb", "a\u00a0b", "a\u3000b", "\ud800", "\ue000", "\u0378"),
        *("\u3164", "\u2800", "\u115f", "\u1160", "\uffa0", "\u034f", "\ufe0f", "\U000e0100", "\U0001d159", "\u17b5"),
        *("ann\u3164", "a\u2800b", "\u115f\u1160", "ann\ufe0f"),
        *("\u0301", "\u0301" * NAME_CHARACTERS, "\u20dd", "\u0301ann", "\u093f"),
    ],
)
def test_is_name_rejects_empty_long_and_invisible_names(name: str) -> None:
    assert not is_name(name)


@given(st.text())
def test_a_name_has_no_control_character_and_no_space_but_u_0020(text: str) -> None:
    if is_name(text):
        assert not {unicodedata.category(character) for character in text} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        assert not any(character.isspace() and character != " " for character in text)
        assert printable(text) == text


def test_is_name_rejects_every_filler_and_blank_of_unicode() -> None:
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
