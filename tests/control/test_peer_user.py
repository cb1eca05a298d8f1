"""The user of the process at the other end of a connection."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from zoneserver.control import peer_user
from zoneserver.control.peer_user import find_user, user_of_peer


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the table")
@pytest.mark.parametrize(
    ("listens", "connects"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("127.0.0.1", "::ffff:127.0.0.1")]
)
def test_user_of_a_peer_is_known_until_it_closes_its_end(listens: str, connects: str) -> None:
    families = [socket.AF_INET6 if ":" in host else socket.AF_INET for host in (listens, connects)]
    with socket.socket(families[0]) as listener, socket.socket(families[1]) as client:
        try:
            listener.bind((listens, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        listener.listen()
        client.connect((connects, listener.getsockname()[1]))
        accepted, peer = listener.accept()
        with accepted:
            own = accepted.getsockname()
            assert user_of_peer(peer, own) == os.geteuid()
            assert user_of_peer((peer[0], peer[1], *peer[2:]), (own[0], own[1] ^ 1)) is None
            # The kernel then says that the end is root's.
            client.close()
            assert user_of_peer(peer, own) is None


ROW = "   0: 0100007F:9C40 0100007F:1E62 {state} 00000000:00000000 00:00000000 00000000  1000 0 {inode} 1 0\n"


@pytest.mark.parametrize(("state", "inode", "uid"), [("01", 7, 1000), ("01", 0, None), ("06", 0, None)])
def test_only_an_open_end_counts(state: str, inode: int, uid: int | None) -> None:
    table = ("  sl  local_address rem_address   st ...\n" + 2 * ROW.format(state=state, inode=inode)).encode()
    if sys.byteorder == "little":
        assert find_user(table, ("127.0.0.1", 40_000), ("127.0.0.1", 7_778)) == uid
        # The end of the server itself is no peer.
        assert find_user(table, ("127.0.0.1", 7_778), ("127.0.0.1", 40_000)) is None


def test_user_is_unknown_on_a_system_without_the_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peer_user, "_TABLES", (str(tmp_path / "none"),))
    assert user_of_peer(("127.0.0.1", 1), ("127.0.0.1", 2)) is None
