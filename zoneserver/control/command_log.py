"""The line of the log for each command of an operator."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from zoneserver.control.messages import Outcome
from zoneserver.support.errors import Exit
from zoneserver.support.logs import fields

__all__ = ["NOT_ALLOWED", "log_command", "log_refusal"]

log = logging.getLogger(__name__)

NOT_ALLOWED = "only the user of the server and root may give commands"


def log_command(words: Sequence[str], uid: int | None, outcome: Outcome) -> None:
    """Logs a command, the user who gave it, and what became of it."""
    said = " ".join(words) or "help"
    told = fields(words=list(words), code=int(outcome.code), uid=uid)
    result = "done" if outcome.code == Exit.OK else outcome.text
    log.info("ctl: %.100r by uid %s: %.80s", said, uid, result, extra=told)


def log_refusal(uid: int | None) -> None:
    """Logs that a user who may not give commands has tried to."""
    log.warning("ctl: refused uid %s: %s", uid, NOT_ALLOWED)
