"""The link within one process."""

from __future__ import annotations

from zoneserver.zone.link import Join, Requests
from zoneserver.zone.local_link import LocalZoneLink
from zoneserver.zone.rules import Rules
from zoneserver.zone.zone import Zone


def test_local_link_merges_requests_into_the_input_of_the_next_tick() -> None:
    link = LocalZoneLink(Zone(Rules(), hz=4, seed=1))
    link.send(Requests(joins=[Join(1, "ann", b"", "127.0.0.1")]))
    link.send(Requests(leaves=[7]))
    tick_input = link.take_input(unix_seconds=5.0, dilation_percent=80)
    assert (tick_input.tick, tick_input.unix_seconds, tick_input.dilation_percent) == (1, 5.0, 80)
    assert tick_input.requests == Requests([Join(1, "ann", b"", "127.0.0.1")], [7], [])
    assert link.take_input(5.0).requests == Requests()


def test_local_link_publishes_to_every_subscriber_in_order() -> None:
    zone = Zone(Rules(), hz=4, seed=1)
    link, heard = LocalZoneLink(zone), list[tuple[str, int]]()
    link.subscribe(lambda output: heard.append(("first", output.tick)))
    link.subscribe(lambda output: heard.append(("second", output.tick)))
    link.publish(zone.tick(link.take_input(0.0)))
    assert heard == [("first", 1), ("second", 1)]
