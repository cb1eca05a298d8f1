"""The micro benchmarks."""

from __future__ import annotations

import pytest
from zonetools.bench import micro_benchmarks
from zonetools.bench.micro_benchmarks import MICRO, run_micro


@pytest.mark.parametrize("name", MICRO)
def test_run_micro_times_the_work_as_often_as_requested(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(micro_benchmarks, "_RUN_SECONDS", 0.001)
    result = run_micro(name, 3)
    assert (result.name, result.unit) == (name, MICRO[name].unit)
    assert len(result.cpu_us_runs) == 3
    assert result.cpu_us == sorted(result.cpu_us_runs)[1] > 0


def test_micro_benchmarks_do_their_work() -> None:
    frame_encode = MICRO["frame_encode"].prepare()
    assert frame_encode() == frame_encode()
    action_apply = MICRO["action_apply"].prepare()
    assert action_apply() is None
    assert action_apply() is None
    near = MICRO["near"].prepare()
    assert near() == near()
    assert 18_000 < near() < 22_000, "each of 1,000 searches finds about 20"
