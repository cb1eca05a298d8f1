"""Files that change, and the files of a program."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

import zoneserver.games.tag
from zoneserver.support.changed_files import ChangedFiles, loaded_files


def test_changed_names_files_that_were_written_since_the_last_look(tmp_path: Path) -> None:
    one, two, gone = (str(tmp_path / name) for name in ("one.py", "two.py", "gone.py"))
    for path in (one, two, gone):
        Path(path).write_text("")
    files = ChangedFiles()
    assert files.changed([one, two, gone]) == [], "all of them are new"
    Path(two).write_text("x = 1")
    os.utime(one, ns=(1, 1))
    Path(gone).unlink()
    assert files.changed([two, one, gone]) == [one, two]
    assert files.changed([one, two, gone]) == []
    Path(gone).write_text("it is back, as an editor writes it")
    assert files.changed([one, two, gone]) == [gone]


def test_loaded_files_are_those_that_somebody_may_edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, odd = ModuleType("game"), ModuleType("odd")
    module.__file__, odd.__file__ = str(tmp_path / "game.py"), None
    monkeypatch.setitem(sys.modules, "game", module)
    monkeypatch.setitem(sys.modules, "odd", odd)
    neighbour = tmp_path / "other.py"
    neighbour.write_text("")
    found = loaded_files()
    assert {module.__file__, zoneserver.games.tag.__file__} <= {*found}
    assert not {os.__file__, pytest.__file__, zoneserver.__file__, str(neighbour)} & {*found}
    assert str(neighbour) in loaded_files(with_neighbours=True)
