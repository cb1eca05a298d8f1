"""Things side by side, of which none outlives whoever started it: whatever happens, servers are stopped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

__all__ = ["beside", "together"]

Found = TypeVar("Found")


async def together(*parts: Coroutine[Any, Any, Found]) -> list[Found]:
    """Runs all of them and returns what they found, in order. When one fails, the others are cancelled and
    waited for (`asyncio.gather` would leave them running), and its exception is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in parts]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


@contextlib.asynccontextmanager
async def beside(*parts: Coroutine[Any, Any, object]) -> AsyncIterator[list[asyncio.Task[object]]]:
    """Runs them beside the block and cancels them at its end. When one failed meanwhile, its exception is raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
