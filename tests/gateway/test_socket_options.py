"""Options and measurements of TCP sockets."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from zoneserver.gateway.socket_options import (
    round_trip_seconds,
    set_send_limits,
    set_user_timeout,
    unanswered_seconds,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems lack some of the options")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with client, server:
        yield client, server


def test_set_send_limits_bounds_the_send_buffer(pair: tuple[socket.socket, socket.socket]) -> None:
    set_send_limits(pair[0], 32 * 1024)
    assert pair[0].getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 32 * 1024  # Linux doubles it
    assert pair[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 1


def test_set_user_timeout_is_in_seconds(pair: tuple[socket.socket, socket.socket]) -> None:
    set_user_timeout(pair[0], 2.5)
    assert pair[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2500


def test_unanswered_seconds_of_an_idle_connection_is_zero(pair: tuple[socket.socket, socket.socket]) -> None:
    assert unanswered_seconds(pair[0]) == 0.0


def test_round_trip_of_a_local_connection_is_below_a_second(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].sendall(b"x")
    assert pair[1].recv(1) == b"x"
    seconds = round_trip_seconds(pair[0])
    assert seconds is not None
    assert 0.0 <= seconds < 1.0


def test_round_trip_of_a_closed_socket_is_none(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].close()
    assert round_trip_seconds(pair[0]) is None


def test_functions_accept_a_missing_socket() -> None:
    set_user_timeout(None, 1.0)
    assert unanswered_seconds(None) == 0.0
    assert round_trip_seconds(None) is None
