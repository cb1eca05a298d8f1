"""The callback layer of the client: one connection to a zone that calls a method for each message. Bots use it.

All actions of one client frame leave as one packet: `act` collects them, and the packet is sent at the end of
the client frame, or at once by `flush`.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, cast

from zoneclient.upgrade import Upgrade
from zoneserver.protocol import decoding, messages
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.framing import LENGTH_PREFIX, Deframer, Framing
from zoneserver.protocol.messages import (
    DEFLATE,
    RESUME,
    WATCH,
    WHOLE,
    Answered,
    Bye,
    Goodbye,
    Hello,
    Op,
    Ping,
    Pong,
    Refusal,
    Resume,
    Told,
    Welcome,
)
from zoneserver.protocol.values import Value, encode_action
from zoneserver.protocol.websocket import WEBSOCKET_CLIENT, WebSocketReader

__all__ = ["ClientProtocol", "Returning"]

# A server that expects TLS either closes the connection when it gets something else, or sends an alert first.
_TLS_ALERT = b"\x15\x03"
# The head of an ACT takes up to 16 bytes: array header, op, sequence and the array header of the actions.
_ACT_HEAD_BYTES = 16
# A client ignores messages that only later servers send.
_UNKNOWN_OPS = range(max(Op) + 1, 128)
_ASKS_FOR_TLS = "the connection ended without an answer; if the server requires TLS, connect with --tls (or tls=...)"


class Returning(NamedTuple):
    """What a client shows to come back to its player: the `token` and the `epoch` of the last WELCOME, and the newest
    tick that it has."""

    token: bytes
    epoch: int
    tick: int


class ClientProtocol(asyncio.Protocol):
    """Speaks the protocol. Override the `on_*` methods to receive its messages.

    `loop.create_connection(lambda: MyClient("ann"), host, port)` starts it. Snapshots and ticks are passed on as
    payloads, because a client that only compares or forwards them need not decode them. With `deflate` the
    server is asked to deflate them; the methods still get them inflated. With `watch` the client gets the frames, and
    has no player. `game_version` is the version of the game that the client was written for, empty for any.

    With `resume` the player stays in the zone for a while when the connection is lost, if `welcome.resume` is not None.
    A new object with `returning` then comes back to the player: its WELCOME says the newest sequence that the zone has
    taken, and `send_action` sends later actions again. With `whole` it gets all frames since the tick of `returning`,
    as long as the server has them, even if a snapshot is shorter.

    With `web_host`, the name and the port of the server in the header `Host`, the connection is a WebSocket.

    A subclass may use `loop`, `transport`, `is_lost` and `record_end`, and override `send_hello` and `on_payload`.
    """

    def __init__(
        self,
        name: str,
        ticket: bytes = b"",
        *,
        deflate: bool = False,
        watch: bool = False,
        game_version: str = "",
        resume: bool = False,
        whole: bool = False,
        returning: Returning | None = None,
        web_host: str = "",
    ) -> None:
        for what, text in ("a name", name), ("the version of a game", game_version):
            if not isinstance(text, str):
                raise TypeError(f"{what} must be a str, not {text!r:.40}")
        self.name = name
        self.welcome: Welcome | None = None
        """The server's answer to our HELLO or RESUME; None until it arrives."""
        self.bye: Bye | None = None
        """Why the connection ended; None while it is open. It is the BYE of the server if there was one."""
        self.received_bytes = 0
        """Bytes received from the socket, framing included."""
        self.next_seq = 1
        """The sequence of the next action. WELCOME sets it where the zone knows the player already."""
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        """Set by `connection_made`."""
        self._is_tls = False
        self.is_lost = False
        """True after `connection_lost`: the transport must not be used any more."""
        self._options = (DEFLATE,) * deflate + (WATCH,) * watch + (RESUME,) * resume + (WHOLE,) * whole
        # Encoded here, so that a name that cannot be sent raises an error in the caller.
        rest = self._options, game_version
        if returning is None:
            self._hello = Hello(messages.PROTOCOL_VERSION, name, ticket, *rest).encode()
        else:
            self._hello = Resume(messages.PROTOCOL_VERSION, name, *returning, *rest).encode()
        self.framing: Framing = WEBSOCKET_CLIENT if web_host else LENGTH_PREFIX
        """What is around the payloads that this client sends."""
        self._reader: Deframer | WebSocketReader = (
            WebSocketReader(messages.SERVER_PAYLOAD_BYTES, is_client=True)
            if web_host
            else Deframer(messages.SERVER_PAYLOAD_BYTES)
        )
        # The opening handshake of a WebSocket, until it is over.
        self._upgrade = Upgrade(web_host) if web_host else None
        # The encoded actions of the current client frame, and their total size.
        self._actions: list[bytes] = []
        self._actions_bytes = 0
        # The most bytes of actions in one packet. WELCOME sets it.
        self._action_bytes_max = 0
        self._flush_handle: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0

    @property
    def has_partial_message(self) -> bool:
        """Whether the bytes received so far end in the middle of a message."""
        return self._reader.buffered_bytes > 0

    # --- Override these ---------------------------------------------------------------------------

    def on_welcome(self, welcome: Welcome) -> None:
        """The server let us in. A snapshot follows."""

    def on_snapshot(self, payload: bytes) -> None:
        """The whole state of the zone: at the start, and whenever this client fell too far behind."""

    def on_tick(self, payload: bytes) -> None:
        """One frame: everything that changed within one tick."""

    def on_deflated(self, payload: bytes) -> None:
        """A snapshot or a tick, deflated. Override it to inflate it later, or not at all."""
        self.on_payload(self.inflate(payload))

    def on_refused(self, refusal: Refusal) -> None:
        """The server refused one of our actions, or sent a warning."""

    def on_told(self, told: Told) -> None:
        """The game told this player something that it tells nobody else."""

    def on_answered(self, answered: Answered) -> None:
        """One of our private actions happened; this is its answer."""

    def on_pong(self, pong: Pong) -> None:
        """The server answered a `ping`."""

    def on_closed(self, bye: Bye) -> None:
        """The connection is closed. Called exactly once."""

    def inflate(self, payload: bytes) -> bytes:
        """Return the snapshot or tick inside the payload of a DEFLATED message. Raises ValueError.

        A program with many clients may override this to inflate each payload only once.
        """
        return decoding.inflate_message(payload)

    # --- What a player does -----------------------------------------------------------------------

    def act(self, kind: str, *arguments: Value) -> int:
        """Add an action to this client frame; return its sequence.

        Raises TypeError for a value that cannot be encoded, ValueError for an action that fits in no packet.
        """
        return self.send_action(self.encoded(kind, *arguments))

    def encoded(self, kind: str, *arguments: Value) -> bytes:
        """Return an action for `send_action`. Raises as `act` does."""
        if self.welcome is None:
            raise RuntimeError("act() was called before the server's WELCOME")
        if self.welcome.slot is None:
            raise RuntimeError("a watcher has no player and cannot act; connect with a name, and without watch=True")
        action = encode_action(kind, *arguments)
        if len(action) > self._action_bytes_max:
            text = f"the action {kind!r} takes {len(action)} bytes; a packet holds {self._action_bytes_max}"
            raise ValueError(text)
        return action

    def send_action(self, action: bytes, seq: int | None = None) -> int:
        """Add an encoded action to this client frame; return its sequence.

        With `seq` it goes out under that sequence, which must be above all before: so an action is sent again that the
        zone had not taken when the connection was lost.
        """
        assert self.welcome is not None
        if seq is not None:
            self.skip_to(seq)
        is_full = self._actions_bytes + len(action) > self._action_bytes_max
        if len(self._actions) == self.welcome.actions_max or is_full:
            self.flush()
        self._actions.append(action)
        self._actions_bytes += len(action)
        if self._flush_handle is None:
            frame_end = max(self.loop.time(), self._flushed_at + 1.0 / self.welcome.zone.hz)
            self._flush_handle = self.loop.call_at(frame_end, self.flush)
        self.next_seq += 1
        return self.next_seq - 1

    def skip_to(self, seq: int) -> None:
        """Let the next action have this sequence, if it is above all before."""
        if seq > self.next_seq:
            self.flush()
            self.next_seq = seq

    def flush(self) -> None:
        """End the client frame: send all its actions as one packet."""
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        if self._actions:
            actions, self._actions, self._actions_bytes = self._actions, [], 0
            self._flushed_at = self.loop.time()
            self.send(messages.encode_act(self.next_seq - len(actions), actions))

    def ping(self, token: int) -> None:
        """Ask the server for a PONG with this token."""
        self.send(Ping(token).encode())

    def leave(self) -> None:
        """Send GOODBYE. `on_closed` is called when the server has answered."""
        self.flush()
        self.send(Goodbye().encode())

    def abort(self) -> None:
        """Close the connection at once, without a GOODBYE."""
        self.transport.abort()

    def send(self, payload: bytes) -> None:
        """Send one message. This does nothing after the end of the connection."""
        if self.bye is None and not self.is_lost:
            if self._upgrade is not None:
                self._upgrade.waiting.append(payload)
            else:
                self.transport.write(self.framing.wrap(payload))

    # --- For subclasses in any package ------------------------------------------------------------

    def send_hello(self) -> None:
        """Send HELLO or RESUME. Called once, when the connection is open."""
        self.send(self._hello)

    def on_payload(self, payload: bytes) -> None:
        """One message has arrived: call the method for it. Raises ValueError for a message that no server may send."""
        op = messages.op_of(payload)
        if op == Op.DEFLATED:
            if DEFLATE not in self._options:
                raise ValueError("it sent a deflated message without being asked to")
            self.on_deflated(payload)
        elif op == Op.TICK:
            self.on_tick(payload)
        elif op == Op.SNAPSHOT:
            self.on_snapshot(payload)
        elif op not in _UNKNOWN_OPS:
            self._on_message(decoding.decode_server(payload))

    def record_end(self, bye: Bye) -> None:
        """Set `bye`, the reason of the end, unless there is one already: the first reason wins."""
        if self.bye is None:
            self.bye = bye

    # --- asyncio ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's transport is no subclass of asyncio.Transport.
        self.transport = transport
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        if self._upgrade is not None:
            transport.write(self._upgrade.request)
        self.send_hello()

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        try:
            if self._upgrade is not None:
                data = self._open(self._upgrade, data)
            for payload in self._reader.receive(data):
                if payload:
                    self.on_payload(payload)
            if self._reader.replies:
                self.transport.writelines(self._reader.replies)
                self._reader.replies.clear()
            if self._reader.is_ended:
                self.transport.write(self._reader.goodbye(b"", "", False))
                self.transport.close()
            elif self._reader.error is not None:
                raise ValueError(self._reader.error)
        except ValueError as error:
            # The framing, the encoding or the state is wrong, so nothing after this can be trusted.
            is_alert = self.welcome is None and data.startswith(_TLS_ALERT)
            text = f"from the server: {_ASKS_FOR_TLS if is_alert else error}"
            self.record_end(Bye(str(CloseReason.PROTOCOL_ERROR), text, False))
            self.transport.abort()

    def _open(self, upgrade: Upgrade, data: bytes) -> bytes:
        """Read the answer to the opening handshake; return the bytes behind it. Raises ValueError."""
        rest = upgrade.receive(data)
        if rest is not None:
            self._upgrade = None
            for payload in upgrade.waiting:
                self.send(payload)
        elif upgrade.refusal is not None:
            self.record_end(upgrade.refusal)
            self.transport.close()
        return rest or b""

    def _on_message(self, message: messages.ServerMessage) -> None:
        match message:
            case Welcome() as welcome:
                if self.welcome is not None:
                    raise ValueError("it sent a second WELCOME, which this client did not ask for")
                if (welcome.slot is None) != (WATCH in self._options):
                    raise ValueError("it gave a watcher a slot, or a player none")
                self.welcome = welcome
                self._action_bytes_max = welcome.payload_bytes_max - _ACT_HEAD_BYTES
                if welcome.resume is not None:
                    self.next_seq = welcome.resume.seq + 1
                self.on_welcome(welcome)
            case Refusal() as refusal:
                self.on_refused(refusal)
            case Told() as told:
                self.on_told(told)
            case Answered() as answered:
                self.on_answered(answered)
            case Pong() as pong:
                self.on_pong(pong)
            case Bye() as bye:
                self.record_end(bye)
                if self.framing is LENGTH_PREFIX:
                    self.transport.close()  # A WebSocket has a close frame behind BYE.

    def eof_received(self) -> bool:
        return False  # Close the transport: a server sends nothing after its BYE.

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if self._flush_handle is not None:
            self._flush_handle.cancel()
        if self.bye is None:
            text = str(exc) if exc else CloseReason.CONNECTION_LOST.text
            if not self.received_bytes and not self._is_tls:
                text = _ASKS_FOR_TLS
            self.record_end(Bye(str(CloseReason.CONNECTION_LOST), text, True))
        assert self.bye is not None
        self.on_closed(self.bye)
