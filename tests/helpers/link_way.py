"""A carrier for tests that know when each payload arrives."""

from __future__ import annotations

from collections import defaultdict
from typing import Any


class Way:
    """A carrier of both ends, without a network: payloads wait until they are delivered, and some are lost."""

    address, is_up = "test:", True
    names_peers = False

    def __init__(self) -> None:
        self.up: list[tuple[str, bytes]] = []
        self.down: dict[str, list[bytes]] = defaultdict(list)
        self.accepted: dict[str, None] = {}

    def accept(self, peer: str) -> None:
        self.accepted[peer] = None

    def publish(self, payload: bytes) -> None:
        for peer in self.accepted:
            self.down[peer].append(payload)

    def send(self, peer: str, payload: bytes) -> None:
        self.down[peer].append(payload)

    def drop(self, peer: str) -> None:
        self.accepted.pop(peer, None)

    async def open(self, receive: Any, gone: Any) -> None: ...

    async def close(self) -> None: ...
