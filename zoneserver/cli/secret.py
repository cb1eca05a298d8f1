"""The secret of a zone, and the tickets that a command makes with it."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from zoneserver.config import check_secret
from zoneserver.protocol.tickets import issue_ticket
from zoneserver.support.errors import CannotStartError

__all__ = ["SECRET_VARIABLE", "TICKET_SECONDS", "new_ticket", "read_secret"]

SECRET_VARIABLE = "ZONE_SECRET"
"""The variable of the environment that has the secret where no file is named. A flag would show it to everybody."""
TICKET_SECONDS = 300.0
"""How long a ticket is valid that a command makes."""

# A secret is a few dozen bytes long; a device has no end.
_SECRET_BYTES_MAX = 64 * 1024


def read_secret(path: Path | None) -> bytes:
    """The secret from the file, or without a file from the environment; empty if neither has one.

    Raises CannotStartError for a file that cannot be read or is empty, ValueError for a secret that is too short.
    """
    if path is None:
        secret = os.fsencode(os.environ.get(SECRET_VARIABLE, ""))
    else:
        secret = _content(path).strip()
        if not secret:
            raise CannotStartError(f"the secret file {path} is empty")
    if secret:
        check_secret(secret)
    return secret


def new_ticket(secret: bytes, name: str, zone: str, expires_at: int | None = None) -> bytes:
    """A ticket for one player and one zone, valid from now on; for five minutes, unless `expires_at` says when it
    expires, in seconds since 1970."""
    if expires_at is None:
        expires_at = int(time.time() + TICKET_SECONDS)
    return issue_ticket(secret, name, zone, expires_at, secrets.token_bytes(16))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_SECRET_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CannotStartError(f"cannot read the secret in {path}: {reason}") from None
    if len(content) > _SECRET_BYTES_MAX:
        raise CannotStartError(f"cannot read the secret in {path}: it is larger than {_SECRET_BYTES_MAX:,} bytes")
    return content
