"""Players who come back after a lost connection, and tokens that let nobody else in."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import Counter

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import RESUME, TOKEN_BYTES, Bye, Op, Pong, Tick, Welcome
from zonetools.common.server_process import ServerProcess
from zonetools.soak.clients import RawClient, RecordingClient, hello, packet, resume
from zonetools.soak.fault_lab import Checks, Crowd, Finding, Lab, wait_for_stats
from zonetools.soak.reset_bots import RESET
from zonetools.soak.tasks import together

_RETURN_SECONDS_MAX = 2.0
_RUNS_MAX = 3
# More guesses than connections that an address may open at once.
_GUESSES_MAX, _GUESSES_AT_ONCE = 200, 10


async def resume_crowd(lab: Lab) -> Finding:
    """Let all players reset their connections at once. Repeat if the machine may be to blame for the time."""
    checks = Checks()
    seconds, measured = await _reset_crowd(lab, checks)
    for _ in range(_RUNS_MAX - 1):
        if seconds > _RETURN_SECONDS_MAX:
            seconds, measured = await _reset_crowd(lab, checks)
    checks.expect(seconds <= _RETURN_SECONDS_MAX, "it takes longer than 2 s")
    return checks.finding(measured)


async def _reset_crowd(lab: Lab, checks: Checks) -> tuple[float, str]:
    """Let all players reset their connections at once, as seen by a player who stays. Return the seconds until all are
    back, and the finding in words."""
    count = lab.pick(1_000, 100)
    plan = lab.plan(count, mix={"zonetools.soak.reset_bots:Resetting": 1})
    async with (
        lab.server("zonetools.soak.games:Counting") as server,
        lab.recorder(server, "recorder") as recorder,
        Crowd(server, plan) as crowd,
    ):
        await recorder.ticks(lab.pick(40, 10))
        began, first = time.monotonic(), len(recorder.frames)
        recorder.act("say", RESET)
        recorder.flush()
        now = await wait_for_stats(server, lambda now: now.resumes_total >= count)
        seconds = time.monotonic() - began
        # They go on.
        await recorder.ticks(lab.pick(40, 10))
        frames = [tick for _, tick in recorder.frames[first:]]
    back, actions = crowd.report["resume"], crowd.report["actions"]
    drops, resumed = back["drops"], back["resumed"]
    moves = sum(len(tick.leaves) + len(tick.joins) for tick in frames)
    checks.expect(drops == resumed == count, f"{drops} bots dropped and {resumed} came back")
    checks.expect(now.drops_total == count, f"the server counts {now.drops_total} drops")
    checks.expect(moves == 0, f"another player sees {moves} leaves and joins")
    checks.expect(crowd.is_served, "a player missed something, or got it twice")
    checks.expect(actions["unanswered"] == 0, f"{actions['unanswered']} actions have no outcome")
    checks.expect_no_traceback(server)
    return seconds, (
        f"{count:,} drops at once: all back in their slots after {seconds:.2f} s; of {actions['sent']:,} actions "
        f"{actions['resent']:,} sent again, {actions['lost']} lost, {actions['duplicated']} twice; "
        f"{moves} leaves and joins in {len(frames)} frames"
    )


async def tokens(lab: Lab) -> Finding:
    """Come back with tokens that are good, and with all kinds that are not."""
    checks = Checks()
    async with (
        lab.server("--resume", "1s") as server,
        lab.server() as other_server,
        lab.recorder(server, "recorder") as recorder,
    ):
        used, ann_client, ann = await _take_over(lab, server, recorder, checks)
        bob_client, bob = await _join(await lab.raw(server), "bob")
        _, stranger = await _join(await lab.raw(other_server), "ann")
        late_client, late = await _join(await lab.raw(server), "late")
        late_client.reset()
        await recorder.until(lambda: recorder.replica is not None and "late" not in recorder.replica.players.values())
        forged = [
            bytes((*ann[:at], ann[at] ^ 1 << bit, *ann[at + 1 :]))
            for at in range(TOKEN_BYTES)
            for bit in lab.pick(range(8), range(at % 8, at % 8 + 1))
        ]
        bad = {
            "used": [("ann", token) for token in used],
            "late": [("late", late)],
            "forged": [("ann", token) for token in (*forged, bytes(TOKEN_BYTES))],
            "of another player": [("ann", bob), ("bob", ann), ("recorder", ann)],
            "of another server": [("ann", stranger)],
            "of nobody": [("nobody", ann)],
        }
        refused = 0
        for kind, tries in bad.items():
            for answer in await together(*(_answer(lab, server, name, token) for name, token in tries)):
                checks.expect(answer == CloseReason.RESUME_FAILED, f"a bad token ({kind}) is answered with {answer}")
                refused += answer == CloseReason.RESUME_FAILED
        guesses = await _guess_until_rejected(lab, server, checks)
        for name, token in ("ann", ann), ("bob", bob):
            answer = await _answer(lab, server, name, token)
            checks.expect(answer == "back", f"the good token of {name} is answered with {answer} after that")
        for client in ann_client, bob_client:
            client.close()
    checks.expect_no_traceback(server)
    total = sum(len(tries) for tries in bad.values())
    return checks.finding(
        f"{refused} of {total} bad tokens refused ({', '.join(bad)}), an address is rejected after {guesses} guesses; "
        f"{len(used)} takeovers of a live session, each in one tick, without a leave or a join"
    )


async def _join(client: RawClient, name: str) -> tuple[RawClient, bytes]:
    """Join as a player who may come back; return the token as well."""
    await client.send(hello(name, b"", RESUME))
    return client, _token_of(await client.answer())


async def _confirm(client: RawClient) -> None:
    """Show the server that the client has its token, and wait until the one before is not good any more."""
    await client.send(packet(Op.PING, 1))
    for kind in Pong, Tick, Tick:
        while not isinstance(await client.receive(), kind):
            pass


def _token_of(answer: Welcome | Bye) -> bytes:
    """Return the token of a WELCOME. Raises ConnectionError with the code for a BYE."""
    if isinstance(answer, Bye):
        raise ConnectionError(answer.code)
    assert answer.resume is not None
    return answer.resume.token


async def _take_over(
    lab: Lab, server: ServerProcess, recorder: RecordingClient, checks: Checks
) -> tuple[list[bytes], RawClient, bytes]:
    """Take a live session over with its token and with HELLO. Return the tokens that are used up, the client, and its
    token."""
    used: list[bytes] = []
    client, token = await _join(await lab.raw(server), "ann")
    await recorder.until(lambda: recorder.replica is not None and "ann" in recorder.replica.players.values())
    first, home = len(recorder.frames), ""
    for number in range(lab.pick(20, 6)):
        # HELLO takes a player over from the same address, a token from anywhere.
        home = lab.address() if number % 2 == 0 else home
        newer = await lab.raw(server, address=home)
        await newer.send(resume("ann", token) if number % 2 == 0 else hello("ann", b"", RESUME))
        used.append(token)
        token = _token_of(await newer.answer())
        await _confirm(newer)
        bye = await client.bye()
        checks.expect(bye.code == CloseReason.REPLACED, f"the older session gets {bye.code}")
        client.close()
        client = newer
    await recorder.ticks(2)
    moves = sum(len(tick.leaves) + len(tick.joins) for _, tick in recorder.frames[first:])
    checks.expect(moves == 0, f"another player sees {moves} leaves and joins at a takeover")
    return used, client, token


async def _answer(lab: Lab, server: ServerProcess, name: str, token: bytes, address: str = "") -> str:
    """`back`, or the code of the refusal."""
    with contextlib.closing(await lab.raw(server, address=address)) as client:
        await client.send(resume(name, token))
        answer = await client.answer()
        return "back" if isinstance(answer, Welcome) else answer.code


async def _guess_until_rejected(lab: Lab, server: ServerProcess, checks: Checks) -> int:
    """Guess tokens from one address until it has opened too many connections; return how many guesses were read."""
    guesses, address = Counter[str](), lab.address()

    async def guess() -> None:
        guesses[await _answer(lab, server, "ann", secrets.token_bytes(TOKEN_BYTES), address)] += 1

    while not guesses[CloseReason.TOO_MANY_CONNECTIONS] and guesses.total() < _GUESSES_MAX:
        await together(*(guess() for _ in range(_GUESSES_AT_ONCE)))
    wanted = {CloseReason.RESUME_FAILED, CloseReason.TOO_MANY_CONNECTIONS}
    checks.expect(set(guesses) == wanted, f"the guesses of an address are answered with {dict(guesses)}")
    return guesses[CloseReason.RESUME_FAILED]
