"""Players who lose their connection, and come back."""

from __future__ import annotations

import pytest
from helpers.driven_zone import DrivenZone
from helpers.yard import HZ, Yard, told, zone_of

from zoneserver.config import Limits
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Refusal, Told
from zoneserver.zone.link import AddressBan, Command, Ended, Join, Resumed, Standing
from zoneserver.zone.parameters import ZoneParameters
from zoneserver.zone.rules import Player, action

GRACE = 12


class Inn(Yard):
    """A game that records who drops and who comes back."""

    def on_drop(self, player: Player) -> None:
        super().on_drop(player)
        self.note("on_drop", player)
        assert not player.is_here

    def on_resume(self, player: Player) -> None:
        self.note("on_resume", player)
        assert player.is_here

    @action
    def wake(self, player: Player, other: Player) -> None:
        other.tell("wake", player.name)

    def hooks(self) -> list[tuple[str, str]]:
        return [noted for noted in self.noted if noted[0] != "on_tick"]


def inn(*names: str, **settings: object) -> DrivenZone:
    """A zone whose players may come back. Their refs count from 1, and the token of each is their name."""
    zone = zone_of(rules=Inn(), resume_ticks=GRACE, **settings)
    for ref, name in enumerate(names, 1):
        zone.come(ref, name, token=name.encode())
    zone.step()
    zone.rules.noted.clear()
    return zone


def hooks(zone: DrivenZone) -> list[tuple[str, str]]:
    assert isinstance(zone.rules, Inn)
    return zone.rules.hooks()


def test_drop_stops_the_player_and_keeps_the_slot() -> None:
    zone = inn("ann", "bob")
    zone.submit(1, 1, [("walk", 5, 0)])
    zone.step()
    zone.drop(1)
    frame = told(zone.step())
    assert (frame.leaves, frame.steered, list(frame.steered_vx)) == ((), [0], [0])
    assert hooks(zone) == [("on_drop", "ann")]
    assert zone.world.holders == ["ann", "bob"]


def test_resume_gives_the_same_slot_and_tells_nobody() -> None:
    zone = inn("ann", "bob")
    zone.submit(1, 7, [("say", "a"), ("say", "b")])
    zone.step()
    zone.drop(1)
    zone.step()
    zone.come(3, "ann", token=b"new", claim=b"ann", tick=zone.world.tick)
    output = zone.step()
    assert output.resumed == [Resumed(3, 0, 8, 1)]
    assert output.ended == [Ended(1, "REPLACED", "")]
    assert (told(output).leaves, told(output).joins) == ((), ())
    zone.submit(3, 9, [("say", "c")])
    assert [event[1] for event in told(zone.step()).events] == [9]
    assert hooks(zone) == [("a", "ann"), ("b", "ann"), ("on_drop", "ann"), ("on_resume", "ann"), ("c", "ann")]


def test_resume_takes_over_a_session_that_looks_alive_within_one_tick() -> None:
    zone = inn("ann")
    zone.come(2, "ann", token=b"new", claim=b"ann", tick=zone.world.tick)
    # What the old connection brought in time is taken, and the sequence says so.
    zone.submit(1, 1, [("say", "still here")])
    output = zone.step()
    assert (output.resumed, output.ended) == ([Resumed(2, 0, 1, 1)], [Ended(1, "REPLACED", "")])
    zone.drop(1)
    zone.leave(1)
    assert zone.step().ended == []
    assert hooks(zone) == [("on_resume", "ann"), ("still here", "ann")]


def test_player_who_does_not_come_back_leaves_after_the_grace() -> None:
    zone = inn("ann", "bob")
    zone.drop(1)
    dropped = zone.step().tick
    outputs = [zone.step() for _ in range(GRACE)]
    assert [output.tick for output in outputs if told(output).leaves] == [dropped + GRACE]
    assert outputs[-1].ended == [Ended(1, "CONNECTION_LOST", "")]
    assert hooks(zone) == [("on_drop", "ann"), ("on_leave", "ann")]
    zone.come(3, "ann", claim=b"ann")
    assert zone.step().ended == [Ended(3, "RESUME_FAILED", "")]


@pytest.mark.parametrize(
    ("name", "claim"), [("ann", b"bob"), ("ann", b"other"), ("bob", b"ann"), ("cid", b"ann"), ("dan", b"")]
)
def test_wrong_tokens_are_refused_and_change_nothing(name: str, claim: bytes) -> None:
    zone = inn("ann", "bob")
    zone.join(3, "dan")  # A player who cannot come back has no token.
    zone.drop(1)
    zone.step()
    zone.come(9, name, claim=claim or b"x", tick=1)
    output = zone.step()
    assert (output.ended, output.resumed) == ([Ended(9, "RESUME_FAILED", "")], [])
    assert zone.world.holders == ["ann", "bob", "dan"]


def test_a_token_is_good_once_its_successor_has_arrived() -> None:
    zone = inn("ann")
    zone.drop(1)
    zone.come(2, "ann", token=b"second", claim=b"ann")
    assert len(zone.step().resumed) == 1
    zone.requests.confirmed.append(2)
    zone.come(3, "ann", token=b"third", claim=b"ann")
    assert zone.step().ended == [Ended(3, "RESUME_FAILED", "")]
    zone.come(4, "ann", token=b"third", claim=b"second")
    assert zone.step().resumed == [Resumed(4, 0, 0, 2)]


def test_a_token_stays_good_while_the_welcome_may_be_lost() -> None:
    zone = inn("ann")
    for ref, token in enumerate((b"second", b"third", b"fourth"), 2):
        zone.drop(ref - 1)
        zone.come(ref, "ann", token=token, claim=b"ann")
        assert zone.step().resumed == [Resumed(ref, 0, 0, ref - 1)]
    zone.come(9, "ann", token=b"fifth", claim=b"third")
    assert zone.step().ended == [Ended(9, "RESUME_FAILED", "")]


@pytest.mark.parametrize("is_dropped", [True, False])
def test_join_under_the_name_of_a_player_who_may_come_back_takes_them_over(is_dropped: bool) -> None:
    zone = inn("ann", "bob")
    if is_dropped:
        zone.drop(1)
        zone.step()
    zone.come(3, "ann", token=b"new")
    output = zone.step()
    assert (output.resumed, output.joined) == ([Resumed(3, 0, 0, 1)], [])
    assert (told(output).leaves, told(output).joins) == ((), ())


def test_join_from_another_address_does_not_take_a_parked_player_over() -> None:
    zone = inn("ann")
    zone.drop(1)
    zone.requests.joins.append(Join(2, "ann", b"", "192.0.2.1", token=b"x"))
    assert zone.step().ended == [Ended(2, "NAME_TAKEN", "")]
    zone.requests.joins.append(Join(3, "ann", b"", "192.0.2.1", token=b"x", claim=b"ann"))
    assert zone.step().resumed == [Resumed(3, 0, 0, 1)]


def test_drop_of_a_player_who_cannot_come_back_is_a_leave() -> None:
    zone = inn("ann")
    zone.join(2, "bob")
    zone.step()
    zone.drop(2)
    assert told(zone.step()).leaves == (1,)
    assert hooks(zone) == [("on_join", "bob"), ("on_leave", "bob")]


def test_drop_in_a_zone_without_grace_is_a_leave() -> None:
    zone = zone_of(rules=Inn())
    zone.come(1, "ann")
    zone.step()
    zone.drop(1)
    assert told(zone.step()).leaves == (0,)


def test_private_messages_since_the_tick_of_the_client_come_again() -> None:
    zone = inn("ann", "bob")
    for seq in (1, 2, 3):
        zone.submit(1, seq, [("deny",)])
        zone.submit(2, seq, [("wake", 0)])
        zone.step()
    seen = zone.world.tick - 2
    zone.drop(1)
    zone.submit(2, 4, [("wake", 0)])
    zone.step()
    zone.come(3, "ann", token=b"new", claim=b"ann", tick=seen)
    zone.submit(2, 5, [("wake", 0)])
    output = zone.step()
    messages = [decode_server(payload) for ref, payload in output.told if ref == 3]
    expected = [(Refusal, seen + 1), (Told, seen + 1), (Refusal, seen + 2), (Told, seen + 2)]
    assert [(type(message), message.tick) for message in messages] == [*expected, (Told, seen + 3), (Told, seen + 4)]
    assert (len(output.told), output.refused) == (6, [])


def test_of_private_messages_the_newest_64_are_kept() -> None:
    zone = inn("ann", "bob")
    zone.drop(1)
    for seq in range(1, 9):
        zone.submit(2, 1 + 16 * seq, [("wake", 0)] * 9)
        zone.step()
    zone.come(3, "ann", token=b"new", claim=b"ann")
    told_ticks = [decode_server(payload).tick for _, payload in zone.step().told]
    assert (len(told_ticks), told_ticks[0]) == (64, zone.world.tick - 8)


def test_player_comes_back_to_a_zone_that_has_less_room_now() -> None:
    zone = inn("ann", "bob", "cid")
    zone.change(ZoneParameters(hz=HZ, seed=1, players_max=1, resume_ticks=GRACE), b"")
    for ref, name in enumerate(("ann", "bob"), 1):
        zone.drop(ref)
        zone.come(ref + 10, name, token=b"new", claim=name.encode())
    zone.come(20, "dan")
    output = zone.step()
    assert ([each.ref for each in output.resumed], output.ended[-1]) == ([11, 12], Ended(20, "SERVER_FULL", ""))


def test_shorter_grace_holds_for_everybody_who_is_parked() -> None:
    zone = inn("ann", "bob")
    zone.drop(1)
    zone.step()
    zone.change(ZoneParameters(hz=HZ, seed=1, resume_ticks=2), b"")
    zone.drop(2)
    dropped = zone.step().tick
    left = [output.tick for output in (zone.step() for _ in range(GRACE)) for _ in told(output).leaves]
    assert left == [dropped + 1, dropped + 2]


def test_private_messages_of_a_player_who_is_there_are_forgotten_after_a_while() -> None:
    zone = inn("ann", "bob")
    zone.submit(2, 1, [("wake", 0)])
    zone.step()
    assert zone._parking._kept_bytes > 0
    for _ in range(10 * HZ):
        zone.step()
    assert zone._parking._kept_bytes == 0
    assert not zone._parking._added


def test_kick_of_a_parked_player_ends_their_return() -> None:
    zone = inn("ann")
    zone.drop(1)
    zone.step()
    zone.rules.players[0].kick("AWAY", "too long")
    assert zone.step().ended == [Ended(1, "AWAY", "too long")]
    zone.come(2, "ann", claim=b"ann")
    assert zone.step().ended == [Ended(2, "RESUME_FAILED", "")]
    assert hooks(zone) == [("on_drop", "ann"), ("on_leave", "ann")]


def test_returns_share_the_bound_on_joins_and_come_before_new_players() -> None:
    zone = inn(limits=Limits(joins_per_second=8))
    for ref, name in enumerate(("ann", "bob", "cid"), 1):
        zone.come(ref, name, token=name.encode())
    zone.step()
    zone.step()
    for ref, name in enumerate(("ann", "bob", "cid"), 1):
        zone.drop(ref)
        zone.come(ref + 10, name, token=b"new", claim=name.encode())
    zone.join(20, "dan")
    outputs = [zone.step() for _ in range(2)]
    assert [[each.ref for each in output.resumed] for output in outputs] == [[11, 12], [13]]
    assert [output.joined for output in outputs] == [[], [(20, 3)]]


def test_packets_that_wait_in_the_zone_go_on_after_a_return() -> None:
    zone = inn("ann", limits=Limits(event_bytes_per_tick=1))
    zone.submit(1, 1, [("say", "one")])
    zone.submit(1, 2, [("say", "two")])
    assert len(told(zone.step()).events) == 1
    zone.drop(1)
    zone.come(2, "ann", token=b"new", claim=b"ann", tick=zone.world.tick)
    output = zone.step()
    assert ([event[3] for event in told(output).events], output.resumed[0].seq) == (["two"], 2)


# --- Standings ------------------------------------------------------------------------------------


def test_standing_of_a_player_goes_with_them_and_gets_older() -> None:
    zone = inn("ann", "bob")
    muted = Standing(2, "FLOOD", "too many actions", (0, 0, 1500, 0))
    zone.requests.standings += [(1, muted), (9, muted)]
    zone.step()
    zone.drop(1)
    zone.step()
    restored = zone_of(rules=Inn(), resume_ticks=GRACE)
    restored.restore(decode_server(zone.snapshot()), zone.state())
    for each in (zone, restored):
        each.come(3, "ann", token=b"new", claim=b"ann", tick=each.world.tick)
        each.come(4, "bob", token=b"other", claim=b"bob")
        assert each.step().resumed == [Resumed(3, 0, 0, 1, muted._replace(age_seconds=2 / HZ)), Resumed(4, 1, 0, 2)]
        each.requests.standings.append((3, muted._replace(level=1)))
        each.step()
        # A client that does not come back again has the standing, too.
        each.come(5, "ann", token=b"", claim=b"new")
        assert each.step().resumed[0].standing == muted._replace(level=1, age_seconds=1 / HZ)


# --- Banned addresses ---------------------------------------------------------------------------


def test_ban_after_a_kick_keeps_new_and_returning_players_out_and_parked_ones_leave() -> None:
    zone = inn()
    zone.requests.joins += [
        Join(ref, name, b"", host, token=name.encode())
        for ref, name, host in ((1, "ann", "2001:db8::1"), (2, "bob", "2001:db8::2"), (3, "cid", "192.0.2.3"))
    ]
    zone.step()
    zone.drop(1)
    zone.drop(3)
    # The drops and the joins of this tick count as well.
    zone.requests.bans = [("2001:db8::9", 60.0)]
    zone.join(4, "dan", host="2001:db8::4")
    output = zone.step()
    assert output.ended == [Ended(1, CloseReason.BANNED, ""), Ended(4, CloseReason.BANNED, "")]
    assert output.bans == [AddressBan("2001:db8::/64", 60.0, "", is_ordered=False)]
    assert [name for name in zone.world.holders if name] == ["bob", "cid"], "players who are in may stay"
    zone.requests.joins.append(Join(5, "cid", b"", "2001:db8::3", token=b"new", claim=b"cid"))
    output = zone.step()
    assert (output.ended, output.resumed, output.bans) == ([Ended(5, CloseReason.BANNED, "")], [], [])


# --- No new players -------------------------------------------------------------------------------


def test_draining_zone_rejects_new_names_and_lets_its_players_come_back() -> None:
    zone = inn("ann", "bob")
    zone.drop(1)
    zone.requests.commands.append(Command(0, ("stop", "--drain")))
    zone.come(3, "cid", token=b"cid")
    assert zone.step().joined == [(3, 2)], "joins come before commands"
    zone.come(4, "dan", token=b"dan")
    zone.come(5, "ann", token=b"new", claim=b"ann", tick=zone.world.tick)
    zone.come(6, "bob", token=b"new")
    output = zone.step()
    assert [(each.ref, each.slot) for each in output.resumed] == [(5, 0), (6, 1)]
    assert Ended(4, CloseReason.SERVER_STOPPING, "the server takes no new players") in output.ended
    zone.drop(5)
    zone.leave(6)
    zone.leave(3)
    zone.step()
    assert zone.attendance.count_players() == (1, 1), "a parked player is in"
    for _ in range(GRACE):
        zone.step()
    assert zone.attendance.count_players() == (0, 0)
    zone.requests.commands.append(Command(0, ("stop", "--cancel")))
    zone.step()
    zone.come(7, "dan")
    assert zone.step().joined == [(7, 0)]
