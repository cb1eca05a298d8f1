"""A reader that takes nothing for a while, with which the settings of a broker are tried that it tells nobody."""

from __future__ import annotations

from zoneserver.link.address import LinkAddress
from zoneserver.link.carrier import LinkSecurity
from zoneserver.link.nats_client import BrokerError, NatsClient, connect

__all__ = ["ALL", "CLOSED", "LARGEST", "SKIPPED", "try_slow_reader"]

_PIECE = bytes(64 * 2**10)
# Three quarters of the largest `max_pending` that is right, and what the system takes of its own.
_PIECES = 40 * 2**20 // len(_PIECE)
_LARGEST_BYTES = 8 * 2**20

SKIPPED = "skipped"
"""The broker skipped what the reader did not take in time: as it should be."""
CLOSED = "closed"
"""The broker held the writer up, and then closed the connection of the reader."""
ALL = "all"
"""The broker kept everything for the reader."""
LARGEST = "largest"
"""The broker closed the connection of the reader because of a single payload."""


async def try_slow_reader(client: NatsClient, address: LinkAddress, security: LinkSecurity, subject: str) -> str:
    """Publishes 40 MiB for a reader that takes nothing. Returns what the broker did, or why the trial failed."""
    received = 0

    def count(_subject: str, payload: bytes) -> None:
        nonlocal received
        received += len(payload)

    reader = await connect(address, security, "zoneserver check-broker, a slow reader")
    try:
        await reader.listen(subject, count)
        await reader.flush()
        client.put(subject, bytes(min(client.max_payload, _LARGEST_BYTES)))
        await client.flush()
        if not await _answers(reader):
            return LARGEST
        received = 0
        reader.pause_reading(True)
        for number in range(_PIECES):
            client.put(subject, _PIECE)
            if number % 16 == 15:
                await client.flush()
        reader.pause_reading(False)
        if not await _answers(reader):
            return CLOSED
    except BrokerError as error:
        return f"the trial failed: {error}"
    finally:
        await reader.end()
    return ALL if received == _PIECES * len(_PIECE) else SKIPPED


async def _answers(client: NatsClient) -> bool:
    """Waits until all that was sent so far has come; False if the connection is lost instead."""
    try:
        await client.flush()
    except BrokerError:
        return False
    return True
