"""Private messages that come again after a lost connection."""

from zoneclient.private_messages import PrivateMessages

from zoneserver.protocol.messages import Told


def told(tick: int) -> Told:
    return Told(tick, "whisper", [tick])


def received(messages: PrivateMessages, *ticks: int) -> list[int]:
    """The ticks of the messages that count."""
    return [tick for tick in ticks if messages.add(told(tick), told(tick).encode())]


def test_messages_that_were_handed_out_ahead_of_their_frame_count_once() -> None:
    messages = PrivateMessages()
    # After a return at tick 10 the messages of 11 to 13 come before the frame of tick 11.
    assert received(messages, 11, 12, 13) == [11, 12, 13]
    assert [each.tick for each in messages.take(11)[1]] == [11, 12, 13]
    # The connection is lost once more, and the client has tick 11.
    messages.expect_again()
    assert received(messages, 12, 13, 14) == [14]
    assert [each.tick for each in messages.take(12)[1]] == [14]
    messages.expect_again()
    assert received(messages, 13, 14) == []


def test_equal_messages_of_a_tick_count_as_often_as_they_were_sent() -> None:
    messages = PrivateMessages()
    assert received(messages, 5, 5) == [5, 5]
    messages.expect_again()
    assert received(messages, 5, 5, 5) == [5]


def test_messages_of_a_tick_that_was_handed_out_do_not_come_again() -> None:
    messages = PrivateMessages()
    received(messages, 7)
    messages.take(7)
    messages.expect_again()
    assert received(messages, 7) == [7]
