"""docs/operate.md explains each field, metric, code and column that there is, and none that there is not."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import pytest
from helpers.markdown import Page
from zoneclient import connect
from zonetools.dashboard.screen import lines, panels, processes, tables

from zoneserver import ZoneServer
from zoneserver.admin.gateway_stats import GATEWAY_METRICS
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.codes import CloseReason, RefusalCode

PAGE = Page("docs/operate.md")


def named(heading: str, column: int = 0) -> set[str]:
    """All words in code in one column of the tables of a section."""
    return {name for row in PAGE.rows(heading) if len(row) > column for name in re.findall(r"`([^`]+)`", row[column])}


@pytest.fixture
async def server() -> AsyncIterator[ZoneServer]:
    async with ZoneServer(Plaza, port=0, stats_port=0) as server:
        yield server


async def get(server: ZoneServer, path: str) -> str:
    """A document of the admin port."""

    def read() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.stats_port}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(read)


async def test_every_field_of_the_statistics_has_a_row(server: ZoneServer) -> None:
    assert named("Statistics") == json.loads(await get(server, "/stats")).keys()


async def test_every_metric_has_a_row(server: ZoneServer) -> None:
    metrics = set(re.findall(r"^# TYPE (\w+)", await get(server, "/metrics"), re.MULTILINE))
    # A server that is no gateway leaves out its name.
    assert {name for name in named("Statistics", 1) if re.fullmatch(r"zone_\w+", name)} == metrics | {
        "zone_gateway_info"
    }


def test_every_field_and_metric_of_a_gateway_has_a_row() -> None:
    assert named("The gateways of a zone") == GATEWAY_METRICS.keys()
    assert named("The gateways of a zone", 1) == {metric.name for metric in GATEWAY_METRICS.values()}


async def test_every_field_of_the_sessions_has_a_row(server: ZoneServer) -> None:
    async with connect("127.0.0.1", server.port, name="ann"):
        async with connect("127.0.0.1", server.port, name="bob"):
            pass
        document: dict[str, Any] = json.loads(await get(server, "/sessions"))
    fields = {*document["sessions"][0], *document["closed"][0]}
    assert named("Who is in, and who has gone") == fields


async def test_every_document_has_a_row(server: ZoneServer) -> None:
    try:
        await get(server, "/nothing")
    except urllib.error.HTTPError as error:
        paths = json.loads(error.read())["paths"]
    # The files of the page are no documents for people.
    documents = {f"GET {path}" for path in paths if not path.startswith("/admin")}
    assert named("The admin port") - {"POST /ctl"} == documents


def test_every_close_code_has_a_row_and_says_whether_to_retry() -> None:
    rows = {row[0].strip("`"): row[1] for row in PAGE.rows("Close codes")}
    assert rows == {str(reason): "yes" if reason.retry else "no" for reason in CloseReason}


def test_every_refusal_code_has_a_row() -> None:
    assert named("Refusal codes") == set(RefusalCode)


def test_every_column_of_the_dashboard_has_a_row() -> None:
    columns = {column.name for column in (*tables._SESSIONS, *tables._CLOSES)}
    assert named("Sessions and recent closes") == columns
    assert named("Gateways") == {column.name for column in processes.PROCESSES}
    assert named("Lines") == {name for name, _ in lines._COLUMNS}


def test_every_panel_and_its_labels_have_a_row() -> None:
    charts = set(re.findall(r"`([^`]+)`", PAGE.section("Panels").rpartition("Charts over time")[2]))
    assert named("Panels") | charts == screen_labels()


def screen_labels() -> set[str]:
    """The headings and labels in the source of the panels: first elements of pairs, and first arguments."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(panels))):
        match node:
            case ast.Tuple(elts=[ast.Constant(value=str(label)), _, *_]):
                found.add(label)
            case ast.Call(
                func=ast.Name(id="heading" | "_barred" | "_timed"), args=[ast.Constant(value=str(label)), *_]
            ):
                found.add(label)
    return found
