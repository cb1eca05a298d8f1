"""Actions that are not allowed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter

from zoneserver.protocol.codes import RESTRAINTS
from zoneserver.protocol.messages import Bye, Op, Refusal, Welcome
from zonetools.common.server_process import ServerProcess
from zonetools.soak.clients import RawClient, RecordingClient, act, hello, packet
from zonetools.soak.fault_lab import Checks, Finding, Lab, stats
from zonetools.soak.tasks import beside, together

_NAN = float("nan")
# The expected code and the action that is tried.
_ACTIONS: list[tuple[str, tuple[object, ...]]] = [
    ("TOO_FAST", ("move", 26, 0)),
    ("BAD_PAYLOAD", ("move", 128, 0)),
    ("BAD_PAYLOAD", ("move", _NAN, 0)),
    ("BAD_PAYLOAD", ("move", float("inf"), 0)),
    ("BAD_PAYLOAD", ("move", True, 0)),
    ("BAD_PAYLOAD", ("move", "1", 0)),
    ("BAD_PAYLOAD", ("move", 1)),
    ("BAD_PAYLOAD", ("move", 1, 1, 0)),
    ("BAD_PAYLOAD", ("move", 2**63, 0)),
    ("BAD_PAYLOAD", ("emote", 6)),
    ("BAD_PAYLOAD", ("emote", -1)),
    ("BAD_PAYLOAD", ("say", "")),
    ("BAD_PAYLOAD", ("say", "\x1b[2J")),
    ("BAD_PAYLOAD", ("say", "x" * 201)),
    ("BAD_PAYLOAD", ("say", b"bytes")),
    ("BAD_PAYLOAD", ("say", None)),
    ("UNKNOWN_ACTION", ("teleport", 1, 1)),
    ("UNKNOWN_ACTION", ("on_join",)),
    ("UNKNOWN_ACTION", ("__init__",)),
    ("UNKNOWN_ACTION", ("",)),
    ("NO_TARGET", ("strike", 999)),
    ("NO_TARGET", ("heal", 60_000)),
    ("SELF", ("strike", None)),
    ("OUT_OF_RANGE", ("strike", None)),
]


async def refusals(lab: Lab) -> Finding:
    """Let honest players of one address strike at somebody who is out of range."""
    checks, count, rate, seconds = Checks(), 60, 5, lab.pick(20.0, 3.0)

    async def play(client: RawClient, target: int) -> None:
        for seq in itertools.count(1):
            await client.send(act(seq, ("strike", target)))
            await asyncio.sleep(1 / rate)

    async with (
        lab.server() as server,
        lab.recorder(server, "recorder") as recorder,
        contextlib.AsyncExitStack() as stack,
    ):
        home = lab.address()
        players = []
        for number in range(count):
            players.append(await lab.raw(server, address=home))
            stack.callback(players[-1].close)
            await players[-1].join(f"fighter {number}")
        plays = [play(client, recorder.slot) for client in players]
        async with beside(*plays, *(client.read_all() for client in players)):
            await asyncio.sleep(seconds)
            with contextlib.closing(await lab.raw(server, address=home)) as late:
                await late.hello("late")
                answer = await late.answer()
            seen = await stats(server)
    checks.expect(isinstance(answer, Welcome), f"another player of the address is answered with {answer}")
    checks.expect(not seen.restraints, f"players are penalized: {seen.restraints}")
    refused = sum(seen.refusals.values())
    checks.expect(refused >= count * rate * seconds / 2, "too few actions were refused to show anything")
    return checks.finding(
        f"{count} players, {refused:,} refusals in {seconds:g} s ({', '.join(sorted(seen.refusals))}): "
        "0 penalized, another player of the address joins"
    )


async def bad_actions(lab: Lab) -> Finding:
    """Try bad actions: each is answered, none is broadcast, and 20 of them end the session."""
    checks = Checks()
    async with lab.server() as server, lab.recorder(server, "recorder") as recorder:
        offenders = await together(
            *(_try(lab, server, recorder, number, *each, checks) for number, each in enumerate(_ACTIONS))
        )
        with contextlib.closing(await lab.raw(server)) as client:
            slot = (await client.join("impatient")).slot
            await client.send(act(1, ("heal", slot), ("heal", slot)))
            cooldown = await _refusals(client, 1)
        checks.expect(cooldown == ["COOLDOWN"], f"a second heal within its cooldown is answered with {cooldown}")
        levels = await _penalty_levels(lab, server, recorder)
        checks.expect(
            levels == {"WARNED": 10, "MUTED": 15, "PROTOCOL_ERROR": 20},
            f"the penalty levels come at {levels} violations and not at 10, 15, 20",
        )
        state = await _bad_states(lab, server)
        checks.expect(set(state) == {"PROTOCOL_ERROR"}, f"messages in a wrong state end with {state}")
        await recorder.ticks(2)
        seen = await stats(server)
    slots = set(offenders)
    told = [
        event for _, tick in recorder.frames for event in tick.events if event[0] in slots and event[2] != "heal"
    ] + [slot for _, tick in recorder.frames for slot in tick.movers if slot in slots]
    checks.expect(not told, f"a bad action is broadcast: {told[:2]}")
    refused = sum(seen.refusals.values())
    checks.expect_no_traceback(server)
    return checks.finding(
        f"{len(_ACTIONS) + 1} kinds refused with their codes ({refused} in all), 0 broadcast; violations: warned at "
        f"{levels.get('WARNED')}, muted at {levels.get('MUTED')}, disconnected at {levels.get('PROTOCOL_ERROR')}"
    )


async def _try(
    lab: Lab,
    server: ServerProcess,
    recorder: RecordingClient,
    number: int,
    code: str,
    action: tuple[object, ...],
    checks: Checks,
) -> int:
    """Try one action and check its answer. Returns the slot, which must not appear in any frame."""
    with contextlib.closing(await lab.raw(server)) as client:
        slot = (await client.join(f"bad-{number}")).slot
        assert slot is not None
        if action[-1] is None and code in {"SELF", "OUT_OF_RANGE"}:
            action = (action[0], slot if code == "SELF" else recorder.slot)
        await client.send(packet(Op.ACT, 1, [action]))
        found = await _refusals(client, 1)
        checks.expect(found == [code], f"{action!r:.40} is answered with {found} and not {code}")
        return slot


async def _refusals(client: RawClient, count: int) -> list[str]:
    """The codes of the next refusals, and of the close if it comes first."""
    codes: list[str] = []
    async with asyncio.timeout(3):
        while len(codes) < count:
            message = await client.receive()
            if message is None or isinstance(message, Bye):
                return [*codes, "ended" if message is None else message.code]
            if isinstance(message, Refusal):
                codes.append(message.code)
    return codes


async def _penalty_levels(lab: Lab, server: ServerProcess, recorder: RecordingClient) -> dict[str, int]:
    """The number of violations at which each penalty level is reached, if all come within one tick."""
    reached: dict[str, int] = {}
    with contextlib.closing(await lab.raw(server)) as client:
        await client.join("cheater")
        await recorder.ticks(1)
        await client.send(b"".join(packet(Op.ACT, seq, [["teleport", 1, 1]]) for seq in range(1, 31)))
        answered: Counter[str] = Counter()
        for message in await client.messages():
            if isinstance(message, Refusal) and message.code not in RESTRAINTS:
                answered["refused"] += 1
            elif isinstance(message, Refusal):
                reached.setdefault(message.code, answered["refused"])
            elif isinstance(message, Bye):
                reached[message.code] = answered["refused"]
    return reached


async def _bad_states(lab: Lab, server: ServerProcess) -> Counter[str]:
    """Send ACT and PING before HELLO, ACT right after HELLO, and HELLO twice."""
    tries = (
        act(1, ("emote", 1)),
        packet(Op.PING, 1),
        hello("early-1") + act(1, ("emote", 1)),
        hello("early-2") + hello("early-2"),
    )
    codes: Counter[str] = Counter()
    for data in tries:
        client = await lab.raw(server)
        await client.send(data)
        codes[(await client.bye()).code] += 1
        client.close()
    return codes
