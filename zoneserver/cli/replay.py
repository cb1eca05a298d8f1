"""`zoneserver replay`: sends the frames of a journal, as a zone that everybody may watch."""

from __future__ import annotations

import argparse
from pathlib import Path

from zoneserver.cli.parser import Parser
from zoneserver.cli.restart import Restart
from zoneserver.cli.server_settings import (
    config_settings,
    open_setting,
    operation_settings,
    read_config,
    ready_file_setting,
    run_server,
)
from zoneserver.cli.token import token_setting
from zoneserver.journal.recording import Place, Recording, parse_place
from zoneserver.journal.replay_zone import ReplayZone, parse_speed
from zoneserver.server import ZoneServer
from zoneserver.support.errors import UsageError
from zoneserver.support.host import is_loopback

__all__ = ["replay", "replay_settings"]

_EXAMPLES = """\
  zoneserver replay journal                        the journal of the directory `journal`, from its beginning
  zoneserver replay journal --from 1h05m --speed 8
  zoneserver replay journal --from -30s            the last 30 seconds; goes on while a server writes the journal
  zoneserver replay journal --dashboard            with its picture in this terminal: p, arrows, [ and ]
  zone-client --watch                              watch it from another terminal
  zoneserver ctl seek +30s                         and: pause, play, seek 1h05m, speed 4
"""
_EXIT_CODES = """\
0 stopped normally, 1 the replay could not go on to the end (--once),
2 wrong usage, 3 cannot start, 130 interrupted twice"""


def replay_settings(parser: Parser) -> None:
    """Declares the command `replay`."""
    command = parser.command(
        "replay",
        "show again what a journal has recorded",
        "Send the recorded frames of a journal. Clients that watch, the dashboard and `zoneserver ctl` find a zone as\n"
        "any other. Nobody can join as a player, and no code of the game is needed.",
        examples=_EXAMPLES,
        exit_codes=_EXIT_CODES,
        usage="DIR [flags]",
    )
    command.add_argument("directory", type=Path, metavar="DIR", help="the directory of the journal")
    command.section("the recording")
    text = "where to begin: a tick, a time since the beginning as 1h05m, or one before the end as -30s"
    command.setting("--from", parse=parse_place, dest="start", metavar="PLACE", help=text, shown="the beginning")
    text = "where to end: a tick, or a time as for --from"
    command.setting("--to", parse=parse_place, dest="last", metavar="PLACE", help=text, shown="the end")
    command.setting("--speed", parse=parse_speed, default=1.0, help="how fast: 0.1 to 100 times as fast as it was")
    command.exclusive()
    command.switch("--once", help="stop at the end, in place of standing still there")
    command.switch("--repeat", help="begin again at the end")
    command.section("addresses")
    config_settings(command, "host", "port", "page", "origin", "forwarded_from", "stats_port", "stats_host")
    token_setting(command)
    ready_file_setting(command)
    command.section("admission of watchers")
    config_settings(command, "max_watchers", "tls_cert", "tls_key")
    open_setting(command)
    operation_settings(command)
    command.common()


def replay(arguments: argparse.Namespace) -> int:
    """Runs a replay until it is stopped. Raises JournalError and UsageError."""
    if not (arguments.is_open or is_loopback(arguments.host)):
        raise UsageError(f"anyone who can reach {arguments.host} may watch: allow it (--open)")
    recording = Recording(arguments.directory, arguments.start)
    zone = ReplayZone(
        recording,
        speed=arguments.speed,
        last=_last_tick(recording, arguments.last),
        loops=arguments.repeat,
        watchers_max=arguments.max_watchers,
    )
    arguments.secret_file = None
    server = ZoneServer(zone, read_config(arguments, hz=recording.info.hz, resume_seconds=0.0))

    def stop() -> None:
        server.has_failed = bool(recording.end)
        server.request_stop()

    if arguments.once:
        zone.at_end = stop
    return run_server(server, arguments, Restart(server, "", is_possible=False))


def _last_tick(recording: Recording, place: Place | None) -> int | None:
    """The tick of --to. Raises UsageError if it lies before that of --from."""
    if place is None:
        return None
    tick = place.tick_of(recording, recording.last_tick if place.sign == "-" else recording.first_tick)
    if tick <= recording.world.tick:
        raise UsageError(f"the replay would end at tick {tick}, and it begins at tick {recording.world.tick}")
    return tick
