"""The names of players: which texts are allowed."""

from __future__ import annotations

import unicodedata

__all__ = ["NAME_CHARACTERS", "NAME_TEXT", "is_name"]

NAME_CHARACTERS = 24
"""The most code points in a name."""
NAME_TEXT = (
    f"a name must have 1 to {NAME_CHARACTERS} visible characters, no space at either end, and no mark at the start"
)
"""The condition of `is_name`, as a sentence for people."""

# Categories that a name must not contain: controls, invisible formatting, surrogates, private use, separators.
# Unassigned code points are allowed: a newer Unicode than that of this Python may show them.
_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# Code points of other categories that show nothing, as (first, last): Default_Ignorable_Code_Point of Unicode, reserved
# ones included; code points with a blank glyph; the noncharacters between the scripts.
_IGNORABLE = (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164), (0x2065, 0x2065)
_IGNORABLE_BEYOND = (0xFE00, 0xFE0E), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF)
_BLANK = (0x2800, 0x2800), (0x13441, 0x13442), (0x16FE4, 0x16FE4), (0x1D159, 0x1D159)
_NO_CHARACTER = ((0xFDD0, 0xFDEF),)
_UNSEEN = frozenset(
    chr(code)
    for first, last in (*_IGNORABLE, *_IGNORABLE_BEYOND, *_BLANK, *_NO_CHARACTER)
    for code in range(first, last + 1)
)
# Asks for the coloured form of the symbol before it, as behind the heart that phones type.
_COLOURED = "\ufe0f"


def is_name(text: str) -> bool:
    """Whether a player may have this name. Names are shown to other players and to operators: no character may steer
    a terminal, be invisible, or be drawn upon the text before the name. Names that look alike are allowed: a
    slot, and not a name, tells players apart.
    """
    return (
        0 < len(text) <= NAME_CHARACTERS
        and text == text.strip()
        and _UNSEEN.isdisjoint(text)
        # A combining mark at the start; so a name does not consist of marks alone.
        and unicodedata.category(text[0])[0] != "M"
        and all(map(_is_allowed, text, " " + text))
    )


def _is_allowed(character: str, before: str) -> bool:
    """Whether a name may have this character behind the one before it."""
    if character == _COLOURED:
        return unicodedata.category(before)[0] not in "LMZ"
    category = unicodedata.category(character)
    return category not in _FORBIDDEN and (category != "Zs" or character == " ") and ord(character) & 0xFFFE != 0xFFFE
