"""The declarations of the statistics."""

import dataclasses
import json

from zoneserver.admin.stats import METRICS, Stats
from zoneserver.gateway.counters import GatewayCounters


def test_counters_begin_at_zero_with_tables_of_their_own() -> None:
    one, other = GatewayCounters(), GatewayCounters()
    one.refusals["DEAD"] += 1
    assert not other.refusals
    assert not any(dataclasses.asdict(other).values())


def test_every_statistic_is_a_plain_value_that_survives_json() -> None:
    values = {field.name: {"p50": 1.0} if "dict" in str(field.type) else 1 for field in dataclasses.fields(Stats)}
    stats = Stats(**values)  # type: ignore[arg-type]
    assert json.loads(json.dumps(stats.to_json())) == values


def test_every_statistic_has_a_metric_with_a_name_of_its_own() -> None:
    names = [metric.name for metric in METRICS.values() if metric.kind != "info"]
    assert len(set(names)) == len(names)
    assert all(metric.text.endswith(".") for metric in METRICS.values())
    assert all((metric.kind == "counter") == metric.name.endswith("_total") for metric in METRICS.values())
