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

# Characters that Python calls printable and that show nothing, as (first, last): Default_Ignorable_Code_Point of
# Unicode, as far as its category is allowed in a name; then characters with a blank glyph.
_IGNORABLE = (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164)
_IGNORABLE_BEYOND = (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0100, 0xE01EF)
_BLANK = (0x2800, 0x2800), (0x13441, 0x13442), (0x16FE4, 0x16FE4), (0x1D159, 0x1D159)
_UNSEEN = frozenset(
    chr(code) for first, last in (*_IGNORABLE, *_IGNORABLE_BEYOND, *_BLANK) for code in range(first, last + 1)
)


def is_name(text: str) -> bool:
    """Whether a player may have this name. Names are shown to other players and to operators: no character may steer
    a terminal, be invisible, or be drawn upon the text before the name. Names that look alike are allowed: a
    slot, and not a name, tells players apart.
    """
    return (
        0 < len(text) <= NAME_CHARACTERS
        and text.isprintable()
        and text == text.strip()
        and _UNSEEN.isdisjoint(text)
        # A combining mark at the start; so a name does not consist of marks alone.
        and unicodedata.category(text[0])[0] != "M"
    )
