"""The driver of the C# client, compiled once."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping

import pytest
from helpers.csharp import INSTALL, Driver, compile_driver


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """A process that runs clients written in C#."""
    if shutil.which("mcs") is None or shutil.which("mono") is None:
        pytest.skip(f"Mono is missing: {INSTALL}")
    driver = Driver(compile_driver(tmp_path_factory.mktemp("csharp")))
    yield driver
    driver.close()


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The client is another process: which loop the server runs on makes no difference to it."""
    return {"asyncio": asyncio.new_event_loop}
