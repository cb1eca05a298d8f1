"""The secret of a zone, and the tickets that a command makes with it."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from zoneserver.config import check_secret
from zoneserver.protocol.tickets import issue_ticket
from zoneserver.support.errors import CannotStartError
from zoneserver.support.files import read_file

__all__ = ["SECRET_VARIABLE", "TICKET_SECONDS", "new_ticket", "read_secret"]

SECRET_VARIABLE = "ZONE_SECRET"
"""The variable of the environment that has the secret where no file is named. A flag would show it to everybody."""
TICKET_SECONDS = 300.0
"""How long a ticket is valid that a command makes."""


def read_secret(path: Path | None) -> bytes:
    """The secret from the file, or without a file from the environment; empty if neither has one.

    Raises CannotStartError for a file that cannot be read or is empty, ValueError for a secret that is too short.
    """
    if path is None:
        secret = os.fsencode(os.environ.get(SECRET_VARIABLE, ""))
    else:
        try:
            secret = read_file(path).strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CannotStartError(f"cannot read the secret in {path}: {reason}") from None
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
