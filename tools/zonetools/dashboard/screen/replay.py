"""What the screen shows of a replay: its bar, its keys and their explanation. Everything here is pure."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from zoneserver.support.format import format_clock
from zonetools.dashboard.screen.glyphs import Glyphs, bar, fit

STEP_SECONDS = 10
"""How far the arrow keys move a replay."""

HELP = f"""\
p            pauses the replay, or lets it go on; with space
             only this screen stands still
left, right  {STEP_SECONDS} s back, {STEP_SECONDS} s on
[ ]          half the speed, twice the speed"""
"""What the keys do."""


def keys(glyphs: Glyphs) -> tuple[tuple[str, str], ...]:
    """The keys, and what they do in a word."""
    return ("p", "pause"), ("← →" if glyphs.dots else "left right", f"{STEP_SECONDS} s"), ("[ ]", "speed")


def replay_bar(replay: Mapping[str, float], width: int, glyphs: Glyphs) -> Text:
    """The place in the recording, with a bar that fills the line: REPLAY 12:05 of 1:00:00 x8 paused."""
    position, length = replay["position_s"], replay["length_s"]
    state, style = "playing", "cyan"
    if replay["paused"]:
        state, style = "paused", "yellow"
    elif position >= length:
        state, style = "at the end", "green"
    end = format_clock(length)
    text = Text(" ").append("REPLAY", f"bold {style}")
    text.append(f" {format_clock(position):>{len(end)}}", "bold").append(f" of {end} ", "bright_black")
    text.append(f"x{replay['speed']:<5g}", "bold").append(f"{state:<11}", style)
    room = width - text.cell_len - 1
    return fit(text.append_text(bar(position / length if length else 1.0, room, style, glyphs)), width)
