"""The Makefile: what `make` alone does."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from helpers.paths import ROOT


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_alone_lists_every_target_in_one_line() -> None:
    # The tests themselves may run under make, which then names the directory.
    make = ["make", "--no-print-directory"]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, timeout=30)
    (declared,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = re.findall(r"^  make ([a-z]+) +\S.*$", done.stdout, re.MULTILINE)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(listed) == sorted(declared.split())
    assert len(done.stdout.splitlines()) == len(listed)
