"""SIGHUP: reads the certificates and the secret of a running server again."""

from __future__ import annotations

import contextlib
import logging
import signal
from pathlib import Path
from typing import Protocol

from zoneserver.cli.secret import read_secret
from zoneserver.config import Config
from zoneserver.server import SECRET_GRACE_SECONDS, ZoneServer
from zoneserver.support import systemd
from zoneserver.support.errors import CommandError
from zoneserver.support.event_loop import on_signal
from zoneserver.support.files import may_block
from zoneserver.support.process import has_terminal

__all__ = ["reread_on_signal"]

log = logging.getLogger(__name__)


class Rereadable(Protocol):
    """A server with a port for players, as SIGHUP sees it."""

    @property
    def config(self) -> Config: ...

    def request_stop(self) -> None: ...

    def reload_certificate(self) -> None: ...


def reread_on_signal(server: Rereadable, secret_file: Path | None = None) -> contextlib.AbstractContextManager[None]:
    """Makes SIGHUP reread the certificates and the secret until the end of the block. Where it tells that the terminal
    of the server was closed, it still stops the server, unless `nohup` started it. Only a ZoneServer has a secret."""
    is_ignored = hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    had_terminal = has_terminal() and not is_ignored

    def reread() -> None:
        if had_terminal and not has_terminal():
            server.request_stop()
            return
        systemd.notify_reloading()
        _reread(server, secret_file)
        systemd.notify("READY=1")

    return on_signal("SIGHUP", reread)


def _reread(server: Rereadable, secret_file: Path | None) -> None:
    """Reads the certificates and the secret again, and logs what became of each."""
    certificates = [(server.config.tls_cert, server.reload_certificate)]
    if isinstance(server, ZoneServer) and server.hub is not None:
        certificates.append((server.config.link_cert, server.hub.carrier.reload_certificate))
    given = [(path, reload) for path, reload in certificates if path is not None]
    if not given and secret_file is None:
        log.warning("SIGHUP: nothing was read again: the settings name neither a certificate nor a secret")
    for path, reload in given:
        try:
            reload()
        except OSError as error:
            log.error("SIGHUP: the server keeps its certificate: %s", error.strerror)
        else:
            log.info("SIGHUP: read the certificate %s again; new connections get it", path)
    if secret_file is not None:
        assert isinstance(server, ZoneServer)
        try:
            if may_block(secret_file):
                raise ValueError(f"{secret_file} is no ordinary file, and a running server waits for no other")
            is_new = server.change_secret(read_secret(secret_file))
        except (CommandError, ValueError) as error:
            log.error("SIGHUP: the server keeps its secret: %s", error)
        else:
            news = f"tickets of the former one are good for {SECRET_GRACE_SECONDS} s" if is_new else "it is the same"
            log.info("SIGHUP: read the secret %s again; %s", secret_file, news)
