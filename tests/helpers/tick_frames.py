"""The frames of a zone with two players, for tests of the frame checker."""

from __future__ import annotations

import dataclasses
from typing import Any

from helpers.driven_zone import DrivenZone
from zonetools.swarm.frame_checker import FrameChecker

from zoneserver.games.plaza import Plaza
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Tick, Welcome


class FrameStream:
    """A zone with two players, and a frame checker for its frames."""

    def __init__(self, hz: int = 2) -> None:
        self.zone = DrivenZone(Plaza(), hz=hz, seed=1)
        world = self.zone.world
        self.checker = FrameChecker()
        self.zone.join(0, "ann")
        self.zone.join(1, "bob")
        self.payload()
        self.checker.on_welcome(Welcome(2, 0, 1, world.info, 1024, 16))
        self.checker.check_snapshot(self.snapshot())

    def payload(self) -> bytes:
        return self.zone.step().frame

    def snapshot(self) -> bytes:
        return self.zone.world.snapshot().encode()

    def counts(self) -> dict[str, int]:
        checker = self.checker
        return {
            "received": checker.received,
            "mismatched": checker.mismatched,
            "gaps": checker.gaps,
            "diverged": checker.diverged,
        }


class NoReader:
    """Reads no sockets: a test calls `data_received`."""

    def add(self, bot: Any, hz: int) -> None:
        pass

    def hurry(self, bot: Any) -> None:
        pass

    def remove(self, bot: Any) -> None:
        pass


def changed(payload: bytes, **changes: Any) -> bytes:
    """Return the payload of a frame with some fields changed."""
    tick = decode_server(payload)
    assert isinstance(tick, Tick)
    return dataclasses.replace(tick, **changes).encode()
