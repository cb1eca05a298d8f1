"""The picture of the dashboard in README.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from helpers.dashboards import (
    PATIENCE,
    ROOT,
    svg_texts,
)


def test_picture_command_draws_a_real_run(tmp_path: Path) -> None:
    file = tmp_path / "dashboard.svg"
    command = [sys.executable, "-m", "zonetools.picture", str(file), "--bots", "100", "--count", "2"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "plaza" in " ".join(svg_texts(file.read_text()))


def test_picture_in_the_readme_was_drawn_by_the_command() -> None:
    text = (ROOT / "docs/dashboard.svg").read_text()
    assert text.count("http") == 1, "the namespace"
    assert {"the zone", "sessions", "recent closes", "live"} <= set(svg_texts(text))
