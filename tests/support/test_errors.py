"""How an exception is told in one line, and the exit codes of errors."""

from __future__ import annotations

import json

import pytest

from zoneserver.support.errors import (
    CannotStartError,
    CommandError,
    GameError,
    MissingExtraError,
    UsageError,
    raised_by,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandError("failed"), 1),
        (UsageError("wrong"), 2),
        (CannotStartError("no port"), 3),
        (MissingExtraError("uvloop", "speed"), 3),
        (GameError("on_start", ValueError("no map")), 3),
    ],
)
def test_an_error_has_its_exit_code(error: CommandError, code: int) -> None:
    assert error.exit_code == code


def test_raised_by_is_one_line() -> None:
    assert raised_by(ValueError("two\nlines")) == "ValueError: two lines"
    assert raised_by(LookupError()) == "LookupError"


def test_raised_by_names_a_place_in_a_library_if_there_is_no_other() -> None:
    try:
        json.loads("")
    except ValueError as error:
        # Without the frame of this test, only frames of the library are left.
        assert error.__traceback__ is not None
        error.__traceback__ = error.__traceback__.tb_next
        assert "decoder.py:" in raised_by(error)
