"""The tick loop runs the zone whenever a tick is due."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Any

from zoneserver.admin.cpu_meter import CpuMeter
from zoneserver.admin.log_report import Reporter
from zoneserver.admin.tick_times import TickTimes
from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.packet_rest import PacketRest
from zoneserver.journal.recorder import Recorder
from zoneserver.journal.values import JournalError
from zoneserver.support.logs import fields
from zoneserver.support.watchdog import Watchdog
from zoneserver.zone.link import Requests, TickInput
from zoneserver.zone.local_link import LocalZoneLink
from zoneserver.zone.ticked_zone import TickedZone
from zoneserver.zone.ticker import Ticker

__all__ = ["TickLoop"]

log = logging.getLogger(__name__)

# This many failed ticks in a row end the server.
_FAILURES_MAX = 20
# A zone that is to be ticked more often has several ticks in a row.
_TURNS_PER_SECOND_MAX = 100


class TickLoop:
    """Drives one zone and its gateway in this process.

    `failed` is called when the zone cannot go on, because too many ticks failed in a row or the journal failed.
    With a `recorder` nobody is told of a tick that the journal does not have.
    """

    def __init__(
        self,
        link: LocalZoneLink,
        zone: TickedZone,
        gateway: Gateway,
        reporter: Reporter,
        loop: asyncio.AbstractEventLoop,
        failed: Callable[[], None],
        recorder: Recorder | None = None,
    ) -> None:
        self.ticker = Ticker(zone.info.hz, loop.time())
        self.times = TickTimes(zone.info.hz * 10)
        self.ticks_total = 0
        self.overruns_total = 0
        self.failed_total = 0
        self._link = link
        self._zone = zone
        self._gateway = gateway
        self._reporter = reporter
        self._loop = loop
        self._failed = failed
        self._recorder = recorder
        self.has_lost_journal = False
        """Whether the journal has failed: no tick follows, and the next start goes on from the last one in it."""
        self._timer: asyncio.TimerHandle | None = None
        self._rest = PacketRest(gateway.counters, loop)
        self._ticks_per_second: float = zone.info.hz
        self._ticks_per_turn = 1
        self._watchdog = Watchdog(_log_stall, max(1.0, 2 * self.ticker.period))
        # The number of failed ticks in a row.
        self._failures = 0
        self._cpu_before = time.process_time()
        self._cpu = CpuMeter(loop.time())

    def start(self) -> None:
        """Runs each tick when it is due."""
        self._watchdog.start()
        self._schedule()

    def _schedule(self) -> None:
        self._timer = self._loop.call_at(self.ticker.due, self._on_tick_due)

    def stop(self) -> None:
        """Runs no further tick by itself."""
        self._rest.stop()
        if self._timer is not None:
            self._timer.cancel()

    def figures(self) -> dict[str, Any]:
        """The figures of ticks and CPU time, by the names that they have in `Stats`."""
        return self.times.figures() | {
            "tick_due_monotonic_s": round(self.ticker.due, 6),
            "dilation": round(self.ticker.dilation, 3),
            "ticks_total": self.ticks_total,
            "ticks_skipped_total": self.ticker.skipped_total,
            "ticks_failed_total": self.failed_total,
            "overruns_total": self.overruns_total,
            "cpu_percent": self._cpu.percent,
        }

    def run_tick(self) -> float:
        """Runs one tick of the zone and hands out its output. Returns the seconds it took."""
        began = time.perf_counter()
        self.ticks_total += 1
        self._gateway.send_requests()
        tick_input = self._link.take_input(time.time(), round(self.ticker.dilation * 100))
        cpu, started = time.process_time(), time.perf_counter()
        try:
            self._zone.advance(tick_input)
            ruled = time.perf_counter()
            output = self._zone.encode()
        except BaseException:
            if self._recorder is not None:
                self._recorder.record_failed(tick_input)
            raise
        encoded = time.perf_counter()
        if self._recorder is not None:
            self._recorder.record(tick_input, output)
        recorded = time.perf_counter()
        deflate_before = self._gateway.counters.deflate_seconds_total
        self._link.publish(output)
        published = time.perf_counter()
        deflate = self._gateway.counters.deflate_seconds_total - deflate_before
        if self._recorder is not None:
            self._recorder.write_what_is_due()
        done = time.perf_counter()
        journal, fan_out = recorded - encoded + done - published, published - recorded - deflate
        self.times.record(cpu - self._cpu_before, ruled - started, encoded - ruled, journal, deflate, fan_out)
        self._cpu_before = time.process_time()
        return done - began

    def finish(self, *, keep: bool = False) -> list[tuple[str, str]]:
        """Stops, runs one last tick for the actions that have arrived, and tells the rules that the zone stops. Returns
        the players that were saved since that tick, as (name, JSON text).

        With a journal all players leave in a tick of their own, so that the journal has that too. With `keep` they stay
        in, and the journal ends with a checkpoint. After the journal has failed, nothing happens that it does not have.
        """
        self.stop()
        saves: list[tuple[str, str]] = []
        try:
            if not self.has_lost_journal:
                self.run_tick()
                if keep and self._recorder is not None:
                    self._recorder.checkpoint()
                else:
                    saves = self._let_all_leave()
        except JournalError as error:
            self._journal_failed(error)
        except Exception:
            self._tick_failed()
        if not self.has_lost_journal:
            saves += self._zone.stop(keep=keep)
        self._watchdog.stop()
        return saves

    def _let_all_leave(self) -> list[tuple[str, str]]:
        """Runs a tick in which all players leave, if there is a journal. Returns the players that were saved in it."""
        if self._recorder is None:
            return []
        zone = self._recorder.zone
        # A gateway elsewhere that does not hear of the stop ends its sessions when the next start does not know it.
        requests = Requests(leaves=zone.attendance.refs(), lost=zone.attendance.gateways.numbers())
        tick_input = TickInput(zone.world.tick + 1, time.time(), 100, requests)
        output = zone.tick(tick_input)
        self._recorder.record(tick_input, output)
        return output.saves

    def _on_tick_due(self) -> None:
        self._watchdog.beats += 1
        skipped = self.ticker.advance(self._loop.time())
        try:
            seconds = sum(self.run_tick() for _ in range(self._ticks_per_turn))
        except (KeyboardInterrupt, SystemExit):
            raise
        except JournalError as error:
            self._journal_failed(error)
            return
        except BaseException:
            # Not even a CancelledError may end the ticks while the process lives on.
            self._tick_failed()
        else:
            self._failures = 0
            if skipped or seconds > self.ticker.period:
                self.overruns_total += 1
                # A replay at a high speed, or that seeks, may well be late.
                if not self._zone.replay:
                    self._log_overrun(seconds, skipped)
        self._cpu.sample(self._loop.time())
        if self._zone.ticks_per_second != self._ticks_per_second:
            self._change_rate(self._zone.ticks_per_second)
        self._schedule()
        self._rest.begin(self.ticker.due)

    def _journal_failed(self, error: JournalError) -> None:
        """Ends the zone as of the last tick that the journal has: nobody was told of a later one."""
        assert self._recorder is not None
        self.has_lost_journal = True
        self.stop()
        about = fields(tick=self._recorder.last_tick)
        log.critical("%s", error, extra=about)
        log.critical(
            "the journal cannot be written: the server stops, and nobody was told of a tick after %d. Free the disk or "
            "repair it, and start the server again: the zone goes on as it was then",
            *(self._recorder.last_tick,),
            extra=about,
        )
        self._failed()

    def _log_overrun(self, seconds: float, skipped: int) -> None:
        tick, times, (rule, rule_seconds) = self._zone.world.tick, self.times.newest_ms(), self._zone.slowest()
        slowest = rule, rule_seconds * 1000
        self._reporter.overran(tick, seconds * 1000, skipped, times, slowest, self.overruns_total)

    def _change_rate(self, ticks_per_second: float) -> None:
        self._ticks_per_second = ticks_per_second
        self._ticks_per_turn = math.ceil(ticks_per_second / _TURNS_PER_SECOND_MAX)
        self.ticker.change_rate(ticks_per_second / self._ticks_per_turn, self._loop.time())

    def _tick_failed(self) -> None:
        """Logs the exception that is being handled. Too many failed ticks in a row end the server."""
        self._failures += 1
        self.failed_total += 1
        tick, failures = self._zone.world.tick, self._failures
        about = fields(tick=tick, failures=failures)
        log.exception("tick %d failed and was not sent (failure %d in a row)", tick, failures, extra=about)
        if self._failures >= _FAILURES_MAX:
            log.critical("%d ticks failed in a row: the zone cannot go on, and the server stops", failures, extra=about)
            self._failed()


def _log_stall(seconds: float, place: str) -> None:
    log.error(
        "nothing but %s has run for %d s: it holds up every player. A second stop signal ends the process",
        *(place, seconds),
        extra=fields(stalled_seconds=seconds, place=place),
    )
