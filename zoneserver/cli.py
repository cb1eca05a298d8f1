"""The command `zoneserver`."""

from __future__ import annotations

import argparse
import asyncio
import errno
import importlib
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from zoneserver import __version__
from zoneserver.config import Config, checked, parse_count, parse_duration
from zoneserver.metrics import Stats
from zoneserver.process import LOOPS, MissingExtraError, loop_factory, port_holder
from zoneserver.rules import Rules
from zoneserver.server import ZoneServer
from zoneserver.wire.messages import PROTOCOL_VERSION

__all__ = ["main"]

EXIT_OK, EXIT_USAGE, EXIT_CANNOT_START, EXIT_INTERRUPTED = 0, 2, 3, 130

_EXAMPLES = """\
examples:
  zoneserver run                            the demo game on 127.0.0.1:7777
  zoneserver run mygame:Tag --hz 10         your own game, the class Tag of mygame.py
  zoneserver run --port 0 --ready-file F    any free port; F says which once it accepts

exit codes: 0 stopped as asked, 2 wrong usage, 3 cannot start, 130 interrupted twice
"""


class CannotStartError(Exception):
    """Nothing was started, for the reason in the text."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    level = logging.getLevelNamesMapping()[arguments.log_level.upper()]
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)-7s %(message)s", stream=sys.stderr)
    try:
        config = Config(
            host=arguments.host,
            port=arguments.port,
            stats_port=arguments.stats_port,
            hz=arguments.hz,
            max_players=arguments.max_players,
            seed=arguments.seed,
        )
    except ValueError as error:
        print(f"zoneserver: {error}", file=sys.stderr)
        return EXIT_USAGE
    try:
        rules = load_rules(arguments.rules)
        loop_name, factory = loop_factory(arguments.loop)
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(_run(rules, config, loop_name, arguments.duration, arguments.ready_file))
    except (CannotStartError, MissingExtraError) as error:
        print(f"zoneserver: {error}", file=sys.stderr)
        return EXIT_CANNOT_START


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zoneserver",
        description="A game server that keeps thousands of players together in one crowded zone.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"zoneserver {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run a zone",
        description="Run a zone until Ctrl-C.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Config()
    run.add_argument(
        "rules", nargs="?", default="zoneserver.games.plaza:Plaza", metavar="module:Rules", help="the game"
    )

    def flag(name: str, parse: Callable[[str], Any], value: object, text: str) -> None:
        shown = "" if value is None else f" (default {value})"
        run.add_argument(name, type=parse, default=value, metavar=name[2:].upper(), help=text + shown)

    flag("--host", str, default.host, "address to listen on")
    flag("--port", int, default.port, "port for players; 0 takes any free one")
    flag("--stats-port", int, default.stats_port, "loopback port for /stats, /map, /healthz; 0 takes any")
    flag("--hz", int, default.hz, "ticks per second")
    flag("--max-players", checked(parse_count), default.max_players, "how many may be in the zone at once")
    flag("--duration", checked(parse_duration), None, "stop after so long: 30s, 2m, 1h30m")
    flag("--seed", int, default.seed, "seed of the game's random source")
    flag("--ready-file", Path, None, "write pid and ports here, as JSON, once players can connect")
    levels = ("debug", "info", "warning", "error")
    run.add_argument("--log-level", choices=levels, default="info", help="how much to log (default info)")
    run.add_argument("--loop", choices=LOOPS, default="auto", help="event loop; auto: uvloop if installed")
    return parser


def load_rules(target: str) -> type[Rules]:
    """The class named by `module:Class`. Raises CannotStartError, saying what is wrong with it."""
    module_name, _, class_name = target.partition(":")
    if not class_name or not all(part.isidentifier() for part in module_name.split(".")):
        raise CannotStartError(f"{target!r} is not of the form module:Class, as in mygame:Tag")
    # A game usually lies in the directory one stands in.
    sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and module_name.startswith(error.name):
            raise CannotStartError(f"there is no module {module_name!r} here ({os.getcwd()})") from None
        raise CannotStartError(f"{module_name} needs a module that is not installed: {error.name}") from None
    finally:
        sys.path.pop(0)
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Rules)):
        names = [
            name
            for name, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, Rules) and value is not Rules
        ]
        hint = f"; it has {', '.join(names)}" if names else ""
        raise CannotStartError(f"{module_name} has no Rules class named {class_name!r}{hint}")
    return found


async def _run(
    rules: type[Rules], config: Config, loop_name: str, seconds: float | None, ready_file: Path | None
) -> int:
    try:
        server = ZoneServer(rules, config)
        await server.start()
    except OSError as error:
        raise CannotStartError(_explain(error, config)) from None
    except TypeError as error:
        raise CannotStartError(f"the game cannot be run: {error}") from None
    _stop_on_signals(server)
    try:
        _banner(server, loop_name)
        if ready_file is not None:
            _write_ready_file(ready_file, server)
        await server.serve(seconds)
        print("stopping: telling everybody ...", file=sys.stderr)
    finally:
        last = server.stats()
        await server.stop()
    _summary(last, server.stats())
    return EXIT_OK


def _explain(error: OSError, config: Config) -> str:
    """One line about a port that is not to be had."""
    if error.errno == errno.EADDRINUSE:
        for port in (config.port, config.stats_port):
            holder = port_holder(port) if port else None
            if holder is not None:
                flag = "--port" if port == config.port else "--stats-port"
                return f"port {port} is in use by {holder}; choose another, or any free one with {flag} 0"
        return (
            f"port {config.port} or {config.stats_port} is in use; choose others, or any free ones with "
            "--port 0 --stats-port 0"
        )
    return f"cannot listen on {config.host}:{config.port}: {error.strerror or error}"


def _stop_on_signals(server: ZoneServer) -> None:
    """The first SIGINT or SIGTERM stops in good order; a second one stops at once."""
    seen = 0

    def stop() -> None:
        nonlocal seen
        seen += 1
        if seen > 1:
            os._exit(EXIT_INTERRUPTED)
        server.request_stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows: the loop takes no signals.
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))


def _banner(server: ZoneServer, loop_name: str) -> None:
    config = server.config
    lines = [
        f"zoneserver {__version__}, {server.zone.name}, {loop_name}, {config.hz} Hz, {server.players_max} players",
        f"players    {config.host}:{server.port}",
        f"statistics http://127.0.0.1:{server.stats_port}/stats",
        "Ctrl-C to stop",
    ]
    if server.players_max < config.max_players:
        lines.append(
            f"the open-file limit allows no more players; for {config.max_players}: ulimit -n {server.files_wanted}"
        )
    print("\n".join(lines), file=sys.stderr, flush=True)


def _write_ready_file(path: Path, server: ZoneServer) -> None:
    ready = {
        "pid": os.getpid(),
        "port": server.port,
        "stats_port": server.stats_port,
        "protocol": PROTOCOL_VERSION,
    }
    # Written aside and moved into place: whoever waits for the file never reads half of it.
    aside = path.with_name(path.name + ".new")
    try:
        aside.write_text(json.dumps(ready) + "\n")
        aside.replace(path)
    except OSError as error:
        raise CannotStartError(f"cannot write the ready file {path}: {error.strerror}") from None


def _summary(before: Stats, after: Stats) -> None:
    """What came of it, on stdout. The players of the last moment are in `before`."""
    kicks = ", ".join(f"{count} {reason}" for reason, count in sorted(after.closes.items())) or "none"
    lines = [
        f"uptime        {after.uptime_s:.1f} s, {after.players_peak} players at the peak, {before.players} at the end",
        f"ticks         {after.ticks_total}, {after.overruns_total} overrun, {after.ticks_skipped_total} skipped",
        f"actions in    {after.actions_in_total}, {sum(after.refusals.values())} refused",
        f"deliveries    {after.deliveries_out_total} in {after.frames_out_total} sends",
        f"bytes         {after.bytes_in_total} in, {after.bytes_out_total} out",
        f"sessions over {kicks}",
    ]
    print(re.sub(r"\d{5,}", lambda digits: f"{int(digits[0]):,}", "\n".join(lines)), flush=True)
