"""The C# client agrees with `vectors.json`, both ways, and its clock with the one of the Python client."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from golden.document import PATH
from helpers.csharp import Driver

VECTORS: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))


def test_it_reads_every_message_of_a_server(driver: Driver) -> None:
    for vector in VECTORS["messages"] + VECTORS["reads"]:
        if vector.get("from") != "client":
            assert json.loads(driver.ask("?decode", vector["hex"])[0]) == vector["message"], vector["name"]
        if "holds" in vector:
            held = next(each for each in VECTORS["messages"] if each["name"] == vector["holds"])
            assert json.loads(driver.ask("?read", vector["hex"])[0]) == held["message"]


def test_it_writes_every_message_of_a_client(driver: Driver) -> None:
    for vector in VECTORS["messages"]:
        if vector.get("from") == "client":
            written = bytes.fromhex(driver.ask("?encode", vector["hex"])[0])
            # A float may be written in another width.
            assert msgpack.unpackb(written) == msgpack.unpackb(bytes.fromhex(vector["hex"])), vector["name"]
            assert written[:2] == bytes.fromhex(vector["hex"])[:2]


def test_it_ignores_later_ops_and_refuses_what_no_server_sends(driver: Driver) -> None:
    for vector in VECTORS["ignored"]:
        assert driver.ask("?decode", vector["hex"]) == ["ignored"]
    for vector in VECTORS["client_refuses"]:
        if "after" not in vector:
            answers = [driver.ask("?read", vector["hex"])[0]]
        else:
            driver.ask("?new")
            answers = [driver.ask("?apply", hex_)[0] for hex_ in [*vector["after"], vector["hex"]]]
            assert not answers[0].startswith(("refused", "failed")), vector["name"]
        assert answers[-1] == "refused" or "strict" in vector, (vector["name"], answers[-1])


def test_it_cuts_streams_and_reads_tickets(driver: Driver) -> None:
    for vector in VECTORS["streams"]:
        expected = ["error" if vector["error"] else "complete", *vector["payloads"]]
        assert driver.ask("?cut", *vector["chunks"]) == expected, vector["name"]
    for vector in VECTORS["tickets"]:
        assert driver.ask("?ticket", vector["text"]) == [vector["ticket"]]


@pytest.mark.parametrize("vector", VECTORS["chains"], ids=lambda vector: vector["name"])
def test_its_state_is_that_of_each_step(driver: Driver, vector: dict[str, Any]) -> None:
    driver.ask("?new")
    driver.ask("?apply", vector["welcome"])
    for step in vector["steps"]:
        assert json.loads(driver.ask("?apply", step["hex"])[0]) == step["state"]


@pytest.mark.parametrize("vector", VECTORS["sessions"], ids=lambda vector: vector["name"])
def test_it_knows_the_outcomes_of_a_session(driver: Driver, vector: dict[str, Any]) -> None:
    driver.ask("?new")
    known: dict[str, str] = {}
    waiting: list[str] = []
    for step in vector["steps"]:
        if step["from"] == "server":
            outcomes, *waiting = driver.ask("?outcomes", step["hex"])
        elif step["message"]["op"] == "ACT":
            first = step["message"]["seq"]
            outcomes, *waiting = driver.ask("?sent", *range(first, first + len(step["message"]["actions"])))
        else:
            continue
        known |= step.get("outcomes", {})
        assert json.loads(outcomes) == known
    assert [int(seq) for seq in waiting] == vector["waiting"]
