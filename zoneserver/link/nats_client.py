"""One connection to a broker of NATS, by the library nats-py.

nats-py keeps the protocol, and this module the life of a connection. The library would come back by itself, and its
users report what happens then: a broker that falls silent is not given up while bytes wait for it, `publish` fails for
ever after a failed attempt, tasks are left behind. Here a connection that is lost never comes back: its end is reported
once, and the user makes a new one. That takes three private methods of the library, and tests that notice if they
change.

Importing this module raises MissingExtraError without nats-py.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from zoneserver.link.address import LinkAddress
from zoneserver.link.carrier import PAYLOAD_BYTES_MAX, LinkSecurity
from zoneserver.support.errors import CannotStartError, MissingExtraError

try:
    from nats import errors
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription
except ImportError:
    raise MissingExtraError("nats-py", "nats") from None

__all__ = ["BrokerError", "NatsClient", "connect"]

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 2.0
# A broker that has not answered two of these is given up when the third is due.
_PING_SECONDS = 2
_END_SECONDS = 1.0
_STEP_SECONDS = 5.0
# What waits in this process for its own callbacks. A payload that the broker let pass must not be above it.
_RECEIVED_BYTES_MAX = PAYLOAD_BYTES_MAX + 1
_RECEIVED_MAX = 8_192
# The library hands over the text in small letters.
_REFUSAL = re.compile(r"permissions violation for (publish|subscription) to \"([^\"]+)\"")


class BrokerError(CannotStartError):
    """There is no connection to the broker, for the reason in the text. With `is_final` no waiting mends it."""

    def __init__(self, text: str, is_final: bool = False) -> None:
        super().__init__(text)
        self.is_final = is_final


class NatsClient(Client):
    """A connection. `connect` of this module makes one; `end` must be called, whatever became of it."""

    def __init__(self, needs_tls: bool) -> None:
        super().__init__()
        self._needs_tls = needs_tls
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Why the connection is lost, once it is."""
        self.refused: set[tuple[str, str]] = set()
        """What the broker did not permit so far: `publish` or `subscription`, and the subject in small letters."""
        self.on_refused: Callable[[str, str], None] = lambda _kind, _subject: None
        """Called for each new element of `refused`."""
        self._listening: dict[str, Subscription] = {}
        self._last_error: BaseException | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def info(self) -> dict[str, Any]:
        """What the broker told of itself."""
        return self._server_info

    @property
    def unsent_bytes(self) -> int:
        """The bytes that the system has not taken yet."""
        return 0 if (stream := self._stream()) is None else stream.get_write_buffer_size() + self.pending_data_size

    def put(self, subject: str, payload: bytes) -> None:
        """Publishes a payload; never blocks. `publish` of the library would wait for a task of its own, and nothing
        would leave before the caller returns to the event loop. The caller bounds `unsent_bytes`. The payload may
        overtake a `listen` that no `flush` followed."""
        if not self.lost.done() and self._transport:
            self._transport.writelines([f"PUB {subject} {len(payload)}\r\n".encode(), payload, b"\r\n"])

    async def listen(self, subject: str, receive: Callable[[str, bytes], None]) -> None:
        """Subscribes: `receive(subject, payload)` is called for each payload, but not for empty ones, with which
        permissions are tried. Raises BrokerError if the connection is lost."""

        async def callback(message: Msg) -> None:
            if message.data:
                receive(message.subject, message.data)

        try:
            self._listening[subject] = await self.subscribe(
                subject, cb=callback, pending_msgs_limit=_RECEIVED_MAX, pending_bytes_limit=_RECEIVED_BYTES_MAX
            )
        except errors.Error as error:
            raise BrokerError(f"the broker is lost: {_text(error)}") from None

    async def listen_no_more(self, subject: str) -> None:
        """Ends a subscription: the broker sends nothing more of it, and what it has sent is dropped. Raises as
        `listen` does."""
        try:
            await self._listening.pop(subject).unsubscribe()
        except errors.Error as error:
            raise BrokerError(f"the broker is lost: {_text(error)}") from None

    async def flush(self, timeout: float = _STEP_SECONDS) -> None:
        """Waits until the broker has read all that was sent so far, and all that it sent before has come. The PING of
        the library would overtake what waits for its flusher, such as subscriptions.

        Raises BrokerError if the connection is lost.
        """
        answer = asyncio.create_task(self._flush(timeout))
        # The library drops a cancellation in places, and fails later, when nobody waits any more.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.wait((answer, self.lost), return_when=asyncio.FIRST_COMPLETED)
            if self.lost.done():
                raise BrokerError(f"the broker is lost: {self.lost.result()}")
            answer.result()
        except (errors.Error, OSError) as error:
            raise BrokerError(f"the broker is lost: {_text(error)}") from None
        finally:
            answer.cancel()

    async def _flush(self, timeout: float) -> None:
        await self._flush_pending(force_flush=True)
        await super().flush(timeout)  # type: ignore[arg-type]

    def pause_reading(self, is_paused: bool) -> None:
        """Takes nothing more from the system, or goes on."""
        if (stream := self._stream()) is not None:
            stream.pause_reading() if is_paused else stream.resume_reading()

    async def end(self) -> None:
        """Ends the connection at once; may be called more than once. `close` of the library would first wait until
        everything is sent, and leave its tasks behind if it is cancelled."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        self._lose("it was closed here")
        if (stream := self._stream()) is not None:
            stream.abort()
        # The library would write what waits, and then wait for an end that a failed TLS handshake never brings.
        self._pending, self._pending_data_size, self._transport = [], 0, None
        with contextlib.suppress(errors.Error, OSError, TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await self.close()

    def _stream(self) -> asyncio.Transport | None:
        writer: asyncio.StreamWriter | None = getattr(self._transport, "_io_writer", None)
        return None if writer is None else cast(asyncio.Transport, writer.transport)

    def _lose(self, cause: str) -> None:
        if not self.lost.done():
            self.lost.set_result(cause)

    async def complain(self, error: Exception) -> None:
        """The library's callback for errors."""
        self._last_error = error
        if isinstance(error, errors.SlowConsumerError):
            log.warning(
                "a payload of %s is dropped: this process is too slow to take what the broker sends", error.subject
            )
        elif self.is_connected and not isinstance(error, errors.Error | OSError):
            log.error("a payload of the broker could not be taken", exc_info=error)

    # --- Private methods of the library, which end or renew a connection there ---------------------

    async def _process_op_err(self, e: Exception) -> None:
        """Called for a connection that ended, failed, or did not answer."""
        self._lose(_text(e))

    async def _process_err(self, err_msg: str) -> None:
        """Called for an error that the broker sends. All but refused permissions end the connection."""
        found = _REFUSAL.search(err_msg)
        if found is None:
            self._lose(f"it said {err_msg}")
        elif (refusal := (found[1], found[2])) not in self.refused:
            self.refused.add(refusal)
            self.on_refused(*refusal)

    def _connect_command(self) -> bytes:
        """Called before anything secret is sent."""
        if self._needs_tls and not self._server_info.get("tls_required"):
            raise errors.SecureConnWantedError
        return super()._connect_command()


async def connect(address: LinkAddress, security: LinkSecurity, name: str, *, no_echo: bool = True) -> NatsClient:
    """Connects to the broker of an address. `name` is what the broker's own lists show of this connection.

    Raises BrokerError; CannotStartError for a file that cannot be read; MissingExtraError.
    """
    client = NatsClient(address.scheme == "tls")
    options: dict[str, Any] = _credentials(address, security)
    if address.scheme == "tls" or security.ca is not None:
        options["tls"] = _context(security.ca)
    try:
        await client.connect(
            address.server,
            name=name,
            error_cb=client.complain,
            # One attempt; the library makes one more if the port does not answer.
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=_CONNECT_SECONDS,  # type: ignore[arg-type]
            ping_interval=_PING_SECONDS,
            no_echo=no_echo,
            # Nothing is kept for a later connection.
            pending_size=-1,
            **options,
        )
        _require_not_cancelled()
    except ImportError:
        raise MissingExtraError("nkeys", "nats") from None
    except Exception as error:
        await client.end()
        _require_not_cancelled()
        if isinstance(error, errors.NoServersError) and client._last_error is not None:
            raise _explained(address, client._last_error) from None
        raise _explained(address, error) from None
    except BaseException:
        await client.end()
        raise
    return client


def _require_not_cancelled() -> None:
    """Raises CancelledError if the running task is cancelled. The library drops that error in places, and so does the
    `wait_for` of Python 3.11."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _credentials(address: LinkAddress, security: LinkSecurity) -> dict[str, Any]:
    if security.creds is not None:
        try:
            Path(security.creds).read_bytes()
        except OSError as error:
            raise CannotStartError(f"cannot read the credentials {security.creds}: {error.strerror}") from None
        return {"user_credentials": security.creds}
    user, colon, password = address.user.partition(":")
    if colon:
        return {"user": unquote(user), "password": unquote(password)}
    return {"token": unquote(user)} if user else {}


def _context(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise CannotStartError(f"cannot use the authorities in {ca}: {_text(error)}") from None


def _explained(address: LinkAddress, error: BaseException) -> BrokerError:
    """What a failed attempt means, and what to do."""
    text = _text(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"its certificate is not accepted: {error.verify_message}; name its authority with --link-ca"
        return BrokerError(f"cannot use the broker of {address}: {text}", is_final=True)
    if isinstance(error, errors.SecureConnWantedError):
        text = "it offers no TLS; give it a certificate, or write nats:// in place of tls://"
        return BrokerError(f"cannot use the broker of {address}: {text}", is_final=True)
    if "authorization" in text.lower() or "authentication" in text.lower():
        what = "the credentials" if address.user else "a connection without credentials"
        how = "write nats://USER:PASSWORD@HOST:PORT/ZONE, or name a file with --link-creds"
        return BrokerError(f"the broker of {address} rejects {what}; {how}", is_final=True)
    return BrokerError(f"no broker at {address}: {text}; start one with: nats-server -c nats-server.conf")


def _text(error: BaseException) -> str:
    match error:
        case ConnectionRefusedError():
            # The text of asyncio names each address that it tried.
            return "connection refused"
        case errors.UnexpectedEOF():
            return "it closed the connection"
        case errors.StaleConnectionError():
            return f"it has not answered for {2 * _PING_SECONDS} s"
        case TimeoutError():
            return "it does not answer"
        case ssl.SSLError():
            return f"TLS failed: {(error.reason or 'the other end is no TLS').replace('_', ' ').lower()}"
        case OSError() if error.strerror:
            return error.strerror
    return str(error).removeprefix("nats: ").strip().strip("'") or type(error).__name__
