"""docs/grafana.json, docs/prometheus.yml and docs/alerts.yml: what they ask for exists, in a real Prometheus too."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.markdown import Page
from helpers.paths import ROOT
from helpers.server_stats import gateway_stats
from zoneclient import ActionRefusedError, connect

from zoneserver import ZoneServer
from zoneserver.admin.gateway_stats import GATEWAY_METRICS
from zoneserver.admin.stats import METRICS, Stats
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.codes import ORDINARY_CLOSES

needs_prometheus = pytest.mark.skipif(
    None in (shutil.which("prometheus"), shutil.which("promtool")),
    reason="Prometheus is not installed: apt-get install prometheus",
)

BOARD = json.loads((ROOT / "docs/grafana.json").read_text())
ALERTS = dict(re.findall(r"- alert: (\w+)\n +expr: (.+)\n", (ROOT / "docs/alerts.yml").read_text()))


def expressions(value: Any) -> Iterator[str]:
    """Every `expr` within the dashboard."""
    if isinstance(value, dict):
        if "expr" in value:
            yield value["expr"]
        for inner in value.values():
            yield from expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner)


SHOWN = list(dict.fromkeys(expressions(BOARD)))


def test_every_metric_in_an_expression_exists() -> None:
    exist = {
        metric.name + suffix
        for metric in (*METRICS.values(), *GATEWAY_METRICS.values())
        for suffix in (("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",))
    }
    asked = set(re.findall(r"\bzone_\w+", " ".join([*SHOWN, *ALERTS.values()])))
    assert len(asked) > 40
    assert asked <= exist


def test_panels_show_the_servers_and_the_source_that_are_chosen() -> None:
    names = {variable["name"] for variable in BOARD["templating"]["list"]}
    assert names == {"datasource", "instance"}
    for expression in SHOWN:
        assert expression.count("zone_") == expression.count('{instance=~"$instance"'), expression
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels if "datasource" in panel} == {"${datasource}"}
    rows = [panel["title"] for panel in panels if panel["type"] == "row"]
    assert len(rows) == 7
    # No two panels lie upon each other.
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


def test_every_alert_has_a_row() -> None:
    assert [row[0].strip("`") for row in Page("docs/operate.md").rows("Alerts")] == list(ALERTS)


def test_kicks_are_all_closes_but_the_ordinary_ones() -> None:
    (codes,) = re.findall(r'code!~"(.*?)"', ALERTS["ZoneKicks"])
    assert set(codes.split("|")) == set(ORDINARY_CLOSES)


# --- With a real Prometheus -----------------------------------------------------------------------


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def series(name: str, **labels: str) -> str:
    """A series of the server that is tested."""
    given = {"instance": "a", "job": "zone", **labels}
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in given.items()) + "}"


def alert_test(name: str, values: dict[str, str], at: str, value: dict[str, str] | None) -> dict[str, Any]:
    """A test of promtool: whether an alert fires at a moment. `value` are labels of the one that does."""
    fired = [] if value is None else [{"exp_labels": {"instance": "a", "job": "zone", **value}}]
    return {
        "interval": "15s",
        "input_series": [{"series": key, "values": text} for key, text in values.items()],
        "alert_rule_test": [{"eval_time": at, "alertname": name, "exp_alerts": fired}],
    }


@needs_prometheus
def test_alerts_fire_when_they_should_and_not_before(tmp_path: Path) -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "config", ROOT / "docs/prometheus.yml")
    ticks, overruns, dilation = map(series, ("zone_ticks_total", "zone_overruns_total", "zone_dilation_ratio"))
    flood, left = (series("zone_closes_total", code=code) for code in ("FLOOD", "CLIENT_LEFT"))
    lost, silent, hz = map(series, ("zone_gateways_lost_total", "zone_silent_seconds", "zone_tick_rate_hertz"))
    slow, swift = (series("zone_gateway_behind_ticks", gateway=name) for name in ("gw1", "gw2"))
    critical = {"severity": "critical"}
    # Nothing but the labels is compared: the sentences are for people.
    text = re.sub(r"\n +annotations:\n +summary: .*", "", (ROOT / "docs/alerts.yml").read_text())
    (tmp_path / "alerts.yml").write_text(text)
    tests = [
        alert_test("ZoneOverruns", {ticks: "0+300x60", overruns: "0+4x60"}, "10m", {"severity": "warning"}),
        alert_test("ZoneOverruns", {ticks: "0+300x60", overruns: "0+2x60"}, "10m", None),
        alert_test("ZoneDilated", {dilation: "1x8 0.5x20"}, "3m45s", {"severity": "critical"}),
        alert_test("ZoneDilated", {dilation: "1x8 0.5x20"}, "3m", None),
        alert_test("ZoneKicks", {flood: "0+3x60"}, "10m", {"severity": "warning", "code": "FLOOD"}),
        alert_test("ZoneKicks", {left: "0+3x60"}, "10m", None),
        alert_test("ZoneGatewayLost", {lost: "0x20 1x40"}, "6m", critical),
        alert_test("ZoneGatewayLost", {lost: "0x20 1x40"}, "5m", None),
        alert_test(
            "ZoneGatewayBehind",
            {hz: "20x60", slow: "1x20 1+300x20", swift: "1x60"},
            "6m",
            {**critical, "gateway": "gw1"},
        ),
        alert_test("ZoneGatewaySilent", {silent: "0.04x20 15+15x20"}, "6m", critical),
        alert_test("ZoneGatewaySilent", {silent: "0.04x20 1.5x1 0.04x20"}, "6m", None),
    ]
    # YAML is a superset of JSON.
    (tmp_path / "test.yml").write_text(
        json.dumps({"rule_files": ["alerts.yml"], "evaluation_interval": "15s", "tests": tests})
    )
    promtool("test", "rules", tmp_path / "test.yml")


@contextmanager
def running_prometheus(folder: Path, stats_port: int | None) -> Iterator[str]:
    """A Prometheus with the settings of docs/, which reads one server far more often. Gives its address."""
    settings = (ROOT / "docs/prometheus.yml").read_text().replace("127.0.0.1:7778", f"127.0.0.1:{stats_port}")
    (folder / "prometheus.yml").write_text(settings.replace("scrape_interval: 5s", "scrape_interval: 100ms"))
    shutil.copy(ROOT / "docs/alerts.yml", folder)
    command = ["prometheus", "--config.file=prometheus.yml", "--web.listen-address=127.0.0.1:0"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            address = ""
            for line in process.stderr:
                if found := re.search(r'msg="Listening on" address=(\S+)', line):
                    address = found[1]
                # It listens before it is ready, and answers 503 meanwhile.
                if "Server is ready to receive web requests" in line:
                    break
            yield f"http://{address}"
        finally:
            process.kill()
            process.stderr.read()


def samples(address: str, expression: str) -> int:
    """How many samples an expression gives."""
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{address}/api/v1/query?{query}", timeout=10) as answer:
        return len(json.loads(answer.read())["data"]["result"])


class WithGateways(ZoneServer):
    """A server whose statistics tell of two gateways."""

    def stats(self) -> Stats:
        return dataclasses.replace(super().stats(), gateways=[gateway_stats("gw1"), gateway_stats("gw2")])


@needs_prometheus
def test_every_expression_gives_samples_of_a_real_zone(tmp_path: Path) -> None:
    asked = [re.sub(r"\[\$__rate_interval\]", "[1m]", expression) for expression in [*SHOWN, *ALERTS.values()]]
    # A comparison gives no sample while it does not hold; with `bool` it does.
    asked = [re.sub(r" ([<>]|==) ", r" \1 bool ", expression).replace("$instance", ".*") for expression in asked]
    # Nobody was warned.
    left = {expression for expression in asked if "zone_restraints_total" not in expression}
    assert len(left) > 60

    async def main() -> None:
        async with WithGateways(Plaza, port=0, stats_port=0) as server:
            with running_prometheus(tmp_path, server.stats_port) as address:

                async def step() -> None:
                    async with connect("127.0.0.1", server.port, name="ann") as ann:
                        with pytest.raises(ActionRefusedError):
                            await ann.done(ann.act("nothing"))
                    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
                    writer.write(b"\xff\xff\xff\xff")
                    writer.close()
                    found = await asyncio.to_thread(lambda: {each for each in left if samples(address, each)})
                    left.difference_update(found)

                async with asyncio.timeout(30):
                    while left:
                        await step()

    asyncio.run(main())
