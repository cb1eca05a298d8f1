"""A client of the user's own as a bot of the swarm: an async function that gets a connection."""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol

from zoneclient.connection import ZoneConnection, connect
from zoneclient.errors import DivergedError, JoinRefusedError, ZoneClosedError

from zoneserver.protocol.messages import Bye
from zonetools.swarm.plan import Client, Plan

# How long a client that returns waits for the fate of its last actions.
_SETTLE_SECONDS = 2.0


class ClientOwner(Protocol):
    """The worker, as its clients see it."""

    plan: Plan

    def client_joined(self) -> None: ...
    def client_failed(self, number: int, error: BaseException) -> None: ...
    def client_closed(self, number: int, bye: Bye, zone: ZoneConnection | None, has_diverged: bool) -> None: ...
    def connect_failed(self, number: int, error: OSError) -> None: ...


async def run_client(
    owner: ClientOwner, number: int, client: Client, tls: ssl.SSLContext | None, join_seconds: float
) -> None:
    """Join, and run the client until it returns or is cancelled. The owner is told of its end, whatever it was."""
    plan, name = owner.plan, owner.plan.name(number)
    zone: ZoneConnection | None = None
    has_diverged = False
    access = {"name": name, "ticket": plan.access.ticket(name), "tls": tls, "deflate": plan.deflate}
    waits = {"timeout": join_seconds, "leave_timeout": _SETTLE_SECONDS}
    try:
        async with connect(plan.host, plan.port, **access, **waits) as zone:  # type: ignore[arg-type]
            owner.client_joined()
            try:
                await client(zone)
            except (asyncio.CancelledError, DivergedError, ZoneClosedError):
                raise
            except BaseException as error:  # SystemExit as well: the function is the user's.
                owner.client_failed(number, error)
    except JoinRefusedError as error:
        owner.client_closed(number, Bye(error.code, error.text, error.retry), None, has_diverged=False)
        return
    except DivergedError:
        has_diverged = True
    except ZoneClosedError:
        pass  # The connection says why.
    except OSError as error:  # A TimeoutError as well.
        owner.connect_failed(number, error)
        return
    finally:
        if zone is not None:
            # The block has waited for the end of the connection.
            owner.client_closed(number, zone._receiver.closed.result(), zone, has_diverged)
