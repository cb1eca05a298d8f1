"""The tokens of the admin port and of the link, which the server and its tools read from the same places."""

from __future__ import annotations

import os
from pathlib import Path

from zoneserver.cli.parser import Parser
from zoneserver.support.errors import CannotStartError
from zoneserver.support.files import read_text

__all__ = [
    "LINK_TOKEN_VARIABLE",
    "TOKEN_VARIABLE",
    "link_token_setting",
    "read_link_token",
    "read_token",
    "token_setting",
]

TOKEN_VARIABLE = "ZONE_STATS_TOKEN"
"""The variable that has the token if no file has it."""
LINK_TOKEN_VARIABLE = "ZONE_LINK_TOKEN"
"""The variable that has the token of the link if no file has it."""


def token_setting(parser: Parser) -> None:
    """Declares --stats-token-file."""
    text = f"file with the token of the admin port; without it {TOKEN_VARIABLE} may have the token"
    parser.setting("--stats-token-file", parse=Path, help=text)


def link_token_setting(parser: Parser) -> None:
    """Declares --link-token-file."""
    text = f"file with the token of a tcp link, the same at both ends; without it {LINK_TOKEN_VARIABLE} may have it"
    parser.setting("--link-token-file", parse=Path, help=text)


def read_link_token(path: Path | None) -> str:
    """The token of the link, as `read_token` reads that of the admin port."""
    return read_token(path, LINK_TOKEN_VARIABLE)


def read_token(path: Path | None, variable: str = TOKEN_VARIABLE) -> str:
    """The token from the file, else from the environment; empty if neither has one. Raises CannotStartError."""
    if path is None:
        return os.environ.get(variable, "").strip()
    try:
        token = read_text(path).strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CannotStartError(f"cannot read the token in {path}: {reason}") from None
    if not token:
        raise CannotStartError(f"the token file {path} is empty")
    return token
