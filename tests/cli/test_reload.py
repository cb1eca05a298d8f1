"""`run --reload`: what happens after an edit."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import ModuleType

import pytest

from zoneserver.cli import reload
from zoneserver.cli.reload import Reload


class FakeRestart:
    """Finds an objection in whatever its file says."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.checks = 0

    async def objection(self) -> str:
        self.checks += 1
        text = self.file.read_text()
        if text == "while it is checked, it is edited again":
            self.file.write_text("fine")
        return "" if "fine" in text else f"error: {text}"

    def request_restart(self) -> str:
        return "restarting"


async def test_reload_goes_on_after_an_error_and_restarts_after_a_good_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "_POLL_SECONDS", 0.001)
    monkeypatch.chdir(tmp_path)
    game, helper = tmp_path / "game.py", tmp_path / "helper.py"
    for file in (game, helper):
        file.write_text("")
    module = ModuleType("game")
    module.__file__ = str(game)
    monkeypatch.setitem(sys.modules, "game", module)
    said, restart = asyncio.Queue[str](), FakeRestart(game)
    monkeypatch.setattr(reload, "say", lambda text, *_, **__: said.put_nowait(text))
    task = asyncio.create_task(Reload(restart, str(tmp_path / "zone.toml"), "text").watch())  # type: ignore[arg-type]
    game.write_text("a bug")
    assert await said.get() == "game.py changed: checking ..."
    assert await said.get() == "error: a bug\nthe server goes on as it was"
    helper.write_text("a module that the game has not loaded yet")
    assert await said.get() == "helper.py changed: checking ..."
    assert await said.get() == "error: a bug\nthe server goes on as it was"
    game.write_text("while it is checked, it is edited again")
    assert [await said.get() for _ in range(3)] == 2 * ["game.py changed: checking ..."] + ["restarting"]
    await task
    assert restart.checks == 4
