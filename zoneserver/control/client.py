"""The client's end of the control socket: it asks a running server for one thing and waits for the answer."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from zoneserver.control.messages import ANSWER_BYTES_MAX, REQUEST_BYTES_MAX, Outcome, decode_outcome, encode_words
from zoneserver.support.errors import CannotStartError, UsageError
from zoneserver.support.socket_file import is_trusted, peer_of

__all__ = ["NoServerError", "ask"]

# Longer than the server waits for its zone.
_ANSWER_SECONDS = 15.0
# A restart begins with a check of the game, which is run twice.
_RESTART_SECONDS = 300.0


class NoServerError(CannotStartError):
    """No server listens at a path, or not the one that is meant."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"no server listens at {path}: {reason}; is it running? "
            "Name its port (--port PORT), or its socket (--ctl PATH)"
        )


def ask(path: Path, words: Sequence[str], pid: int | None = None) -> Outcome:
    """Runs a command on the server at this path, which must be the process `pid` if that is given.

    Raises NoServerError; CannotStartError when the server gives no answer; UsageError for too many words.
    """
    request = encode_words(words)
    if len(request) > REQUEST_BYTES_MAX:
        raise UsageError(f"the words are too long: at most {REQUEST_BYTES_MAX:,} bytes")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_RESTART_SECONDS if "restart" in words[:1] else _ANSWER_SECONDS)
        try:
            sock.connect(os.fspath(path))
        except PermissionError:
            raise NoServerError(path, "the server belongs to another user") from None
        except OSError as error:
            raise NoServerError(path, error.strerror or str(error)) from None
        peer = peer_of(sock)
        if not (is_trusted(peer) or os.geteuid() == 0):
            raise NoServerError(path, "what listens there belongs to another user")
        if pid is not None and peer is not None and peer[0] != pid:
            raise NoServerError(path, f"another server listens there (pid {peer[0]}, not {pid})")
        try:
            with contextlib.suppress(BrokenPipeError):
                # A server that is busy answers without reading.
                sock.sendall(request)
            return decode_outcome(_read_line(sock))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise CannotStartError(f"the server at {path} gave no answer: {reason}") from None


def _read_line(sock: socket.socket) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        data = sock.recv(65_536)
        if not data:
            raise ValueError("it closed the connection")
        line += data
        if len(line) > ANSWER_BYTES_MAX:
            raise ValueError("the answer is too long")
    return bytes(line)
