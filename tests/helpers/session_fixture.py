"""A session without a network."""

from __future__ import annotations

from collections.abc import Callable

from helpers.fake_loop import FakeLoop
from helpers.fake_transport import FakeTransport

from zoneserver.config import Limits
from zoneserver.gateway.broadcast_group import never_ready
from zoneserver.gateway.session import Session
from zoneserver.gateway.state import State
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.framing import frame
from zoneserver.protocol.messages import (
    Bye,
)


class Recorder:
    """An owner that writes down what it is told. Each `on_...` may be replaced, to do or raise something."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.received: list[bytes] = []
        self.sessions: list[Session] = []
        self.on_received: Callable[[Session], object] = bool
        self.on_stalled: Callable[[Session], object] = bool
        self.on_drained: Callable[[Session], object] = bool
        self.on_ended: Callable[[Session], object] = bool

    def session_accepted(self, session: Session) -> CloseReason | None:
        self.told.append("accepted")
        return None

    def session_opened(self, session: Session) -> None:
        self.told.append("opened")
        self.sessions.append(session)

    def session_received(self, session: Session, payload: bytes) -> None:
        self.received.append(payload)
        self.on_received(session)

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
    """A session on a fake transport and a fake loop, playing unless it is told otherwise.

    Its frames go to the kernel directly, or by the transport as they do by TLS.
    """

    def __init__(
        self, limits: Limits | None = None, *, room: int | None = None, playing: bool = True, direct: bool = True
    ) -> None:
        self.loop = FakeLoop()
        self.owner = Recorder()
        self.session = Session(self.owner, limits or Limits(), self.loop, self._send if direct else never_ready)
        self.transport = FakeTransport(self.loop, self.session, room)
        self.session.connection_made(self.transport)
        if playing:
            self.session.advance(State.JOINING)
            self.session.advance(State.PLAYING)

    def _send(self, data: bytes) -> int:
        return self.transport.send(data)

    @property
    def goodbye(self) -> bytes:
        """The last frame that the peer of this session is sent, once it is over."""
        reason = self.session.reason
        assert reason is not None
        return frame(Bye(str(reason), self.session.reason_text[:200], reason.retry).encode())
