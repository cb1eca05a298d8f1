"""The browser and the Node of the tests in this folder."""

from __future__ import annotations

from helpers.chromium import chromium, page
from helpers.node import node

__all__ = ["chromium", "node", "page"]
