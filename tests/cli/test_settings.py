"""The settings of all commands: flags, ZONE_* variables, a file, defaults, and their priority."""

from __future__ import annotations

import argparse
import inspect
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zoneclient.__main__
import zonetools.bench.__main__
import zonetools.compare.__main__
import zonetools.dashboard.__main__
import zonetools.demo
import zonetools.soak.__main__
import zonetools.swarm.__main__
from helpers.paths import ROOT

from zoneserver.cli import main as cli
from zoneserver.cli.parser import COMMANDS, Parser
from zoneserver.support.errors import Exit
from zoneserver.support.format import printable
from zoneserver.support.parse import (
    above_zero,
    parse_count,
    parse_duration,
    parse_integer,
    parse_number,
    parse_port,
    parse_size,
)

PARSERS: dict[str, Callable[[], Parser]] = {
    "swarm": zonetools.swarm.__main__._parser,
    "dash": zonetools.dashboard.__main__._parser,
    "compare": zonetools.compare.__main__._parser,
    "bench": zonetools.bench.__main__._parser,
    "soak": zonetools.soak.__main__._parser,
    "demo": zonetools.demo._parser,
    "client": zoneclient.__main__._parser,
    **dict.fromkeys(("run", "new", "check", "schema", "ticket", "ctl", "journal", "rerun", "replay"), cli._parser),
    **dict.fromkeys(("gateway", "broker"), cli._parser),
}
ARGUMENTS = {
    "client": ["ann"],
    "run": ["run"],
    "new": ["new", "x"],
    "check": ["check", "a:B"],
    "schema": ["schema", "a:B"],
    "ticket": ["ticket", "ann"],
    "ctl": ["ctl"],
    "journal": ["journal", "info", "x"],
    "rerun": ["rerun", "x"],
    "replay": ["replay", "x"],
    "gateway": ["gateway"],
    "broker": ["check-broker", "nats://x/y"],
}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("os.environ", {})
    yield


def nap() -> Parser:
    parser = Parser("zone-nap", "Sleep.", examples="  zone-nap", exit_codes="0 slept")
    parser.section("what")
    parser.setting("--time", "-t", parse=above_zero(parse_duration), default=30.0, help="how long")
    parser.setting("--size", parse=parse_size, default=65536, help="how much")
    parser.setting("--sheep", parse=lambda text: [parse_count(part) for part in text.split(",")], default=[1], help="x")
    parser.setting("--dream", repeats=True, help="of what")
    parser.switch("--snore", help="aloud")
    parser.exclusive()
    parser.setting("--bed", default="any", help="where")
    parser.setting("--own-bed", parse=lambda text: f"own {text}", dest="bed", help="where")
    parser.common()
    return parser


def read(*argv: str) -> argparse.Namespace:
    return nap().read(argv)


def wrong(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as caught:
        read(*argv)
    assert caught.value.code == Exit.USAGE
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), err.startswith("zone-nap: ")) == ("", 1, True)
    return err.removeprefix("zone-nap: ").rstrip("\n")


def shown(capsys: pytest.CaptureFixture[str], parser: Parser, *argv: str) -> str:
    with pytest.raises(SystemExit) as caught:
        parser.read([*argv, "--show-config"])
    assert caught.value.code == 0
    return capsys.readouterr().out


# --- The layers -----------------------------------------------------------------------------------


def test_flags_override_variables_override_the_file_override_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "zone.toml"
    file.write_text('time = "4s"\nsize = "4KiB"\nsheep = [4, "4k"]\n')
    assert (read().time, read().size, read().sheep, read().bed) == (30.0, 65536, [1], "any")
    read_all = read("--config", str(file))
    assert (read_all.time, read_all.size, read_all.sheep, read_all.bed) == (4.0, 4096, [4, 4000], "any")
    monkeypatch.setenv("ZONE_TIME", "3s")
    monkeypatch.setenv("ZONE_SIZE", "3KiB")
    assert (read("--config", str(file)).time, read().size) == (3.0, 3072)
    assert read("--config", str(file), "-t", "2s").time == 2.0
    monkeypatch.setenv("ZONE_CONFIG", str(file))
    assert (read().time, read().sheep) == (3.0, [4, 4000])


def test_list_is_a_flag_given_again_or_text_with_commas_or_a_list_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "zone.toml"
    file.write_text('[run]\nforwarded-from = ["10.0.0.0/8", "::1"]\n')

    def read_run(*argv: str) -> list[str]:
        return cli._parser().read(["run", *argv]).forwarded_from

    assert (read_run(), read_run("--config", str(file))) == ([], ["10.0.0.0/8", "::1"])
    monkeypatch.setenv("ZONE_FORWARDED_FROM", "127.0.0.1, ::1")
    assert read_run("--config", str(file)) == ["127.0.0.1", "::1"]
    assert read_run("--forwarded-from", "127.0.0.2", "--forwarded-from=127.0.0.3") == ["127.0.0.2", "127.0.0.3"]


def test_the_table_of_the_command_overrides_the_top_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoneserver.cli.parser.COMMANDS", (*COMMANDS, "nap"))
    file = tmp_path / "zone.toml"
    file.write_text('time = "4s"\nport = 7000\n[nap]\ntime = "5s"\nown_bed = "left"\n[run]\nhz = 10\n')
    assert (read("--config", str(file)).time, read("--config", str(file)).bed) == (5.0, "own left")


def test_a_value_that_a_higher_layer_sets_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneserver.cli.parser.COMMANDS", (*COMMANDS, "nap"))
    monkeypatch.setenv("ZONE_TIME", "tcp://10.0.0.1:7777")
    file = tmp_path / "zone.toml"
    file.write_text('time = []\nsize = "huge"\nown-bed = "left"\nbed = "right"\n[nap]\nsize = "4KiB"\n')
    found = read("--config", str(file), "--time", "2s", "--bed", "mine")
    assert (found.time, found.size, found.bed) == (2.0, 4096, "mine")
    monkeypatch.setenv("ZONE_TIME", "3s")
    monkeypatch.setenv("ZONE_OWN_BED", "hers")
    assert (read("--config", str(file)).time, read("--config", str(file)).bed) == (3.0, "own hers")


def test_show_config_reads_no_variable_under_a_flag(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZONE_PORT", "tcp://10.0.0.1:7777")
    lines = shown(capsys, cli._parser(), "run", "--port", "0").splitlines()
    assert [line.split() for line in lines if line.startswith("port")] == [["port", "=", "0", "#", "flag"]]


def test_the_variable_of_a_kubernetes_service_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZONE_STATS_PORT", "tcp://10.0.0.1:7777")
    with pytest.raises(SystemExit) as caught:
        cli._parser().read(["run"])
    assert caught.value.code == Exit.USAGE
    text = "is the address of a Kubernetes service named 'zone-stats', and not a port: give the flag --stats-port"
    assert text in capsys.readouterr().err


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZONE_TIME", "")
    monkeypatch.setenv("ZONE_SNORE", "")
    assert (read().time, read().snore) == (30.0, False)


@pytest.mark.parametrize(("text", "value"), [("1", True), ("yes", True), ("TRUE", True), ("0", False), ("off", False)])
def test_a_variable_sets_a_switch(text: str, value: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZONE_SNORE", text)
    assert read().snore is value


def test_a_variable_switches_off_what_the_file_switches_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "zone.toml"
    file.write_text("snore = true\n")
    assert read("--config", str(file)).snore is True
    monkeypatch.setenv("ZONE_SNORE", "0")
    assert read("--config", str(file)).snore is False


def test_quiet_and_verbose_set_the_log_level_in_every_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [read(*argv).log_level for argv in ((), ("-q",), ("-v",))] == ["info", "warning", "debug"]
    assert read("--log-level", "error").log_level == "error"
    file = tmp_path / "zone.toml"
    file.write_text("quiet = true\nverbose = false\n")
    assert read("--config", str(file)).log_level == "warning"
    monkeypatch.setenv("ZONE_VERBOSE", "1")
    assert read("--config", str(file)).log_level == "debug"


def test_a_repeated_setting_is_a_list_in_every_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "zone.toml"
    file.write_text('dream = ["of rain", "of sun"]\n')
    assert read("--dream", "a", "--dream", "b").dream == ["a", "b"]
    assert read("--config", str(file)).dream == ["of rain", "of sun"]
    monkeypatch.setenv("ZONE_DREAM", "x,y")
    assert (read("--config", str(file)).dream, nap().read([]).dream) == (["x", "y"], ["x", "y"])
    monkeypatch.delenv("ZONE_DREAM")
    assert read().dream == []


# --- Errors ---------------------------------------------------------------------------------------


def test_an_unknown_flag_or_word_names_the_nearest_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert wrong(capsys, "--tme", "1s") == "there is no flag --tme; did you mean --time?"
    assert wrong(capsys, "--verson") == "there is no flag --verson; did you mean --version?"
    assert wrong(capsys, "--ti", "1s") == "there is no flag --ti; did you mean --time?"
    assert wrong(capsys, "--xyzzy=3").startswith("there is no flag --xyzzy; there are --help, --time, ")
    assert wrong(capsys, "away") == "there is no argument 'away'"
    assert wrong(capsys, "tme", "1s") == "there is no argument 'tme'; did you mean --time?"
    assert nap().flag_hint("port") == ""


def test_the_error_of_a_wrong_value_names_its_source(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wrong(capsys, "--time", "soon") == ("argument --time/-t: 'soon' is not a duration: write 30s, 2m or 1h30m")
    assert wrong(capsys, "--time", "-5s").startswith("argument --time/-t: '-5s' is not a duration")
    monkeypatch.setenv("ZONE_TIME", "0")
    assert wrong(capsys) == "ZONE_TIME: 0 is not above zero"
    monkeypatch.delenv("ZONE_TIME")
    monkeypatch.setenv("ZONE_SNORE", "loud")
    assert wrong(capsys) == "ZONE_SNORE: 'loud' is neither 1 nor 0"
    monkeypatch.delenv("ZONE_SNORE")
    monkeypatch.setenv("ZONE_BED", "a")
    monkeypatch.setenv("ZONE_OWN_BED", "b")
    assert wrong(capsys) == "ZONE_BED and ZONE_OWN_BED exclude each other"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time = 3\nsnore = 1\n", "FILE: snore: 1 is neither true nor false"),
        ("time = true\n", "FILE: time: true and false are for switches only"),
        ("time = 1979-05-27\n", "FILE: time: 1979-05-27 is not a text, a number, a list or a table"),
        (
            "tiem = 3\n",
            "FILE: zone-nap has no setting 'tiem'; did you mean 'time'? (each command has a table for its settings)",
        ),
        ("[swrm]\nbots = 3\n", "FILE: there is no command for the table [swrm]; did you mean 'swarm'?"),
        ("time = \n", "FILE: Invalid value (at line 1, column 8)"),
        ("run = 5\n", "FILE: run is a table, with the settings of that command: write [run] above them"),
        ("nap = 5\n", "FILE: nap is a table, with the settings of that command: write [nap] above them"),
        ("[[run]]\n", "FILE: run is a table, with the settings of that command: write [run] above them"),
        ("time = " + 3000 * "[" + 3000 * "]", "FILE: the values are nested too deeply"),
        ('bed = "a\\u0000b"\n', "FILE: bed: a text cannot contain NUL"),
        ("#\n# \xfc\n", "FILE: the text is not UTF-8 (at line 2): save it as UTF-8"),
        ("# " + 40_000 * "x", "FILE: the file is larger than 32 KiB"),
        ("\xff\xfet\0", "FILE: the text is UTF-16: save it as UTF-8"),
    ],
    ids=lambda text: text[:20],
)
def test_the_error_of_a_wrong_file_names_the_place(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "zone.toml"
    file.write_text(text, encoding="latin-1")
    assert wrong(capsys, "--config", str(file)) == said.replace("FILE", str(file))


def test_a_file_may_begin_with_a_byte_order_mark_and_have_any_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "zone.toml"
    file.write_bytes(b"\xef\xbb\xbftime = 4\r\nsnore = true\r\n")
    assert (read("--config", str(file)).time, read("--config", str(file)).snore) == (4.0, True)


@pytest.mark.parametrize("path", ["/dev/zero", "missing\x1b[31m.toml"])
def test_an_error_about_any_file_is_one_line_that_can_be_shown(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert wrong(capsys, "--config", path).startswith(printable(path) + ": ")


def test_an_unknown_setting_lists_each_name_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "zone.toml"
    file.write_text("xyzzy = 1\n")
    with pytest.raises(SystemExit):
        PARSERS["run"]().read(["run", "--config", str(file)])
    names = capsys.readouterr().err.partition("there are ")[2].partition(" (")[0].split(", ")
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_number_beyond_every_range_is_one_line_in_every_setting(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = PARSERS[name]()
    chosen = parser._commands.get(name, parser)
    numeric = {parse_count, parse_duration, parse_integer, parse_number, parse_port, parse_size}
    settings = [each for each in chosen._settings if inspect.unwrap(each.parse) in numeric]
    for setting in settings:
        for text in ("9" * 25, "9" * 5000, "1e5", "nan", "inf"):
            with pytest.raises(SystemExit) as caught:
                PARSERS[name]().read([*ARGUMENTS.get(name, []), f"--{setting.key}={text}"])
            assert caught.value.code == Exit.USAGE, (setting.key, text)
            assert capsys.readouterr().err.count("\n") <= 1


@pytest.mark.parametrize("flags", ["swarm --processes=257", "compare --processes=257", "demo --bots=65001"])
def test_a_number_that_the_machine_cannot_take_is_wrong_usage(flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, flag = flags.split()
    with pytest.raises(SystemExit):
        PARSERS[name]().read([flag])
    assert " is too large: at most " in capsys.readouterr().err


def test_an_unknown_key_of_a_table_names_the_nearest_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "zone.toml"
    file.write_text("[swarm]\nbts = 3\n")
    with pytest.raises(SystemExit):
        PARSERS["swarm"]().read(["--config", str(file)])
    assert capsys.readouterr().err == f"zone-swarm: {file}: [swarm] has no setting 'bts'; did you mean 'bots'?\n"


def test_a_missing_file_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = str(tmp_path / "nowhere.toml")
    assert wrong(capsys, "--config", nowhere) == f"{nowhere}: No such file or directory"


# --- --show-config and --help ---------------------------------------------------------------------


def test_show_config_prints_each_value_with_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "zone.toml"
    file.write_text("snore = true\n")
    monkeypatch.setenv("ZONE_TIME", "90s")
    text = shown(capsys, nap(), "--config", str(file), "--own-bed", "left", "-q")
    rows = {row[0].strip(): row[1].strip() for line in text.splitlines()[1:] if (row := line.rsplit("  # ", 1))}
    assert rows == {
        'time = "1m30s"': "ZONE_TIME",
        'size = "64KiB"': "default",
        "sheep = [1]": "default",
        "# dream =": "default",
        "snore = true": f"{file}: snore",
        'bed = "own left"': "flag",
        'log-level = "warning"': "flag",
        'log-format = "text"': "default",
        "no-color = false": "default",
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_show_config_prints_a_file_with_equal_settings(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser, argv = PARSERS[name](), ARGUMENTS.get(name, [])
    first = shown(capsys, parser, *argv)
    assert list(tomllib.loads(first)) == [name]
    file = tmp_path / "zone.toml"
    file.write_text(first)
    again = shown(capsys, PARSERS[name](), *argv, "--config", str(file))
    assert tomllib.loads(again) == tomllib.loads(first)
    assert "default" not in [line.rsplit("# ", 1)[1] for line in again.splitlines()[1:] if line[0] != "#"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_opens_with_examples_and_names_variables_and_exit_codes(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser, argv = PARSERS[name](), ARGUMENTS.get(name, [])
    with pytest.raises(SystemExit) as caught:
        parser.read([*argv, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    examples = text.partition("examples:\n")[2].partition("\n\n")[0].splitlines()
    assert len(examples) >= 2
    assert text.index("examples:") < text.index("--help") < text.index("exit codes:")
    assert "ZONE_LOG_LEVEL, default info" in " ".join(text.split())


def test_commands_lists_every_command() -> None:
    assert sorted(PARSERS) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_setting_can_be_set_by_a_variable(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ARGUMENTS.get(name, [])
    values = tomllib.loads(shown(capsys, PARSERS[name](), *argv))[name]
    for key, value in values.items():
        match value:
            case bool():
                text = "1"
            case list():
                text = ",".join(map(str, value))
            case dict():
                text = ",".join(f"{role}={share}" for role, share in value.items())
            case _:
                text = str(value)
        with monkeypatch.context() as context:
            context.setenv("ZONE_" + key.upper().replace("-", "_"), text)
            after = tomllib.loads(shown(capsys, PARSERS[name](), *argv))[name]
        assert after == values | {key: True if isinstance(value, bool) else value}


def test_the_file_in_the_documents_is_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = "\n".join(page.read_text() for page in (ROOT / "README.md", *ROOT.glob("docs/*.md"))).split("```toml\n")[
        1:
    ]
    file = tmp_path / "zone.toml"
    file.write_text(next(block.partition("```")[0] for block in blocks if "[swarm]" in block))
    run, swarm = (
        tomllib.loads(shown(capsys, PARSERS[name](), *ARGUMENTS.get(name, []), "--config", str(file)))[name]
        for name in ("run", "swarm")
    )
    assert (run["port"], run["hz"], run["limits"]) == (7000, 10, {"actions_per_second": 20.0})
    assert (swarm["port"], swarm["time"], swarm["mix"]) == (7000, "2m", {"walker": 90, "stuck": 10})
