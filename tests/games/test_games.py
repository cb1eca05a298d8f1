"""The example games, tested with the fixtures for all games."""

from __future__ import annotations

import pytest
from helpers.yard import replica_of, told, zone_of

from zoneserver import Refused
from zoneserver.games.chat import Chat
from zoneserver.games.pixels import COLOURS, SIDE, Pixels
from zoneserver.games.tag import Tag
from zoneserver.testing import StartClient, StartServer

# --- Chat -----------------------------------------------------------------------------------------


def test_say_reaches_every_player(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Chat)
    ann, bob = zone_client("ann"), zone_client("bob")
    ann.act("say", "hello")
    for listener in (ann, bob):
        event = listener.hears("say")
        assert (event.name, event.values) == ("ann", ("hello",))
    assert bob.stat("lines", "ann") == 1


def test_a_new_player_is_told_the_topic(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Chat)
    ann = zone_client("ann")
    assert ann.receives("topic").values == ("anything",)
    ann.act("change_topic", "cheese")
    bob = zone_client("bob")
    assert bob.receives("topic").values == ("cheese",)
    assert (ann.board["topic"], bob.board["topic"]) == ("cheese", "cheese")


def test_say_allows_three_lines_at_once_and_then_one_a_second(
    zone_server: StartServer, zone_client: StartClient
) -> None:
    server = zone_server(Chat)
    ann = zone_client("ann")
    # On a slow machine some seconds may pass meanwhile; each of them adds one line.
    said, first = 0, server.zone.world.tick
    with pytest.raises(Refused, match="TOO_FAST"):
        while True:
            ann.act("say", "again")
            said += 1
    seconds = (server.zone.world.tick - first) // server.config.hz + 1
    assert 3 <= said <= 3 + seconds
    ann.wait(server.config.hz)
    ann.act("say", "at last")


# --- Tag ------------------------------------------------------------------------------------------


def test_the_first_player_is_it_and_another_one_after_they_leave(
    zone_server: StartServer, zone_client: StartClient
) -> None:
    zone_server(Tag)
    ann, bob = zone_client("ann"), zone_client("bob")
    assert (bob.stat("it", "ann"), bob.stat("it")) == (1, 0)
    ann.leave()
    assert (bob.players, bob.stat("it")) == ({bob.slot: "bob"}, 1)


class SmallZone(Tag):
    """A zone where all players are within reach, with a short head start."""

    width, height = 10, 10
    HEAD_START_S = 0.2


def test_tag_makes_the_other_player_it(zone_server: StartServer, zone_client: StartClient) -> None:
    server = zone_server(SmallZone)
    ann, bob = zone_client("ann"), zone_client("bob")
    head_start = server.config.hz // 5
    ann.wait(head_start)
    ann.act("tag", bob.slot)
    assert [bob.stat("it", name) for name in ("ann", "bob")] == [0, 1]
    assert bob.stat("tags", "ann") == 1
    with pytest.raises(Refused, match="NOT_YOU"):
        ann.act("tag", bob.slot)
    bob.wait(head_start)
    bob.act("tag", ann.slot)
    assert ann.stat("it") == 1


def test_tag_is_refused_during_the_head_start(zone_server: StartServer, zone_client: StartClient) -> None:
    class Patient(SmallZone):
        HEAD_START_S = 3600

    zone_server(Patient)
    ann, bob = zone_client("ann"), zone_client("bob")
    with pytest.raises(Refused, match="TOO_EARLY"):
        ann.act("tag", bob.slot)


def test_tag_is_refused_out_of_range_until_the_player_runs_nearer(
    zone_server: StartServer, zone_client: StartClient
) -> None:
    class Corners(Tag):
        HEAD_START_S = 0

        def on_join(self, player) -> None:  # type: ignore[no-untyped-def]
            super().on_join(player)
            player.place(len(self.players) * 1_000, 0)

    zone_server(Corners)
    ann, bob = zone_client("ann"), zone_client("bob")
    assert (ann.position(), ann.position("bob")) == ((1_000, 0), (2_000, 0))
    with pytest.raises(Refused, match="OUT_OF_RANGE"):
        ann.act("tag", bob.slot)
    ann.act("run", 100, 0)
    ann.wait(10)
    ann.act("tag", bob.slot)
    assert ann.stat("tags") == 1


# --- Pixels ---------------------------------------------------------------------------------------


def test_every_player_has_the_picture_also_a_late_one(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Pixels)
    ann = zone_client("ann")
    assert set(ann.board.values()) == {"0" * SIDE}
    ann.act("paint", 3, 2, 15)
    for client in (ann, zone_client("bob")):
        assert client.board["row 2"] == "000f" + "0" * (SIDE - 4)
        assert client.stat("painted", "ann") == 1


def test_a_client_that_skipped_frames_has_the_picture() -> None:
    zone = zone_of("ann", rules=Pixels())
    early = replica_of(zone)
    for number in range(20):
        zone.submit(1, number + 1, [("paint", number, number, 1 + number % 15)])
        early.apply(told(zone.step()))
    late = replica_of(zone)
    assert late.board == early.board == zone.world.board
    assert late.hash() == early.hash()
    assert "f" in late.board[14]  # type: ignore[operator]


@pytest.mark.parametrize("pixel", [(SIDE, 0, 0), (0, -1, 0), (0, 0, COLOURS), (0, 0)])
def test_paint_outside_the_board_is_refused(
    pixel: tuple[int, ...], zone_server: StartServer, zone_client: StartClient
) -> None:
    zone_server(Pixels)
    with pytest.raises(Refused, match="BAD_PAYLOAD"):
        zone_client("ann").act("paint", *pixel)


def test_paint_is_refused_during_the_cooldown(zone_server: StartServer, zone_client: StartClient) -> None:
    class Slow(Pixels):
        PAUSE_S = 3600

    zone_server(Slow)
    ann = zone_client("ann")
    ann.act("paint", 0, 0, 1)
    with pytest.raises(Refused, match="COOLDOWN"):
        ann.act("paint", 1, 0, 1)
