"""The fixtures for tests of games, under pytest as a user may have set it up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from zoneclient import ZoneClosedError

from zoneserver import Player, Refused, Rules, Speed, action, testing
from zoneserver.testing import StartClient, StartServer


class Bell(Rules):
    """Rings by itself once a second, and when somebody rings it."""

    stats = {"rings": 0}  # noqa: RUF012

    def on_tick(self) -> None:
        if self.tick % self.hz == 0:
            self.emit("bell", self.tick)

    @action
    def ring(self, player: Player) -> None:
        player["rings"] += 1

    @action
    def walk(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.move(vx, vy)

    @action
    def refuse(self, player: Player) -> None:
        raise Refused("NEVER", "not here")


def test_whoever_is_asked_has_seen_what_any_client_did(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Bell)
    ann, bob, cid = zone_client("ann"), zone_client("bob"), zone_client("cid")
    assert ann.players == bob.players == cid.players == {ann.slot: "ann", bob.slot: "bob", cid.slot: "cid"}
    for rings in range(1, 301):  # a sequence's low byte comes round
        ann.act("ring")
        assert (bob.stat("rings", "ann"), cid.stat("rings", "ann")) == (rings, rings)
    assert [event.kind for event in bob.events if event.name == "ann"] == ["ring"] * 300


def test_a_player_walks_as_ticks_go_by(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Bell)
    ann, bob = zone_client("ann"), zone_client("bob")
    ann.act("walk", 2, 1)
    before = bob.position("ann")
    bob.wait(10)
    after = bob.position("ann")
    assert after[0] - before[0] >= 20
    assert after[0] == 2 * after[1]


def test_a_refusal_is_raised_as_the_rule_raised_it(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Bell)
    ann = zone_client("ann")
    with pytest.raises(Refused) as caught:
        ann.act("refuse")
    assert (caught.value.code, caught.value.text) == ("NEVER", "not here")
    with pytest.raises(Refused, match="UNKNOWN_ACTION"):
        ann.act("fly")
    with pytest.raises(TypeError):
        ann.act("ring", object())  # type: ignore[arg-type]
    ann.act("ring")


def test_what_the_zone_does_by_itself_is_heard(zone_server: StartServer, zone_client: StartClient) -> None:
    server = zone_server(Bell)
    ann = zone_client("ann")
    first, second = ann.hears("bell"), ann.hears("bell")
    assert second.values[0] - first.values[0] == server.config.hz
    assert first.name is None


def test_who_leaves_is_gone_for_the_others_and_may_not_be_asked_again(
    zone_server: StartServer, zone_client: StartClient
) -> None:
    zone_server(Bell)
    ann, bob = zone_client("ann"), zone_client("bob")
    ann.leave()
    assert bob.players == {bob.slot: "bob"}
    with pytest.raises(ZoneClosedError):
        ann.act("ring")
    with pytest.raises(ZoneClosedError):
        ann.hears("bell")


def test_two_zones_in_one_test_have_clocks_of_their_own(zone_server: StartServer, zone_client: StartClient) -> None:
    old = zone_server(Bell, hz=50)
    ann = zone_client("ann")
    ann.wait(20)
    new = zone_server(Bell)
    bob, cid = zone_client("bob"), zone_client("cid", old)
    assert (bob.players, cid.players) == ({0: "bob"}, {0: "ann", 1: "cid"})
    assert (old.config.hz, new.config.hz, old.port != new.port) == (50, 100, True)


def test_what_does_not_come_fails_with_what_did(
    zone_server: StartServer, zone_client: StartClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone_server(Bell)
    ann = zone_client("ann")
    ann.act("ring")
    monkeypatch.setattr(testing, "PATIENCE_SECONDS", 0.05)
    with pytest.raises(AssertionError, match=r"ann: it heard no 'hello' within .* it heard .*ring \(\)"):
        ann.hears("hello")
    with pytest.raises(AssertionError, match="nobody in the zone is called 'bob'"):
        ann.position("bob")


def test_a_client_needs_a_zone(zone_client: StartClient) -> None:
    with pytest.raises(AssertionError, match="zone_server"):
        zone_client("ann")


async def test_a_test_that_is_async_may_use_them_too(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Bell)
    zone_client("ann").act("ring")


# --- In a project of somebody else's --------------------------------------------------------------

GAME = """\
import asyncio
import pytest
from zoneclient import connect
from zoneserver import Rules, action

class Fails(Rules):
    @action
    def divide(self, player):
        1 / 0

class Chat(Rules):
    @action
    def say(self, player, text: str): ...

def test_plain(zone_server, zone_client):
    zone_server(Chat)
    zone_client("ann").act("say", "hello")

def test_a_rule_fails(zone_server, zone_client):
    zone_server(Fails)
    with pytest.raises(Exception, match="RULE_FAILED"):
        zone_client("ann").act("divide")
"""
ASYNC = """
{}
async def test_async(zone_server):
    async with connect("127.0.0.1", zone_server(Chat).port, name="bob") as zone:
        zone.act("say", "hello")
        async for update in zone:
            if update.events:
                return
"""


def run_pytest(folder: Path, *arguments: str) -> str:
    """What pytest says in a folder that knows nothing of ours."""
    command = [sys.executable, "-m", "pytest", "-W", "error::ResourceWarning", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize(
    ("arguments", "mark"),
    [
        (["-p", "no:asyncio", "-p", "no:anyio"], None),
        (["--asyncio-mode=strict"], "@pytest.mark.asyncio"),
        (["--asyncio-mode=auto"], ""),
    ],
    ids=["no plugin for async tests", "strict mode", "auto mode"],
)
def test_they_need_no_plugin_and_mind_none(arguments: list[str], mark: str | None, tmp_path: Path) -> None:
    (tmp_path / "test_game.py").write_text(GAME + ("" if mark is None else ASYNC.format(mark)))
    said = run_pytest(tmp_path, *arguments)
    # The rule that fails does so at the end of its test, and only there.
    assert f"{2 if mark is None else 3} passed, 1 error" in said, said
    assert "ERROR at teardown of test_a_rule_fails" in said
    assert "rules of the game raised 1 times" in said
    assert "ZeroDivisionError" in said
