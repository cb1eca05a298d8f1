"""The arguments that a player types at the console client."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoneclient.typed_arguments import read_arguments

from zoneserver.protocol.values import encode_action


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", []),
        ("  ", []),
        ("5 -3", [5, -3]),
        (" 1.5  True None ", [1.5, True, None]),
        ("'hello there' \"it's\"", ["hello there", "it's"]),
        (r"'a\'b c'", ["a'b c"]),
        ("b'raw \\xff bytes'", [b"raw \xff bytes"]),
        ("[1, 2, 3] [] ['a ] b', None]", [[1, 2, 3], [], ["a ] b", None]]),
        ("[1,2] 'x'", [[1, 2], "x"]),
        ("[b'x', True, 1.5]", [[b"x", True, 1.5]]),
    ],
)
def test_arguments_are_read_in_the_forms_of_python(text: str, arguments: list[Any]) -> None:
    assert read_arguments(text) == arguments


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "'open",
        "[1, 2",
        "1,",
        "(1, 2)",
        "{1: 2}",
        "{1}",
        "1j",
        "...",
        "[[1]]",
        "[1] ]",
        "[(1,)]",
        "__import__('os')",
    ],
)
def test_word_that_is_no_argument_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_arguments(text)


@pytest.mark.parametrize(
    "text", ["(" * 1000, "-" * 100_000 + "1", "[" * 100_000, "'" * 99_999], ids=["(", "-", "[", "'"]
)
def test_deep_or_long_word_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_arguments(text)


@given(st.text(st.sampled_from("[]'\"\\b, 0a-(){}\n")))
def test_any_text_is_read_or_a_value_error(text: str) -> None:
    try:
        read_arguments(text)
    except ValueError as error:
        assert str(error)


plain = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20) | st.binary(max_size=20)


@given(st.lists(plain | st.lists(plain, max_size=16), max_size=15))
def test_written_arguments_are_read_back_and_can_be_sent(arguments: list[Any]) -> None:
    read = read_arguments(" ".join(map(repr, arguments)))
    assert read == arguments
    assert encode_action("go", *read)
