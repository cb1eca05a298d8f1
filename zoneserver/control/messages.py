"""What travels on the control socket: one JSON line each way, of the schema `zone-ctl/1`.

{"schema": "zone-ctl/1", "words": ["kick", "ann", "be nice"]}
{"schema": "zone-ctl/1", "code": 0, "text": "ann is kicked"}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from zoneserver.support.errors import Exit

__all__ = ["ANSWER_BYTES_MAX", "REQUEST_BYTES_MAX", "Outcome", "decode_outcome", "decode_words", "encode_words"]

_SCHEMA = "zone-ctl/1"
REQUEST_BYTES_MAX = 8 * 1024
"""The longest request that a server reads."""
ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""The longest answer that a client reads: far more than the list of 65,000 players takes."""
_WORDS_MAX = 256


class Outcome(NamedTuple):
    """What became of a command."""

    code: int
    """The exit code of `zoneserver ctl`: 0 done, 1 refused or failed, 2 typed wrongly."""
    text: str

    def encode(self) -> bytes:
        return _line(code=int(self.code), text=self.text)


def encode_words(words: Sequence[str]) -> bytes:
    """The request to run a command."""
    return _line(words=list(words))


def decode_words(line: bytes) -> tuple[str, ...]:
    """The words of a request. Raises ValueError."""
    words = _document(line).get("words")
    if not isinstance(words, list) or len(words) > _WORDS_MAX or not all(isinstance(word, str) for word in words):
        raise ValueError(f"words must be a list of at most {_WORDS_MAX} texts")
    return tuple(words)


def decode_outcome(line: bytes) -> Outcome:
    """The answer to a request. Raises ValueError."""
    document = _document(line)
    code, text = document.get("code"), document.get("text")
    if code not in (Exit.OK, Exit.FAILED, Exit.USAGE) or not isinstance(text, str):
        raise ValueError("the answer has no code, or no text")
    return Outcome(int(code), text)


def _line(**values: Any) -> bytes:
    return json.dumps({"schema": _SCHEMA} | values).encode() + b"\n"


def _document(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("this is not a line of JSON") from None
    if not isinstance(document, dict) or document.get("schema") != _SCHEMA:
        raise ValueError(f"this is not a JSON object of the schema {_SCHEMA}")
    return document
