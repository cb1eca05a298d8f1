"""What makes up inputs, runs a target on them, and keeps the one that fails."""

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

NAMES = ("framing", "decoding", "replica", "client", "session", "gateway")
"""Every target, in the order in which they are run."""
HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
"""Inputs that failed once, by target. They are tests: each run of the suite tries them all. What they mean
depends on the golden messages, so what was mended has a test of its own besides."""
EXPLORED = HERE.parent.parent / ".fuzz"
"""What atheris has found worth keeping, by target: the next run begins where this one stopped."""
FAILED = 3
"""The exit code of a process that found a failure, and has told of it."""
INPUT_BYTES_MAX = 512
SHRINK_RUNS_MAX = 2_000


class Run:
    """One target, and in `figures` how many inputs and frames it ran: shared, to outlive this process."""

    def __init__(self, name: str, figures: MutableSequence[int], corpus: Path = CORPUS) -> None:
        # Here, and not at the top: atheris has to be there before what it instruments.
        from fuzz.targets import TARGETS

        self.name = name
        self._target = TARGETS[name]
        self._figures = figures
        self._corpus = corpus

    def __call__(self, data: bytes) -> None:
        """Runs the target on one input. Where that fails, keeps the input and ends the process."""
        found = self._run(data)
        self._figures[0] += 1
        if isinstance(found, int):
            self._figures[1] += found
            return
        path = self.keep(self.shrunk(data, found))
        print(*traceback.format_exception(found), sep="")
        print(f"{self.name} failed on {path}")
        print(f"to see it again: .venv/bin/python -m pytest tests/test_fuzz.py -k {path.name}", flush=True)
        os._exit(FAILED)

    def _run(self, data: bytes) -> int | BaseException:
        """How many frames there were, or what was raised."""
        try:
            return self._target(data)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # pytest's own failure is no Exception
            return error

    def shrunk(self, data: bytes, error: BaseException) -> bytes:
        """A shorter input with the same kind of error, found by leaving out ever smaller pieces."""
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
        """Writes the input where the tests find it."""
        path = self._corpus / self.name / hashlib.sha256(data).hexdigest()[:16]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


def by_atheris(name: str, seconds: float, figures: MutableSequence[int]) -> None:
    """Coverage-guided: inputs that reach new lines are kept and varied. Ends the process."""
    import atheris

    EXPLORED.mkdir(exist_ok=True)
    # What it has to say of itself is for whoever looks for it.
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
    """Made from golden messages and chance, blind to what they reach."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    from fuzz.inputs import inputs

    run, deadline = Run(name, figures), time.monotonic() + seconds
    # A target may take as long as it likes here, and `Run` shrinks what fails.
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
    """The better engine that is there."""
    return "atheris" if importlib.util.find_spec("atheris") else "hypothesis"
