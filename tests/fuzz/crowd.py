"""A gateway with a zone, two honest players, and visitors who may do anything."""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from helpers.fake_loop import FakeLoop
from helpers.fake_transport import FakeTransport
from zoneclient.replica import Replica

from zoneserver.config import Config, Limits
from zoneserver.games.plaza import Plaza
from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.session import Session
from zoneserver.gateway.state import PlayerState, SessionState
from zoneserver.protocol.codes import RESTRAINTS, CloseReason
from zoneserver.protocol.decoding import decode_server, inflate_message
from zoneserver.protocol.framing import Deframer, length_prefixed
from zoneserver.protocol.messages import (
    DEFLATE,
    PROTOCOL_VERSION,
    SERVER_PAYLOAD_BYTES,
    Act,
    Bye,
    Hello,
    Op,
    Refusal,
    Snapshot,
    Tick,
    Welcome,
    op_of,
)
from zoneserver.protocol.tickets import issue_ticket
from zoneserver.zone.local_link import LocalZoneLink
from zoneserver.zone.zone import Zone

__all__ = ["TICKS_MAX", "VISITORS", "Crowd", "Peer", "collect_log_errors"]

HZ = 4
VISITORS = 4
"""How many visitors there are at a time."""
HONEST = ("an honest player, first", "an honest player, again")
TICKS_MAX = 60
"""The bound on the ticks of one input, which should take milliseconds."""
EXPIRES_AT = 2**40
"""When tickets expire, in seconds since 1970: after every run of a test."""
LIMITS = Limits(
    client_frame_bytes=256,
    frames_per_callback=4,
    frames_per_second=8,
    frames_burst=40,
    bytes_burst=4096,
    actions_burst=60,
    violations_burst=3,
    address_connections_max=4,
    address_handshakes_max=2,
    address_connections_per_second=2,
    address_connections_burst=6,
    send_soft_bytes=4096,
    send_hard_bytes=16_384,
    history_ticks=8,
)
"""Small limits, so that a short script reaches both sides of each. Honest players stay far below all of them."""


@contextmanager
def collect_log_errors() -> Iterator[list[str]]:
    """Collects log records that must not occur: errors, tracebacks and unprintable messages."""
    complaints: list[str] = []

    class LogCollector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = self.format(record)
            if record.levelno >= logging.ERROR or record.exc_info:
                complaints.append(line)
            elif not line.isprintable():
                complaints.append(f"a message that is not printable: {line!r}")

    log, collector = logging.getLogger("zoneserver"), LogCollector()
    before = log.level, log.propagate
    log.addHandler(collector)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield complaints
    finally:
        log.removeHandler(collector)
        log.level, log.propagate = before


class Cramped(Plaza):
    """A plaza so small that every player can reach every other."""

    name = "plaza"
    width = height = 200


class Peer:
    """The client side of one connection. It checks every message that it receives."""

    def __init__(self, crowd: Crowd, host: str) -> None:
        self._crowd = crowd
        # Every second session sends frames through the transport, as a TLS session does.
        kernel_send = self._send if len(crowd.peers) % 2 == 0 else None
        self.session = Session(crowd.gateway, LIMITS, crowd.loop, kernel_send, address=(host, 5000))
        self.transport = FakeTransport(crowd.loop, self.session)
        self.session.connection_made(self.transport)
        self.seq = 1
        self.said = b""
        self.piece_bytes = 0
        """Bytes arrive at the server in pieces of this size; 0 means all at once."""
        self.is_leaving = False
        self.was_reset = False
        self.bye: Bye | None = None
        self.replica: Replica | None = None
        self.resyncs = -1
        """Snapshots beyond the first."""
        self.is_restrained = False
        """Whether the peer was ever warned or muted."""
        self._deframer = Deframer(SERVER_PAYLOAD_BYTES)
        self._read_bytes = 0
        self._encodings: Sequence[str] = ()
        # Bytes that the server has not read yet.
        self._wire: list[bytes] = []

    def _send(self, data: bytes) -> int:
        return self.transport.send(data)

    @property
    def is_playing(self) -> bool:
        return self.state is PlayerState.PLAYING

    @property
    def state(self) -> PlayerState | None:
        """The state of the player in the gateway; None when the session is over."""
        return self._crowd.player_state(self.session)

    @property
    def is_connected(self) -> bool:
        return not (self.transport.is_closing() or self.is_leaving or self.was_reset)

    def say(self, data: bytes) -> None:
        self.said = data
        size = self.piece_bytes or len(data)
        self._wire += [data[place : place + size] for place in range(0, len(data), size or 1)]
        self.arrive()

    def act(self, *actions: tuple[object, ...]) -> None:
        self.say(length_prefixed(Act(self.seq, actions).encode()))
        self.seq += len(actions)

    def hang_up(self) -> None:
        self.is_leaving = True
        self.arrive()

    def reset(self) -> None:
        self.was_reset = True
        self.transport.fail(ConnectionResetError("reset by peer"))

    def arrive(self) -> None:
        """Delivers waiting bytes as far as the server reads."""
        while self._wire and self.transport.reading:
            self.transport.deliver(self._wire.pop(0))
            self._crowd.loop.run()
        if self.is_leaving and not self._wire and self.transport.reading:
            self.transport.deliver_eof()

    def take(self, count: int) -> None:
        """Lets the kernel take `count` bytes more from the server."""
        if not self.transport.broken:
            self.transport.take(count)

    def take_all(self) -> None:
        if self.transport.room is not None:
            self.take(1 << 20)

    def read(self) -> None:
        """Reads what the kernel has taken since the last call."""
        data = bytes(self.transport.kernel[self._read_bytes :])
        self._read_bytes += len(data)
        for payload in self._deframer.receive(data):
            assert self.bye is None, "something follows the goodbye"
            self._hear(payload)

    def _hear(self, payload: bytes) -> None:
        if op_of(payload) == Op.DEFLATED:
            assert DEFLATE in self._encodings, "deflated, which WELCOME did not announce"
            payload = inflate_message(payload)
        message = self._crowd.ticks.get(payload) or decode_server(payload)
        if isinstance(message, Welcome):
            self._encodings = message.options
            assert self.replica is None, "a second welcome"
            self.replica = Replica(message)
        elif isinstance(message, Bye):
            self.bye = message
        elif isinstance(message, Refusal):
            self.is_restrained |= message.code in RESTRAINTS
        elif isinstance(message, Snapshot | Tick):
            assert self.replica is not None, "something came ahead of the welcome"
            if isinstance(message, Tick):
                self._crowd.note(message, payload)
                self.replica.apply(message)  # raises when a tick is missing or the hash differs
            else:
                assert message.tick > self.replica.tick or self.resyncs < 0, (
                    "a snapshot of a tick that the replica has already"
                )
                self.replica.restore(message)
                self.resyncs += 1


class Crowd:
    """The zone, its gateway, and all peers."""

    def __init__(self, send_rate: float, secret: bytes) -> None:
        self.loop = FakeLoop()
        self._secret = secret
        self._tickets = 0
        config = Config(
            hz=HZ,
            max_players=len(HONEST) + VISITORS - 1,
            send_rate=send_rate,
            send_memory_bytes=24_576,
            ban_seconds=1.0,
            secret=secret,
            limits=LIMITS,
        )
        self.zone = Zone(Cramped(), hz=HZ, seed=1, limits=LIMITS, players_max=config.max_players, secret=secret)
        self.link = LocalZoneLink(self.zone)
        self.gateway = Gateway(self.link, config, self.loop, connections_max=len(HONEST) + VISITORS)
        # Each frame by its payload, so that it is decoded once for all peers.
        self.ticks: dict[bytes, Tick] = {}
        self._numbers: set[int] = set()
        self._may_skip = bool(send_rate)
        self.peers: list[Peer] = []
        self.visitors: list[Peer | None] = [None] * VISITORS
        self.honest = [self.connect("192.0.2.100") for _ in HONEST]
        for peer, name, encodings in zip(self.honest, HONEST, ((), (DEFLATE,)), strict=True):
            peer.say(length_prefixed(Hello(PROTOCOL_VERSION, name, self.ticket(name), encodings).encode()))
        self.tick()

    def player_state(self, session: Session) -> PlayerState | None:
        """The state of a session's player in the gateway; None when the session is over."""
        if session.state is not SessionState.OPEN:
            return None
        player = next((player for player in self.gateway.players if player.session is session), None)
        return PlayerState.HANDSHAKE if player is None else player.state

    def run_tick(self) -> None:
        self.gateway.send_requests()
        self.link.publish(self.zone.tick(self.link.take_input(time.time())))

    def connect(self, host: str) -> Peer:
        self.peers.append(Peer(self, host))
        return self.peers[-1]

    def ticket(self, name: str, number: int | None = None) -> bytes:
        """A valid ticket for a name if the zone requires one. Equal numbers give equal tickets."""
        if not self._secret:
            return b""
        self._tickets += 1
        nonce = struct.pack(">qq", 1 if number is None else 0, self._tickets if number is None else number)
        return issue_ticket(self._secret, name, self.zone.info.name, EXPIRES_AT, nonce)

    def note(self, tick: Tick, payload: bytes) -> None:
        """Checks that all peers get identical bytes for a tick."""
        if payload not in self.ticks:
            assert tick.tick not in self._numbers, f"two frames of tick {tick.tick}"
            self._numbers.add(tick.tick)
            self.ticks[payload] = tick

    def tick(self) -> None:
        """Runs one tick with actions of the honest players, and lets every peer read."""
        number = self.zone.world.tick
        for slot, peer in enumerate(self.honest):
            if peer.is_playing and not peer.is_leaving:
                peer.act(("move", number % 90 - 45, slot), ("strike", 1 - slot), ("say", f"tick {number}"))
        self.run_tick()
        self.loop.pass_time(1 / HZ)
        for peer in self.peers:
            peer.arrive()
            peer.read()
        for peer in self.honest:
            if not peer.is_leaving:
                assert peer.is_playing, f"{peer.session} is over: {peer.session.reason_text}"
                assert peer.replica is not None
                assert self._may_skip or peer.replica.tick == self.zone.world.tick, "a frame is missing"

    def finish(self) -> None:
        """Lets every peer catch up, compares states, and checks that nothing is left when all have gone."""
        self._catch_up()
        state = self.zone.world.snapshot().encode()
        for peer in self.peers:
            reason, room = peer.session.reason, peer.transport.room
            assert reason is not CloseReason.INTERNAL_ERROR, f"{peer.session}: {peer.session.reason_text}"
            if peer.is_playing:
                assert peer.replica is not None
                assert peer.replica.world.snapshot().encode() == state, f"{peer.session} has another state"
            elif reason is not None and not peer.was_reset:
                assert peer.bye is not None or room is not None, f"{peer.session} heard no goodbye"
                assert peer.bye is None or peer.bye.code == reason, f"{peer.bye} where {reason} was due"
        for peer in self.honest:
            assert not peer.is_restrained, "an honest player was restrained"
            assert self._may_skip or peer.resyncs == 0, "an honest player missed frames"
        assert self.zone.counters.rule_failures_total == 0
        self._leave()

    def _catch_up(self) -> None:
        for _ in range(TICKS_MAX):
            for peer in self.peers:
                peer.take_all()
            self.loop.run()
            self.tick()
            if not self.gateway.broadcaster.behind:
                return
        raise AssertionError("a player who takes everything stays behind")

    def _leave(self) -> None:
        for peer in self.peers:
            # A flooding peer is read so slowly that the end of its stream would take long to arrive.
            if peer.transport.reading:
                peer.hang_up()
            else:
                peer.reset()
        for _ in range(TICKS_MAX):
            self.tick()
            if all(peer.session.state is SessionState.CLOSED for peer in self.peers):
                break
        self.run_tick()
        gateway = self.gateway
        left = gateway.connections, gateway.players_count, len(gateway.pending), gateway.broadcaster.behind
        assert left == (0, 0, 0, 0), f"connections, players, handshaking and behind are {left} when all are gone"
        assert self.zone.world.holders == [], "a player is still in the zone"
        assert self.loop.timers == 0, "a timer outlives its session"
