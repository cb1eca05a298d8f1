"""The fuzz targets with a fixed number of inputs. `make fuzz` runs them for any time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz import targets
from fuzz.engines import CORPUS, FAILED, NAMES, Run
from fuzz.inputs import inputs, seeds
from fuzz.scripts import GOLDEN, RECIPE, UNPACKABLE, payload_of
from fuzz.targets import TARGETS
from hypothesis import given, settings
from zoneclient.errors import DivergedError
from zoneclient.protocol import ClientProtocol

from zoneserver.gateway.session import Session
from zoneserver.protocol.decoding import WireError, decode_client, inflate_message
from zoneserver.protocol.framing import Deframer
from zoneserver.protocol.messages import ClientMessage, Ping
from zoneserver.protocol.websocket import WebSocketReader
from zoneserver.protocol.world import World
from zoneserver.zone.frame_builder import FrameBuilder
from zoneserver.zone.frame_history import History

TESTS = Path(__file__).parent
KEPT = sorted(path for path in CORPUS.glob("*/*") if path.is_file())
EXAMPLES = {
    "framing": 150,
    "web_frames": 150,
    "decoding": 350,
    "replica": 250,
    "client": 150,
    "session": 150,
    "web_session": 100,
    "gateway": 75,
}
"""How many inputs a test generates, without randomness: a quarter second for each target. `make fuzz` makes more."""


def seeds_of(name: str) -> list[bytes]:
    """The seeds of a target. Each seed for the gateway takes a gateway of its own: most of the recipes are left out."""
    found = seeds(name)
    return found if name != "gateway" else found[: len(GOLDEN)] + found[len(GOLDEN) : -8 : 7] + found[-8:]


def run_seeds(name: str) -> int:
    """Runs the seeds from the last, which are the longest stories, to the first."""
    return sum(TARGETS[name](seed) for seed in reversed(seeds_of(name)))


def test_every_target_is_fuzzed() -> None:
    assert tuple(TARGETS) == NAMES == tuple(EXAMPLES)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_kept_input_that_once_failed_passes(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_golden_messages_break_no_promise(name: str) -> None:
    found = seeds_of(name)
    frames = list(map(TARGETS[name], found))
    assert sum(frames) >= len(found)
    assert list(map(TARGETS[name], found[::5])) == frames[::5], "equal inputs ran different numbers of frames"


@pytest.mark.parametrize("name", NAMES)
def test_generated_inputs_break_no_promise(name: str) -> None:
    @settings(max_examples=EXAMPLES[name], derandomize=True, database=None, deadline=None)
    @given(inputs(name))
    def run(data: bytes) -> None:
        assert TARGETS[name](data) >= 0

    run()


@pytest.mark.parametrize("which", range(len(UNPACKABLE)))
def test_recipe_without_changes_gives_the_golden_message(which: int) -> None:
    assert payload_of(RECIPE + bytes((which,))) == UNPACKABLE[which]


# --- Targets notice faults ----------------------------------------------------------------------------


def test_target_notices_a_lost_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Deframer.receive

    def lossy(self: Deframer, data: bytes, limit: int | None = None) -> list[bytes]:
        return receive(self, data, limit)[:2]

    monkeypatch.setattr(Deframer, "receive", lossy)
    with pytest.raises(AssertionError):
        run_seeds("framing")


def test_target_notices_a_fragment_that_is_lost_between_two_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = WebSocketReader.receive

    def forgetful(self: WebSocketReader, data: bytes, limit: int | None = None) -> list[bytes]:
        payloads = receive(self, data, limit)
        self._message = b""
        return payloads

    monkeypatch.setattr(WebSocketReader, "receive", forgetful)
    with pytest.raises(AssertionError):
        run_seeds("web_frames")


def test_target_notices_a_ping_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "_reply", lambda session: session._reader.replies.clear())
    with pytest.raises(AssertionError, match="a ping has no pong"):
        run_seeds("web_session")


def test_target_notices_a_message_that_changes_in_a_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    def sloppy(payload: bytes) -> ClientMessage:
        message = decode_client(payload)
        return Ping(message.token + len(payload)) if isinstance(message, Ping) else message

    monkeypatch.setattr(targets, "decode_client", sloppy)
    with pytest.raises(AssertionError):
        run_seeds("decoding")


def test_target_notices_a_frame_that_breaks_a_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "leave", lambda self, slot: self.holders[str(slot)])
    with pytest.raises(TypeError):
        run_seeds("replica")


def test_target_notices_a_client_that_accepts_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    def lenient(_: ClientProtocol, payload: bytes) -> bytes:
        try:
            return inflate_message(payload)
        except WireError:
            return b"\x9d\x12"

    monkeypatch.setattr(ClientProtocol, "inflate", lenient)
    with pytest.raises(AssertionError):
        run_seeds("client")


def test_target_notices_a_session_that_waits_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "_receive_more", lambda _session: None)
    with pytest.raises(AssertionError):
        run_seeds("session")


def broken(*_: object) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("owner", "method", "instead"),
    [
        (Session, "answer", broken),  # raises for one session
        (FrameBuilder, "left", lambda _builder, _slot: None),  # the frame misses the leave
        (History, "since", lambda history, tick, _: [] if tick else [history.snapshot()]),  # no player catches up
    ],
)
def test_target_notices_a_faulty_gateway(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str, instead: Callable[..., object]
) -> None:
    monkeypatch.setattr(owner, method, instead)
    with pytest.raises((AssertionError, ValueError, DivergedError)):
        run_seeds("gateway")


# --- The runner ----------------------------------------------------------------------------------


def test_failing_input_is_shrunk_and_kept_and_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def target(data: bytes) -> int:
        assert b"bad" not in data
        return 2

    def ended(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setitem(TARGETS, "framing", target)
    monkeypatch.setattr(os, "_exit", ended)
    figures = [0, 0]
    run = Run("framing", figures, tmp_path)
    run(b"good")
    assert figures == [1, 2]
    with pytest.raises(SystemExit) as exit_info:
        run(b"this is bad, and long")
    assert exit_info.value.code == FAILED
    (kept,) = (tmp_path / "framing").iterdir()
    assert kept.read_bytes() == b"bad"
    said = capsys.readouterr().out
    assert "AssertionError" in said
    assert str(kept) in said


def test_fuzz_command_runs_a_target_and_prints_the_count() -> None:
    command = [sys.executable, "-m", "fuzz", "decoding", "--time", "0.2s", "--engine", "hypothesis"]
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, env=environment, cwd=TESTS.parent, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
    row = re.search(r"^decoding +hypothesis +[0-9.]+ +([0-9,]+) +([0-9,]+) .* ok$", done.stdout, re.MULTILINE)
    assert row is not None, done.stdout
    inputs_run, frames_run = (int(figure.replace(",", "")) for figure in row.groups())
    assert inputs_run == frames_run >= 100
