"""Every command under odd conditions: closed descriptors, full disks, a removed folder, ASCII, -OO, early signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.paths import ROOT
from helpers.run_command import PATIENCE_SECONDS

from zoneserver.support.event_loop import loop_factory

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")

LOOPS = ["asyncio", *(["uvloop"] if loop_factory("auto")[0] == "uvloop" else [])]
RUN = ("zoneserver", "run", "--port", "0", "--stats-port", "0", "--duration", "100ms")
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii:strict"}
PROGRAMS = (
    "zoneserver",
    "zoneclient",
    "zonetools.swarm",
    "zonetools.dashboard",
    "zonetools.compare",
    "zonetools.soak",
    "zonetools.bench",
    "zonetools.bench.gateways",
    "zonetools.demo",
    "zonetools.picture",
)
# What each program does at its shortest, and its exit code then.
SHORTEST = {
    "run": (RUN, 0),
    "check": (("zoneserver", "check", "zoneserver.games.tag:Tag"), 0),
    "ticket": (("zoneserver", "ticket", "ann"), 0),
    "client": (("zoneclient", "ann", "--port", "1"), 3),
    "swarm": (("zonetools.swarm", "--port", "1", "--bots", "1", "--time", "10ms"), 3),
    "dash": (("zonetools.dashboard", "--once", "--stats-port", "1"), 3),
    "soak": (("zonetools.soak", "--list"), 0),
}


def run(
    *command: str,
    python: tuple[str, ...] = (),
    before: Any = None,
    environment: dict[str, str] | None = None,
    **more: Any,
) -> subprocess.CompletedProcess[bytes]:
    """Runs a program as a user does: with a buffered standard output."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    path = os.pathsep.join(map(str, (ROOT, ROOT / "client", ROOT / "tools")))
    own |= {"PYTHONPATH": path, "ZONE_SECRET": "a secret of the tests", **(environment or {})}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ROOT}
    command = (sys.executable, *python, "-m", *command)
    return subprocess.run(command, env=own, preexec_fn=before, timeout=PATIENCE_SECONDS, check=False, **pipes | more)


def closing(*descriptors: int) -> Any:
    return lambda: [os.close(each) for each in descriptors]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_run_with_closed_descriptors_ends_well_and_prints_only_json_on_stdout(
    closed: tuple[int, ...], loop: str
) -> None:
    done = run(*RUN, "--json", "--loop", loop, before=closing(*closed))
    assert done.returncode == 0
    assert done.stdout == b"" if 1 in closed else json.loads(done.stdout)["schema"] == "zone-stats/1"
    assert (b"Ctrl-C to stop" in done.stderr) == (2 not in closed)


@pytest.mark.parametrize("name", SHORTEST)
def test_a_command_with_all_descriptors_closed_ends_with_its_exit_code(name: str) -> None:
    command, code = SHORTEST[name]
    assert run(*command, before=closing(0, 1, 2)).returncode == code


@pytest.mark.parametrize("name", SHORTEST)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_command_with_a_full_disk_ends_with_a_line_and_its_verdict(name: str, stream: str) -> None:
    command, code = SHORTEST[name]
    with Path("/dev/full").open("wb") as full:
        done = run(*command, **{stream: full})
    if stream == "stdout" and name in {"ticket", "soak"}:
        code = 3  # Its output is all that it is for.
    assert done.returncode == code
    if stream == "stdout":
        assert b"Traceback" not in done.stderr
        assert (
            b"cannot write to standard output: No space left on device" in done.stderr or code == done.returncode != 0
        )
        assert done.stderr.strip()


@pytest.mark.parametrize("arguments", [("run", "--show-config"), ("--help",)], ids=" ".join)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_settings_on_a_full_disk_are_an_error(arguments: tuple[str, ...], unbuffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run("zoneserver", *arguments, stdout=full, environment={"PYTHONUNBUFFERED": unbuffered})
    # argparse itself hides the error of a help that is not buffered.
    if arguments != ("--help",) or not unbuffered:
        assert done.returncode == 3
        assert done.stderr.endswith(b"cannot write to standard output: No space left on device\n")
        assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("name", SHORTEST)
def test_a_command_in_a_removed_folder_ends_with_one_line(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    done = run(*SHORTEST[name][0], cwd=folder, before=folder.rmdir)
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.endswith(b": the current folder does not exist any more: cd to a folder that does\n")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("name", SHORTEST)
def test_a_command_in_a_locale_without_unicode_ends_with_its_exit_code(name: str) -> None:
    command, code = SHORTEST[name]
    done = run(*command, environment=ASCII)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr


def test_a_text_that_the_locale_does_not_have_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "spiel.py").write_text(
        "from zoneserver import Rules\n\n\nclass Spiel(Rules):\n    name = 'Zürich \u2603'\n", encoding="utf-8"
    )
    for environment, shown in (ASCII, b"Z\\xfcrich \\u2603"), ({"PYTHONIOENCODING": "latin-1"}, b"Z\xfcrich \\u2603"):
        done = run("zoneserver", "check", "spiel:Spiel", cwd=tmp_path, environment=environment)
        assert shown in done.stdout
        assert b"Traceback" not in done.stderr


HELPS = """\
import runpy, sys
for number, name in enumerate(sys.argv[1:]):
    print("\\f" if number else "", end="\\n" if number else "")
    sys.argv = [name, "--help"]
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        assert end.code in (0, None), name
"""


def test_help_says_what_a_program_does_without_docstrings(tmp_path: Path) -> None:
    # One process for all of them: without its cache Python compiles every module anew.
    (tmp_path / "helps.py").write_text(HELPS)
    path = os.pathsep.join(map(str, (ROOT, ROOT / "client", ROOT / "tools", tmp_path)))
    done = run("helps", *PROGRAMS, python=("-OO",), environment={"PYTHONPATH": path})
    assert (done.returncode, done.stderr) == (0, b"")
    helps = done.stdout.split(b"\f\n")
    assert len(helps) == len(PROGRAMS)
    for program, text in zip(PROGRAMS, helps, strict=True):
        assert len(text.split(b"\n\n")[1].split()) > 3, program


@pytest.mark.parametrize("files", [5, 12, 40])
def test_run_with_a_low_limit_of_open_files_names_the_line_to_type(files: int) -> None:
    import resource

    done = run(*RUN, before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))
    assert done.returncode == 3
    assert done.stderr == b"zoneserver: the command needs 64 open files: ulimit -n 64\n"


SIGNALLED = """\
import builtins, os, signal, sys
from zoneserver.cli.start import start
imported = builtins.__import__
def signalling(name, *rest, **more):
    # The signal comes among the imports of the command.
    if name == "argparse":
        builtins.__import__ = imported
        os.kill(os.getpid(), signal.SIGINT)
    return imported(name, *rest, **more)
builtins.__import__ = signalling
sys.exit(start("zoneserver.cli.main"))
"""


def test_an_interrupt_among_the_imports_ends_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "signalled.py").write_text(SIGNALLED)
    path = os.pathsep.join(map(str, (ROOT, tmp_path)))
    done = run("signalled", environment={"PYTHONPATH": path})
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


SERVING = """\
import builtins, os, signal, sys
from zoneserver.cli import start
imported = builtins.__import__
def signalling(name, *rest, **more):
    if name == "argparse":
        builtins.__import__ = imported
        os.kill(os.getpid(), signal.SIGUSR2)
    return imported(name, *rest, **more)
builtins.__import__ = signalling
code = start.server()
os.kill(os.getpid(), signal.SIGUSR2)
sys.exit(code)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="this system has no such signal")
def test_signal_of_a_service_that_comes_early_stops_it_in_good_order_and_a_late_one_does_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "serving.py").write_text(SERVING)
    path = os.pathsep.join(map(str, (ROOT, tmp_path)))
    done = run("serving", *RUN[1:-2], environment={"PYTHONPATH": path})
    assert (done.returncode, b"stopping: closing all sessions" in done.stderr) == (0, True), done.stderr


def test_a_command_collects_the_garbage_of_its_work_and_leaves_out_what_it_imported(tmp_path: Path) -> None:
    (tmp_path / "counted.py").write_text(
        "import asyncio, gc\nmain = lambda: gc.isenabled() * 2 + (gc.get_freeze_count() > 10_000)\n"
    )
    path = os.pathsep.join(map(str, (ROOT, tmp_path)))
    started = "import sys; from zoneserver.cli.start import start; sys.exit(start('counted'))"
    done = subprocess.run([sys.executable, "-c", started], env=os.environ | {"PYTHONPATH": path}, timeout=30)
    assert done.returncode == 3


def test_importing_the_packages_imports_nothing_large() -> None:
    for package in ("zoneserver.cli.start", "zoneclient"):
        code = f"import sys, {package}; print('asyncio' in sys.modules, 'msgpack' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout == "False False\n", package


def test_an_exception_that_nothing_can_catch_is_a_line_of_the_log() -> None:
    program = (
        "import sys\n"
        "from zoneserver.cli import start\n"
        "class Late:\n"
        "    def __del__(self): raise ValueError('too late')\n"
        "sys.unraisablehook = start._log_unraisable\n"
        "from zoneserver.support.logs import drain_logs, set_up_logs\n"
        "set_up_logs('info', 'text'); Late(); drain_logs()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert "ERROR" in line
    assert "ValueError('too late')" in line
