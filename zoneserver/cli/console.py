"""What `zoneserver run` prints: the banner, the reason why it cannot start, the summary, the ready file."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from pathlib import Path

from zoneserver.admin.log_report import by_count, kicks_in
from zoneserver.admin.stats import Stats
from zoneserver.cli.command import is_quiet
from zoneserver.config import Config
from zoneserver.protocol.messages import PROTOCOL_VERSION
from zoneserver.server import ZoneServer
from zoneserver.support.format import format_address
from zoneserver.support.process import port_holder
from zoneserver.support.version import __version__

__all__ = ["banner", "explain", "say", "summary", "write_ready_file"]


def say(text: str) -> None:
    """Prints a line on stderr, unless the user asked for problems only. A closed stderr does not matter."""
    if is_quiet():
        return
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def explain(error: OSError, config: Config) -> str:
    """One line about a port that is in use, an address that cannot be bound, or a file that cannot be read."""
    if error.errno == errno.EADDRINUSE:
        for port in (config.port, config.stats_port):
            holder = port_holder(port) if port else None
            if holder is not None:
                flag = "--port" if port == config.port else "--stats-port"
                return f"port {port} is in use by {holder}; choose another port, or any free one with {flag} 0"
        return (
            f"port {config.port} or {config.stats_port} is in use; choose other ports, or any free ones with "
            "--port 0 --stats-port 0"
        )
    if error.filename is not None:
        return str(error.strerror)
    return f"cannot listen on {format_address(config.host, config.port)}: {error.strerror or error}"


def banner(server: ZoneServer, loop_name: str) -> None:
    """Prints version, limits and addresses on stderr, in at most six lines."""
    config, most = server.config, _players(server.players_max)
    lines = [
        f"zoneserver {__version__}, {server.zone.info.name}, {loop_name}, {config.hz} Hz, at most {most}",
        f"players    {' and '.join(server.addresses)}{' by TLS' if config.tls_cert else ''}",
    ]
    if not config.secret:
        lines.append("no secret: anyone may join under any name")
    if server.stats_port is not None:
        lines.append(f"statistics http://127.0.0.1:{server.stats_port}/stats, /metrics, /map, /healthz")
    if server.players_max < config.max_players:
        lines.append(
            f"the limit of open files allows no more; for {config.max_players:,}: ulimit -n {server.files_wanted}"
        )
    say("\n".join([*lines, "Ctrl-C to stop"]))


def write_ready_file(path: Path, server: ZoneServer) -> None:
    """Writes the process id and the ports as JSON. Raises OSError with a sentence."""
    ready = {
        "pid": os.getpid(),
        "port": server.port,
        "stats_port": server.stats_port,
        "protocol": PROTOCOL_VERSION,
    }
    # The file is moved into place when it is complete, so that no program reads half of it.
    aside = path.with_name(path.name + ".new")
    try:
        aside.write_text(json.dumps(ready) + "\n")
        aside.replace(path)
    except OSError as error:
        raise OSError(error.errno, f"cannot write the ready file {path}: {error.strerror}") from None


def summary(before: Stats, after: Stats, as_json: bool) -> None:
    """Prints the result of a run on stdout, as text or as JSON. `before` are the statistics before the shutdown, with
    the players of that moment; `after` are those after it."""
    if as_json:
        print(json.dumps(after.to_json()), flush=True)
        return
    kicks = kicks_in(after.closes)
    left = {reason: number for reason, number in after.closes.items() if reason not in kicks}
    refused = f" ({by_count(after.refusals)})" if after.refusals else ""
    peak = _players(after.players_peak)
    lines = [
        f"uptime        {after.uptime_s:,.1f} s, {peak} at the peak, {before.players:,} at the end",
        f"ticks         {after.ticks_total:,}, {after.overruns_total:,} overrun, {after.ticks_skipped_total:,} skipped",
        f"actions in    {after.actions_in_total:,}, {sum(after.refusals.values()):,} refused{refused}",
        f"deliveries    {after.deliveries_out_total:,} in {after.sends_total:,} sends",
        f"bytes         {after.bytes_in_total:,} in, {after.bytes_out_total:,} out",
        f"left          {by_count(left) or 'nobody'}",
        f"kicked        {by_count(kicks) or 'nobody'}",
    ]
    print("\n".join(lines), flush=True)


def _players(count: int) -> str:
    return f"{count:,} player{'' if count == 1 else 's'}"
