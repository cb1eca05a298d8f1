"""The browser of the tests in this folder."""

from __future__ import annotations

from helpers.chromium import chromium, page

__all__ = ["chromium", "page"]
