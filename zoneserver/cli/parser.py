"""The settings of a command: flags, `ZONE_*` variables, a TOML file, defaults, in this order of priority.

Each setting is declared once and has one name in all layers: `--stats-port`, `ZONE_STATS_PORT`, and
`stats-port = 7778` in the file of `--config`, either at the top or in the table of the command, such as `[run]`.
`--show-config` prints each value and its source, in the form of such a file. argparse reads the flags; the other layers
fill in what was not given as a flag.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import sys
import tomllib
from collections.abc import Callable, Collection, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from zoneserver.cli.game_settings import GAME_TABLE, given_settings, name_and_value
from zoneserver.cli.setting import Setting
from zoneserver.support.errors import Exit
from zoneserver.support.files import read_text
from zoneserver.support.format import printable
from zoneserver.support.logs import LOG_FORMATS, LOG_LEVELS, print_error
from zoneserver.support.parse import nearest, one_of
from zoneserver.support.process import print_output
from zoneserver.support.version import __version__

__all__ = ["COMMANDS", "Parser"]

COMMANDS = (
    *("run", "new", "check", "schema", "ticket", "ctl", "journal", "rerun", "replay", "gateway", "broker"),
    *("swarm", "dash", "compare", "bench", "soak", "demo", "client"),
)
"""The commands that may have a table in a file, each by the last word of its name."""

# Settings of most commands. At the top of a file they are for the commands that have them.
_SHARED = (
    "host",
    "port",
    "stats-host",
    "stats-port",
    "stats-token-file",
    "link",
    "link-token-file",
    "link-ca",
    "link-creds",
    "log-level",
    "log-format",
    "quiet",
    "verbose",
    "no-color",
    "json",
)

# The values of one layer: for each `dest` the value and its source.
_Layer = dict[str, tuple[Any, str]]


class Parser(argparse.ArgumentParser):
    """The settings of one command: declare them, then `read` them.

    The help opens with `examples` and ends with the meaning of the `exit_codes`.

    >>> parser = Parser("zone-nap", "Sleep.", examples="  zone-nap --time 1.5", exit_codes="0 slept")
    >>> parser.setting("--time", "-t", parse=float, default=30.0, help="how long to sleep, in seconds")
    >>> parser.read(["--time", "1.5"]).time, parser.read([]).time
    (1.5, 30.0)
    """

    def __init__(
        self, prog: str, description: str, *, examples: str = "", exit_codes: str = "", usage: str = "[flags]"
    ) -> None:
        super().__init__(
            prog,
            usage=f"%(prog)s {usage}",
            description=f"{description}\n\nexamples:\n{examples.rstrip()}" if examples else description,
            epilog=f"exit codes: {exit_codes.rstrip()}" if exit_codes else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        # argparse then reads `-5s` as a value and not as a flag, so that the error is about the value.
        self._negative_number_matcher = re.compile(r"-\.?\d")
        self._settings: list[Setting] = []
        # Whether the command takes the settings of a game.
        self._takes_game_settings = False
        # All flags, those without a setting included.
        self._flags = ["--help"]
        # The section of the help to which the next setting is added.
        self._section: Any = self
        self._subcommands: Any = None
        self._commands: dict[str, Parser] = {}
        # Another command, and what is said of a flag that only that one has.
        self._foreign: tuple[Parser, str] | None = None

    @property
    def table(self) -> str:
        """The table of a file that is for this command only: the last word of the command's name."""
        return re.split(r"[ .-]", self.prog)[-1]

    def section(self, title: str) -> None:
        """Starts a section of the help; settings that are declared afterwards belong to it."""
        self._section = self.add_argument_group(title)

    def exclusive(self) -> None:
        """Starts a group of flags that exclude each other. It ends with the next `section`."""
        self._section = self._section.add_mutually_exclusive_group()

    def setting(
        self,
        *flags: str,
        parse: Callable[[str], Any] = str,
        default: Any = None,
        help: str,  # noqa: A002 - argparse's own name
        shown: str | None = None,
        metavar: str | None = None,
        dest: str | None = None,
        repeats: bool = False,
        optional: str | None = None,
        is_hidden: bool = False,
    ) -> None:
        """Declares a flag with a value, and its short form; or a positional argument that may be left out, or, if it
        `repeats`, be given several times.

        `parse` reads the value, or raises ValueError with a sentence. `shown` is the default in the help, if the text
        of `default` does not say enough. With `repeats` the value is a list of all values given. `optional` is the
        value of a flag that is given without one. --show-config does not show a value with `is_hidden`.
        """
        name = flags[0].lstrip("-")
        setting = Setting(
            name, dest or name.replace("-", "_"), parse, [] if repeats else default, None, repeats, is_hidden
        )
        more: dict[str, Any] = {"dest": setting.dest} if flags[0] != name else {}
        if repeats:
            more.update({"action": "append"} if more else {"nargs": "*"})
        elif not more or optional is not None:
            more.update(nargs="?", const=optional)
        if shown is None and default not in (None, "", ()):
            shown = setting.format(default)
        self._declare(setting, flags, help, shown, type=_checked(parse), metavar=metavar or setting.metavar, **more)

    def switch(self, *flags: str, help: str, dest: str | None = None, const: Any = True, default: Any = False) -> None:  # noqa: A002
        """Declares a flag without a value, which is off by default. With a `const` other than True it sets the setting
        `dest` to that value."""
        name = flags[0].lstrip("-")
        setting = Setting(name, dest or name.replace("-", "_"), str, default, const)
        self._declare(setting, flags, help, None, action="store_const", const=const, dest=setting.dest)

    def game_settings(self, flag: str, *, help: str) -> None:  # noqa: A002
        """Declares a flag NAME=VALUE for the settings of a game, which may be given again and again.

        The attribute `game_settings` becomes a dict: for each name the value as text, and its source. The other layers
        are the variables `ZONEGAME_TABLE_NAME`, and the table `[game]` of the file.
        """
        self._takes_game_settings = True
        self._flags.append(flag)
        more: dict[str, Any] = {"dest": "game_flags", "metavar": "NAME=VALUE", "action": "append", "default": []}
        self._section.add_argument(flag, type=_checked(name_and_value), help=help, **more)

    def _declare(self, setting: Setting, flags: Sequence[str], text: str, default: str | None, **more: Any) -> None:
        notes = setting.variable if default is None else f"{setting.variable}, default {default}"
        self._settings.append(setting)
        self._flags += [flag for flag in flags if flag.startswith("--")]
        # With SUPPRESS a flag that is not given sets no attribute, so that the other layers are asked.
        text = f"{text} ({notes})".replace("%", "%%")
        self._section.add_argument(*flags, default=argparse.SUPPRESS, help=text, **more)

    def common(self) -> None:
        """Declares the settings that every command has."""
        self.section("everywhere")
        text = "least severe messages to log: debug, info, warning or error"
        self.setting("--log-level", parse=one_of(LOG_LEVELS, "level"), default="info", help=text)
        text = "form of the log: text or json"
        self.setting("--log-format", parse=one_of(LOG_FORMATS, "format"), default="text", help=text)
        self.switch("--quiet", "-q", dest="log_level", const="warning", default="info", help="log only problems")
        self.switch("--verbose", "-v", dest="log_level", const="debug", default="info", help="log everything")
        self.switch("--no-color", help="print without colours, as with NO_COLOR")
        add = self._section.add_argument
        add("--config", metavar="FILE", help="read settings from this TOML file (ZONE_CONFIG)")
        add("--show-config", action="store_true", help="print each setting with its source, and exit")
        self._flags += ["--config", "--show-config"]
        self.version()

    def version(self) -> None:
        """Declares --version."""
        self._section.add_argument(
            "--version", action="version", version=f"zoneserver {__version__}", help="print the version, and exit"
        )
        self._flags.append("--version")

    def command(self, name: str, summary: str, description: str, **more: Any) -> Parser:
        """Declares a command with its own settings; its name is the first argument."""
        if self._subcommands is None:
            self._subcommands = self.add_subparsers(dest="command", required=True, metavar="COMMAND")
        parser: Parser = self._subcommands.add_parser(
            name, prog=f"{self.prog} {name}", help=summary, description=description, **more
        )
        self._commands[name] = parser
        return parser

    def read(self, argv: Sequence[str] | None = None) -> argparse.Namespace:
        """All settings, as attributes.

        Ends the process, as argparse does, with an error, or with the output of --help, --version or --show-config.
        """
        arguments, unknown = self.parse_known_args(argv)
        chosen = self._commands.get(getattr(arguments, "command", ""), self)
        if unknown:
            name = unknown[0].partition("=")[0]
            if name.startswith("-"):
                hint = chosen._foreign_hint(name) or nearest(name, chosen._flags, show=str)
                chosen.error(f"there is no flag {name}; {hint}")
            # A flag without its dashes is read as an argument, and so may be the word before this one.
            words = [word for word in (name, *(sys.argv[1:] if argv is None else argv)) if not word.startswith("-")]
            chosen.error(f"there is no argument {name!r}{next(filter(None, map(chosen.flag_hint, words)), '')}")
        chosen._fill(arguments)
        return arguments

    def explain_foreign(self, command: str, other: str, hint: str) -> None:
        """Lets a command answer flags that only another one has with `hint`, in which `{}` is the flag."""
        self._commands[command]._foreign = self._commands[other], hint

    def _foreign_hint(self, flag: str) -> str:
        command, hint = self._foreign or (self, "")
        return hint.format(flag) if flag in command._flags else ""

    def flag_hint(self, word: str, command: str = "") -> str:
        """The end of an error about a word that may be meant as a flag, of this or of one of its commands:
        `; did you mean --port?`, or nothing."""
        parser = self._commands[command] if command else self
        found = get_close_matches(f"--{word}", parser._flags, 1, cutoff=0.8)
        return f"; did you mean {found[0]}?" if found else ""

    def error(self, message: str) -> NoReturn:
        """Ends the process with one line about wrong usage."""
        print_error(f"{self.prog}: {message}")
        self.exit(Exit.USAGE)

    # --- The layers -------------------------------------------------------------------------------

    def _fill(self, arguments: argparse.Namespace) -> None:
        """Adds to the flags what the environment, the file and the defaults say."""
        sources = {setting.dest: "flag" for setting in self._settings if hasattr(arguments, setting.dest)}
        path = arguments.config = getattr(arguments, "config", None) or os.environ.get("ZONE_CONFIG")
        document = self._document(path) if path else {}
        layers = self._environment, functools.partial(self._file, path, document)
        for read in layers:
            for dest, (value, source) in read(sources.keys()).items():
                setattr(arguments, dest, value)
                sources[dest] = source
        for setting in self._settings:
            if setting.dest not in sources:
                setattr(arguments, setting.dest, setting.default)
                sources[setting.dest] = "default"
        if self._takes_game_settings:
            table = document.get(GAME_TABLE, {})
            try:
                arguments.game_settings = given_settings(arguments.game_flags, os.environ, path, table)
            except ValueError as problem:
                self.error(str(problem))
        if getattr(arguments, "show_config", False):
            error = print_output(self._to_toml(arguments, sources))
            if error is not None:
                print_error(f"{self.prog}: cannot write to standard output: {error.strerror}")
            self.exit(Exit.OK if error is None else Exit.CANNOT_START)

    # A value that a layer of higher priority has already set is not read: it may be nonsense, and is not needed.

    def _environment(self, done: Collection[str]) -> _Layer:
        """The values of the variables, without those of the dests in `done`; an empty variable counts as not set."""
        layer: _Layer = {}
        for setting in self._settings:
            if setting.dest not in done and (text := os.environ.get(setting.variable)):
                self._add(layer, setting, setting.variable, setting.from_variable, text)
        return layer

    def _document(self, path: str) -> dict[str, Any]:
        """The content of the file."""
        try:
            document = tomllib.loads(read_text(path))
        except (OSError, ValueError) as error:
            self.error(f"{path}: {getattr(error, 'strerror', None) or error}")
        except RecursionError:
            self.error(f"{path}: the values are nested too deeply")
        for name in (*COMMANDS, GAME_TABLE, self.table):
            if not isinstance(document.get(name, {}), dict):
                what = "the settings of the game" if name == GAME_TABLE else "the settings of that command"
                self.error(f"{path}: {name} is a table, with {what}: write [{name}] above them")
        return document

    def _file(self, path: str | None, document: dict[str, Any], done: Collection[str]) -> _Layer:
        """The values of the file, without those of the dests in `done`. The table of this command has priority over the
        top of the file."""
        settings = {setting.key: setting for setting in self._settings}
        top, own = _Layer(), _Layer()
        for name, value in document.get(self.table, {}).items():
            key = name.replace("_", "-")
            if key not in settings:
                hint = self._foreign_hint(f"--{key}") or nearest(key, tuple(settings))
                self.error(f"{path}: [{self.table}] has no setting {name!r}; {hint}")
            if settings[key].dest not in done:
                self._add(own, settings[key], f"{path}: [{self.table}] {name}", settings[key].from_file, value)
        for name, value in document.items():
            key = name.replace("_", "-")
            if name == GAME_TABLE or (name in COMMANDS and isinstance(value, dict)):
                continue
            if key in settings:
                if settings[key].dest not in (*done, *own):
                    self._add(top, settings[key], f"{path}: {name}", settings[key].from_file, value)
            elif isinstance(value, dict):
                hint = nearest(name, (*COMMANDS, GAME_TABLE))
                self.error(f"{path}: there is no command for the table [{name}]; {hint}")
            elif key not in _SHARED:
                hint = f"{nearest(key, (*settings, *_SHARED))} (each command has a table for its settings)"
                self.error(f"{path}: {self.prog} has no setting {name!r}; {hint}")
        return top | own

    def _add(self, layer: _Layer, setting: Setting, source: str, read: Callable[[Any], Any], value: Any) -> None:
        """Adds the value of one setting to a layer. Ends the process with an error if the value is wrong, or if the
        layer has one for this `dest` already."""
        try:
            found = read(value)
        except ValueError as error:
            self.error(f"{source}: {error}")
        if found is None:
            return
        if setting.dest in layer:
            self.error(f"{layer[setting.dest][1]} and {source} exclude each other")
        layer[setting.dest] = found, source

    def _to_toml(self, arguments: argparse.Namespace, sources: dict[str, str]) -> str:
        """A file with the present value of every setting; a comment names the source of each."""
        rows = []
        for setting in self._settings:
            if setting.dest != setting.key.replace("-", "_") and any(
                s.key.replace("-", "_") == setting.dest for s in self._settings
            ):
                continue  # It sets another setting, which has its own line.
            value = getattr(arguments, setting.dest)
            unset = value is None or value in ("", [], {})
            if setting.is_hidden and not unset:
                unset, sources = True, sources | {setting.dest: f"{sources[setting.dest]}, not shown"}
            line = f"# {setting.key} =" if unset else f"{setting.key} = {setting.to_toml(value)}"
            rows.append((line, sources[setting.dest]))
        given = getattr(arguments, "game_settings", {})
        of_game = [(f"{name} = {json.dumps(text)}", source) for name, (text, source) in given.items()]
        width = max(len(left) for left, _ in [*rows, *of_game])
        lines = [f"[{self.table}]"]
        lines += [f"{left:<{width}}  # {printable(source)}" for left, source in rows]
        lines += ["", f"[{GAME_TABLE}]"] if of_game else []
        lines += [f"{left:<{width}}  # {printable(source)}" for left, source in of_game]
        return "\n".join(lines) + "\n"


def _checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser for argparse. argparse prints the text of an ArgumentTypeError, but not of a ValueError."""

    def checked(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked
