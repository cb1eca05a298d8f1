"""Waits for a condition without a fixed sleep."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE_SECONDS = 10.0
"""How long a test waits for a condition. Only a failing test waits so long."""


async def until(condition: Callable[[], object]) -> None:
    """Lets the loop run until the condition holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0)
