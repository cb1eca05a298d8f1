"""Servers that each do one thing wrong, once."""

from __future__ import annotations

from typing import Any

from helpers.stub_server import Connection, Honest
from helpers.tick_frames import changed

from zoneserver.protocol.framing import HEADER_BYTES, frame
from zoneserver.protocol.messages import Hello
from zoneserver.zone.zone import TickResult


class Dropping(Honest):
    """Keeps one action of this kind to itself."""

    kind = "say"

    def submit(self, ref: int, seq: int, actions: Any) -> None:
        for number, action in enumerate(actions, seq):
            if not self.lies and number > 2 and action[0] == self.kind:
                self.lies += 1
            else:
                self.zone.submit(ref, number, [action])


class DroppingAMotion(Dropping):
    kind = "move"


class Repeating(Honest):
    """Lets one action happen twice."""

    def submit(self, ref: int, seq: int, actions: Any) -> None:
        super().submit(ref, seq, actions)
        if not self.lies and seq > 2 and actions[0][0] == "say":
            self.lies += 1
            self.zone.submit(ref, seq, actions[:1])


class Reordering(Honest):
    """Lets one action happen after one that was done after it."""

    def submit(self, ref: int, seq: int, actions: Any) -> None:
        said = actions[0][0] == "say"
        if not self.lies and not self.late and seq > 2 and said:
            self.late.append((ref, seq, actions))
            return
        super().submit(ref, seq, actions)
        if self.late and self.late[0][0] == ref and said:
            self.lies += 1
            super().submit(*self.late.pop())


class TwoFaced(Honest):
    """Sends one of the bots other bytes, once."""

    def say_tick(self, result: TickResult) -> None:
        for place, connection in enumerate(self.playing()):
            data = result.frame
            if not self.lies and place == 1 and result.tick > 20:
                self.lies += 1
                data = frame(changed(data[HEADER_BYTES:], dilation_percent=99))
            connection.transport.write(data)


class Skipping(Honest):
    """Keeps one frame, in which nothing happens, from one of the bots."""

    def say_tick(self, result: TickResult) -> None:
        playing = self.playing()
        if not self.lies and len(playing) == 2 and result.tick > 20 and not result.records:
            self.lies += 1
            del playing[0]
        for connection in playing:
            connection.transport.write(result.frame)


class Mishashing(Honest):
    """Sends everybody a state hash that is not the state's."""

    def say_tick(self, result: TickResult) -> None:
        data = result.frame
        if not self.lies and len(self.playing()) == 2:
            self.lies += 1
            data = frame(changed(data[HEADER_BYTES:], hash=0xBAD))
        for connection in self.playing():
            connection.transport.write(data)


class Misremembering(Honest):
    """Sends the second bot a snapshot of another world."""

    def say_snapshot(self, connection: Connection) -> bytes:
        if len(self.playing()) < 2:
            return super().say_snapshot(connection)
        self.lies += 1
        world = self.zone.world
        world.x[0] ^= 1
        data = super().say_snapshot(connection)
        world.x[0] ^= 1
        return data


class Expelling(Honest):
    """Throws one bot out when it has acted a little."""

    def submit(self, ref: int, seq: int, actions: Any) -> None:
        super().submit(ref, seq, actions)
        if not self.lies and seq > 3:
            self.lies += 1
            self.clients[ref].end("INTERNAL_ERROR")


class Refusing(Honest):
    """Lets the second bot not in."""

    def hello(self, connection: Connection, hello: Hello) -> None:
        if connection.ref == 1:
            self.lies += 1
            connection.end("SERVER_FULL")
        else:
            super().hello(connection, hello)


class TakingOut(Honest):
    """Takes the last player out of the zone, and tells everybody, while its connection stays."""

    def say_tick(self, result: TickResult) -> None:
        if not self.lies and len(self.playing()) == 2 and result.tick > 20:
            self.lies += 1
            self.zone.leave(self.playing()[-1].ref)
        super().say_tick(result)
