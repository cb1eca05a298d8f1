"""Text that comes from others and is shown to people: what of it may reach a screen, and what is a name."""

from __future__ import annotations

__all__ = ["NAME_CHARACTERS", "NAME_TEXT", "is_name"]

NAME_CHARACTERS = 24
"""Code points of the longest name."""
NAME_TEXT = f"a name has 1 to {NAME_CHARACTERS} characters, all of which can be seen, and no space around it"
"""What `is_name` asks for, as a sentence."""

# What Python takes for printable and shows nothing, as (first, last): Unicode's Default_Ignorable_Code_Point,
# as far as it is in a category that a name may have; then those whose glyph is blank.
_IGNORABLE = (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164)
_IGNORABLE_BEYOND = (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0100, 0xE01EF)
_BLANK = (0x2800, 0x2800), (0x13441, 0x13442), (0x16FE4, 0x16FE4), (0x1D159, 0x1D159)
_UNSEEN = frozenset(
    chr(code) for first, last in (*_IGNORABLE, *_IGNORABLE_BEYOND, *_BLANK) for code in range(first, last + 1)
)


def is_name(text: str) -> bool:
    """Whether a player may be called so: it is shown to others and to operators, and nothing in it may
    steer a terminal, or look like nothing.

    >>> is_name("ann"), is_name("ann\\x1b[2J"), is_name("\\u3164"), is_name(" ")
    (True, False, False, False)
    """
    return 0 < len(text) <= NAME_CHARACTERS and text.isprintable() and text == text.strip() and _UNSEEN.isdisjoint(text)
