"""The settings of a command: flags, `ZONE_*` variables, a TOML file, defaults, in this order.

Each setting is declared once and has one name in all of these: `--stats-port`, `ZONE_STATS_PORT`, and
`stats-port = 7778` in the file that `--config` names, at the top or in the table of one command, as
`[run]`. `--show-config` prints each value with where it came from, as such a file. The layers are
argparse's, with what is not given as a flag filled in from the others.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from zoneserver.support.errors import Exit
from zoneserver.support.format import exact_duration, exact_size
from zoneserver.support.logs import LOG_FORMATS, LOG_LEVELS
from zoneserver.support.parse import (
    nearest,
    one_of,
    parse_count,
    parse_duration,
    parse_integer,
    parse_port,
    parse_size,
)
from zoneserver.support.version import __version__

__all__ = ["COMMANDS", "Parser"]

COMMANDS = ("run", "new", "check", "ticket", "swarm", "dash", "compare", "bench", "soak", "demo", "client")
"""Whose tables a file may have. Each is the last word of what the command is called."""

# What most commands know: at the top of a file it is for those that do.
_SHARED = ("host", "port", "stats-port", "log-level", "log-format", "quiet", "verbose", "no-color", "json")
_METAVARS = {
    parse_duration: "DURATION",
    parse_size: "SIZE",
    parse_count: "N",
    parse_port: "PORT",
    parse_integer: "N",
    Path: "FILE",
}
_TEXTS: dict[Any, Callable[[Any], str]] = {parse_duration: exact_duration, parse_size: exact_size}
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


# What one layer says: of each `dest` its value, and where that stands.
_Said = dict[str, tuple[Any, str]]


@dataclass(frozen=True, slots=True)
class _Setting:
    """One thing that may be set, under one name in all layers. Several may set the same `dest`."""

    key: str
    dest: str
    parse: Callable[[str], Any] = str
    default: Any = None
    const: Any = None
    """What a switch stands for; None for what takes a value."""
    repeats: bool = False

    @property
    def variable(self) -> str:
        return "ZONE_" + self.key.upper().replace("-", "_")

    @property
    def plain_parse(self) -> Callable[[str], Any]:
        """What parses, without what only narrows it."""
        parse = self.parse
        while hasattr(parse, "__wrapped__"):
            parse = parse.__wrapped__
        return parse

    def text(self, value: Any) -> str:
        """A value as people write it."""
        return _TEXTS.get(self.plain_parse, str)(value)

    def read(self, text: str) -> Any:
        """The value of a variable's text. Raises ValueError."""
        if self.const is not None:
            if text.lower() not in (*_TRUE, *_FALSE):
                raise ValueError(f"{text!r} is neither 1 nor 0")
            return self.switched(text.lower() in _TRUE)
        return [self.parse(part) for part in text.split(",")] if self.repeats else self.parse(text)

    def take(self, value: Any) -> Any:
        """The value of what stands in a file. Raises ValueError."""
        if self.const is not None:
            if not isinstance(value, bool):
                raise ValueError(f"{value!r} is neither true nor false")
            return self.switched(value)
        if self.repeats and isinstance(value, list):
            return [self.parse(_written(element)) for element in value]
        return self.read(_written(value))

    def switched(self, is_on: bool) -> Any:
        """What a switch says; None for one of several ways to set something, when it is off."""
        return self.const if is_on else (False if self.const is True else None)


def _written(value: Any) -> str:
    """A value of a file as people write it elsewhere. Raises ValueError for what is none."""
    match value:
        case bool():
            raise ValueError("true and false are for switches")
        case str() | int() | float():
            return str(value)
        case list():
            return ",".join(map(_written, value))
        case dict():
            return ",".join(f"{key}={_written(part)}" for key, part in value.items())
    raise ValueError(f"{value} is not a text, a number or a list")


class Parser(argparse.ArgumentParser):
    """Reads the settings of one command: declare them, then `read`.

    The help opens with `examples` and ends with what the `exit_codes` mean.

    >>> parser = Parser("zone-nap", "Sleep.", examples="  zone-nap --time 1m", exit_codes="0 slept")
    >>> parser.setting("--time", "-t", parse=parse_duration, default=30.0, help="how long")
    >>> parser.read(["--time", "1m"]).time, parser.read([]).time
    (60.0, 30.0)
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
        # Takes `-5s` for a value rather than for a flag: whoever writes it is told what is wrong with it.
        self._negative_number_matcher = re.compile(r"-\.?\d")
        self._settings: list[_Setting] = []
        # What has a flag of its own and is no setting.
        self._flags = ["help"]
        # Where the next setting stands in the help.
        self._section: Any = self
        self._subcommands: Any = None
        self._commands: dict[str, Parser] = {}

    @property
    def table(self) -> str:
        """The table of a file that is for this command alone: the last word of what it is called."""
        return re.split(r"[ .-]", self.prog)[-1]

    def section(self, title: str) -> None:
        """What is declared from here on stands under a heading of its own in the help."""
        self._section = self.add_argument_group(title)

    def exclusive(self) -> None:
        """Of what is declared from here to the next `section`, one flag at the most may be given."""
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
    ) -> None:
        """Declares a flag, and its short form, with a value; or a positional argument that may be left out.

        `parse` reads the value and raises ValueError with a sentence; `shown` is the default for people,
        where its own text does not say enough. With `repeats` it is a list, of what is given each time.
        `optional` is the value of a flag that is given without one.
        """
        name = flags[0].lstrip("-")
        setting = _Setting(name, dest or name.replace("-", "_"), parse, [] if repeats else default, None, repeats)
        more: dict[str, Any] = {"dest": setting.dest} if flags[0] != name else {}
        if repeats:
            more["action"] = "append"
        elif not more or optional is not None:
            more.update(nargs="?", const=optional)
        self._declare(
            setting,
            flags,
            help,
            setting.text(default) if shown is None and default not in (None, "") else shown,
            type=_checked(parse),
            metavar=metavar or _METAVARS.get(setting.plain_parse, name.split("-")[-1].upper()),
            **more,
        )

    def switch(self, *flags: str, help: str, dest: str | None = None, const: Any = True, default: Any = False) -> None:  # noqa: A002
        """Declares a flag without a value: off unless given. With a `const` other than True it is a short way
        to set the setting `dest` to that."""
        name = flags[0].lstrip("-")
        setting = _Setting(name, dest or name.replace("-", "_"), str, default, const)
        self._declare(setting, flags, help, None, action="store_const", const=const, dest=setting.dest)

    def _declare(self, setting: _Setting, flags: Sequence[str], text: str, default: str | None, **more: Any) -> None:
        notes = setting.variable if default is None else f"{setting.variable}, default {default}"
        self._settings.append(setting)
        self._flags.append(setting.key)
        # SUPPRESS: what is not given leaves no trace, and the other layers are asked.
        text = f"{text} ({notes})".replace("%", "%%")
        self._section.add_argument(*flags, default=argparse.SUPPRESS, help=text, **more)

    def common(self) -> None:
        """Declares what every command has."""
        self.section("everywhere")
        self.setting("--log-level", parse=one_of(LOG_LEVELS, "level"), default="info", help="how much to log")
        self.setting("--log-format", parse=one_of(LOG_FORMATS, "format"), default="text", help="text, or json")
        self.switch("--quiet", "-q", dest="log_level", const="warning", default="info", help="say only what is wrong")
        self.switch("--verbose", "-v", dest="log_level", const="debug", default="info", help="say everything")
        self.switch("--no-color", help="no colours, as with NO_COLOR")
        add = self._section.add_argument
        add("--config", metavar="FILE", help="a TOML file of settings (ZONE_CONFIG)")
        add("--show-config", action="store_true", help="print each setting and where it comes from, and end")
        self._flags += ["config", "show-config"]
        self.version()

    def version(self) -> None:
        """Declares --version alone."""
        self._section.add_argument(
            "--version", action="version", version=f"zoneserver {__version__}", help="print the version, and end"
        )
        self._flags.append("version")

    def command(self, name: str, summary: str, description: str, **more: Any) -> Parser:
        """Declares a command of its own settings, by its name as the first argument."""
        if self._subcommands is None:
            self._subcommands = self.add_subparsers(dest="command", required=True, metavar="COMMAND")
        parser: Parser = self._subcommands.add_parser(
            name, prog=f"{self.prog} {name}", help=summary, description=description, **more
        )
        self._commands[name] = parser
        return parser

    def read(self, argv: Sequence[str] | None = None) -> argparse.Namespace:
        """All settings, as attributes. Ends the process, as argparse does, with what is wrong, or with what
        was asked for in place of a run (--help, --version, --show-config)."""
        arguments, unknown = self.parse_known_args(argv)
        chosen = self._commands.get(getattr(arguments, "command", ""), self)
        if unknown:
            name = unknown[0].partition("=")[0]
            if name.startswith("-"):
                chosen.error(f"there is no flag {name}; {nearest(name.lstrip('-'), chosen._flags)}")
            chosen.error(f"nothing takes the argument {name!r}")
        chosen._fill(arguments)
        return arguments

    def error(self, message: str) -> NoReturn:
        """Ends the process with one line about what is wrong with the usage."""
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")

    # --- The layers -----------------------------------------------------------------------------------

    def _fill(self, arguments: argparse.Namespace) -> None:
        """What was not given as a flag comes from the environment, the file, the defaults."""
        sources = {setting.dest: "flag" for setting in self._settings if hasattr(arguments, setting.dest)}
        for said in (self._environment(), self._file(getattr(arguments, "config", None))):
            for dest, (value, source) in said.items():
                if dest not in sources:
                    setattr(arguments, dest, value)
                    sources[dest] = source
        for setting in self._settings:
            if setting.dest not in sources:
                setattr(arguments, setting.dest, setting.default)
                sources[setting.dest] = "default"
        if getattr(arguments, "show_config", False):
            print(self._shown(arguments, sources), end="", flush=True)
            self.exit(Exit.OK)

    def _environment(self) -> _Said:
        """What the variables say; an empty one says nothing."""
        said: _Said = {}
        for setting in self._settings:
            if text := os.environ.get(setting.variable):
                self._say(said, setting, setting.variable, setting.read, text)
        return said

    def _file(self, path: str | None) -> _Said:
        """What the file says, in this command's table or else at the top."""
        path = path or os.environ.get("ZONE_CONFIG")
        if not path:
            return {}
        try:
            document = tomllib.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            self.error(f"{path}: {getattr(error, 'strerror', None) or error}")
        settings = {setting.key: setting for setting in self._settings}
        top: _Said = {}
        for name, value in document.items():
            key = name.replace("_", "-")
            if key in settings:
                self._say(top, settings[key], f"{path}: {name}", settings[key].take, value)
            elif isinstance(value, dict) and name not in COMMANDS:
                self.error(f"{path}: no command has a table [{name}]; {nearest(name, COMMANDS)}")
            elif not isinstance(value, dict) and key not in _SHARED:
                hint = nearest(key, (*settings, *_SHARED))
                self.error(f"{path}: {self.prog} has no setting {name!r}; {hint} (another's belongs in its table)")
        own: _Said = {}
        for name, value in document.get(self.table, {}).items():
            key = name.replace("_", "-")
            if key not in settings:
                self.error(f"{path}: [{self.table}] has no setting {name!r}; {nearest(key, tuple(settings))}")
            self._say(own, settings[key], f"{path}: [{self.table}] {name}", settings[key].take, value)
        return top | own

    def _say(self, said: _Said, setting: _Setting, source: str, read: Callable[[Any], Any], value: Any) -> None:
        try:
            found = read(value)
        except ValueError as error:
            self.error(f"{source}: {error}")
        if found is None:
            return
        if setting.dest in said:
            self.error(f"{said[setting.dest][1]} and {source} exclude each other")
        said[setting.dest] = found, source

    def _shown(self, arguments: argparse.Namespace, sources: dict[str, str]) -> str:
        """Every setting with where it comes from, as a file that says the same."""
        rows = []
        for setting in self._settings:
            if setting.dest != setting.key.replace("-", "_") and any(
                s.key.replace("-", "_") == setting.dest for s in self._settings
            ):
                continue  # A short way to set another of them.
            value = getattr(arguments, setting.dest)
            unset = value is None or value in ("", [], {})
            rows.append(
                (f"# {setting.key} =" if unset else f"{setting.key} = {_toml(setting, value)}", sources[setting.dest])
            )
        width = max(len(left) for left, _ in rows)
        return "".join([f"[{self.table}]\n", *(f"{left:<{width}}  # {source}\n" for left, source in rows)])


def _checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser for argparse, which shows the words of its ValueError as they are."""

    def checked(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def _toml(setting: _Setting, value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            pairs = (f"{key if _BARE_KEY.fullmatch(key) else json.dumps(key)} = {part}" for key, part in value.items())
            return f"{{ {', '.join(pairs)} }}"
        case list() | tuple():
            return f"[{', '.join(_toml(setting, element) for element in value)}]"
    text = setting.text(value)
    return text if isinstance(value, int | float) and text == str(value) else json.dumps(text)
