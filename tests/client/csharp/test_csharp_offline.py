"""What the C# client makes of messages that are all there at once."""

from __future__ import annotations

from helpers.csharp import Driver
from helpers.zone_connections import WELCOME

from zoneserver.protocol.messages import Tick

FRAMES = [Tick(1, 100, None, joins=[(0, "ann")]), *(Tick(tick, 100, None) for tick in range(2, 9))]


def offline(driver: Driver, scene: str, *messages: bytes) -> list[str]:
    """Runs a scene of `Offline.cs` in which these messages have arrived."""
    return driver.ask("?offline", scene, *(message.hex() for message in messages))


def test_poll_takes_one_message_at_a_time_when_each_takes_long(driver: Driver) -> None:
    assert offline(driver, "slow", WELCOME, *(frame.encode() for frame in FRAMES)) == ["1"]


def test_exception_of_a_handler_silences_no_other_handler_of_the_same_event(driver: Driver) -> None:
    assert offline(driver, "throws", WELCOME, FRAMES[0].encode()) == ["second", "Lost", "first"]


def test_done_refuses_an_action_whose_outcome_is_no_longer_kept(driver: Driver) -> None:
    answer = offline(driver, "past", WELCOME, FRAMES[0].encode())
    assert answer == ["Lost", "there was no action 1 of late"]


def test_dispose_completes_the_task_of_an_outcome_and_tells_nothing_else(driver: Driver) -> None:
    assert offline(driver, "disposed", WELCOME, FRAMES[0].encode()) == ["Lost CLIENT_LEFT"]


def test_action_that_a_frame_could_not_tell_from_others_is_refused(driver: Driver) -> None:
    happened = Tick(2, 100, None, events=[(0, 1, "say")])
    unanswered, *outcomes = offline(driver, "many", WELCOME, FRAMES[0].encode(), happened.encode())
    assert unanswered == "254"
    assert sorted(outcomes) == ["1 Happened ", *(f"{seq} Refused UNANSWERED" for seq in range(256, 301))]


def test_pauses_of_coming_back_begin_anew_when_a_return_has_held(driver: Driver) -> None:
    assert offline(driver, "cut", WELCOME, FRAMES[0].encode()) == ["1", "0"]
