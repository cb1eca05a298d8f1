"""The arguments of an action as a player types them, in the forms of Python."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from zoneserver.protocol.values import Plain, Value

__all__ = ["read_argument", "read_arguments", "split_word"]

_TEXT = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
# A word ends at a space that is in no text and in no list.
_WORD = re.compile(rf"(?:{_TEXT}|\[(?:{_TEXT}|[^\]'\"])*\]|[^\s'\"\[])+")
_PLAIN = int | float | str | bytes | None


def read_arguments(text: str) -> list[Value]:
    """Return the arguments in `text`, such as `5 -3 'hello' [1, 2] None b'raw'`. Raises ValueError."""
    return list(map(read_argument, _words(text)))


def _words(text: str) -> Iterator[str]:
    while text := text.lstrip():
        word, text = split_word(text)
        yield word


def split_word(text: str) -> tuple[str, str]:
    """Return the first argument in a text that begins with one, and the rest. Raises ValueError."""
    word = _WORD.match(text)
    if word is None:
        raise ValueError(f"a text or a list has no end: {text:.40}")
    return word[0], text[word.end() :]


def read_argument(word: str) -> Value:
    """Return the value of one argument. Raises ValueError."""
    try:
        value = ast.literal_eval(word)
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"{word:.40} is not a value") from None
    if isinstance(value, _PLAIN):
        return value
    if type(value) is list and all(isinstance(item, _PLAIN) for item in value):
        plain: list[Plain] = value
        return plain
    raise ValueError(f"{word:.40} is not a number, a text, bytes, True, False, None or a list of these")
