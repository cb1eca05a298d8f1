"""The gateway target: an input is a script of steps by visitors, honest, faulty and hostile, in any order."""

from __future__ import annotations

from collections.abc import Callable

from fuzz.crowd import TICKS_MAX, VISITORS, Crowd, Peer, collect_log_errors
from fuzz.scripts import GOLDEN, RECIPE, Script, payload_of
from zoneserver.gateway.state import PlayerState
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import DEFLATE, PROTOCOL_VERSION, Goodbye, Hello, Ping

__all__ = ["ACTIONS", "VERBS", "gateway"]

NAMES = ("ann", "bob", "eve", "\N{CAT}" * 24)
"""The names of visitors. The last is as long as a name may be, in characters and in bytes."""
SEND_RATE = 2_000
"""Bytes per second, in half of the scripts: even honest players then skip frames and catch up."""
SECRET = b"a secret of the fuzz tests"


def gateway(data: bytes) -> int:
    """No visitor disturbs an honest player, and the server neither fails nor logs a traceback.

    The input is a byte that says whether the send rate is bounded (bit 0) and whether tickets are required
    (bit 1), followed by a script (see `VERBS`). The result is the number of packets that reached the gateway.
    """
    with collect_log_errors() as complaints:
        script = Script(data)
        settings = script.byte()
        crowd = Crowd(send_rate=SEND_RATE if settings & 1 else 0, secret=SECRET if settings & 2 else b"")
        while script.has_more and crowd.zone.world.tick < TICKS_MAX:
            run_step(crowd, script)
        crowd.finish()
    assert not complaints, complaints
    return crowd.gateway.counters.packets_in_total


def run_step(crowd: Crowd, script: Script) -> None:
    """Runs one step of the script: a byte gives the verb and the visitor, and the verb reads its arguments."""
    step = script.byte()
    visitor, verb = step % VISITORS, VERBS[step // VISITORS % len(VERBS)]
    peer = crowd.visitors[visitor]
    if peer is None or not peer.is_connected or (verb is hello and peer.session.is_over):
        # There are few addresses, so that some visitors share one, and some connect from a banned one.
        peer = crowd.visitors[visitor] = crowd.connect(f"192.0.2.{len(crowd.peers) % 6}")
    verb(crowd, peer, script)


def hello(crowd: Crowd, peer: Peer, script: Script) -> None:
    """Sends HELLO: the name may be taken, the ticket may be used or missing, and half ask for deflated frames."""
    which = script.byte()
    name = NAMES[which % len(NAMES)]
    tickets = [crowd.ticket(name), crowd.ticket(name, which), crowd.ticket("ann", which)]
    ticket = tickets[which // 4 % 4] if which // 4 % 4 < len(tickets) else script.bytes()
    encodings = (DEFLATE,) if which & 64 else ()
    peer.say(length_prefixed(Hello(PROTOCOL_VERSION, name, ticket, encodings).encode()))


def ensure_joined(crowd: Crowd, peer: Peer) -> None:
    """Joins unless the visitor has already, since the next step would have no effect before."""
    if peer.state is PlayerState.HANDSHAKE:
        name = f"guest {crowd.visitors.index(peer)}"
        peer.say(length_prefixed(Hello(PROTOCOL_VERSION, name, crowd.ticket(name)).encode()))
        crowd.tick()


def act(crowd: Crowd, peer: Peer, script: Script) -> None:
    """Sends up to four actions, most of them possible, in each of up to eight packets."""
    ensure_joined(crowd, peer)
    count = script.byte()
    actions = [ACTIONS[script.byte() % len(ACTIONS)](script) for _ in range(1 + count % 4)]
    for _ in range(1 + (count >> 5)):
        peer.act(*actions)


def ping(crowd: Crowd, peer: Peer, script: Script) -> None:
    """Sends up to 64 pings at once."""
    ensure_joined(crowd, peer)
    count = script.byte()
    peer.say(length_prefixed(Ping(count).encode()) * (1 + count % 64))


def goodbye(_crowd: Crowd, peer: Peer, _script: Script) -> None:
    peer.say(length_prefixed(Goodbye().encode()))


def send_golden(_crowd: Crowd, peer: Peer, script: Script) -> None:
    """Sends a golden message of a client or a server."""
    peer.say(length_prefixed(GOLDEN[script.byte() % len(GOLDEN)]))


def send_recipe(_crowd: Crowd, peer: Peer, script: Script) -> None:
    """Sends a golden message with changed values."""
    peer.say(length_prefixed(payload_of(RECIPE + script.bytes())))


def send_framed(_crowd: Crowd, peer: Peer, script: Script) -> None:
    """Sends correctly framed bytes from the script."""
    peer.say(length_prefixed(script.bytes()))


def send_raw(_crowd: Crowd, peer: Peer, script: Script) -> None:
    """Sends bytes from the script without framing."""
    peer.say(script.bytes())


def repeat(_crowd: Crowd, peer: Peer, script: Script) -> None:
    """Sends the last bytes again, up to 32 times at once."""
    peer.say(peer.said * (1 + script.byte() % 32) if len(peer.said) < 1024 else b"")


def miscount(_crowd: Crowd, peer: Peer, script: Script) -> None:
    """Makes the sequence of the later actions wrong."""
    peer.seq = max(1, peer.seq + script.signed())


def set_piece_size(_crowd: Crowd, peer: Peer, script: Script) -> None:
    """Makes later bytes arrive in small pieces."""
    peer.piece_bytes = script.byte()


def read_slowly(crowd: Crowd, peer: Peer, script: Script) -> None:
    """Takes a number of bytes from the server, and none afterwards until the next such step."""
    ensure_joined(crowd, peer)
    if peer.transport.room is None:
        peer.transport.room = 0
    peer.take(script.byte() * 4)


def hang_up(_crowd: Crowd, peer: Peer, _script: Script) -> None:
    peer.hang_up()


def reset(_crowd: Crowd, peer: Peer, _script: Script) -> None:
    peer.reset()


def tick(crowd: Crowd, _peer: Peer, _script: Script) -> None:
    crowd.tick()


def ticks(crowd: Crowd, _peer: Peer, script: Script) -> None:
    """Runs up to 31 ticks, so that deadlines pass."""
    for _ in range(script.byte() % 32):
        crowd.tick()


VERBS: list[Callable[[Crowd, Peer, Script], None]] = [
    tick,
    hello,
    act,
    send_recipe,
    send_framed,
    send_raw,
    send_golden,
    repeat,
    read_slowly,
    set_piece_size,
    miscount,
    ping,
    hang_up,
    reset,
    goodbye,
    ticks,
]
"""A step of a script is one byte, `verb * VISITORS + visitor`, and the bytes that the verb reads."""

ACTIONS: list[Callable[[Script], tuple[object, ...]]] = [
    lambda script: ("move", script.signed(), script.signed()),
    lambda script: ("strike", script.byte() % 8),
    lambda script: ("bolt", script.byte() % 8),
    lambda script: ("heal", script.byte() % 8),
    lambda script: ("say", script.bytes().decode(errors="replace")),
    lambda script: ("emote", script.signed()),
    lambda script: (script.bytes().decode(errors="replace"), script.byte()),
    lambda script: ("move", *[script.byte()] * (script.byte() % 16)),
]
