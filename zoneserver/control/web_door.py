"""The commands that the page of the admin port may give, each by one request: `POST /ctl?command=kick+ann`."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from urllib.parse import parse_qs

from zoneserver.control.command_log import NOT_ALLOWED, log_command, log_refusal
from zoneserver.control.messages import Outcome
from zoneserver.control.peer_user import user_of_peer
from zoneserver.http.access import Access
from zoneserver.http.documents import Answer, Content, Request, complaint
from zoneserver.support.socket_file import is_trusted

__all__ = ["WebDoor"]

# Everything else is for `zoneserver ctl`.
_COMMANDS = ("kick",)
_REST_SECONDS = 0.1
# Not even the pages of `--origin` may give commands.
_ACCESS = Access(is_local=True)


class WebDoor:
    """Runs commands for the page that this port serves, for this user and root alone. Every command is logged.

    A page from elsewhere can send such a request too, and the browser then runs as the right user. Its `Origin` gives
    it away, and its browser asks before it sends the header `X-Zone`, which no server here allows.
    """

    def __init__(self, run: Callable[[Sequence[str]], Awaitable[Outcome]]) -> None:
        self._run = run
        # One look-up at a time, and a rest after those of other users: a look-up takes milliseconds of a core.
        self._looking_up = asyncio.Lock()

    async def answer(self, request: Request, transport: asyncio.BaseTransport) -> Answer:
        """The answer to one request, which came by this transport."""
        if _ACCESS.objection(request.host, request.origin) is not None:
            return complaint(HTTPStatus.FORBIDDEN, "only the page of this port may give commands")
        if request.mark != "ctl":
            return complaint(HTTPStatus.FORBIDDEN, "send the header X-Zone: ctl")
        try:
            query = parse_qs(request.target.decode("ascii").partition("?")[2], errors="strict")
            words = shlex.split(" ".join(query.get("command", [])))
        except ValueError as error:
            return complaint(HTTPStatus.BAD_REQUEST, f"the command cannot be read: {error}")
        if not words or words[0] not in _COMMANDS:
            text = f"a page may give one command, {' or '.join(_COMMANDS)}; for all others use zoneserver ctl"
            return complaint(HTTPStatus.BAD_REQUEST, text)
        ends = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        async with self._looking_up:
            uid = await asyncio.to_thread(user_of_peer, *ends) if all(ends) else None
            if uid is None or not is_trusted((0, uid)):
                await asyncio.sleep(_REST_SECONDS)
        if uid is None:
            text = "the system does not tell whose process asks, so that nobody may give commands here: "
            return complaint(HTTPStatus.FORBIDDEN, f"{text}use zoneserver ctl")
        if not is_trusted((0, uid)):
            log_refusal(uid)
            return complaint(HTTPStatus.FORBIDDEN, f"{NOT_ALLOWED}; uid {uid} may not")
        outcome = await self._run(words)
        log_command(words, uid, outcome)
        return HTTPStatus.OK, Content("application/json", outcome.encode())
