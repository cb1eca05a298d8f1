"""The statistics in Prometheus' text format.

The text is made when it is requested, from the values of `GET /stats`, so metrics cost a tick nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from zoneserver.admin.stats import METRICS, Stats
from zoneserver.support.errors import MissingExtraError
from zoneserver.support.statistic import Metric

__all__ = ["CONTENT_TYPE", "load_exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of Prometheus' text format."""

_FACTS = [field for field, metric in METRICS.items() if metric.kind == "info"]
_INFO = Metric("The process, game and event loop, as labels.", "zone_info", "info")
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
            yield family(_INFO, [({field: str(getattr(self._stats, field)) for field in _FACTS}, 1.0)])
            for field, metric in METRICS.items():
                if metric.kind != "info":
                    yield family(metric, _samples(metric, getattr(self._stats, field)))

    def family(metric: Metric, samples: Iterable[tuple[dict[str, str], float]]) -> Family:
        made = Family(metric.name.removesuffix("_total").removesuffix("_info"), metric.text, metric.kind)
        for labels, value in samples:
            made.add_sample(metric.name, labels, value)
        return made

    return lambda stats: generate_latest(Snapshot(stats))


def _samples(metric: Metric, value: float | Mapping[str, float]) -> list[tuple[dict[str, str], float]]:
    """(labels, value) of each value of a field."""
    if not isinstance(value, Mapping):
        return [({}, value * metric.scale)]
    return [({metric.label: _QUANTILES.get(key, key)}, number * metric.scale) for key, number in value.items()]
