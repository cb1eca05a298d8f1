"""What may be done to a gateway: a script of deeds, honest, foolish and hostile, in any order."""

from __future__ import annotations

from collections.abc import Callable

from fuzz.crowd import CHAIRS, TICKS_MAX, Crowd, Peer, attentive
from fuzz.scripts import RECIPE, SPOKEN, Script, payload_of
from zoneserver.gateway.state import PlayerState
from zoneserver.protocol.framing import frame
from zoneserver.protocol.messages import DEFLATE, PROTOCOL_VERSION, Goodbye, Hello, Ping

__all__ = ["ACTIONS", "VERBS", "gateway"]

NAMES = ("ann", "bob", "eve", "\N{CAT}" * 24)
"""What they call themselves; the last is as long as a name may be, in bytes too."""
SEND_RATE = 2_000
"""Bytes per second, in one script out of two: then even honest players skip frames, and catch up."""
SECRET = b"a secret that nobody knows"


def gateway(data: bytes) -> int:
    """Whatever some do: nobody else notices, and the server neither fails nor logs a traceback.

    The input is a byte that says whether the send rate is bounded (bit 0) and whether tickets are asked
    for (bit 1), and a script (see `VERBS`). Every whole frame that reached the gateway counts, those of
    the honest players too.
    """
    with attentive() as complaints:
        script = Script(data)
        settings = script.byte()
        crowd = Crowd(send_rate=SEND_RATE if settings & 1 else 0, secret=SECRET if settings & 2 else b"")
        while script.has_more and crowd.zone.world.tick < TICKS_MAX:
            do(crowd, script)
        crowd.finish()
    assert not complaints, complaints
    return crowd.gateway.counters.packets_in_total


def do(crowd: Crowd, script: Script) -> None:
    """One step of the script: a byte with the verb and who does it, and what the verb reads."""
    step = script.byte()
    chair, verb = step % CHAIRS, VERBS[step // CHAIRS % len(VERBS)]
    peer = crowd.chairs[chair]
    if peer is None or not peer.is_connected or (verb is hello and peer.session.is_over):
        # Addresses are few, so that some share one, and some come from one that is banned.
        peer = crowd.chairs[chair] = crowd.connect(f"192.0.2.{len(crowd.everybody) % 6}")
    verb(crowd, peer, script)


def hello(crowd: Crowd, peer: Peer, script: Script) -> None:
    """Asks to come in, under a name that somebody else may have, with a ticket that may be good, used or none;
    one in two wants to be sent what is deflated."""
    which = script.byte()
    name = NAMES[which % len(NAMES)]
    tickets = [crowd.ticket(name), crowd.ticket(name, which), crowd.ticket("ann", which)]
    ticket = tickets[which // 4 % 4] if which // 4 % 4 < len(tickets) else script.bytes()
    encodings = (DEFLATE,) if which & 64 else ()
    peer.say(frame(Hello(PROTOCOL_VERSION, name, ticket, encodings).encode()))


def come_in(crowd: Crowd, peer: Peer) -> None:
    """Whoever is still outside comes in: what follows would be lost on a stranger."""
    if peer.state is PlayerState.HANDSHAKE:
        name = f"guest {crowd.chairs.index(peer)}"
        peer.say(frame(Hello(PROTOCOL_VERSION, name, crowd.ticket(name)).encode()))
        crowd.tick()


def act(crowd: Crowd, peer: Peer, script: Script) -> None:
    """Does up to four things of which most are possible, in each of up to eight packets."""
    come_in(crowd, peer)
    count = script.byte()
    actions = [ACTIONS[script.byte() % len(ACTIONS)](script) for _ in range(1 + count % 4)]
    for _ in range(1 + (count >> 5)):
        peer.act(*actions)


def ping(crowd: Crowd, peer: Peer, script: Script) -> None:
    """Asks for up to 64 answers in one go."""
    come_in(crowd, peer)
    count = script.byte()
    peer.say(frame(Ping(count).encode()) * (1 + count % 64))


def goodbye(_crowd: Crowd, peer: Peer, _script: Script) -> None:
    peer.say(frame(Goodbye().encode()))


def speak(_crowd: Crowd, peer: Peer, script: Script) -> None:
    """A golden message, of a client or a server."""
    peer.say(frame(SPOKEN[script.byte() % len(SPOKEN)]))


def misspeak(_crowd: Crowd, peer: Peer, script: Script) -> None:
    """A golden message with other values in it."""
    peer.say(frame(payload_of(RECIPE + script.bytes())))


def frame_anything(_crowd: Crowd, peer: Peer, script: Script) -> None:
    """A frame that is well-formed on the outside; what is in it comes from the script."""
    peer.say(frame(script.bytes()))


def send_anything(_crowd: Crowd, peer: Peer, script: Script) -> None:
    """Bytes that are not even framed."""
    peer.say(script.bytes())


def again(_crowd: Crowd, peer: Peer, script: Script) -> None:
    """What was sent last, up to 32 times in one go."""
    peer.say(peer.said * (1 + script.byte() % 32) if len(peer.said) < 1024 else b"")


def go_back(_crowd: Crowd, peer: Peer, script: Script) -> None:
    """Counts its actions wrongly from now on."""
    peer.seq = max(1, peer.seq + script.signed())


def cut(_crowd: Crowd, peer: Peer, script: Script) -> None:
    """What it says arrives in small pieces from now on."""
    peer.piece_bytes = script.byte()


def read_slowly(crowd: Crowd, peer: Peer, script: Script) -> None:
    """Takes so many bytes of what it is sent, and no more until it is asked again."""
    come_in(crowd, peer)
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
    """So many that whoever is not done with something runs out of time."""
    for _ in range(script.byte() % 32):
        crowd.tick()


VERBS: list[Callable[[Crowd, Peer, Script], None]] = [
    tick,
    hello,
    act,
    misspeak,
    frame_anything,
    send_anything,
    speak,
    again,
    read_slowly,
    cut,
    go_back,
    ping,
    hang_up,
    reset,
    goodbye,
    ticks,
]
"""A step of a script is one byte, `verb * CHAIRS + chair`, and the bytes that the verb reads."""

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
