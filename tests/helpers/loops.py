"""The event loops of async tests: both by default, see `pytest_asyncio_loop_factories` in conftest.py."""

from __future__ import annotations

import pytest

__all__ = ["one_loop"]

one_loop = pytest.mark.asyncio(loop_factories=["asyncio"])
"""Marks an async test that takes seconds, and in which the event loop of the test has no part: what it tests runs in
processes of its own."""
