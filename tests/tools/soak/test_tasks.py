"""Coroutines in parallel."""

from __future__ import annotations

import asyncio

import pytest
from zonetools.soak.tasks import beside, together


async def test_failed_coroutine_cancels_the_others_and_waits_for_them() -> None:
    over: list[str] = []

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ConnectionError("gone")

    async def cleans_up() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            over.append("cleaned up")

    with pytest.raises(ConnectionError, match="gone"):
        await together(fails(), cleans_up())
    with pytest.raises(ConnectionError, match="gone"):
        async with beside(fails(), cleans_up()):
            await asyncio.sleep(0.01)
    assert over == ["cleaned up"] * 2
