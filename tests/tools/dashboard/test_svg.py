"""A screen as an SVG file: what is in it, and that it needs nothing else."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from helpers.dashboards import PATIENCE, ROOT, Server, dashboard, in_terminal, picture
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text
from zonetools.dashboard.__main__ import main
from zonetools.dashboard.data.monitor import DisplayOptions, Export, ScreenSize
from zonetools.dashboard.screen import glyphs as figures
from zonetools.dashboard.screen.svg import _DRAWN, svg
from zonetools.dashboard.screen.view import Away, render
from zonetools.dashboard.watch import look_once, watch

NAMESPACE = "{http://www.w3.org/2000/svg}"


def words(text: str) -> list[str]:
    """All that is text in a file."""
    return [element.text or "" for element in ElementTree.fromstring(text).iter(f"{NAMESPACE}text")]


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 36), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("away", [None, Away("connection refused", "12:00:00", 5.0)], ids=["live", "away"])
def test_a_screen_is_a_file_of_its_size_that_loads_nothing(size: tuple[int, int], away: Away | None) -> None:
    text = svg(render(picture(away=away), *size), *size, title="zone-dash")
    root = ElementTree.fromstring(text)
    assert root.attrib["viewBox"] == f"0 0 {9 * size[0] + 32} {18 * size[1] + 32}"
    assert text.count("http") == 1, "the namespace"
    assert not re.search(r"url\(|href|@import|@font-face|<script|<image|<style", text)
    for element in root.iter(f"{NAMESPACE}text"):
        left, length = int(element.attrib["x"]), int(element.attrib["textLength"])
        assert 0 <= left < left + length <= 9 * size[0]
        assert 0 < float(element.attrib["y"]) <= 18 * size[1]
        assert not re.search(f"[{_DRAWN}]", element.text or "")


def test_all_words_are_text_and_all_pictures_are_drawn() -> None:
    view = render(picture(), 120, 36)
    text = svg(view, 120, 36, title="zone-dash")
    for word in re.findall(rf"[^\s{_DRAWN}]+", view.plain):
        assert any(word in each for each in words(text)), word
    bits = sum((ord(mark) - 0x2800).bit_count() for mark in re.findall("[\u2801-\u28ff]", view.plain))
    assert text.count("h0") == bits == 300, "one dot for each player"


def test_plain_characters_are_text_too() -> None:
    text = svg(render(picture(glyphs=figures.ASCII), 80, 24), 80, 24, title="zone-dash")
    assert any("----" in each for each in words(text))


@given(st.text(st.characters(min_codepoint=32, exclude_categories=("C", "M", "Z")), min_size=1, max_size=20))
def test_whatever_somebody_is_called_is_text(name: str) -> None:
    text = svg(Text(f"{name} & co", "bold red"), 60, 1, title=f"<{name}>")
    drawn = re.sub(f"[{_DRAWN}]", "", name)
    assert "".join(words(text)).replace(" ", "") == f"{drawn}&co"
    title = ElementTree.fromstring(text).find(f"{NAMESPACE}title")
    assert title is not None
    assert title.text == f"<{name}>"


async def test_what_was_watched_is_left_as_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running, look = Server(tmp_path), DisplayOptions(export=Export(tmp_path / "screen.svg", ScreenSize(130, 40)))
    try:
        await look_once("127.0.0.1", running.stats_port, interval=0.05, look=look)
        once = (tmp_path / "screen.svg").read_text()
        await watch("127.0.0.1", running.stats_port, interval=0.05, count=2, look=look)
    finally:
        running.stop()
    assert "players and tick" in capsys.readouterr().out
    for text in (once, (tmp_path / "screen.svg").read_text()):
        assert 'viewBox="0 0 1202 752"' in text
        assert {"the zone", "sessions", "recent closes"} <= set(words(text))
        # On a busy machine the zone of this server may stretch its time, and the bar says so.
        assert any(word.startswith("live") for word in words(text))
        assert "<title>zone-dash: 0 players in plaza, a tick takes" in text


async def test_without_a_server_there_is_no_file(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    await watch("127.0.0.1", port, seconds=0.05, look=DisplayOptions(export=Export(tmp_path / "screen.svg")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--size", "80x24"], "--size is the size of the picture"),
        (["--svg", "-"], "a picture goes to a file"),
        (["--svg", "/nowhere/screen.svg"], "cannot write /nowhere/screen.svg: No such file or directory"),
        (["--svg", os.devnull, "--size", "80"], "'80' is not a size"),
        (["--svg", os.devnull, "--size", "59x24"], "59x24 is not within 60x15"),
        (["--svg", os.devnull, "--size", "80x9999"], "80x9999 is not within"),
    ],
)
def test_a_picture_that_cannot_be_is_wrong_usage(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code  # type: ignore[assignment]
    assert code == 2
    assert complaint in capsys.readouterr().err


def test_a_terminal_is_one_thing_and_the_picture_another(tmp_path: Path) -> None:
    running = Server(tmp_path)
    terminal = in_terminal(dashboard(running, "--svg", str(tmp_path / "screen.svg"), "--size", "100x50"))
    try:
        terminal.wait_for(b"the zone")
        terminal.press(b"q")
        assert terminal.wait_for_end() == 0
        assert 'viewBox="0 0 932 932"' in (tmp_path / "screen.svg").read_text()
    finally:
        terminal.close()
        running.stop()


def test_the_picture_of_the_readme_is_of_a_real_run(tmp_path: Path) -> None:
    file = tmp_path / "dashboard.svg"
    command = [sys.executable, "-m", "zonetools.picture", str(file), "--bots", "100", "--count", "2"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "plaza" in " ".join(words(file.read_text()))


def test_the_picture_in_the_readme_is_one_of_ours() -> None:
    text = (ROOT / "docs/dashboard.svg").read_text()
    assert text.count("http") == 1, "the namespace"
    assert {"the zone", "sessions", "recent closes", "live"} <= set(words(text))


def test_reversed_words_stand_on_their_colour() -> None:
    text = svg(Text.assemble(("live", "reverse green"), ("quiet", "dim")), 20, 1, title="")
    assert '<path fill="#7fc47a" d="M0 0h36v18h-36z"/>' in text
    assert 'fill="#11151c" textLength="36" lengthAdjust="spacingAndGlyphs">live<' in text
    assert 'fill="#6d7889" textLength="45" lengthAdjust="spacingAndGlyphs">quiet<' in text


@pytest.mark.parametrize(
    ("mark", "path"),
    [
        ("█", "M0 0h9v18h-9z"),
        ("▁", "M0 15.75h9v2.25h-9z"),
        ("━━", "M0 7h18v4h-18z"),
        ("╸", "M0 7h4.5v4h-4.5z"),
        ("───", "M0 9h27"),
        ("│", "M4.5 0v18"),
        ("┄", "M0.5 9h2M3.5 9h2M6.5 9h2"),
        ("╭", "M4.5 18v-4.5q0 -4.5 4.5 -4.5"),
        ("╮", "M0 9q4.5 0 4.5 4.5v4.5"),
        ("╰", "M4.5 0v4.5q0 4.5 4.5 4.5"),
        ("╯", "M0 9q4.5 0 4.5 -4.5v-4.5"),
        ("⢁", "M2.25 2.25h0M6.75 15.75h0"),
    ],
)
def test_each_mark_has_its_shape(mark: str, path: str) -> None:
    assert f'd="{path}"' in svg(Text(mark), 5, 1, title="")
