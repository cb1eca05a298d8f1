"""What the server promises under load, faults and attacks, and the scenario that measures each promise."""

from __future__ import annotations

from dataclasses import dataclass

from zonetools.soak.fault_lab import Scenario
from zonetools.soak.scenarios import (
    actions,
    admin_port,
    crowds,
    endurance,
    failure,
    flood,
    gateways,
    identity,
    junk,
    links,
    machines,
    pacing,
    restarts,
    returns,
    rules,
    saves,
    tls,
    web,
)


@dataclass(frozen=True, slots=True)
class Promise:
    """One row of the scorecard."""

    name: str
    promise: str
    scenario: Scenario
    alone: bool = False
    """Whether the scenario measures a speed, so that nothing else may run at that time."""


PROMISES = (
    Promise(
        "stuck-crowd",
        "5 % of players never read: healthy p99 within 5 % or 1 ms of the control run",
        pacing.stuck_crowd,
        alone=True,
    ),
    Promise(
        "slow-reader",
        "a slow reader skips frames and catches up; SLOW_CONSUMER only after 5 s over 256 KB or without progress",
        pacing.slow_reader,
    ),
    Promise(
        "stuck-memory", "200 stuck readers cost at most 8 MB, and 5 MB after they are disconnected", pacing.stuck_memory
    ),
    Promise("flood", "warned, muted, then FLOOD within 1 s; healthy p99 as in stuck-crowd", flood.flood, alone=True),
    Promise(
        "admin-port",
        "whatever is sent to the admin port: healthy p99 as in stuck-crowd, the operator is answered within 2 s",
        admin_port.admin_port,
        alone=True,
    ),
    Promise("false-kicks", "no honest player is ever disconnected by the server", pacing.false_kicks),
    Promise("tiny-frames", "256 KB of tiny packets delay the loop by at most 5 ms", flood.tiny_frames, alone=True),
    Promise(
        "tls-attacks",
        "new keys, a byte per record, handshakes: delay the loop by at most 5 ms; FLOOD for the first two",
        tls.tls_attacks,
        alone=True,
    ),
    Promise(
        "web-attacks",
        "WebSocket broken in any way, or flooded: ended with its code and close status; healthy p99 as in stuck-crowd",
        web.web_attacks,
        alone=True,
    ),
    Promise(
        "origins",
        "a page from elsewhere, or under another name (DNS rebinding), gets 403 before the upgrade; the admin port too",
        web.origins,
    ),
    Promise(
        "frozen-tab",
        "a client over WebSocket that stands still for 60 s: ended as slow, comes back by itself to the same slot",
        web.frozen_tab,
    ),
    Promise(
        "worst-frame",
        "a bad packet is rejected within 100 us, an oversize one on its header",
        junk.worst_frame,
        alone=True,
    ),
    Promise(
        "slow-handshake", "closed after 2 s; p99 of a normal join at most 200 ms", crowds.slow_handshake, alone=True
    ),
    Promise("pulled-cable", "disconnected within 6 s", failure.pulled_cable),
    Promise("garbage", "PROTOCOL_ERROR for every split of the bytes; no traceback", junk.garbage),
    Promise(
        "mass-join", "1,000 players join within 2 s; tick interval p99 at most 1.2 T", crowds.mass_join, alone=True
    ),
    Promise("mass-leave", "1,000 players leave within 2 T, in one list", crowds.mass_leave, alone=True),
    Promise("resets", "500 of 1,000 players reset again and again: all counts return", crowds.resets, alone=True),
    Promise("out-of-files", "SERVER_FULL before the system's limit; no player lost", crowds.out_of_files),
    Promise(
        "connection-flood", "one address: rejected early and counted; the table is bounded", flood.connection_flood
    ),
    Promise(
        "bursts",
        "500 players act as often as they may in one moment: no tick takes longer than 2 T, no action is lost",
        flood.bursts,
        alone=True,
    ),
    Promise(
        "refusals",
        "60 honest players of one address, each with 5 refused actions a second: no ban",
        actions.refusals,
    ),
    Promise("bad-actions", "refused with a code and counted; never broadcast", actions.bad_actions),
    Promise("second-login", "the newest session wins, the old one gets REPLACED", identity.second_login),
    Promise("tickets", "a forged, expired or used ticket is always refused", identity.tickets),
    Promise(
        "resume-crowd",
        "1,000 connections drop at once: all back in their slots within 2 s; nothing lost or twice; no leave, no join",
        returns.resume_crowd,
        alone=True,
    ),
    Promise(
        "tokens",
        "a token used, late, forged, of another player or server is always refused, and counts against the address",
        returns.tokens,
    ),
    Promise("failing-rule", "the action is reported as failed; no other player notices", failure.failing_rule),
    Promise(
        "untellable",
        "a rule that tells what cannot be told, at any place: refused there, no client is ever disconnected by a game",
        rules.untellable,
    ),
    Promise(
        "halfway",
        "an action that fails after it wrote is taken back whole: nobody sees anything of it",
        rules.halfway,
    ),
    Promise(
        "overload",
        "time dilates, no player is disconnected, full rate within 2 s afterwards",
        failure.overload,
        alone=True,
    ),
    Promise("pause", "stopped for 3 s: no player disconnected, missed ticks skipped", failure.pause),
    Promise(
        "long-pause", "stopped for 20 s: nobody is warned or disconnected for what arrives at once", failure.long_pause
    ),
    Promise("shutdown", "healthy players are told, exit 0 within 5 s; a second signal exits at once", failure.shutdown),
    Promise("cannot-start", "one clear line, no traceback, the documented exit code", failure.cannot_start),
    Promise("churn", "memory grows by at most 1 MB/h; nothing else grows", endurance.churn),
    Promise(
        "saving-stop",
        "clean stop with players, store, journal: a last tick, on_leave for all, all is saved, a second start has it",
        saves.saving_stop,
    ),
    Promise(
        "store-fails",
        "a store that is slow or gone: no tick waits, joins get STORE_FAILED, what is unsaved is kept and tried again",
        saves.store_fails,
        alone=True,
    ),
    Promise(
        "kill-zone",
        "kill -9 with a journal: nothing that was told is lost, no action twice, all back in their slots at tick T + 1",
        restarts.kill_zone,
    ),
    Promise(
        "long-journal",
        "a journal of ten minutes with 500 players: back within 2 s of the start, all players in their slots",
        restarts.long_journal,
        alone=True,
    ),
    Promise(
        "broken-journal",
        "a torn tail is cut off and told; a flipped byte elsewhere is refused with file and offset",
        restarts.broken_journal,
    ),
    Promise(
        "full-disk",
        "a disk that is full or fails stops the server, and all that was told is recorded; slow writes are counted",
        restarts.full_disk,
    ),
    Promise(
        "changed-code",
        "another version of the game after a crash: the first difference is named, players keep their places",
        restarts.changed_code,
    ),
    Promise(
        "gateway-killed",
        "kill -9 of a gateway: its players resume at another, nothing lost or twice; others: p99 as in stuck-crowd",
        gateways.gateway_killed,
        alone=True,
    ),
    Promise(
        "gateway-stopped",
        "a gateway stands still for 6 s: its players go on when it does; others: p99 as in stuck-crowd",
        gateways.gateway_stopped,
        alone=True,
    ),
    Promise(
        "gateway-slow",
        "a gateway has a fifth of a processor: its players stay; others: p99 as in stuck-crowd",
        gateways.gateway_slow,
        alone=True,
    ),
    Promise(
        "gateway-starved",
        "a gateway has too little processor for its crowd: nobody disconnected, up to date 2 s after it has enough",
        gateways.gateway_starved,
        alone=True,
    ),
    Promise(
        "gateway-ends",
        "Ctrl-C at a gateway: its players are told, and resume at another; others: p99 as in stuck-crowd",
        gateways.gateway_ends,
        alone=True,
    ),
    Promise(
        "broker-restarts",
        "a broker killed and started after 1 s: nobody disconnected, no frame missing, no action lost or twice",
        links.broker_restarts,
    ),
    Promise(
        "zone-killed",
        "kill -9 of the zone behind gateways: nobody disconnected, no tick missing, no action lost or twice",
        links.zone_killed,
    ),
    Promise(
        "zone-restarts",
        "ctl restart of the zone behind gateways: as in zone-killed",
        links.zone_restarts,
    ),
    Promise(
        "zone-ends",
        "Ctrl-C at the zone behind gateways: all players are told, exit 0; players join again after a new start",
        links.zone_ends,
    ),
    Promise(
        "two-zones",
        "two zones of one name: at a broker the older one stops and says so, at a socket the newer one is refused",
        links.two_zones,
    ),
    Promise(
        "bad-network",
        "a gateway whose cable is pulled for 3 or 20 s, slow or far away: nobody disconnected, others notice nothing",
        machines.bad_network,
    ),
)
