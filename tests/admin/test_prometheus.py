"""Statistics for Prometheus: every field is exposed, with a conventional name and unit."""

from __future__ import annotations

import dataclasses
import re
import sys
from typing import Any

import pytest
from helpers.server_stats import gateway_stats
from prometheus_client.parser import text_string_to_metric_families

from zoneserver.admin.gateway_stats import GATEWAY_METRICS
from zoneserver.admin.prometheus import load_exposition
from zoneserver.admin.stats import METRICS, Stats
from zoneserver.support.errors import MissingExtraError
from zoneserver.support.histogram import DurationBuckets
from zoneserver.support.statistic import Metric

# Fields whose unit differs from that of their metric.
SCALES = {
    "tick_ms": 0.001,
    "phases_ms": 0.001,
    "tick_durations_ms": 0.001,
    "phase_durations_ms": 0.001,
    "cpu_percent": 0.01,
    "journal_longest_write_ms": 0.001,
    "lead_ms": 0.001,
}
FIELDS = {field.name: str(field.type) for field in dataclasses.fields(Stats)}


def stats(**figures: Any) -> Stats:
    """Statistics in which all values differ."""
    values: dict[str, Any] = {}
    for number, (name, kind) in enumerate(FIELDS.items(), 101):
        values[name] = {"int": number, "float": number + 0.5, "str": f"text {number}"}.get(kind) or {
            key: number + share for key, share in (("A", 0.25), ("B", 0.75))
        }
    values["gateway"], values["link"], values["gateways"] = (
        "",
        "",
        [gateway_stats(), gateway_stats("gw2", is_lost=True)],
    )
    values["tick_ms"] = {"p50": 1.25, "p99": 2.25, "max": 3.25}
    # Histograms are of another form, and have tests of their own.
    values["tick_durations_ms"], values["phase_durations_ms"] = DurationBuckets().to_json(), {}
    return Stats(**(values | figures))


def samples(snapshot: Stats) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The values that a scraper reads, by name and labels."""
    text = load_exposition()(snapshot).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in ("counter", "gauge", "summary", "histogram")
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, "each sample appears once"
            found[key] = sample.value
    return found


def test_exposition_has_every_field_and_no_other() -> None:
    snapshot = stats()
    left = {key: value for key, value in samples(snapshot).items() if "gateway" not in dict(key[1])}
    assert left.pop(("zone_gateways", ())) == 1, "one is lost"
    ((_, labels),) = [key for key in left if key[0] == "zone_info"]
    del left["zone_info", labels]
    left = {key: value for key, value in left.items() if not key[0].startswith("zone_tick_duration_seconds")}
    info = dict(labels)
    for name in FIELDS:
        value = getattr(snapshot, name)
        if METRICS[name].kind == "histogram" or name in {"gateways", "gateway", "link"}:
            continue
        if name in info:
            assert info.pop(name) == str(value)
            continue
        for number in value.values() if isinstance(value, dict) else [value]:
            scaled = pytest.approx(number * SCALES.get(name, 1.0))
            ((key, _),) = [item for item in left.items() if item[1] == scaled]
            del left[key]
    assert not left
    assert not info


def test_samples_of_a_table_are_labelled_with_code_phase_or_quantile() -> None:
    found = samples(stats(closes={"FLOOD": 3}, refusals={'A "B"\n\\': 2}, restraints={}, phases_ms={"rules": 5.0}))
    assert found["zone_closes_total", (("code", "FLOOD"),)] == 3
    assert found["zone_refusals_total", (("code", 'A "B"\n\\'),)] == 2
    assert found["zone_phase_seconds", (("phase", "rules"),)] == pytest.approx(0.005)
    assert found["zone_tick_seconds", (("quantile", "0.99"),)] == pytest.approx(0.00225)
    assert not [name for name, _ in found if name == "zone_restraints_total"]


def test_figures_of_gateways_have_their_name_as_a_label() -> None:
    found = samples(stats())
    assert found["zone_gateway_players", (("gateway", "gw1"),)] == 300
    assert found["zone_gateway_cpu_ratio", (("gateway", "gw2"),)] == pytest.approx(0.41)
    assert [found["zone_gateway_lost", (("gateway", name),)] for name in ("gw1", "gw2")] == [0, 1]
    facts = {"gateway": "gw1", "address": "127.0.0.1:7777", "stats": "127.0.0.1:7779", "pid": "201", "host": "one"}
    assert found["zone_gateway_attached_info", tuple(sorted(facts.items()))] == 1
    numbers = {name for name, labels in found if dict(labels) == {"gateway": "gw1"}}
    assert numbers == {metric.name for metric in GATEWAY_METRICS.values() if metric.kind != "info"}


def test_gateway_names_itself_and_an_ordinary_server_says_nothing_of_gateways() -> None:
    own = {name for name, _ in samples(stats(gateways=[]))}
    assert {name for name in own if name.startswith("zone_gateway_")} == set()
    found = samples(stats(gateways=[], gateway="gw1", link="unix:/run/zone.sock"))
    assert found["zone_gateway_info", (("gateway", "gw1"), ("link", "unix:/run/zone.sock"))] == 1
    # Every other metric has the name that it has of a server, without the gateway's name.
    assert {name for name, _ in found} == own | {"zone_gateway_info"}


def test_histograms_have_cumulative_buckets_by_upper_bound_in_seconds() -> None:
    buckets = DurationBuckets()
    for seconds in (0.0004, 0.02, 0.07, 0.5):
        buckets.record(seconds)
    found = samples(stats(tick_durations_ms=buckets.to_json(), phase_durations_ms={"rules": buckets.to_json()}))
    for name, labels in (("zone_tick_duration_seconds", ()), ("zone_phase_duration_seconds", (("phase", "rules"),))):
        counts = {dict(key[1])["le"]: value for key, value in found.items() if key[0] == f"{name}_bucket"}
        assert counts == {
            "0.001": 1,
            "0.002": 1,
            "0.005": 1,
            "0.01": 1,
            "0.02": 2,
            "0.03": 2,
            "0.05": 2,
            "0.075": 3,
            "0.1": 3,
            "0.2": 3,
            "+Inf": 4,
        }
        assert found[f"{name}_count", labels] == 4
        assert found[f"{name}_sum", labels] == pytest.approx(0.5904)


@pytest.mark.parametrize(("field", "metric"), [*METRICS.items(), *GATEWAY_METRICS.items()])
def test_metric_names_follow_the_rules_of_prometheus(field: str, metric: Metric) -> None:
    assert re.fullmatch(r"zone(_[a-z]+)+", metric.name)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert not re.search("_ms|percent|_in_|_out_", metric.name)
    if "bytes" in field:
        assert "_bytes" in metric.name
    if SCALES.get(field) == 0.001 or "seconds" in field or field.endswith("_s"):
        assert "_seconds" in metric.name


def test_exposition_without_its_package_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client.exposition", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'zoneserver\[metrics\]'"):
        load_exposition()
