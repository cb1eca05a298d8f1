"""Tallies of several processes add up."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

from helpers.swarm_results import histogram, some_tally
from zonetools.swarm.measure.errors import Errors
from zonetools.swarm.measure.tally import Tally

from zoneserver.support.histogram import Histogram


def test_tallies_add_up_field_by_field() -> None:
    one, two = some_tally(1), some_tally(10)
    both = (one + two).to_json()
    for place, field in enumerate(dataclasses.fields(Tally), 1):
        if field.name in {"seconds_measured", "join_seconds"}:
            assert both[field.name] == 10 * place
        elif field.default_factory is Histogram:
            expected = histogram(place, 1000 * place, 10 * place, 10_000 * place)
            assert both[field.name] == expected.to_json(), field.name
        elif field.default_factory is Counter:
            assert both[field.name] == {"A": 11 * place, "ONLY_1": 1, "ONLY_10": 1}, field.name
        elif field.default_factory is Errors:
            counts = {group.code: group.count for group in (one + two).errors.groups()}
            assert counts == {"A": 11 * place, "ONLY_1": 1, "ONLY_10": 1}, field.name
        else:
            assert both[field.name] == 11 * place, field.name


def test_an_empty_tally_adds_nothing() -> None:
    assert (some_tally(3) + Tally()).to_json() == some_tally(3).to_json()
    assert sum([some_tally(3), some_tally(4)], Tally()).to_json() == (some_tally(3) + some_tally(4)).to_json()


def test_a_tally_comes_back_from_json_as_it_was() -> None:
    tally = some_tally(7)
    back = Tally.from_json(json.loads(json.dumps(tally.to_json())))
    assert back.to_json() == tally.to_json()
    assert (back + back).to_json() == (tally + tally).to_json()
    assert back.refused["NEVER"] == 0
