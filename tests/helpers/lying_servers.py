"""Servers that each commit one fault, once."""

from __future__ import annotations

from typing import Any

from helpers.stub_server import Connection, HonestServer
from helpers.tick_frames import changed

from zoneserver.protocol.framing import HEADER_BYTES, length_prefixed
from zoneserver.protocol.messages import Hello
from zoneserver.zone.link import TickOutput


class Dropping(HonestServer):
    """Drops one action of this kind."""

    kind = "say"

    def submit(self, ref: int, seq: int, actions: Any) -> None:
        for number, action in enumerate(actions, seq):
            if not self.faults_done and number > 2 and action[0] == self.kind:
                self.faults_done += 1
            else:
                self.zone.submit(ref, number, [action])


class DroppingMotion(Dropping):
    """Drops one motion."""

    kind = "move"


class Repeating(HonestServer):
    """Performs one action twice."""

    def submit(self, ref: int, seq: int, actions: Any) -> None:
        super().submit(ref, seq, actions)
        if not self.faults_done and seq > 2 and actions[0][0] == "say":
            self.faults_done += 1
            self.zone.submit(ref, seq, actions[:1])


class Reordering(HonestServer):
    """Performs one action after the next one of that player."""

    def __init__(self) -> None:
        super().__init__()
        self.held_back: tuple[int, int, Any] | None = None

    def submit(self, ref: int, seq: int, actions: Any) -> None:
        is_said = actions[0][0] == "say"
        if not self.faults_done and self.held_back is None and seq > 2 and is_said:
            self.held_back = ref, seq, actions
            return
        super().submit(ref, seq, actions)
        if self.held_back is not None and self.held_back[0] == ref and is_said:
            self.faults_done += 1
            super().submit(*self.held_back)
            self.held_back = None


class Mismatching(HonestServer):
    """Sends other bytes to one of the bots, once."""

    def send_tick(self, result: TickOutput) -> None:
        for index, connection in enumerate(self.players()):
            data = length_prefixed(result.frame)
            if not self.faults_done and index == 1 and result.tick > 20:
                self.faults_done += 1
                data = length_prefixed(changed(data[HEADER_BYTES:], dilation_percent=99))
            connection.transport.write(data)


class Skipping(HonestServer):
    """Does not send one frame, which is empty, to one of the bots."""

    def send_tick(self, result: TickOutput) -> None:
        players = self.players()
        if not self.faults_done and len(players) == 2 and result.tick > 20 and not result.records:
            self.faults_done += 1
            del players[0]
        for connection in players:
            connection.transport.write(length_prefixed(result.frame))


class WrongHash(HonestServer):
    """Sends a wrong state hash to all bots, once."""

    def send_tick(self, result: TickOutput) -> None:
        data = length_prefixed(result.frame)
        if not self.faults_done and len(self.players()) == 2:
            self.faults_done += 1
            data = length_prefixed(changed(data[HEADER_BYTES:], hash=0xBAD))
        for connection in self.players():
            connection.transport.write(data)


class WrongSnapshot(HonestServer):
    """Sends a snapshot of another state to the second bot."""

    def snapshot_bytes(self, connection: Connection) -> bytes:
        if len(self.players()) < 2:
            return super().snapshot_bytes(connection)
        self.faults_done += 1
        world = self.zone.world
        world.x[0] ^= 1
        data = super().snapshot_bytes(connection)
        world.x[0] ^= 1
        return data


class Kicking(HonestServer):
    """Kicks one bot after a few actions."""

    def submit(self, ref: int, seq: int, actions: Any) -> None:
        super().submit(ref, seq, actions)
        if not self.faults_done and seq > 3:
            self.faults_done += 1
            self.connections[ref].end("INTERNAL_ERROR")


class Refusing(HonestServer):
    """Refuses the second bot."""

    def on_hello(self, connection: Connection, hello: Hello) -> None:
        if connection.ref == 1:
            self.faults_done += 1
            connection.end("SERVER_FULL")
        else:
            super().on_hello(connection, hello)


class Removing(HonestServer):
    """Removes the last player from the zone while its connection stays open."""

    def send_tick(self, result: TickOutput) -> None:
        if not self.faults_done and len(self.players()) == 2 and result.tick > 20:
            self.faults_done += 1
            self.zone.leave(self.players()[-1].ref)
        super().send_tick(result)

    def on_lost(self, connection: Connection) -> None:
        # The zone no longer has this player, so there is nothing to leave.
        self.connections.pop(connection.ref, None)
