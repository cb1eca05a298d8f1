"""The callback layer: one connection to a zone, told in method calls. Bots stand on it.

Everything a player does within one client frame leaves as one packet: `act` collects, and the
packet goes out at the frame's end, or at once with `flush`.
"""

from __future__ import annotations

import asyncio
from typing import cast

from zoneserver.protocol import decoding, messages
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.framing import Deframer, frame
from zoneserver.protocol.messages import DEFLATE, Bye, Goodbye, Hello, Op, Ping, Pong, Refusal, Value, Welcome

__all__ = ["ClientProtocol"]


class ClientProtocol(asyncio.Protocol):
    """Speaks the protocol; override the `on_*` methods to hear it.

    `loop.create_connection(lambda: MyClient("ann"), host, port)` starts it. Snapshots and ticks
    arrive as payloads, for a client that merely compares or forwards them need not decode them.
    With `deflate` the server is asked to deflate them, where it can; they arrive here as they are.
    """

    def __init__(self, name: str, ticket: bytes = b"", *, deflate: bool = False) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a name is text, not {name!r:.40}")
        self.name = name
        self.welcome: Welcome | None = None
        """The server's answer to our HELLO; None until it came."""
        self.bye: Bye | None = None
        """Why it ended, once it has; the server's word where it gave one."""
        self.received_bytes = 0
        """Bytes that came over the wire, lengths included."""
        self.next_seq = 1
        """The sequence that the next action will have."""
        self._encodings = (DEFLATE,) if deflate else ()
        # Encoded here, where a name that cannot be sent is the caller's error.
        self._hello = Hello(messages.PROTOCOL_VERSION, name, ticket, self._encodings).encode()
        self._deframer = Deframer(messages.SERVER_PAYLOAD_BYTES)
        # Actions of the current client frame, packed, and their size together.
        self._actions: list[bytes] = []
        self._actions_bytes = 0
        self._flush_handle: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._is_lost = False

    @property
    def is_within_frame(self) -> bool:
        """Whether what has been read ends within a message."""
        return self._deframer.buffered_bytes > 0

    # --- Override these ---------------------------------------------------------------------------

    def on_welcome(self, welcome: Welcome) -> None:
        """We are in; the snapshot follows."""

    def on_snapshot(self, payload: bytes) -> None:
        """The whole state: at the start, and whenever we fell too far behind."""

    def on_tick(self, payload: bytes) -> None:
        """Everything that everybody did within one tick."""

    def on_refused(self, refusal: Refusal) -> None:
        """One of our actions did not happen."""

    def on_pong(self, pong: Pong) -> None:
        """The answer to `ping`."""

    def on_closed(self, bye: Bye) -> None:
        """It is over. Said exactly once, when the connection is gone."""

    def inflate(self, payload: bytes) -> bytes:
        """The snapshot or tick in a payload of DEFLATED. Raises ValueError.

        For a client that gets the same ones many times to override: it need not inflate each every time.
        """
        return decoding.inflate_message(payload)

    # --- What a player does -----------------------------------------------------------------------

    def act(self, kind: str, *arguments: Value) -> int:
        """Does something within this client frame; returns its sequence.

        Raises TypeError for what cannot be sent, ValueError for what is too long for any packet.
        """
        if self.welcome is None:
            raise RuntimeError("act() before the server's welcome")
        action = messages.encode_action(kind, *arguments)
        # Room for the head of an ACT: array header, op, sequence and the array header of the actions.
        bytes_max = self.welcome.payload_bytes_max - 16
        if len(action) > bytes_max:
            raise ValueError(f"{kind!r} takes {len(action)} bytes, a packet holds {bytes_max}")
        if len(self._actions) == self.welcome.actions_max or self._actions_bytes + len(action) > bytes_max:
            self.flush()
        self._actions.append(action)
        self._actions_bytes += len(action)
        if self._flush_handle is None:
            frame_end = max(self._loop.time(), self._flushed_at + 1.0 / self.welcome.hz)
            self._flush_handle = self._loop.call_at(frame_end, self.flush)
        self.next_seq += 1
        return self.next_seq - 1

    def flush(self) -> None:
        """Ends the client frame: sends everything done in it as one packet."""
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        if self._actions:
            actions, self._actions, self._actions_bytes = self._actions, [], 0
            self._flushed_at = self._loop.time()
            self.send(messages.encode_act(self.next_seq - len(actions), actions))

    def ping(self, token: int) -> None:
        """Asks for an answer that carries the same token."""
        self.send(Ping(token).encode())

    def leave(self) -> None:
        """Says goodbye; `on_closed` follows when the server has answered."""
        self.flush()
        self.send(Goodbye().encode())

    def abort(self) -> None:
        """Drops the connection now."""
        self._transport.abort()

    def send(self, payload: bytes) -> None:
        """Sends one message. Nothing happens once the connection is over."""
        if self.bye is None and not self._is_lost:
            self._transport.write(frame(payload))

    # --- asyncio ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass of it
        self._transport = transport
        self.send(self._hello)

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        try:
            for payload in self._deframer.receive(data):
                if messages.op_of(payload) == Op.TICK:
                    self.on_tick(payload)
                else:
                    self._received(payload)
            if self._deframer.error is not None:
                raise ValueError(self._deframer.error)
        except ValueError as error:
            # Framing, decoding, or a state that does not fit: nothing after it can be trusted.
            self._end(Bye(str(CloseReason.PROTOCOL_ERROR), f"from the server: {error}", False))
            self._transport.abort()

    def _received(self, payload: bytes) -> None:
        if messages.op_of(payload) == Op.DEFLATED:
            if DEFLATE not in self._encodings:
                raise ValueError("deflated, which nobody had asked for")
            payload = self.inflate(payload)
        match messages.op_of(payload):
            case Op.TICK:
                self.on_tick(payload)
            case Op.SNAPSHOT:
                self.on_snapshot(payload)
            case _:
                self._told(payload)

    def _told(self, payload: bytes) -> None:
        match decoding.decode_server(payload):
            case Welcome() as welcome:
                self.welcome = welcome
                self.on_welcome(welcome)
            case Refusal() as refusal:
                self.on_refused(refusal)
            case Pong() as pong:
                self.on_pong(pong)
            case Bye() as bye:
                self._end(bye)
                self._transport.close()

    def eof_received(self) -> bool:
        return False  # The transport closes: a server says nothing more after its goodbye.

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if self._flush_handle is not None:
            self._flush_handle.cancel()
        if self.bye is None:
            text = str(exc) if exc else CloseReason.CONNECTION_LOST.text
            self._end(Bye(str(CloseReason.CONNECTION_LOST), text, True))
        assert self.bye is not None
        self.on_closed(self.bye)

    def _end(self, bye: Bye) -> None:
        if self.bye is None:
            self.bye = bye
