"""The command `zoneserver`."""

from __future__ import annotations

import argparse
import functools
import json
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from zoneserver.authoring.check import CheckResult, check_game
from zoneserver.authoring.load import TargetError, load_class
from zoneserver.authoring.scaffold import make_game
from zoneserver.cli.broker import check_broker, check_broker_settings
from zoneserver.cli.command import print_result, run_command, write_output
from zoneserver.cli.ctl import ctl, ctl_settings
from zoneserver.cli.game_settings import game_settings
from zoneserver.cli.gateway import gateway, gateway_settings
from zoneserver.cli.journal import journal, journal_settings
from zoneserver.cli.parser import Parser
from zoneserver.cli.replay import replay, replay_settings
from zoneserver.cli.rerun import rerun, rerun_settings
from zoneserver.cli.run import run
from zoneserver.cli.schema import schema, schema_settings
from zoneserver.cli.secret import SECRET_VARIABLE, TICKET_SECONDS, new_ticket, read_secret
from zoneserver.cli.server_settings import (
    config_settings,
    limits_setting,
    open_setting,
    operation_settings,
    ready_file_setting,
)
from zoneserver.cli.token import link_token_setting, token_setting
from zoneserver.config import SECRET_BYTES_MIN
from zoneserver.protocol.player_names import NAME_TEXT, is_name
from zoneserver.protocol.tickets import ticket_to_text
from zoneserver.server import ZoneServer
from zoneserver.support.errors import Exit, UsageError
from zoneserver.support.logs import print_error
from zoneserver.support.parse import above_zero, parse_duration
from zoneserver.zone.game_settings import setting_problems
from zoneserver.zone.rules import Rules

__all__ = ["main"]

_EXAMPLES = """\
  zoneserver run                            run the demo game on 127.0.0.1:7777
  zoneserver new mygame                     make a folder with a small game and its tests
  zoneserver check mygame:Mygame            describe the class Mygame of mygame.py, and test it
  zoneserver run mygame:Mygame --hz 10      run it
  zoneserver schema mygame:Mygame           print its actions and events, as JSON or as types
  zoneserver ticket ann mygame:Mygame       print a ticket with which ann may join once
  zoneserver ctl kick ann                   tell the running server to kick ann
"""
_DEMO_GAME = "zoneserver.games.plaza:Plaza"
_RUN_EXAMPLES = """\
  zoneserver run                                   run the demo game on 127.0.0.1:7777
  zoneserver run mygame:Mygame --hz 10             run the class Mygame of mygame.py
  zoneserver run mygame:Mygame --set coins=50      run it with another value of its setting `coins`
  zoneserver run --port 0 --ready-file ready.json  use any free port; the file names it once players can connect
  zoneserver run mygame:Mygame --reload            start it again after each edit; the players stay in
  zoneserver run mygame:Mygame --check             check the game and all settings, and exit
  zoneserver run --show-config > zone.toml         write all settings to a file for --config
"""
_EXIT_CODES = """\
0 stopped normally, 1 the zone failed, or `check` found a problem,
2 wrong usage, 3 cannot start, 130 interrupted twice"""


def main(argv: Sequence[str] | None = None, server_class: type[ZoneServer] = ZoneServer) -> int:
    """Runs the command; returns its exit code. `run` runs a server of this class."""
    commands: dict[str, Callable[[argparse.Namespace], int | Coroutine[Any, Any, int]]] = {
        "run": functools.partial(run, server_class, _rules, argv is None),
        "new": _new,
        "check": _check,
        "schema": lambda arguments: schema(arguments, _rules),
        "ticket": _ticket,
        "ctl": ctl,
        "journal": journal,
        "gateway": gateway,
        "rerun": lambda arguments: rerun(arguments, _rules),
        "replay": replay,
        "check-broker": check_broker,
    }
    return run_command(_parser(), lambda arguments: commands[arguments.command](arguments), argv)


def _ticket(arguments: argparse.Namespace) -> int:
    try:
        secret = read_secret(arguments.secret_file)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not secret:
        raise UsageError(
            f"a ticket needs a secret of at least {SECRET_BYTES_MIN} bytes: set --secret-file or {SECRET_VARIABLE}"
        )
    if not is_name(arguments.name):
        raise UsageError(NAME_TEXT)
    zone = arguments.zone or _zone_name(_rules(arguments.rules or _DEMO_GAME))
    if not (arguments.zone or arguments.rules):
        text = "the ticket is for plaza, the demo game; for another game: zoneserver ticket NAME module:Rules"
        print_error(text)
    expires_at = int(time.time() + arguments.valid)
    ticket = ticket_to_text(new_ticket(secret, arguments.name, zone, expires_at))
    form = {"schema": "zone-ticket/1", "name": arguments.name, "zone": zone, "expires_at": expires_at}
    write_output("-", json.dumps(form | {"ticket": ticket}) if arguments.json else ticket)
    return Exit.OK


def _zone_name(rules: type[Rules]) -> str:
    return rules.name or rules.__name__.lower()


def _new(arguments: argparse.Namespace) -> int:
    print_result(make_game(arguments.folder))
    return Exit.OK


def _check(arguments: argparse.Namespace) -> int:
    def show(result: CheckResult) -> None:
        print_result(json.dumps(result.to_json()) if arguments.json else result.render())

    def stalled(result: CheckResult) -> None:
        show(result)
        os._exit(Exit.FAILED)

    rules, given = _rules(arguments.rules), arguments.game_settings
    # `check_game` reports what is wrong with the declaration.
    settings = {} if list(setting_problems(rules.settings)) else game_settings(rules, given)
    result = check_game(rules, arguments.rules, stalled, settings, arguments.rerun)
    show(result)
    return Exit.FAILED if result.problems else Exit.OK


def _rules(target: str) -> type[Rules]:
    """The game that `module:Class` names. Raises LoadError with one line."""
    try:
        return load_class(target, "Rules class", lambda found: issubclass(found, Rules) and found is not Rules)
    except TargetError as error:
        raise TargetError(f"{error}{_parser().flag_hint(target, 'run')}") from None


def _parser() -> Parser:
    text = "A game server that keeps thousands of players together in one crowded zone."
    parser = Parser("zoneserver", text, examples=_EXAMPLES, exit_codes=_EXIT_CODES, usage="COMMAND [flags]")
    parser.version()
    texts = {"examples": _RUN_EXAMPLES, "exit_codes": _EXIT_CODES, "usage": "[module:Rules] [flags]"}
    run = parser.command("run", "run a zone", "Run a zone until Ctrl-C.", **texts)
    _run_settings(run)
    run.common()

    new = parser.command(
        "new",
        "make a new game",
        "Make a folder with a small game and its tests, and print what to type next.",
        examples="  zoneserver new mygame\n  zoneserver new games/tag",
        exit_codes="0 made, 2 the folder exists, or its name cannot be the name of a game",
        usage="DIR [flags]",
    )
    text = "the folder to make; its name is the name of the game"
    new.add_argument("folder", type=Path, metavar="DIR", help=text)
    new.common()

    check = parser.command(
        "check",
        "describe a game and test it",
        "Describe a game, find its problems, and run it twice with equal input: both runs must give equal bytes.",
        examples="  zoneserver check mygame:Mygame\n  zoneserver check zoneserver.games.tag:Tag\n"
        "  zoneserver check mygame:Mygame --json | jq .problems",
        exit_codes="0 no problems, 1 problems, 2 wrong usage, 3 the game cannot be loaded",
        usage="module:Rules [flags]",
    )
    check.add_argument("rules", metavar="module:Rules", help="the game: a class of a module")
    check.game_settings("--set", help="a setting of the game, as in coins=50; may be given again")
    check.switch("--rerun", help="also run a minute again as a restart from a journal does")
    check.switch("--json", help="print the result as a JSON object")
    check.common()

    schema_settings(parser)
    ticket = parser.command(
        "ticket",
        "make a join ticket",
        "Print a ticket with which a player may join once. A client passes it to connect(ticket=...).",
        examples="  zoneserver ticket ann mygame:Mygame --secret-file secret\n"
        "  zoneserver ticket ann --zone mygame --valid 1h\n"
        "  zone-client ann --ticket $(zoneserver ticket ann mygame:Mygame)",
        exit_codes="0 printed, 2 wrong usage, 3 the secret cannot be read",
        usage="NAME [module:Rules] [flags]",
    )
    ticket.add_argument("name", metavar="NAME", help="the player's name")
    text = "the game of the zone, which has the zone's name"
    ticket.setting("rules", metavar="module:Rules", help=text, shown="the demo game")
    text = f"file with the secret of the zone; without it {SECRET_VARIABLE} has the secret"
    ticket.setting("--secret-file", parse=Path, help=text)
    ticket.setting("--zone", metavar="NAME", help="the name of the zone, where the game is not installed")
    text = "how long the ticket is valid"
    ticket.setting("--valid", parse=above_zero(parse_duration), default=TICKET_SECONDS, help=text)
    ticket.switch("--json", help="print a JSON object with the ticket, its name, zone and expiry")
    ticket.common()
    ctl_settings(parser)
    journal_settings(parser)
    rerun_settings(parser)
    replay_settings(parser)
    gateway_settings(parser)
    check_broker_settings(parser)
    return parser


def _run_settings(run: Parser) -> None:
    """Declares the settings of a server. Most of them are fields of Config."""
    text = "the game: a class of a module in this folder or an installed one"
    run.setting("rules", default=_DEMO_GAME, metavar="module:Rules", help=text, shown="the demo game")
    run.section("addresses")
    config_settings(run, "host", "port", "page", "origin", "forwarded_from", "stats_port", "stats_host")
    token_setting(run)
    ready_file_setting(run)
    run.section("gateways in other processes")
    config_settings(run, "link")
    link_token_setting(run)
    config_settings(run, "link_cert", "link_key", "link_ca", "link_creds")
    run.section("the zone")
    config_settings(run, "hz", "seed", "max_players", "max_watchers", "resume_seconds", "zone_name")
    text = "a setting of the game, as in coins=50; may be given again (ZONE_GAME_COINS, coins in the table [game])"
    run.game_settings("--set", help=text)
    run.section("admission of players")
    text = f"file with the secret that signs join tickets; without it {SECRET_VARIABLE} may have the secret"
    run.setting("--secret-file", parse=Path, help=text, shown="none: anyone may join")
    open_setting(run)
    config_settings(run, "tls_cert", "tls_key", "ban_seconds")
    run.section("limits")
    config_settings(run, "send_rate", "send_memory_bytes")
    limits_setting(run)
    run.section("saved players")
    config_settings(run, "store", "store_interval_seconds")
    run.section("the journal")
    config_settings(run, "journal", "journal_sync", "journal_keep")
    operation_settings(run)
    text = "start the server again, with its players, whenever its game or the file of settings has changed"
    run.switch("--reload", help=text)
    run.switch("--check", help="check the settings and the game, and exit")
