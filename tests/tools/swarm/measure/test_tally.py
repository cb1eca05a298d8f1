"""The tallies of several workers add up."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

from helpers.swarm_results import distinct_tally, histogram
from zonetools.swarm.measure.errors import Errors
from zonetools.swarm.measure.tally import Tally

from zoneserver.support.histogram import Histogram


def test_tallies_add_up_field_by_field() -> None:
    one, two = distinct_tally(1), distinct_tally(10)
    both = (one + two).to_json()
    for number, field in enumerate(dataclasses.fields(Tally), 1):
        if field.name in {"seconds_measured", "join_seconds"}:
            assert both[field.name] == 10 * number
        elif field.default_factory is Histogram:
            expected = histogram(number, 1000 * number, 10 * number, 10_000 * number)
            assert both[field.name] == expected.to_json(), field.name
        elif field.default_factory is Counter:
            assert both[field.name] == {"A": 11 * number, "ONLY_1": 1, "ONLY_10": 1}, field.name
        elif field.default_factory is Errors:
            counts = {group.code: group.count for group in (one + two).errors.groups()}
            assert counts == {"A": 11 * number, "ONLY_1": 1, "ONLY_10": 1}, field.name
        else:
            assert both[field.name] == 11 * number, field.name


def test_empty_tally_adds_nothing() -> None:
    assert (distinct_tally(3) + Tally()).to_json() == distinct_tally(3).to_json()
    assert (
        sum([distinct_tally(3), distinct_tally(4)], Tally()).to_json()
        == (distinct_tally(3) + distinct_tally(4)).to_json()
    )


def test_tally_survives_json() -> None:
    tally = distinct_tally(7)
    back = Tally.from_json(json.loads(json.dumps(tally.to_json())))
    assert back.to_json() == tally.to_json()
    assert (back + back).to_json() == (tally + tally).to_json()
    assert back.refused["NEVER"] == 0
