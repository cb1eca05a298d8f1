"""Waits for a condition without a fixed sleep."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE_SECONDS = 10.0
"""How long a test waits for a condition. Only a failing test waits so long."""
_TURNS = 200


async def until(condition: Callable[[], object]) -> None:
    """Lets the loop run until the condition holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        turns = 0
        while not condition():
            # Most conditions hold after some turns. Those that wait for a clock leave the processor to other tests.
            await asyncio.sleep(0 if turns < _TURNS else 0.001)
            turns += 1
