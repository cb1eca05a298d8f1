"""Waits without sleeping for what nobody announces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE_SECONDS = 10.0
"""How long a test waits for what must come. Only a failing test ever waits so long."""


async def until(condition: Callable[[], object]) -> None:
    """Lets the loop run until something holds that nobody announces."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0)
