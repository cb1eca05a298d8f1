"""Runs a program to its end."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE


async def run_program(*command: str, seconds: float | None = None) -> tuple[int, str, str]:
    """Run a program without input; return its exit code, its output and its errors.

    The program does not outlive the call. Raises TimeoutError if it takes longer than `seconds`.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    return process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace")
