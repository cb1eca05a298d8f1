"""docs/deploy.md: its units are units of systemd."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.markdown import Page

PAGE = Page("docs/deploy.md")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_units_are_accepted_by_systemd(tmp_path: Path) -> None:
    service, sock = re.findall(r"```ini\n(.*?)```", PAGE.section("A systemd unit"), re.DOTALL)
    # The program of the example is not on this machine.
    service = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", service)
    for kind, text in (("service", service), ("socket", sock)):
        (tmp_path / f"zone.{kind}").write_text(text)
    files = [str(tmp_path / "zone.service"), str(tmp_path / "zone.socket")]
    done = subprocess.run(
        ["systemd-analyze", "verify", *files], capture_output=True, text=True, timeout=30, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if "zone." in line]
    assert (complaints, done.returncode) == ([], 0)
