"""The table of session states."""

from __future__ import annotations

import itertools

import pytest
from helpers.session_fixture import SessionFixture

from zoneserver.gateway.state import MAY_FOLLOW, SessionState


def test_state_of_an_open_session_leads_to_closed_by_way_of_closing_or_is_released() -> None:
    assert MAY_FOLLOW[SessionState.OPEN] == {SessionState.CLOSING, SessionState.RELEASED}
    assert MAY_FOLLOW[SessionState.RELEASED] == set()
    assert MAY_FOLLOW[SessionState.CLOSING] == {SessionState.CLOSED}
    assert MAY_FOLLOW[SessionState.CLOSED] == set()


@pytest.mark.parametrize(("before", "after"), list(itertools.product(SessionState, SessionState)))
def test_state_follows_only_where_the_table_says_so(before: SessionState, after: SessionState) -> None:
    session = SessionFixture().session
    session.state = before
    if after in MAY_FOLLOW[before]:
        session._advance(after)
        assert session.state is after
    else:
        with pytest.raises(AssertionError):
            session._advance(after)
        assert session.state is before
