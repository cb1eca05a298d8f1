"""Markdown pages of the repository: their headings, code blocks, tables and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from helpers.paths import ROOT

__all__ = ["CodeBlock", "Page"]

_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A fenced block: its language, the file that it is the content of (or nothing), its text."""

    page: str
    language: str
    file: str
    text: str


class Page:
    """One page, by its path from the root of the repository."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path: Path = ROOT / name
        self.text = self.path.read_text()

    @cached_property
    def blocks(self) -> list[CodeBlock]:
        return [CodeBlock(self.name, *found) for found in _BLOCK.findall(self.text)]

    @cached_property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return _BLOCK.sub("", self.text)

    @property
    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """The anchors that GitHub gives to the headings."""
        anchors: set[str] = set()
        for heading in _HEADING.findall(self.prose):
            anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            same = sum(1 for other in anchors if re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", other))
            anchors.add(f"{anchor}-{same}" if same else anchor)
        return anchors

    def section(self, heading: str) -> str:
        """The text under the first heading that has these words, up to the next heading of its level or above."""
        found = re.search(rf"^(#+) {re.escape(heading)}$", self.text, re.MULTILINE)
        assert found is not None, f"{self.name} has no heading {heading!r}"
        rest = self.text[found.end() :]
        # A comment in a code block begins with one #; headings within sections have at least two.
        return re.split(rf"^#{{2,{len(found[1])}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]

    def rows(self, heading: str = "") -> list[list[str]]:
        """The cells of all rows of the tables of a section, or of the page, without the heads."""
        text = self.section(heading) if heading else self.text
        lines = [line for line in text.splitlines() if line.startswith("|")]
        rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
        return [
            row for row, below in zip(rows, [*rows[1:], []], strict=True) if not _is_rule(row) and not _is_rule(below)
        ]


def _is_rule(row: list[str]) -> bool:
    return bool(row) and set("".join(row)) <= set("-|: ") and "-" in "".join(row)
