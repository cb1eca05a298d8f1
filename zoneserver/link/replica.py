"""The state of the zone as a gateway keeps it: for snapshots of its own, and to check the state hash."""

from __future__ import annotations

import logging
import zlib

from zoneserver.link.carrier import PAYLOAD_BYTES_MAX
from zoneserver.link.messages import LinkError
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Snapshot, Tick
from zoneserver.protocol.world import World
from zoneserver.protocol.zone_info import ZoneInfo

__all__ = ["ZoneReplica"]

log = logging.getLogger(__name__)


class ZoneReplica:
    """A world that follows the frames of a zone. They are applied late, since players get them first."""

    def __init__(self, info: ZoneInfo) -> None:
        self.world = World(info)
        self.needs_state = True
        """Whether it has to begin anew with a snapshot: it has none yet, or is not as the zone."""
        self._frames: list[bytes] = []

    def add(self, frame: bytes) -> None:
        """Adds the next frame, as the payload of a TICK."""
        self._frames.append(frame)

    def apply(self) -> None:
        """Applies all frames that were added, and checks the hash of each that has one."""
        frames, self._frames = self._frames, []
        for payload in frames:
            frame = decode_server(payload)
            assert isinstance(frame, Tick)
            try:
                self.world.apply(frame)
                is_right = frame.hash in (None, self.world.hash() if frame.hash is not None else None)
            except (ValueError, LookupError):
                is_right = False
            if not is_right and not self.needs_state:
                log.error("DIVERGED: the replica is not as the zone at tick %d: asking for its state", frame.tick)
                self.needs_state = True

    def restore(self, deflated: bytes) -> None:
        """Takes over a snapshot, deflated by zlib. Raises LinkError for one that cannot be inflated."""
        snapshot = decode_server(_inflated(deflated))
        assert isinstance(snapshot, Snapshot)
        self._frames.clear()
        self.world.restore(snapshot)
        self.needs_state = False

    def snapshot(self) -> bytes:
        """The state after all frames: the payload of a SNAPSHOT."""
        self.apply()
        return self.world.snapshot().encode()


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        payload = inflater.decompress(data, PAYLOAD_BYTES_MAX)
    except zlib.error as error:
        raise LinkError(f"a snapshot cannot be inflated: {error}") from None
    if not inflater.eof:
        raise LinkError(f"a snapshot has more than {PAYLOAD_BYTES_MAX:,} bytes, or is cut short")
    return payload
