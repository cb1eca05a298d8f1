"""A console on a terminal of any size."""

from __future__ import annotations

from rich.console import Console, ConsoleDimensions

__all__ = ["BoundedConsole"]

# A terminal may claim 65,535 columns and as many rows: a screen of that size would take all memory and all time.
_WIDTH_MAX, _HEIGHT_MAX = 1_000, 400


class BoundedConsole(Console):
    """A console that draws at most 1,000 columns and 400 rows of its terminal."""

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and rows to draw on."""
        width, height = super().size
        return ConsoleDimensions(min(width, _WIDTH_MAX), min(height, _HEIGHT_MAX))

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        Console.size.fset(self, size)  # type: ignore[attr-defined]
