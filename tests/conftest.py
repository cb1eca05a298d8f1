"""The fixtures that many tests share, and both event loops for every async test."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.gateway_fixture import GatewayFixture, OpenGateway
from helpers.nats import Broker
from helpers.postgres import Postgres, start_postgres
from helpers.processes import Family
from helpers.processes import until as wait_until
from helpers.raw_client import Client, Connect
from helpers.servers import OpenServer
from hypothesis import HealthCheck, settings

from zoneserver.config import Config
from zoneserver.gateway.gateway import Gateway
from zoneserver.server import ZoneServer
from zoneserver.zone.rules import Rules

# How long an example takes says how busy the machine is. Each run draws other examples, so that many runs try many.
settings.register_profile("tests", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("tests"), max_examples=1000)
settings.load_profile("tests")

# Until the tests are collected nothing is garbage. A search would take a tenth of the time.
gc.disable()

try:
    import uvloop
except ImportError:
    uvloop = None


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Runs every async test on asyncio's loop and on uvloop's."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if uvloop is not None:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture(autouse=True, scope="session")
def _runtime_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers of tests have their control sockets in a folder of the tests."""
    with pytest.MonkeyPatch.context() as context:
        context.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        yield


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """Takes back what a command that ran in this process has set up for its log."""
    root = logging.getLogger()
    handlers, filters, level = root.handlers[:], root.filters[:], root.level
    yield
    root.handlers[:], root.filters[:] = handlers, filters
    root.setLevel(level)


@pytest.fixture
async def cleanup() -> AsyncIterator[contextlib.AsyncExitStack]:
    """Closes what a test opened, the last first. Fails the test if an exception reached the event loop."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    async with contextlib.AsyncExitStack() as stack:
        yield stack
    # Connections that close have a few turns of the loop for their last callbacks.
    for _ in range(5):
        await asyncio.sleep(0)
    assert not complaints


@pytest.fixture
def connect(cleanup: contextlib.AsyncExitStack) -> Connect:
    """Connects clients to a local port: `await connect(port, receive_bytes=4096, host="127.0.0.9")`."""

    async def connect(port: int, receive_bytes: int | None = None, host: str = "") -> Client:
        sock = cleanup.enter_context(socket.socket())
        sock.setblocking(False)
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        if host:
            sock.bind((host, 0))
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        return Client(sock)

    return connect


@pytest.fixture
def open_server(cleanup: contextlib.AsyncExitStack) -> OpenServer:
    """Opens servers on free ports: `await open_server(Plaza, hz=100)`."""

    async def open_server(rules: type[Rules], **settings: Any) -> ZoneServer:
        return await cleanup.enter_async_context(ZoneServer(rules, **{"port": 0, "stats_port": 0} | settings))

    return open_server


@pytest.fixture
def open_gateway(cleanup: contextlib.AsyncExitStack, connect: Connect) -> OpenGateway:
    """Opens gateways whose ticks the test runs: `await open_gateway(Plaza, limits=Limits(...), max_players=1)`."""

    async def open_gateway(
        rules: type[Rules], *, connections_max: int = 1000, gateway_class: type[Gateway] = Gateway, **settings: Any
    ) -> GatewayFixture:
        node = GatewayFixture(rules(), Config(**{"hz": 1} | settings), connections_max, gateway_class)
        server = node.listen(connect)
        cleanup.push_async_callback(server.wait_closed)
        cleanup.push_async_callback(node.gateway.close, 0.0)
        cleanup.callback(server.close)
        return node

    return open_gateway


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server. Every test takes a database of its own: `postgres.url()`."""
    server = start_postgres()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A broker with the settings that a link needs, for tests that leave it as it is. Every test takes a zone of its
    own: `broker.url("zone of the test")`."""
    server = Broker()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def family() -> Iterator[Family]:
    """Starts processes, none of which may be left when the test is over."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs /proc to see which processes are left")
    started = Family()
    yield started
    try:
        wait_until(lambda: not started.members())
    finally:
        started.close()


def pytest_collection_finish() -> None:
    """Keeps the thousands of tests out of the sight of the garbage collector, which some tests call."""
    gc.collect()
    gc.freeze()
    gc.enable()
