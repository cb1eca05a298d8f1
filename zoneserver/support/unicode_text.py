"""Texts that can be sent and stored."""

from __future__ import annotations

__all__ = ["is_unicode"]


def is_unicode(text: str) -> bool:
    """Whether UTF-8 has a form for the text. It has none for half of a surrogate pair, which a str may hold.

    >>> is_unicode("über"), is_unicode("\\ud83d")
    (True, False)
    """
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False
