"""The arrangements that the bench compares: one process, or a zone with gateways over one of the links."""

from __future__ import annotations

import contextlib
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from zonetools.common.broker import MISSING, Broker, find_broker
from zonetools.common.server_process import ServerProcess

__all__ = ["LINKS", "SINGLE", "Arrangement", "arrange", "why_missing"]

SINGLE = "one process"

_Options = tuple[tuple[str, ...], tuple[str, ...]]
"""The options of the zone, and those of each gateway."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Processes that run. In SINGLE the zone holds the players itself, and there are no gateways."""

    zone: ServerProcess
    gateways: Sequence[ServerProcess]

    @property
    def doors(self) -> Sequence[ServerProcess]:
        """The processes to which players come."""
        return self.gateways or (self.zone,)


@contextlib.asynccontextmanager
async def arrange(link: str, gateways: int, *options: str, port: int = 0) -> AsyncIterator[Arrangement]:
    """Start a zone with these options, and gateways over a link of LINKS; or SINGLE. The first door has this port."""
    async with contextlib.AsyncExitStack() as stack:
        if link == SINGLE:
            zone = await stack.enter_async_context(ServerProcess("--port", str(port), *options))
            yield Arrangement(zone, ())
            return
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zone-")))
        of_zone, of_gateway = await stack.enter_async_context(LINKS[link](folder))
        zone = await stack.enter_async_context(ServerProcess(*options, "--port", "off", *of_zone))
        # The gateways end before the zone does.
        others = await stack.enter_async_context(contextlib.AsyncExitStack())
        started = [
            await others.enter_async_context(
                ServerProcess(
                    *("--name", f"gateway-{number}", "--port", str(0 if number else port), *of_gateway),
                    program=("zoneserver", "gateway"),
                )
            )
            for number in range(gateways)
        ]
        yield Arrangement(zone, started)


@contextlib.asynccontextmanager
async def _unix(folder: Path) -> AsyncIterator[_Options]:
    link = ("--link", f"unix:{folder}/zone.sock")
    yield link, link


@contextlib.asynccontextmanager
async def _tcp(folder: Path) -> AsyncIterator[_Options]:
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    ca, certificate, key, token = (folder / name for name in ("ca", "certificate", "key", "token"))
    authority.cert_pem.write_to_path(str(ca))
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    token.write_text(secrets.token_hex(32) + "\n")
    token.chmod(0o600)
    link = ("--link", f"tcp:127.0.0.1:{_free_port()}", "--link-token-file", str(token))
    yield (*link, "--link-cert", str(certificate), "--link-key", str(key)), (*link, "--link-ca", str(ca))


@contextlib.asynccontextmanager
async def _nats(folder: Path) -> AsyncIterator[_Options]:
    async with Broker(str(folder)) as broker:
        link = ("--link", f"{broker.url}/bench")
        yield link, link


LINKS: dict[str, Callable[[Path], AbstractAsyncContextManager[_Options]]] = {
    "unix": _unix,
    "tcp+TLS": _tcp,
    "NATS": _nats,
}
"""What starts a link, in a folder for its files."""


def why_missing(link: str) -> str:
    """Why this machine cannot measure a link; empty if it can."""
    if link == "NATS" and find_broker() is None:
        return MISSING
    if link == "tcp+TLS":
        try:
            import trustme  # noqa: F401
        except ImportError:
            return "not measurable here: there is no trustme, for a certificate (pip install trustme)"
    return ""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
