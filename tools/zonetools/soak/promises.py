"""What the server promises under load, faults and attack, in order; and how each is measured."""

from __future__ import annotations

from dataclasses import dataclass

from zonetools.soak.lab import Scenario
from zonetools.soak.scenarios import crowds, endurance, failure, flood, identity, junk, pacing

__all__ = ["PROMISES", "Promise"]


@dataclass(frozen=True, slots=True)
class Promise:
    """One row of the scorecard."""

    name: str
    promise: str
    scenario: Scenario
    alone: bool = False
    """Whether it measures how fast something is: then nothing else may run beside it."""


PROMISES = (
    Promise("stuck-crowd", "5 % never read: healthy p99 within 5 % or 1 ms of control", pacing.stuck_crowd, alone=True),
    Promise(
        "slow-reader",
        "paced, caught up; SLOW_CONSUMER only after 5 s over 256 KB or without progress",
        pacing.slow_reader,
    ),
    Promise("stuck-memory", "200 stuck readers: at most + 8 MB, + 5 MB after the kick", pacing.stuck_memory),
    Promise("flood", "warned, muted, FLOOD within 1 s; healthy p99 as in stuck-crowd", flood.flood, alone=True),
    Promise("false-kicks", "nobody honest is ever kicked", pacing.false_kicks),
    Promise("tiny-frames", "256 KB of tiny frames: the loop is held 5 ms at most", flood.tiny_frames, alone=True),
    Promise("worst-frame", "refused within 100 us; on its header when oversize", junk.worst_frame, alone=True),
    Promise("slow-handshake", "closed at 2 s; a normal join p99 200 ms", crowds.slow_handshake, alone=True),
    Promise("pulled-cable", "gone within 6 s", failure.pulled_cable),
    Promise("garbage", "PROTOCOL_ERROR, the same for every split; no traceback", junk.garbage),
    Promise("mass-join", "1,000 in within 2 s, tick interval p99 1.2 T", crowds.mass_join, alone=True),
    Promise("mass-leave", "1,000 gone within 2 T, in one list", crowds.mass_leave, alone=True),
    Promise("resets", "500 of 1,000 reset again and again: all counts return", crowds.resets, alone=True),
    Promise("out-of-files", "SERVER_FULL before the system's limit, nobody lost", crowds.out_of_files),
    Promise("connection-flood", "one address: refused early, counted, table bounded", flood.connection_flood),
    Promise("bad-actions", "refused with a code, counted, never broadcast", junk.bad_actions),
    Promise("second-login", "the newest wins, the old one is told REPLACED", identity.second_login),
    Promise("tickets", "forged, expired or replayed: refused, always", identity.tickets),
    Promise("failing-rule", "that action is reported, nobody else notices", failure.failing_rule),
    Promise("overload", "time dilates, nobody is kicked, full rate within 2 s after", failure.overload, alone=True),
    Promise("pause", "3 s stopped: nobody kicked, missed ticks skipped", failure.pause),
    Promise("shutdown", "healthy told, exit 0 within 5 s; a second signal exits now", failure.shutdown),
    Promise("cannot-start", "one clear line, no traceback, documented exit code", failure.cannot_start),
    Promise("churn", "memory slope at most 1 MB/h, no drift of anything", endurance.churn),
)
