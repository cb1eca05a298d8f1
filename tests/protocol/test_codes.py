"""Close reasons and refusal codes are their own names."""

from __future__ import annotations

import pytest

from zoneserver.protocol.codes import CloseReason, RefusalCode


@pytest.mark.parametrize("reason", CloseReason)
def test_a_close_reason_equals_its_name_and_has_a_sentence(reason: CloseReason) -> None:
    assert reason == str(reason) == reason.name
    assert CloseReason[reason.value] is reason
    assert reason.text
    assert type(reason.retry) is bool


@pytest.mark.parametrize("code", RefusalCode)
def test_a_refusal_code_equals_its_name(code: RefusalCode) -> None:
    assert code == str(code) == code.name
