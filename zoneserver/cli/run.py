"""`zoneserver run`: from the settings to a server that runs, and to one that starts again."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from zoneserver.authoring.check import CheckResult, check_game
from zoneserver.cli.command import print_result
from zoneserver.cli.game_settings import game_settings
from zoneserver.cli.reload import Reload
from zoneserver.cli.restart import NEW_WORLD, Restart, temporary_journal
from zoneserver.cli.secret import read_secret
from zoneserver.cli.server_settings import read_config, run_server
from zoneserver.config import Config, Limits, check_zone_link
from zoneserver.http.pages import player_pages
from zoneserver.journal.reader import JournalReader
from zoneserver.journal.restart import misfit
from zoneserver.server import ZoneServer
from zoneserver.support.certificate import ServerCertificate
from zoneserver.support.errors import CannotStartError, Exit, UsageError
from zoneserver.support.logs import print_error
from zoneserver.zone.game_class import info_of, new_game, problems_of
from zoneserver.zone.rules import Rules

__all__ = ["run"]


def run(
    server_class: type[ZoneServer],
    load_rules: Callable[[str], type[Rules]],
    is_own_process: bool,
    arguments: argparse.Namespace,
) -> int:
    """Runs a server of this class with the arguments of `zoneserver run`; returns the exit code. `is_own_process` says
    whether the arguments are those of this process, which can then start again."""
    config = _config(arguments)
    rules = load_rules(arguments.rules)
    config = dataclasses.replace(config, game=game_settings(rules, arguments.game_settings))
    # A temporary journal lasts until the end of the command, over all restarts.
    temporary = temporary_journal()
    if arguments.check:
        return _check(rules, config, arguments.rules, temporary)
    if arguments.reload and not config.journal:
        temporary = temporary or tempfile.mkdtemp(prefix="zoneserver-journal-")
        config = dataclasses.replace(config, journal=temporary, journal_sync="never")
    try:
        server = server_class(rules, config)
        restart = Restart(server, temporary, is_possible=is_own_process)
        reload = Reload(restart, arguments.config, arguments.log_format) if arguments.reload else None
        code = run_server(server, arguments, restart, reload)
        if restart.is_due and code == Exit.OK:
            restart.become()
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
    return code


def _config(arguments: argparse.Namespace) -> Config:
    try:
        more = {"secret": read_secret(arguments.secret_file), "limits": Limits(**arguments.limits)}
    except ValueError as error:
        raise UsageError(str(error)) from None
    config = read_config(arguments, **more)
    try:
        check_zone_link(config)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return config


def _check(rules: type[Rules], config: Config, target: str, temporary: str) -> int:
    """Checks what `run` would start, as far as that is possible beside a running server."""
    new_world = _objection_to_world(rules, config, temporary or config.journal)
    if new_world and not temporary:
        raise CannotStartError(f"{new_world}: the zone cannot go on; give it another directory (--journal)")
    player_pages(config.page, {})
    if config.tls_cert is not None:
        ServerCertificate(config.tls_cert, config.tls_key)
    if config.link_cert is not None:
        ServerCertificate(config.link_cert, config.link_key, "--link")

    def show(result: CheckResult) -> int:
        for problem in result.problems:
            print_error(problem)
        return Exit.FAILED if result.problems else Exit.OK

    result = check_game(rules, target, lambda result: os._exit(show(result)), config.game)
    if not result.problems:
        print_result(f"{NEW_WORLD}{new_world}" if new_world else "fine: the settings and the game can run")
    return show(result)


def _objection_to_world(rules: type[Rules], config: Config, journal: str) -> str:
    """Why the game cannot go on in the world of a journal; empty if it can, and if there is no journal yet."""
    segments = JournalReader(journal).segments if journal and Path(journal).exists() else []
    if not segments or list(problems_of(rules)):
        return ""
    return misfit(segments[-1].header.game, info_of(new_game(rules), config.hz))
