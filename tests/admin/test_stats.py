"""The declarations of the statistics."""

import dataclasses
import json

from helpers.server_stats import gateway_stats

from zoneserver.admin.gateway_stats import GATEWAY_METRICS
from zoneserver.admin.stats import METRICS, STATS_SCHEMA, Stats
from zoneserver.gateway.counters import GatewayCounters


def test_counters_begin_at_zero_with_tables_of_their_own() -> None:
    one, other = GatewayCounters(), GatewayCounters()
    one.refusals["DEAD"] += 1
    assert not other.refusals
    assert not any(dataclasses.asdict(other).values())


def test_every_statistic_is_a_plain_value_that_survives_json() -> None:
    values = {field.name: {"p50": 1.0} if "dict" in str(field.type) else 1 for field in dataclasses.fields(Stats)}
    values |= {"schema": STATS_SCHEMA, "gateways": [gateway_stats()]}
    stats = Stats(**values)  # type: ignore[arg-type]
    document = json.loads(json.dumps(stats.to_json()))
    assert document == values | {"gateways": [dataclasses.asdict(gateway_stats())]}
    assert Stats.from_json(document) == stats


def test_every_statistic_has_a_metric_with_a_name_of_its_own() -> None:
    metrics = [*METRICS.values(), *GATEWAY_METRICS.values()]
    names = [metric.name for metric in metrics if metric.kind != "info"]
    assert len(set(names)) == len(names)
    assert all(metric.text.endswith(".") for metric in metrics)
    assert all((metric.kind == "counter") == metric.name.endswith("_total") for metric in metrics)
