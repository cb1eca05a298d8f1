"""The compiler of TypeScript."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

VERSION = "7.0.2"
"""Another version may write the same types in another form."""
HOW_TO_INSTALL = f"TypeScript {VERSION} is not installed: npm install --global typescript@{VERSION}"
FLAGS = ("--strict", "--target", "es2022", "--module", "es2022", "--lib", "es2022,dom")


def find_tsc() -> str:
    """The path of the compiler, or skips the test with the line that installs it."""
    program = shutil.which("tsc")
    if program is None:
        pytest.skip(HOW_TO_INSTALL)
    found = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    if found != VERSION:
        pytest.skip(f"{HOW_TO_INSTALL} (this is {found})")
    return program


def compile_types(program: str, *arguments: str | Path) -> str:
    """What the compiler complains of; empty if nothing is wrong."""
    command = [program, *FLAGS, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    return done.stdout + done.stderr if done.returncode else ""
