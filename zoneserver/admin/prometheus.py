"""The statistics in Prometheus' text format.

The text is made when it is requested, from the values of `GET /stats`, so metrics cost a tick nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from zoneserver.admin.gateway_stats import GATEWAY_METRICS, GatewayStats
from zoneserver.admin.stats import METRICS, Stats
from zoneserver.support.errors import MissingExtraError
from zoneserver.support.statistic import Metric

__all__ = ["CONTENT_TYPE", "load_exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of Prometheus' text format."""

# The metrics of facts, which become labels.
_INFO = Metric("The process, game and event loop, as labels.", "zone_info", "info")
_GATEWAY = Metric("The name of this gateway and its link to the zone, as labels.", "zone_gateway_info", "info")
_ATTACHED = Metric("Addresses, process and machine of a gateway, as labels.", "zone_gateway_attached_info", "info")
# (what follows the metric's name, labels, value)
_Sample = tuple[str, dict[str, str], float]
_QUANTILES = {"p50": "0.5", "p99": "0.99", "max": "1"}


def load_exposition() -> Callable[[Stats], bytes]:
    """Returns a function that writes statistics in Prometheus' text format.

    Raises MissingExtraError where prometheus-client is not installed.
    """
    try:
        from prometheus_client.exposition import generate_latest
        from prometheus_client.metrics_core import Metric as Family
        from prometheus_client.registry import Collector
    except ImportError:
        raise MissingExtraError("prometheus-client", "metrics") from None

    class Snapshot(Collector):
        def __init__(self, stats: Stats) -> None:
            self._stats = stats

        def collect(self) -> Iterable[Family]:
            stats = self._stats
            yield family(_INFO, [_facts(_INFO, METRICS, stats)])
            if stats.gateway:
                yield family(_GATEWAY, [_facts(_GATEWAY, METRICS, stats)])
            for field, metric in METRICS.items():
                if metric.kind != "info":
                    yield family(metric, _samples(metric, getattr(stats, field)))
            if stats.gateways:
                yield from of_gateways(stats.gateways)

    def of_gateways(gateways: Sequence[GatewayStats]) -> Iterable[Family]:
        """The metrics of gateways in other processes, each with the gateway's name as a label."""
        yield family(_ATTACHED, [_facts(_ATTACHED, GATEWAY_METRICS, each) for each in gateways])
        for field, metric in GATEWAY_METRICS.items():
            if metric.kind != "info":
                numbers = [({"gateway": each.name}, getattr(each, field) * metric.scale) for each in gateways]
                yield family(metric, [("", labels, number) for labels, number in numbers])

    def family(metric: Metric, samples: Iterable[_Sample]) -> Family:
        made = Family(metric.name.removesuffix("_total").removesuffix("_info"), metric.text, metric.kind)
        for suffix, labels, value in samples:
            made.add_sample(metric.name + suffix, labels, value)
        return made

    return lambda stats: generate_latest(Snapshot(stats))


def _facts(info: Metric, metrics: Mapping[str, Metric], record: object) -> _Sample:
    """The sample with all facts of a record that belong to one metric."""
    values = {field: str(getattr(record, field)) for field, metric in metrics.items() if metric.name == info.name}
    return "", {"gateway" if field == "name" else field: value for field, value in values.items()}, 1.0


def _samples(metric: Metric, value: Any) -> Iterable[_Sample]:
    """The samples of a field."""
    if isinstance(value, list):
        value = sum(gateway.is_here for gateway in value)
    if metric.kind == "histogram":
        if not metric.label:
            return _buckets(metric, {}, value)
        return chain(*(_buckets(metric, {metric.label: key}, table) for key, table in value.items()))
    if not isinstance(value, Mapping):
        return [("", {}, value * metric.scale)]
    return [("", {metric.label: str(_QUANTILES.get(key, key))}, number * metric.scale) for key, number in value.items()]


def _buckets(metric: Metric, labels: dict[str, str], table: Mapping[str, float]) -> Iterable[_Sample]:
    """The samples of one histogram, from the form of `DurationBuckets.to_json`."""
    for key, number in table.items():
        if key == "sum":
            yield "_sum", labels, number * metric.scale
        else:
            bound = key if key == "+Inf" else f"{float(key) * metric.scale:g}"
            yield "_bucket", labels | {"le": bound}, number
    yield "_count", labels, table["+Inf"]
