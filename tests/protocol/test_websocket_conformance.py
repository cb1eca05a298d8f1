"""Autobahn's conformance cases, by kosoku, against an echo around the frame layer in both roles.

The cases left out measure speed (9) or compression (12, 13), which is never agreed on.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator

import kosoku
import pytest
from helpers.echo import Echo, EchoClient
from kosoku._kosoku import CaseResult

sys.modules.pop("pkg_resources", None)  # See `_no_stand_in`.

CASES = 247
NOT_OURS = ["9.*", "12.*", "13.*"]
CONNECTIONS_MAX = 16


async def fuzz_server() -> list[CaseResult]:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        return await kosoku.run_fuzzingclient(
            f"ws://{host}:{port}", exclude_cases=NOT_OURS, concurrency=CONNECTIONS_MAX
        )


async def fuzz_client() -> list[CaseResult]:
    turns = asyncio.Semaphore(CONNECTIONS_MAX)

    async def ask(path: str) -> EchoClient:
        async with turns:
            _, client = await asyncio.get_running_loop().create_connection(
                lambda: EchoClient(path), server.address, server.port
            )
            await client.closed
            return client

    async with kosoku.run_fuzzingserver(exclude_cases=NOT_OURS, port=0) as server:
        count = int((await ask("/getCaseCount")).first or 0)
        await asyncio.gather(*(ask(f"/runCase?case={case}&agent=zone") for case in range(1, count + 1)))
        await ask("/updateReports?agent=zone")
        return await server.get_result()


@pytest.fixture(autouse=True)
def _no_stand_in() -> Iterator[None]:
    """Takes the stand-in for pkg_resources back, which pytest would take for the real one in other tests."""
    yield
    sys.modules.pop("pkg_resources", None)


@pytest.mark.parametrize("run", [fuzz_server, fuzz_client])
def test_frame_layer_passes_all_conformance_cases(run: Callable[[], Coroutine[None, None, list[CaseResult]]]) -> None:
    try:
        results = asyncio.run(run())
    except kosoku.FailureError as error:
        results = error.results
    failed = [f"{each.case_id}: {each.result} {each.result_close}" for each in results if not each.passed]
    assert (len(results), failed) == (CASES, [])
