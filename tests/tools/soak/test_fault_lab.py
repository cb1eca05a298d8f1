"""The fault lab: comparisons and addresses."""

from __future__ import annotations

import pytest
from zonetools.soak.fault_lab import Checks, Comparison, Lab


@pytest.mark.parametrize(
    ("control", "attacked", "holds"),
    [(50.0, 52.5, True), (50.0, 52.6, False), (10.0, 11.0, True), (10.0, 11.1, False), (50.0, 40.0, True)],
)
def test_comparison_allows_5_percent_or_1_ms(control: float, attacked: float, holds: bool) -> None:
    checks = Checks()
    Comparison(control, attacked, pairs=1, is_served=True).check(checks)
    assert checks.finding("").ok is holds


def test_address_is_never_used_twice() -> None:
    lab = Lab(quick=True, seed=1)
    drawn = [lab.address() for _ in range(70_000)]
    assert len(set(drawn)) == len(drawn)
    assert all(address.startswith("127.") for address in drawn)
    assert "127.0.0.1" not in drawn
