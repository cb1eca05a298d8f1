"""Admin ports without a server behind them: each answers with documents that a test makes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from zoneserver.admin.stats import SessionList, Stats


class AdminPort:
    """An admin port of 127.0.0.1. What it answers may be changed at any time; None is no answer."""

    def __init__(self, stats: Stats | None, sessions: SessionList) -> None:
        self.stats = stats
        self.sessions = sessions
        self.port = 0
        self.on_ask: Callable[[], None] = lambda: None
        """Called before each answer with statistics."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def document(self, path: str) -> Any:
        if path == "/stats":
            self.on_ask()
            return None if self.stats is None else self.stats.to_json()
        if path == "/map":
            return {"width": 100, "height": 100, "players": 1, "positions": [self.port % 100, 50]}
        return self.sessions.to_json() | {"sort": path.partition("sort=")[2].partition("&")[0]}


@contextmanager
def open_admin_port(stats: Stats | None, sessions: SessionList) -> Iterator[AdminPort]:
    port = AdminPort(stats, sessions)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            document = port.document(self.path)
            if document is None:
                self.close_connection = True
                return
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        port.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield port
        finally:
            server.shutdown()
            thread.join()
