"""The fixtures for tests of games, in this project and in the project of a user."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from zoneclient import ZoneClosedError

from zoneserver import Player, Refused, Rules, Speed, action, command, testing
from zoneserver.testing import StartClient, StartServer


class Bell(Rules):
    """A bell that rings once a second, and whenever a player rings it."""

    stats = {"rings": 0}  # noqa: RUF012
    kinds = {"rope": {"length": 3}}  # noqa: RUF012
    board = {"last": ""}  # noqa: RUF012

    def on_start(self) -> None:
        self.spawn("rope", 5, 6, length=7)

    def on_tick(self) -> None:
        if self.tick % self.hz == 0:
            self.emit("bell", self.tick)

    @action
    def ring(self, player: Player) -> None:
        player["rings"] += 1
        self.board["last"] = player.name

    @action
    def walk(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.move(vx, vy)

    @action(private=True)
    def count(self, player: Player, most: int) -> int:
        if player["rings"] > most:
            raise Refused("TOO_MANY", "you ring too much")
        return player["rings"]

    @action(private=True)
    def whisper(self, player: Player, other: Player, text: str) -> None:
        other.tell("whisper", player.slot, text)

    @action
    def refuse(self, player: Player) -> None:
        raise Refused("NEVER", "not here")

    @command
    def grant(self, player: Player, rings: int, reason: str = "a gift") -> str:
        if rings < 1:
            raise Refused("TOO_FEW", "grant at least 1")
        player["rings"] += rings
        return f"{player.name} has {player['rings']}: {reason}"


def test_every_client_sees_an_action_as_soon_as_act_returns(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Bell)
    ann, bob, cid = zone_client("ann"), zone_client("bob"), zone_client("cid")
    assert ann.players == bob.players == cid.players == {ann.slot: "ann", bob.slot: "bob", cid.slot: "cid"}
    for rings in range(1, 301):  # The low byte of the sequence wraps around.
        ann.act("ring")
        assert (bob.stat("rings", "ann"), cid.stat("rings", "ann")) == (rings, rings)
    assert [event.kind for event in bob.events if event.name == "ann"] == ["ring"] * 300


def test_wait_lets_a_player_walk(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Bell)
    ann, bob = zone_client("ann"), zone_client("bob")
    ann.act("walk", 2, 1)
    before = bob.position("ann")
    bob.wait(10)
    after = bob.position("ann")
    assert after[0] - before[0] >= 20
    assert after[0] == 2 * after[1]


def test_every_client_sees_a_command_as_soon_as_it_returns(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Bell)
    ann, bob = zone_client("ann"), zone_client("bob")
    for rings in range(1, 21):
        assert zone_server.command("grant", "ann", 1, "a", "gift") == f"ann has {rings}: a gift"
        assert (ann.stat("rings"), bob.stat("rings", "ann")) == (rings, rings)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("grant", "ann", 0), "TOO_FEW", "grant at least 1"),
        (("grant", "bob", 1), "NO_TARGET", "there is no player 'bob' in the zone"),
        (("grant", "ann"), "usage", "grant <player: Player> <rings: int> [reason: str = 'a gift']: rings is missing"),
        (("gran",), "REFUSED", "there is no command 'gran'; did you mean 'grant'?"),
        (("stop", "--cancel"), "REFUSED", "no stop is planned"),
    ],
)
def test_command_raises_what_was_refused(
    words: tuple[object, ...], code: str, text: str, zone_server: StartServer, zone_client: StartClient
) -> None:
    zone_server(Bell)
    zone_client("ann")
    with pytest.raises(Refused) as caught:
        zone_server.command(*words)
    assert (caught.value.code, caught.value.text) == (code, text)


def test_command_reaches_the_server_that_is_named(zone_server: StartServer, zone_client: StartClient) -> None:
    first, second = zone_server(Bell), zone_server(Bell)
    ann, bob = zone_client("ann", first), zone_client("bob", second)
    assert zone_server.command("kick", "ann", server=first) == "ann is kicked"
    assert zone_server.command("kick", "bob") == "bob is kicked"
    for client in (ann, bob):
        with pytest.raises(ZoneClosedError, match="KICKED"):
            client.act("ring")


def test_list_of_players_counts_those_without_a_connection(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Bell)
    ann = zone_client("ann")
    zone_client("bob")
    assert len(zone_server.command("players").splitlines()) == 3
    ann.drop()
    assert zone_server.command("players").splitlines()[2:] == ["and 1 whose connection is lost and who may come back"]


def test_act_raises_the_refusal_of_the_rule(zone_server: StartServer, zone_client: StartClient) -> None:
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


def test_ask_returns_the_answer_or_raises_the_refusal(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Bell)
    ann = zone_client("ann")
    ann.act("ring")
    assert ann.ask("count", 5) == (1,)
    with pytest.raises(Refused, match="TOO_MANY"):
        ann.ask("count", 0)


def test_receives_returns_what_one_player_alone_is_told(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Bell)
    ann, bob, cid = zone_client("ann"), zone_client("bob"), zone_client("cid")
    ann.ask("whisper", bob.slot, "hi")
    assert [told.values for told in bob.told] == [(ann.slot, "hi")]
    assert bob.receives("whisper").values == (ann.slot, "hi")
    assert (ann.told, bob.told, cid.told) == ([], [], [])
    assert not [event for event in cid.events if event.kind == "whisper"]


def test_things_and_board_are_as_of_the_last_action(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Bell)
    ann, bob = zone_client("ann"), zone_client("bob")
    ((slot, kind),) = bob.things("rope").items()
    assert (kind, bob.things()) == ("rope", {slot: "rope"})
    assert (bob.stat("length", slot), bob.position(slot)) == (7, (5, 6))
    assert bob.board == {"last": ""}
    ann.act("ring")
    assert bob.board == {"last": "ann"}


def test_hears_returns_events_of_the_zone(zone_server: StartServer, zone_client: StartClient) -> None:
    server = zone_server(Bell)
    ann = zone_client("ann")
    first, second = ann.hears("bell"), ann.hears("bell")
    assert second.values[0] - first.values[0] == server.config.hz
    assert first.name is None


def test_leave_removes_the_player_and_closes_the_client(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Bell)
    ann, bob = zone_client("ann"), zone_client("bob")
    ann.leave()
    assert bob.players == {bob.slot: "bob"}
    with pytest.raises(ZoneClosedError):
        ann.act("ring")
    with pytest.raises(ZoneClosedError):
        ann.hears("bell")


def test_dropped_player_stays_in_and_comes_back(zone_server: StartServer, zone_client: StartClient) -> None:
    class Quiet(Bell):
        def on_drop(self, player: Player) -> None:
            self.board["last"] = f"{player.name} dropped"

        def on_resume(self, player: Player) -> None:
            self.board["last"] = f"{player.name} is back"

    server = zone_server(Quiet)
    ann, bob = zone_client("ann"), zone_client("bob")
    ann.drop()
    assert (bob.board["last"], bob.players[ann.slot]) == ("ann dropped", "ann")
    bob.act("whisper", ann.slot, "are you here?")
    ann.come_back()
    assert bob.board["last"] == ann.board["last"] == "ann is back"
    assert ann.receives("whisper").values == (bob.slot, "are you here?")
    ann.act("ring")
    assert bob.stat("rings", "ann") == 1
    ann.drop()
    zone_server.stop(server)
    with pytest.raises(ZoneClosedError, match="SERVER_STOPPING"):
        bob.wait(ticks=1)


def test_dropped_player_who_is_late_is_told(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Bell, resume_seconds=0.05)
    ann, bob = zone_client("ann"), zone_client("bob")
    ann.drop()
    bob.wait(ticks=10)
    assert list(bob.players.values()) == ["bob"]
    with pytest.raises(ZoneClosedError, match="RESUME_FAILED"):
        ann.come_back()


def test_two_zones_in_one_test_have_separate_ticks(zone_server: StartServer, zone_client: StartClient) -> None:
    old = zone_server(Bell, hz=50)
    ann = zone_client("ann")
    ann.wait(20)
    new = zone_server(Bell)
    bob, cid = zone_client("bob"), zone_client("cid", old)
    assert (bob.players, cid.players) == ({1: "bob"}, {1: "ann", 2: "cid"})
    assert (old.config.hz, new.config.hz, old.port != new.port) == (50, 100, True)


def test_a_timeout_names_the_last_events(
    zone_server: StartServer, zone_client: StartClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone_server(Bell)
    ann = zone_client("ann")
    ann.act("ring")
    monkeypatch.setattr(testing, "PATIENCE_SECONDS", 0.05)
    with pytest.raises(
        AssertionError, match=r"ann: there was no event 'hello' within .* last events were: .*ring \(\)"
    ):
        ann.hears("hello")
    with pytest.raises(AssertionError, match="there is no player 'bob' in the zone"):
        ann.position("bob")


def test_zone_client_needs_a_server(zone_client: StartClient) -> None:
    with pytest.raises(AssertionError, match="zone_server"):
        zone_client("ann")


async def test_an_async_test_can_use_the_fixtures(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Bell)
    zone_client("ann").act("ring")


# --- In the project of a user ---------------------------------------------------------------------

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
    """The output of pytest in a folder without any configuration of this project."""
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
def test_the_fixtures_work_with_and_without_a_plugin_for_async_tests(
    arguments: list[str], mark: str | None, tmp_path: Path
) -> None:
    (tmp_path / "test_game.py").write_text(GAME + ("" if mark is None else ASYNC.format(mark)))
    said = run_pytest(tmp_path, *arguments)
    # The exception of the rule fails its own test, at the teardown, and no other test.
    assert f"{2 if mark is None else 3} passed, 1 error" in said, said
    assert "ERROR at teardown of test_a_rule_fails" in said
    assert "rules of the game raised 1 times" in said
    assert "ZeroDivisionError" in said
