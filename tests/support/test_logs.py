"""The log: one line per message, no floods, nothing that steers a terminal."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from zoneserver.support.logs import (
    LOG_FORMATS,
    RateLimit,
    drain_logs,
    fields,
    hold_logs,
    lines_dropped,
    name_gateway,
    set_up_logs,
)

log = logging.getLogger("zoneserver.test")


def logged(capsys: pytest.CaptureFixture[str]) -> str:
    """What the log has written to stderr."""
    drain_logs(10)
    return capsys.readouterr().err


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.mark.parametrize("style", LOG_FORMATS)
def test_a_message_is_one_line_without_control_characters(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("info", style)
    log.warning("player %s left", "a\nb\x1b[31m\u202e")
    (line,) = logged(capsys).splitlines()
    assert line.isprintable()
    assert "player a" in line


@pytest.mark.parametrize("character", ["x", "\U0001f40d"])
def test_a_text_line_has_at_most_200_bytes(character: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("info", "text")
    log.warning("player %s left", character * 10)
    log.warning("player %s left", character * 1_000)
    short, long = logged(capsys).splitlines()
    assert short.endswith(f"player {character * 10} left")
    assert 190 < len(long.encode()) <= 200
    assert long.endswith(f"{character}...")


def test_a_json_line_has_time_level_logger_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("info", "json")
    try:
        raise ZeroDivisionError("nothing")
    except ZeroDivisionError:
        log.exception("it failed")
    line = json.loads(logged(capsys))
    assert (line["level"], line["logger"], line["message"]) == ("error", "zoneserver.test", "it failed")
    assert line["time"].endswith("+00:00")
    assert "ZeroDivisionError" in line["exception"]


def test_a_json_line_has_the_fields_of_the_call_as_keys(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("info", "json")
    log.info("%s left", "ann", extra=fields(player="ann", address="192.0.2.1:4000", code="CLIENT_LEFT"))
    line = json.loads(logged(capsys))
    assert (line["message"], line["player"], line["code"]) == ("ann left", "ann", "CLIENT_LEFT")
    assert line["address"] == "192.0.2.1:4000"


def test_lines_of_a_gateway_have_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("info", "text")
    log.info("nobody is here")
    name_gateway("gw1")
    log.info("%s left", "ann")
    nameless, named = logged(capsys).splitlines()
    assert nameless.endswith(" INFO    nobody is here")
    assert named.endswith(" INFO    gw1 ann left")
    set_up_logs("info", "json")
    log.info("nobody is here")
    name_gateway("gw1")
    log.info("%s left", "ann")
    # The zone's own lines about a gateway have the same field.
    log.info("gateway gw2 attached", extra=fields(gateway="gw2"))
    lines = [json.loads(line) for line in logged(capsys).splitlines()]
    assert [line.get("gateway") for line in lines] == [None, "gw1", "gw2"]


def test_a_traceback_has_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("info", "text")
    try:
        raise ValueError("\x1b[2J from a player")
    except ValueError:
        log.exception("it failed")
    lines = logged(capsys).splitlines()
    assert all(line.isprintable() for line in lines)
    assert lines[-1] == r"ValueError: \x1b[2J from a player"


def test_messages_below_the_level_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("warning", "text")
    log.info("nothing to worry about")
    assert logged(capsys) == ""


def record(text: str, number: int, created: float) -> logging.LogRecord:
    made = logging.LogRecord("zone", logging.INFO, "", 0, text, (number,), None)
    made.created = created
    return made


def test_rate_limit_passes_n_messages_of_one_kind_and_counts_the_others() -> None:
    limit = RateLimit(per_second=3)
    assert [limit.filter(record("kick %d", number, 10.5)) for number in range(100)] == [True] * 3 + [False] * 97
    assert limit.filter(record("another %d", 1, 10.6)), "another kind has a limit of its own"
    late = record("kick %d", 100, 11.2)
    assert limit.filter(late)
    assert late.getMessage() == "(97 more like this were not shown) kick 100"
    assert late.__dict__["fields"] == {"held_back": 97}
    after = record("kick %d", 101, 12.2)
    assert limit.filter(after)
    assert after.getMessage() == "kick 101"


def test_rate_limit_groups_exceptions_by_their_raise_site() -> None:
    limit = RateLimit(per_second=3)

    def failing(number: int) -> bool:
        made = record("a rule failed in tick %d", number, 10.0)
        try:
            if number % 2:
                raise ZeroDivisionError("odd")
            raise ZeroDivisionError("even")
        except ZeroDivisionError as error:
            made.exc_info = type(error), error, error.__traceback__
        return limit.filter(made)

    assert [failing(number) for number in range(8)] == [True] * 6 + [False] * 2


def test_rate_limit_does_not_tell_exceptions_of_callbacks_apart_by_the_addresses_of_objects() -> None:
    limit = RateLimit(per_second=3)

    def failing(number: int) -> bool:
        made = record(f"Exception in callback <method at {number:#x}>", 0, 10.0)
        made.name, made.args = "asyncio", ()
        try:
            raise ZeroDivisionError
        except ZeroDivisionError as error:
            made.exc_info = type(error), error, error.__traceback__
        return limit.filter(made)

    assert [failing(number) for number in range(5)] == [True] * 3 + [False] * 2


def test_rate_limit_remembers_a_bounded_number_of_kinds() -> None:
    limit = RateLimit(per_second=3)
    for number in range(5_000):
        assert limit.filter(record(f"kind {number} %d", number, 10.0))
    assert len(limit._seen) <= 1_001


def test_hold_logs_shows_messages_at_the_end_of_the_block(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("info", "text")
    log = logging.getLogger("test")
    with hold_logs():
        for number in range(3):
            log.info("number %d", number)
        assert logged(capsys) == ""
    log.info("afterwards")
    assert [line.split(" INFO ")[1].strip() for line in logged(capsys).splitlines()] == [
        *("number 0", "number 1", "number 2", "afterwards"),
    ]


def test_hold_logs_keeps_the_last_messages(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneserver.support.logs._HELD_LINES_MAX", 4)
    set_up_logs("info", "text")
    with hold_logs():
        for number in range(5):
            logging.getLogger("test").info(f"number {number}")
    err = logged(capsys)
    assert "number 4" in err
    assert "number 0" not in err


@pytest.mark.parametrize("style", LOG_FORMATS)
def test_a_line_of_the_log_says_how_many_lines_were_lost(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        """A stream that takes nothing until it is opened."""

        is_open = False

        def write(self, text: str) -> int:
            if not self.is_open:
                raise OSError("no space left")
            return super().write(text)

    stream = Closed()
    monkeypatch.setattr("sys.stderr", stream)
    set_up_logs("info", style)
    log.info("lost")
    drain_logs(10)
    with hold_logs():
        assert lines_dropped() == 1
    stream.is_open = True
    log.info("shown")
    drain_logs(10)
    loss, shown = stream.getvalue().splitlines()
    assert "lines of this log are lost, since stderr did not take them: 1 (is" in loss
    assert "shown" in shown
    if style == "json":
        document = json.loads(loss)
        assert (document["level"], document["lines_lost"]) == ("warning", 1)
