"""What `zoneserver run` prints: the banner, the reason why it cannot start, the summary."""

from __future__ import annotations

import errno
import json
import logging
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace

from zoneserver.admin.documents import PATHS
from zoneserver.admin.log_report import by_count, kicks_in
from zoneserver.admin.stats import Stats
from zoneserver.cli.command import is_quiet, print_result
from zoneserver.config import Config
from zoneserver.gateway_server import GatewayServer
from zoneserver.http.pages import page_url
from zoneserver.link.address import LinkAddress
from zoneserver.server import ZoneServer
from zoneserver.store.backend import shown_target
from zoneserver.support.format import format_address, format_clock
from zoneserver.support.host import is_loopback
from zoneserver.support.logs import fields, print_error
from zoneserver.support.process import discard_output, is_writable, port_holder
from zoneserver.support.version import __version__

__all__ = ["banner", "explain", "gateway_banner", "say", "summary"]

_log = logging.getLogger(__name__)

# How long the summary waits for a pipe that is full, or for a stopped terminal.
_SUMMARY_SECONDS = 1.0
# Where players connect to a server without a port for them.
_NO_PORT = "no port of this process"


def say(text: str, log_format: str, *, is_problem: bool = False) -> None:
    """Prints a line on stderr, unless the user asked for problems only. With `json` it is a line of the log."""
    if log_format == "json":
        _log.log(logging.ERROR if is_problem else logging.INFO, "%s", text)
    elif is_problem or not is_quiet():
        print_error(text)


def explain(error: OSError, config: Config, *, is_gateway: bool = False) -> str:
    """One line about a port that is in use, an address that cannot be bound, or a file that cannot be read."""
    if error.errno == errno.EADDRINUSE:
        # The error of the admin port names its address.
        is_statistics = error.filename is not None
        port, flag = (config.stats_port, "--stats-port") if is_statistics else (config.port, "--port")
        holder = port_holder(port) if port else None
        text = f"port {port} is in use{f' by {holder}' if holder else ''}"
        if is_gateway:
            text += (
                "; each gateway of a machine has an admin port of its own"
                if is_statistics
                else ", which does not share it: only gateways of one user share a port"
            )
        return f"{text}; choose another port, or any free one with {flag} 0"
    if error.filename is not None:
        return str(error.strerror)
    return f"cannot listen on {format_address(config.host, config.port or 0)}: {error.strerror or error}"


def banner(server: ZoneServer, loop_name: str, log_format: str, *, is_again: bool = False) -> None:
    """Prints version, limits and addresses on stderr, in at most seven lines; in one line for a server that was started
    again at its former address. In the format `json` they are one line of the log, with a key for each."""
    config, most = server.config, _players(server.frontend.players_max)
    if log_format == "json":
        _log.info(
            "players can connect to %s",
            _NO_PORT if server.port is None else format_address(config.host, server.port),
            extra=fields(
                version=__version__,
                game=server.link.info.name,
                loop=loop_name,
                hz=config.hz,
                players_max=server.frontend.players_max,
                host=config.host,
                port=server.port,
                page=page_url(config, server.port),
                stats_port=server.stats_port,
                tls=config.tls_cert is not None,
                tickets=bool(config.secret),
                store=shown_target(config.store),
                journal=config.journal,
                link=None if server.hub is None else server.hub.carrier.address,
            ),
        )
    saved = f", saved in {shown_target(config.store)}" if config.store != "" else ""
    saved += f", recorded in {config.journal}" if config.journal else ""
    game, replay = server.link.info.name, server.ticked.replay
    where = _players_at(server.addresses, config)
    lines = [
        f"zoneserver {__version__}, {game}, {loop_name}, {config.hz} Hz, at most {most}{saved}",
        f"players    {where}",
    ]
    if replay:
        place, length = format_clock(replay["position_s"]), format_clock(replay["length_s"])
        shown = f"from {place} of {length} at x{replay['speed']:g}, at most {config.max_watchers:,} watchers"
        lines = [f"zoneserver {__version__}, replay of {game}, {loop_name}, {shown}", f"watchers   {where}"]
    if server.hub is not None:
        link = server.hub.carrier.address
        lines.append(f"gateways   {link} ({_gateway_command(link, config)})")
    if not replay and not config.secret:
        lines.append("no secret: anyone may join under any name")
    if page := page_url(config, server.port):
        lines.append(f"page       {page}")
    if server.stats_port is not None:
        lines.append(_statistics(config, server.stats_port))
    if server.frontend.players_max < config.max_players:
        wanted = server.frontend.files_wanted
        few = f"the limit of open files allows no more; for {config.max_players:,}: ulimit -n {wanted}"
        lines.append(few)
        if log_format == "json":
            _log.warning("%s", few)
    if log_format != "json":
        say(f"running again: {lines[0]}" if is_again else "\n".join([*lines, "Ctrl-C to stop"]), log_format)


def gateway_banner(server: GatewayServer, loop_name: str, log_format: str) -> None:
    """Prints the name, the zone and the addresses of a gateway on stderr. In the format `json` they are one line of the
    log."""
    info, where = server.link.info, _players_at(server.frontend.ports.addresses, server.config)
    if log_format == "json":
        told = fields(gateway=server.name, link=server.carrier.address, game=info.name, hz=info.hz, loop=loop_name)
        _log.info(
            "players can connect to %s", where, extra=told | fields(port=server.port, stats_port=server.stats_port)
        )
        return
    zone = f"{info.name} at {server.carrier.address}"
    lines = [
        f"zoneserver {__version__}, gateway {server.name} of zone {zone}, {loop_name}, {info.hz} Hz",
        f"players    {where}",
    ]
    if page := page_url(server.config, server.port):
        lines.append(f"page       {page}")
    if server.stats_port is not None:
        lines.append(_statistics(server.config, server.stats_port))
    say("\n".join([*lines, "Ctrl-C to stop"]), log_format)


def _players_at(addresses: Sequence[str], config: Config) -> str:
    return f"{' and '.join(addresses)}{' by TLS' if config.tls_cert else ''}" if addresses else _NO_PORT


def _gateway_command(address: str, config: Config) -> str:
    """The command that starts a gateway of the zone at this address. What has to be filled in has capital letters."""
    link, more = LinkAddress.parse(config.link), []
    if link.is_broker and (link.user or config.link_creds):
        # The credentials of the zone are not for gateways.
        user = "NAME:PASSWORD" if ":" in link.user else "TOKEN" if link.user else ""
        address = f"{replace(link, user=user).server}/{link.zone}"
        more = ["--name", "NAME", *(["--link-creds", "NAME.creds"] if config.link_creds else [])]
    elif link.scheme == "tcp":
        more = ["--link-token-file", "FILE", *(["--link-ca", "FILE"] if config.link_cert else [])]
    if link.is_broker and config.link_ca:
        more += ["--link-ca", config.link_ca]
    return shlex.join(["zoneserver", "gateway", "--link", address, *more])


def _statistics(config: Config, port: int) -> str:
    """The line about the admin port."""
    page = "/ in a browser, and " if is_loopback(config.stats_host) else ""
    address = f"http://{format_address(config.stats_host, port)}"
    return f"statistics {address}{page}{', '.join(PATHS)}{' by token' if config.stats_token else ''}"


def summary(before: Stats, after: Stats, as_json: bool) -> None:
    """Prints the result of a run on stdout, as text or as JSON. `before` are the statistics before the shutdown, with
    the players of that moment; `after` are those after it. A stdout that takes nothing gets nothing."""
    if not is_writable(sys.stdout, _SUMMARY_SECONDS):
        discard_output()
        return
    if as_json:
        print_result(json.dumps(after.to_json()))
        return
    kicks = kicks_in(after.closes)
    left = {reason: number for reason, number in after.closes.items() if reason not in kicks}
    refused = f" ({by_count(after.refusals)})" if after.refusals else ""
    failures = after.rule_failures_total
    peak = _players(after.players_peak)
    lines = [
        f"uptime        {after.uptime_s:,.1f} s, {peak} at the peak, {before.players:,} at the end",
        f"ticks         {after.ticks_total:,}, {after.overruns_total:,} overrun, {after.ticks_skipped_total:,} skipped",
        f"rules failed  {failures:,}{'; the log has the tracebacks' if failures else ''}",
        f"actions in    {after.actions_in_total:,}, {sum(after.refusals.values()):,} refused{refused}",
        f"deliveries    {after.deliveries_out_total:,} in {after.sends_total:,} sends",
        f"bytes         {after.bytes_in_total:,} in, {after.bytes_out_total:,} out",
        f"left          {by_count(left) or 'nobody'}",
        f"kicked        {by_count(kicks) or 'nobody'}",
    ]
    if after.store_writes_total or after.store_failures_total or after.store_unsaved:
        lines.append(
            f"store         {after.store_reads_total:,} read, {after.store_writes_total:,} written, "
            f"{after.store_failures_total:,} failures, {after.store_unsaved:,} unsaved"
        )
    print_result("\n".join(lines))


def _players(count: int) -> str:
    return f"{count:,} player{'' if count == 1 else 's'}"
