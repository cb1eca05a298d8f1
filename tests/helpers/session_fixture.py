"""A session without a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from helpers.fake_loop import FakeLoop
from helpers.fake_transport import FakeTransport

from zoneserver.config import Limits
from zoneserver.gateway.broadcast_group import BroadcastGroup, never_ready
from zoneserver.gateway.broadcaster import Broadcaster
from zoneserver.gateway.session import Session
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.framing import LENGTH_PREFIX, Framing
from zoneserver.protocol.messages import Bye


class Recorder:
    """A session handler that records its calls. A test may replace each `on_...`."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.received: list[bytes] = []
        self.sessions: list[Session] = []
        self.on_received: Callable[[Session], object] = bool
        self.on_blocked: Callable[[Session], object] = bool
        self.on_cleared: Callable[[Session], object] = bool
        self.on_stalled: Callable[[Session], object] = bool
        self.on_drained: Callable[[Session], object] = bool
        self.on_ended: Callable[[Session], object] = bool

    def session_accepted(self, session: Session) -> tuple[CloseReason, str] | None:
        self.told.append("accepted")
        return None

    def session_opened(self, session: Session) -> None:
        self.told.append("opened")
        self.sessions.append(session)

    def session_received(self, session: Session, payload: bytes) -> None:
        self.received.append(payload)
        self.on_received(session)

    def session_blocked(self, session: Session) -> None:
        self.on_blocked(session)

    def session_cleared(self, session: Session) -> None:
        self.on_cleared(session)

    def session_stalled(self, session: Session) -> None:
        self.told.append("stalled")
        self.on_stalled(session)

    def session_drained(self, session: Session) -> None:
        self.told.append("drained")
        self.on_drained(session)

    def session_ended(self, session: Session) -> None:
        self.told.append("ended")
        self.on_ended(session)

    def session_gone(self, session: Session) -> None:
        self.told.append("gone")


class SessionFixture:
    """A session on a fake transport and a fake loop.

    Broadcast bytes go to the kernel directly, or through the transport as with TLS.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        room: int | None = None,
        direct: bool = True,
        framing: Framing = LENGTH_PREFIX,
    ) -> None:
        self.loop = FakeLoop()
        self.handler = Recorder()
        kernel_send, address = self._send if direct else None, ("192.0.2.1", 5000)
        self.session = Session(self.handler, limits or Limits(), self.loop, kernel_send, framing, address)
        self.transport = FakeTransport(self.loop, self.session, room)
        self.session.connection_made(self.transport)

    def _send(self, data: bytes) -> int:
        return self.transport.send(data)

    def send(self, data: bytes) -> bool:
        """Queues bytes and sends what waits; returns whether they were queued."""
        queued = self.session.queue_bytes(data)
        self.session.flush()
        return bool(queued)

    def attach(self, broadcaster: Broadcaster, now: Callable[[], float] = float) -> None:
        """Reports the events of the session to a broadcaster, as a gateway does."""
        handler = self.handler
        handler.on_blocked, handler.on_cleared, handler.on_ended = (
            broadcaster.blocked,
            broadcaster.cleared,
            broadcaster.leave,
        )
        handler.on_stalled = lambda session: broadcaster.stalled(session, now())
        handler.on_drained = lambda session: broadcaster.drained(session, now())

    @property
    def goodbye(self) -> bytes:
        """The goodbye that ends the bytes of the session, as it is sent."""
        reason = self.session.reason
        assert reason is not None
        return self.session.framing.wrap(Bye(str(reason), self.session.reason_text[:200], reason.retry).encode())


class Subscriber(SessionFixture):
    """A session in a broadcast group, as a broadcaster keeps it: out of the group while a send is in flight."""

    def __init__(self, group: BroadcastGroup[Session], **settings: Any) -> None:
        super().__init__(**settings)
        self.group = group
        self._before = 0
        self.handler.on_blocked = lambda _session: self._set_sender(False)
        self.handler.on_cleared = lambda _session: self._set_sender(True)
        self.handler.on_stalled = self.leave

    @property
    def is_in(self) -> bool:
        return self.session in self.group

    @property
    def accepted_bytes(self) -> int:
        """The bytes that the session accepted, by its queue and by the group."""
        return self.session.accepted_bytes + (self.group.bytes_total - self._before if self.is_in else 0)

    def enter(self) -> None:
        if not self.is_in:
            self._before = self.group.bytes_total
            self.group.set_sender(self.session, never_ready)
            self._set_sender(self.session.is_clear)

    def leave(self, _session: Session | None = None) -> None:
        if self.is_in:
            self.group.remove(self.session)
            self.session.accepted_bytes += self.group.bytes_total - self._before

    def broadcast(self, data: bytes) -> None:
        for session, taken in self.group.send(data):
            session.send_remainder(data, taken)

    def _set_sender(self, is_clear: bool) -> None:
        if self.is_in:
            self.group.set_sender(self.session, (self.session.kernel_send if is_clear else None) or never_ready)


FINISHED = ["opened", "ended", "gone"]
"""The calls of a session that ends without a stall."""


def broken(_session: Session) -> None:
    raise ZeroDivisionError("the handler failed")
