"""`make fuzz`: runs the fuzz targets for a given time, and prints how many inputs were run."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import MutableSequence, Sequence

from fuzz.engines import ENGINES, FAILED, NAMES, installed_engine
from zoneserver.support.parse import parse_duration

COUNTED = """\
An input is one call of a target. A frame is one length-prefixed frame (framing, replica, client, session), one frame of
WebSocket (web_frames, web_session), one payload (decoding), or one packet that reached the gateway. A frame counts
once, even when its input is run several times to compare splits. Bytes after the end of a session, and incomplete
frames, do not count."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 when nothing failed, 1 when something did, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", default="all", choices=("all", *NAMES))
    parser.add_argument("--time", type=parse_duration, default=60.0, help="for all targets together: 60s, 1h30m")
    parser.add_argument("--engine", choices=ENGINES, default=installed_engine())
    options = parser.parse_args(argv)
    names = NAMES if options.target == "all" else (options.target,)
    print(f"{'target':12}{'engine':11}{'seconds':>9}{'inputs':>14}{'frames':>14}{'frames/s':>11}  result", flush=True)
    results, inputs_total, frames_total = [], 0, 0
    for name in names:
        figures, began = multiprocessing.RawArray("Q", 2), time.monotonic()
        results.append(run(name, options.engine, options.time / len(names), figures))
        seconds, (inputs, frames) = time.monotonic() - began, figures
        row = f"{seconds:9.1f}{inputs:14,}{frames:14,}{frames / seconds:11,.0f}"
        print(f"{name:12}{options.engine:11}{row}  {results[-1]}", flush=True)
        inputs_total, frames_total = inputs_total + inputs, frames_total + frames
        if results[-1] == INTERRUPTED:
            break
    failed = sum(result not in (FINE, INTERRUPTED) for result in results)
    print(f"{'all':32}{inputs_total:14,}{frames_total:14,}{'':11}  {failed} failed\n\n{COUNTED}")
    return 1 if failed else 130 if INTERRUPTED in results else 0


FINE, INTERRUPTED = "ok", "interrupted"


def run(name: str, engine: str, seconds: float, figures: MutableSequence[int]) -> str:
    """Fuzzes one target in a process of its own, since a failure may end the process."""
    process = multiprocessing.get_context("spawn").Process(target=ENGINES[engine], args=(name, seconds, figures))
    process.start()
    try:
        process.join()
    except KeyboardInterrupt:
        process.join()
        return INTERRUPTED
    match process.exitcode:
        case 0:
            return FINE
        case code if code == FAILED:
            return "FAILED, see above"
        case code:
            # A signal, or the exit code of atheris for an input that takes too long or too much memory.
            return f"FAILED, the process ended with {code}"


if __name__ == "__main__":
    sys.exit(main())
