"""The engines: they make inputs, run a target on them, and keep an input that fails."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, MutableSequence
from pathlib import Path

__all__ = ["CORPUS", "ENGINES", "FAILED", "NAMES", "Run", "installed_engine"]

NAMES = ("framing", "web_frames", "decoding", "replica", "client", "session", "web_session", "gateway")
"""Every target, in the order in which they are run."""
HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
"""Inputs that failed once, by target. Each run of the test suite tries them all. Their meaning depends on the golden
messages, so each fault that was fixed also has a test of its own."""
EXPLORED = HERE.parent.parent / ".fuzz"
"""Inputs that atheris keeps, by target: the next run begins with them."""
FAILED = 3
"""The exit code of a process that has found and printed a failure."""
INPUT_BYTES_MAX = 512
SHRINK_RUNS_MAX = 2_000


class Run:
    """Runs one target, and counts inputs and frames in `figures`, memory that is shared with the parent process."""

    def __init__(self, name: str, figures: MutableSequence[int], corpus: Path = CORPUS) -> None:
        # Not at the top: atheris must be imported before the modules that it instruments.
        from fuzz.targets import TARGETS

        self.name = name
        self._target = TARGETS[name]
        self._figures = figures
        self._corpus = corpus

    def __call__(self, data: bytes) -> None:
        """Runs the target on one input. If it fails, keeps the input and ends the process."""
        found = self._run(data)
        self._figures[0] += 1
        if isinstance(found, int):
            self._figures[1] += found
            return
        path = self.keep(self.shrunk(data, found))
        print(*traceback.format_exception(found), sep="")
        print(f"{self.name} failed on {path}")
        print(f"to reproduce it: .venv/bin/python -m pytest tests/test_fuzz.py -k {path.name}", flush=True)
        os._exit(FAILED)

    def _run(self, data: bytes) -> int | BaseException:
        """Returns the number of frames, or the exception that was raised."""
        try:
            return self._target(data)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # pytest's failure is not an Exception
            return error

    def shrunk(self, data: bytes, error: BaseException) -> bytes:
        """Returns a shorter input that raises an equal type of error, found by leaving out ever smaller pieces."""
        length, runs = len(data) // 2, 0
        while length and runs < SHRINK_RUNS_MAX:
            place = 0
            while place < len(data) and runs < SHRINK_RUNS_MAX:
                shorter, runs = data[:place] + data[place + length :], runs + 1
                if type(self._run(shorter)) is type(error):
                    data = shorter
                else:
                    place += length
            length //= 2
        return data

    def keep(self, data: bytes) -> Path:
        """Writes the input into the corpus, where the tests find it."""
        path = self._corpus / self.name / hashlib.sha256(data).hexdigest()[:16]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


def by_atheris(name: str, seconds: float, figures: MutableSequence[int]) -> None:
    """Fuzzes guided by coverage: inputs that reach new lines are kept and varied. Ends the process."""
    import atheris

    EXPLORED.mkdir(exist_ok=True)
    # The messages of atheris go to a log file.
    with open(EXPLORED / f"{name}.log", "w") as chatter:
        os.dup2(chatter.fileno(), sys.stderr.fileno())
    with atheris.instrument_imports(include=["zoneserver", "zoneclient"]):
        run = Run(name, figures)
        from fuzz.inputs import seeds
    folders = [EXPLORED / name, CORPUS / name]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (EXPLORED / name / f"seed-{number}").write_bytes(seed)
    options = {
        "max_total_time": max(1, round(seconds)),
        "max_len": INPUT_BYTES_MAX,
        "timeout": 10,
        "artifact_prefix": f"{CORPUS / name}/",
        "verbosity": 0,
    }
    atheris.Setup(["fuzz", *map(str, folders), *(f"-{key}={value}" for key, value in options.items())], run)
    atheris.Fuzz()


def by_hypothesis(name: str, seconds: float, figures: MutableSequence[int]) -> None:
    """Fuzzes with inputs made from golden messages and chance, without coverage."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    from fuzz.inputs import inputs

    run, deadline = Run(name, figures), time.monotonic() + seconds
    # There is no deadline for a target, and `Run` shrinks a failing input.
    at_length = settings(
        max_examples=200, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    with contextlib.suppress(KeyboardInterrupt):
        while time.monotonic() < deadline:

            @seed(random.getrandbits(64))
            @at_length
            @given(inputs(name))
            def some(data: bytes) -> None:
                run(data)

            some()


ENGINES: dict[str, Callable[[str, float, MutableSequence[int]], None]] = {
    "atheris": by_atheris,
    "hypothesis": by_hypothesis,
}


def installed_engine() -> str:
    """Returns the better of the installed engines."""
    return "atheris" if importlib.util.find_spec("atheris") else "hypothesis"
