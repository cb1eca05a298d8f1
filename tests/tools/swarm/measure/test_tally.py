"""The tallies of several workers add up."""

from __future__ import annotations

import dataclasses
import pickle
from collections import Counter
from typing import Any

from helpers.swarm_results import distinct_tally, histogram
from zonetools.swarm.measure.errors import Errors
from zonetools.swarm.measure.places import Places
from zonetools.swarm.measure.tally import Tally

from zoneserver.support.histogram import Histogram


def test_tallies_add_up_field_by_field() -> None:
    one, two = distinct_tally(1), distinct_tally(10)
    both = one + two
    for number, field in enumerate(dataclasses.fields(Tally), 1):
        if field.name in {"seconds_measured", "join_seconds"}:
            assert getattr(both, field.name) == 10 * number
        elif field.default_factory is Histogram:
            expected = histogram(number, 1000 * number, 10 * number, 10_000 * number)
            assert getattr(both, field.name).to_json() == expected.to_json(), field.name
        elif field.default_factory is Counter:
            assert getattr(both, field.name) == {"A": 11 * number, "ONLY_1": 1, "ONLY_10": 1}, field.name
        elif field.default_factory is Errors:
            counts = {group.code: group.count for group in both.errors.groups()}
            assert counts == {"A": 11 * number, "ONLY_1": 1, "ONLY_10": 1}, field.name
        elif field.default_factory is Places:
            # The first tally is of a swarm with one address, the second one of a swarm with ten.
            assert [place.joined for place in getattr(both, field.name).each] == [11 * number, *[10 * number] * 9]
        else:
            assert getattr(both, field.name) == 11 * number, field.name


def test_empty_tally_adds_nothing() -> None:
    assert values_of(distinct_tally(3) + Tally()) == values_of(distinct_tally(3))
    both = distinct_tally(3) + distinct_tally(4)
    assert values_of(sum([distinct_tally(3), distinct_tally(4)], Tally())) == values_of(both)


def test_tally_reaches_another_process_whole() -> None:
    tally = distinct_tally(7)
    back = pickle.loads(pickle.dumps(tally))
    assert values_of(back) == values_of(tally)
    assert values_of(back + back) == values_of(tally + tally)
    assert back.refused["NEVER"] == 0


def values_of(tally: Tally) -> dict[str, Any]:
    values = {field.name: getattr(tally, field.name) for field in dataclasses.fields(tally)}
    values = {name: value.to_json() if isinstance(value, Histogram) else value for name, value in values.items()}
    values["places"] = [place.joined for place in tally.places.each]
    return values | {"errors": tally.errors.groups()}
