"""PROMISES.md and the promises of the code."""

from __future__ import annotations

from helpers.paths import ROOT
from zonetools.soak.promises import PROMISES


def names() -> list[str]:
    return [promise.name for promise in PROMISES]


def test_promises_document_lists_every_promise_in_order() -> None:
    rows = [line for line in (ROOT / "PROMISES.md").read_text().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == names()


def test_promises_document_quotes_every_promise() -> None:
    rows = [line for line in (ROOT / "PROMISES.md").read_text().splitlines() if line.startswith("| `")]
    assert [row.split("|")[2].strip() for row in rows] == [promise.promise for promise in PROMISES]
