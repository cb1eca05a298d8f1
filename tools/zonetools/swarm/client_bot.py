"""A client of the user's own as a bot of the swarm: an async function that gets a connection."""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol

from zoneclient.connection import ZoneConnection
from zoneclient.errors import DivergedError, JoinRefusedError, ZoneClosedError
from zoneclient.join import connect
from zoneclient.receiver import Receiver
from zoneclient.update import Update

from zoneserver.protocol.messages import Bye, Snapshot, Tick
from zonetools.swarm.plan import Client, Plan
from zonetools.swarm.returns import Returns

# How long a client that returns waits for the fate of its last actions.
_SETTLE_SECONDS = 2.0


class ClientOwner(Protocol):
    """The worker, as its clients see it."""

    plan: Plan
    returns: Returns

    def client_joined(self, number: int) -> None: ...
    def client_failed(self, number: int, error: BaseException) -> None: ...
    def client_closed(
        self, number: int, bye: Bye, zone: ZoneConnection | None, has_diverged: bool, is_away: bool = False
    ) -> None: ...
    def connect_failed(self, number: int, error: OSError) -> None: ...


async def run_client(
    owner: ClientOwner, number: int, client: Client, tls: ssl.SSLContext | None, join_seconds: float
) -> None:
    """Join, and run the client until it returns or is cancelled. The owner is told of its end, whatever it was."""
    plan, name = owner.plan, owner.plan.name(number)
    zone: ZoneConnection | None = None
    has_diverged = is_away = False
    access = {"name": name, "ticket": plan.access.ticket(name), "tls": tls}
    options = {"deflate": plan.deflate, "resume": plan.resume}
    host, port = plan.addresses[plan.place(number)]
    waits = {"timeout": join_seconds, "leave_timeout": _SETTLE_SECONDS}
    try:
        async with connect(host, port, **access, **options, **waits) as zone:  # type: ignore[arg-type]
            owner.client_joined(number)
            _count_returns(zone, owner.returns, number, plan.place(number))
            try:
                await client(zone)
            except asyncio.CancelledError:
                is_away = zone.is_away
                raise
            except (DivergedError, ZoneClosedError):
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
            assert zone._line.end is not None
            owner.client_closed(number, zone._line.end, zone, has_diverged, is_away)


def _count_returns(zone: ZoneConnection, returns: Returns, number: int, place: int) -> None:
    """Have the drops and the returns of a client counted. It comes back to its own address."""
    line, follow = zone._line, zone._update

    def on_drop(bye: Bye) -> None:
        returns.record_drop(number, bye, place)

    def on_return(receiver: Receiver) -> None:
        returns.record_return(number, place)
        zone._send_again(receiver)

    def update(message: Snapshot | Tick, arrived: float) -> Update:
        made = follow(message, arrived)
        returns.record_missed(made.missed if made.resumed else 0)
        return made

    line.on_drop = on_drop
    line.subscribe(on_return, zone._refuse)
    zone._update = update  # type: ignore[method-assign]
