"""Which texts are names of players."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.protocol.player_names import NAME_CHARACTERS, is_name


@pytest.mark.parametrize(
    "name", ["a", "Ann Smith", "안녕", "Ωmega", "x" * NAME_CHARACTERS, "🐍", "e\u0301", "क्षि", "👍🏽"]
)
def test_is_name_accepts_visible_names_of_every_script(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", " ann", "ann ", "x" * (NAME_CHARACTERS + 1)),
        *("a\nb", "a\x1b[2J", "a\x7f", "\u202eann", "a\u200bb", "a\u00a0b", "a\u3000b", "\ud800", "\ue000"),
        *("\u3164", "\u2800", "\u115f", "\u1160", "\uffa0", "\u034f", "\ufe0f", "\U000e0100", "\U0001d159", "\u17b5"),
        *("ann\u3164", "a\u2800b", "\u115f\u1160", "\u2065", "\ufff0", "\U000e0000", "\U000e0fff"),
        *("\ufdd0", "\uffff", "\U0001fffe", "\U0010ffff"),
        *("\u0301", "\u0301" * NAME_CHARACTERS, "\u20dd", "\u0301ann", "\u093f"),
    ],
)
def test_is_name_rejects_empty_long_and_invisible_names(name: str) -> None:
    assert not is_name(name)


@given(st.text())
def test_a_name_has_no_control_character_and_no_space_but_u_0020(text: str) -> None:
    if is_name(text):
        assert not {unicodedata.category(character) for character in text} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
        assert not any(character.isspace() and character != " " for character in text)


@pytest.mark.parametrize("name", ["\u0378", "\U0001fae8", "\U0001fadc!"])
def test_is_name_accepts_code_points_that_a_newer_unicode_may_show(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["\u2764\ufe0f", "ann \u2764\ufe0f", "1\ufe0f\u20e3", "\u2764\ufe0f\u2764\ufe0f"])
def test_is_name_accepts_the_coloured_form_of_a_symbol(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["ann\ufe0f", "a \ufe0f", "\u2764\ufe0f\ufe0f", "e\u0301\ufe0f", "\ufe0fann"])
def test_is_name_rejects_a_request_for_colour_behind_anything_else(name: str) -> None:
    assert not is_name(name)


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
