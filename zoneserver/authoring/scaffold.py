"""The files of a new game: a small game and its test, as a start for an author."""

from __future__ import annotations

import importlib.util
import keyword
import re
import shutil
import sys
from pathlib import Path

import zoneserver
from zoneserver.support.errors import UsageError

__all__ = ["class_name_of", "make_game"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

_GAME = '''\
"""{class_name}: the actions of its players and their effects."""

from typing import Annotated

from zoneserver import Player, Rules, Speed, Text, action


class {class_name}(Rules):
    width, height = 2_000, 2_000
    stats = {{"lines": 0}}

    def on_join(self, player: Player) -> None:
        player.place(self.random.randrange(self.width + 1), self.random.randrange(self.height + 1))

    @action
    def move(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.move(vx, vy)

    @action
    def say(self, player: Player, text: Annotated[str, Text(200)]) -> None:
        player["lines"] += 1
'''

_TEST = '''\
"""Tests of {class_name} with a real server and real players, by the fixtures of zoneserver."""

import pytest
from {name} import {class_name}

from zoneserver import Refused


def test_everybody_hears_what_ann_says(zone_server, zone_client):
    zone_server({class_name})
    ann, bob = zone_client("ann"), zone_client("bob")
    ann.act("say", "hello")
    assert bob.hears("say").values == ("hello",)
    assert bob.stat("lines", "ann") == 1


def test_bob_sees_ann_walk(zone_server, zone_client):
    zone_server({class_name})
    ann, bob = zone_client("ann"), zone_client("bob")
    x, y = bob.position("ann")
    ann.act("move", 3 if x < 1_000 else -3, 0)
    bob.wait(ticks=10)
    assert abs(bob.position("ann")[0] - x) >= 30


def test_saying_nothing_is_refused(zone_server, zone_client):
    zone_server({class_name})
    with pytest.raises(Refused, match="BAD_PAYLOAD"):
        zone_client("ann").act("say", "")
'''

# The commands to type next, with their purpose.
_NEXT = (
    ("cd {folder}", ""),
    ("{python} -m zoneserver check {name}:{class_name}", "describe the game and find its problems"),
    ("{python} -m zoneserver run {name}:{class_name}", "run it until Ctrl-C"),
    ("{python} -m zoneclient ann", "join in another console, and as bob in a third: both read what one types"),
    ("{python} -m pytest", "run its test"),
)


def class_name_of(name: str) -> str:
    """The name of the class of a game: MyGame for my_game."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def make_game(folder: Path) -> str:
    """Makes the folder; returns the text about what to do next. Raises UsageError if the folder exists or its name
    cannot be the name of a game."""
    name = folder.name
    class_name = class_name_of(name)
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UsageError(
            f"{name!r} cannot be the name of a game: use letters, digits and _, the first a letter, as in mygame"
        )
    if folder.exists():
        raise UsageError(f"{folder} exists already")
    if importlib.util.find_spec(name) is not None or class_name in zoneserver.__all__:
        raise UsageError(f"{name!r} would hide an existing module or class: choose another name")
    try:
        folder.mkdir(parents=True)
        for file, text in ((f"{name}.py", _GAME), (f"test_{name}.py", _TEST)):
            (folder / file).write_text(text.format(name=name, class_name=class_name))
    except OSError as error:
        raise UsageError(f"cannot make {folder}: {error.strerror}") from None
    # The commands name the Python that has zoneserver, unless it is the first in the PATH.
    python = "python" if shutil.which("python") == sys.executable else sys.executable
    words = {"folder": folder, "name": name, "class_name": class_name, "python": python}
    commands = [(command.format(**words), why) for command, why in _NEXT]
    width = max(len(command) for command, _ in commands)
    lines = [f"{folder / name}.py is the game, test_{name}.py is its test. Next:"]
    lines += [f"  {command:{width}}  {why}".rstrip() for command, why in commands]
    return "\n".join(lines)
