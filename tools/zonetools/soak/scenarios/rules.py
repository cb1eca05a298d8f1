"""Rules of a game that do what no rule should, beside a crowd that must not notice."""

from __future__ import annotations

import itertools
from collections import Counter

from zoneserver.protocol.messages import Tick
from zonetools.soak.clients import RecordingClient
from zonetools.soak.fault_lab import Checks, Crowd, Finding, Lab, stats
from zonetools.soak.games import UNTELLABLE, Halfway, Untellable

# Walking and talking: nobody of the crowd changes the stats of another player.
_PEACEFUL = {"walker": 3, "chatty": 1}
# How many actions leave between two ticks: far below what flood control allows.
_PER_TICK = 2


async def untellable(lab: Lab) -> Finding:
    """Let rules tell what cannot be told: emit, return, answer, tell, put on the board, set, spawn, refuse, save."""
    checks = Checks()
    places = [*Untellable.PLACES, "answer", "refuse", *Untellable.LATER]
    async with (
        lab.server("zonetools.soak.games:Untellable", "--store", "memory:", "--store-interval", "50ms") as server,
        Crowd(server, lab.plan(lab.pick(200, 30), mix=_PEACEFUL)) as crowd,
        lab.recorder(server, "speaker") as speaker,
        lab.recorder(server, "listener") as listener,
    ):
        began = len(listener.frames)
        tried = list(itertools.product(UNTELLABLE, places))
        for number, (what, place) in enumerate(tried):
            if place == "answer":
                speaker.act("answer", what)
            else:
                speaker.act("speak", place, what)
            if number % _PER_TICK == 0:
                await listener.ticks(1)
        await listener.ticks(25)
        seen = await stats(server)
        frames = [tick for _, tick in listener.frames[began:]]
        ends = [client.bye for client in (speaker, listener)]
    count = len(UNTELLABLE)
    codes = Counter(refusal.code for refusal in speaker.refusals)
    # Python itself cannot write the deep lists as the text of a refusal: there the rule fails.
    wanted = {"RULE_FAILED": count * (len(Untellable.PLACES) + 1) + 1, "UNTELLABLE": count - 1}
    checks.expect(codes == wanted, f"the speaker is refused with {dict(codes)} and not {wanted}")
    heard = Counter((event[2], event[3] if len(event) > 3 else "") for tick in frames for event in tick.events)
    news = sum(number for (kind, _), number in heard.items() if kind in {"news", "answer"})
    spoken = sum(number for (kind, _), number in heard.items() if kind == "speak")
    checks.expect(not news, f"{news} untellable values are told")
    checks.expect(spoken == count * len(Untellable.LATER), f"{spoken} actions happen")
    checks.expect(not any(tick.board or tick.stats for tick in frames), "the board or a stat is changed")
    checks.expect("values[0] of the event" in server.log, "the log does not say where the value stands")
    least = wanted["RULE_FAILED"] + 2 * count
    checks.expect(seen.rule_failures_total > least, f"{seen.rule_failures_total} failures are counted")
    checks.expect(ends == [None, None] and not seen.closes, f"sessions end: {seen.closes} {ends}")
    _expect_unnoticed(checks, frames, crowd, listener)
    return checks.finding(
        f"{count} values at {len(places)} places: {codes['RULE_FAILED']} x RULE_FAILED, {codes['UNTELLABLE']} x the "
        f"code of the game, {seen.rule_failures_total} failures counted, 0 told, 0 disconnected"
    )


async def halfway(lab: Lab) -> Finding:
    """Let an action be refused, or fail, after it wrote: alone each kind of change, and all together."""
    checks = Checks()
    kinds = Halfway.WRITES
    async with (
        lab.server("zonetools.soak.games:Halfway") as server,
        Crowd(server, lab.plan(lab.pick(200, 30), mix=_PEACEFUL)) as crowd,
        lab.recorder(server, "writer") as writer,
        lab.recorder(server, "other") as other,
    ):
        began = len(other.frames)
        wavers = [*kinds, " ".join(kinds), " ".join(reversed(kinds))] * lab.pick(5, 1)
        for what in wavers:
            for end in ("is refused", "fails"):
                writer.act("write", other.slot, what, Halfway.ENDS.index(end))
            await other.ticks(1)
        await other.ticks(25)
        seen = await stats(server)
        frames, told = [tick for _, tick in other.frames[began:]], writer.told + other.told
        # A change that is not taken back would be seen: this is one.
        before = len(other.frames)
        all_but_kick = " ".join(kind for kind in kinds if kind not in {"kick", "remove"})
        writer.act("write", other.slot, all_but_kick, Halfway.ENDS.index("happens"))
        await other.until(lambda: any(event[2] == "late" for _, tick in other.frames[before:] for event in tick.events))
        shown = [tick for _, tick in other.frames[before:] if _changes(tick, writer, other)]
    codes = Counter(refusal.code for refusal in writer.refusals)
    wanted = {"TOO_LATE": len(wavers), "RULE_FAILED": len(wavers)}
    checks.expect(codes == wanted, f"the writer is refused with {dict(codes)} and not {wanted}")
    changed = [change for tick in frames for change in _changes(tick, writer, other)]
    checks.expect(not changed, f"the frames show {sorted(set(changed))}")
    checks.expect(not told, f"{len(told)} messages are told")
    checks.expect(bool(shown), "an action that happens shows nothing either")
    checks.expect(not seen.closes, f"sessions end: {seen.closes}")
    _expect_unnoticed(checks, frames, crowd, other)
    return checks.finding(
        f"{2 * len(wavers)} actions refused or failed after they wrote ({', '.join(kinds)}): {len(frames)} frames show "
        f"nothing of them, {_hashes(other)} state hashes agree, 0 disconnected"
    )


def _changes(tick: Tick, writer: RecordingClient, other: RecordingClient) -> list[str]:
    """What the frame tells beyond the walking and talking of the crowd."""
    own = {writer.slot, other.slot}
    found = {
        "a leave": tick.leaves,
        "a join": tick.joins,
        "a steered motion": tick.steered,
        "a place": tick.placed,
        "a stat": tick.stats,
        "the board": tick.board,
        "a motion": own.intersection(tick.movers),
        "an event": [event for event in tick.events if event[0] is None or event[0] in own],
    }
    return [name for name, values in found.items() if len(values)]


def _expect_unnoticed(checks: Checks, frames: list[Tick], crowd: Crowd, client: RecordingClient) -> None:
    gaps = sum(later.tick != earlier.tick + 1 for earlier, later in itertools.pairwise(frames))
    checks.expect(not gaps, "a tick is missing")
    checks.expect(crowd.is_served, "the crowd missed something")
    checks.expect(_hashes(client) > 0, "no state hash was compared")


def _hashes(client: RecordingClient) -> int:
    return 0 if client.replica is None else client.replica.hashes_checked
