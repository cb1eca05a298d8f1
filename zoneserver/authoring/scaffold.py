"""The files of a new game: a small game and its tests, as a start for an author."""

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

from typing import Annotated, Any

from zoneserver import Player, Refused, Rules, Speed, Text, Thing, action


class {class_name}(Rules):
    width, height = 2_000, 2_000
    stats = {{"gold": 0}}
    kinds = {{"coin": {{"worth": 1}}}}

    def on_start(self) -> None:
        for _ in range(30):
            self.spawn("coin", *self.anywhere())

    def on_join(self, player: Player) -> None:
        player.place(*self.anywhere())
        player["gold"] = player.saved.get("gold", 0)
        player.tell("coins", len(self.near(player, 500, "coin")))

    def to_save(self, player: Player) -> dict[str, Any]:
        return {{"gold": player["gold"]}}

    @action
    def move(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.move(vx, vy)

    @action
    def grab(self, player: Player, coin: Thing) -> None:
        if player.distance_to(coin) > 100:
            raise Refused("OUT_OF_RANGE", "go nearer to the coin")
        player["gold"] += coin["worth"]
        coin.remove()

    @action
    def say(self, player: Player, text: Annotated[str, Text(200)]) -> None:
        """Says a line to all players."""
'''

_TEST = '''\
"""Tests of {class_name} with a real server and real players, by the fixtures of zoneserver."""

import pytest
from {name} import {class_name}

from zoneserver import Refused
from zoneserver.testing import MemoryStore


class OneCoin({class_name}):
    width, height = 50, 50

    def on_start(self):
        self.spawn("coin", 10, 10, worth=5)


def test_everybody_hears_what_ann_says(zone_server, zone_client):
    zone_server({class_name})
    ann, bob = zone_client("ann"), zone_client("bob")
    ann.act("say", "hello")
    assert bob.hears("say").values == ("hello",)


def test_a_newcomer_is_told_how_many_coins_are_near(zone_server, zone_client):
    zone_server(OneCoin)
    assert zone_client("ann").receives("coins").values == (1,)


def test_ann_grabs_a_coin_and_bob_sees_it(zone_server, zone_client):
    zone_server(OneCoin)
    ann, bob = zone_client("ann"), zone_client("bob")
    (coin,) = ann.things("coin")
    ann.act("grab", coin)
    assert (bob.stat("gold", "ann"), bob.things("coin")) == (5, {{}})


def test_a_coin_out_of_reach_is_refused(zone_server, zone_client):
    class Far(OneCoin):
        width, height = 2_000, 2_000

        def on_join(self, player):
            player.place(1_000, 1_000)

    zone_server(Far)
    ann = zone_client("ann")
    (coin,) = ann.things("coin")
    with pytest.raises(Refused, match="OUT_OF_RANGE"):
        ann.act("grab", coin)


def test_gold_outlives_the_server(zone_server, zone_client):
    store = MemoryStore()
    zone_server(OneCoin, store=store)
    ann = zone_client("ann")
    ann.act("grab", next(iter(ann.things("coin"))))
    zone_server.stop()
    zone_server(OneCoin, store=store)
    assert zone_client("ann").stat("gold") == 5
'''

# The commands to type next, with their purpose.
_NEXT = (
    ("cd {folder}", ""),
    ("{python} -m zoneserver check {name}:{class_name}", "describe the game and find its problems"),
    ("{python} -m zoneserver run {name}:{class_name} --reload", "run it until Ctrl-C, and again after each edit"),
    ("{python} -m zoneclient ann", "join in another console, and as bob in a third: both read what one types"),
    ("{python} -m pytest", "run its tests"),
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
    lines = [f"{folder / name}.py is the game, test_{name}.py has its tests. Next:"]
    lines += [f"  {command:{width}}  {why}".rstrip() for command, why in commands]
    return "\n".join(lines)
