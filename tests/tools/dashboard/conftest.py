"""A real server and a dashboard that watches it in a real terminal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers.dashboards import Server, dashboard, in_terminal
from helpers.terminals import Terminal


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


@pytest.fixture
def terminal(server: Server) -> Iterator[Terminal]:
    opened = in_terminal(dashboard(server))
    yield opened
    opened.close()
