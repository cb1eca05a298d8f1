"""A gateway for its link, with clients in place of sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zoneserver.link.remote_link import RemoteZoneLink
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Refusal, Told
from zoneserver.zone.link import Join, Requests, TickOutput

# A client waits so many turns for an answer to its join.
_JOIN_TURNS = 100


class SimulatedClient:
    """A client that connects again, at any gateway, until it is in."""

    def __init__(self, name: str, *, watches: bool, can_return: bool) -> None:
        self.name = name
        self.watches = watches
        self.can_return = can_return
        self.gateway: SimulatedGateway | None = None
        self.ref = 0
        self.state = "out"
        """out, joining, in, lost (it may come back with its token), resuming"""
        self.told: list[int] = []
        self.refused: list[int] = []
        self.is_checked = False
        """Whether it should have heard of all its actions: it has been there since the player came in."""
        self.seq = self.tick = self.waited = 0
        self.token = self.next_token = b""
        self._tokens = 0

    def connect(self, gateway: SimulatedGateway) -> Join:
        self.ref, self.gateway, self.waited = gateway.link.next_ref(), gateway, 0
        self._tokens += 1
        self.next_token = f"{self.name}.{self._tokens}".encode() if self.can_return else b""
        is_lost, self.state = self.state == "lost", "joining"
        if not is_lost:
            return Join(self.ref, self.name, b"", "192.0.2.1", watch=self.watches, token=self.next_token)
        self.state = "resuming"
        return Join(self.ref, self.name, b"", "192.0.2.1", token=self.next_token, claim=self.token, tick=self.tick)

    def welcome(self, seq: int, *, is_new: bool) -> None:
        if is_new:
            self.told, self.refused, self.is_checked = [], [], True
        elif self.state == "joining":
            self.is_checked = False  # It has taken its player over by HELLO, as a new program does.
        self.state, self.token = "in", self.next_token
        self.seq = seq if self.can_return else 0

    def end(self, reason: str) -> None:
        self.gateway = None
        may_return = self.state == "in" and self.can_return and reason in ("SERVER_RESTARTING", "CONNECTION_LOST")
        self.state = "lost" if may_return else "out"


class SimulatedGateway:
    """A gateway for its link: it has clients in place of sessions. Implements `LinkUser`."""

    def __init__(
        self, name: str, pid: int, send: Callable[[SimulatedGateway, bytes], None], now: Callable[[], float]
    ) -> None:
        self.name = name
        self.peer = name
        """The way to the zone, as the hub knows it."""
        self.link = RemoteZoneLink(name, lambda payload: send(self, payload), now, self)
        self.link.subscribe(self.on_tick)
        self.clients: dict[int, SimulatedClient] = {}
        self.requests = Requests()
        self.is_begun = self.is_stopped = self.is_rejected = False
        """Whether the process is stopped by a signal; whether the zone has rejected it."""
        self._pid = pid
        self._newest: tuple[int, int] = 0, 0

    # --- LinkUser ---------------------------------------------------------------------------------

    def link_figures(self) -> dict[str, Any]:
        return {"pid": self._pid, "host": "test"}

    def link_attached(self) -> None:
        if not self.is_begun:
            self.is_begun = True
            self.link.begin()

    def link_broken(self, _text: str) -> None:
        for ref in list(self.clients):
            self.end(ref, "SERVER_RESTARTING")
        self.requests = Requests()
        self._newest = 0, 0
        self.link.begin_anew()

    def link_rejected(self, _text: str) -> None:
        self.is_rejected = True

    def link_stopping(self, *, keep: bool) -> None:
        for ref in () if keep else list(self.clients):
            self.leave(ref, "SERVER_STOPPING")

    # --- Clients ----------------------------------------------------------------------------------

    def connect(self, client: SimulatedClient) -> None:
        self.requests.joins.append(client.connect(self))
        self.clients[client.ref] = client

    def end(self, ref: int, reason: str) -> None:
        """The session of a client ends."""
        client = self.clients.pop(ref)
        if client.ref == ref and client.gateway is self:
            client.end(reason)

    def leave(self, ref: int, reason: str) -> None:
        self.end(ref, reason)
        self.requests.leaves.append(ref)

    def drop(self, ref: int) -> None:
        """A client has lost its connection."""
        client = self.clients[ref]
        if client.state == "in" and client.can_return:
            self.end(ref, "CONNECTION_LOST")
            self.requests.drops.append(ref)
        else:
            self.leave(ref, "CONNECTION_LOST")

    def beat(self, *, acting: bool) -> None:
        for ref, client in list(self.clients.items()):
            if client.state != "in":
                client.waited += 1
                if client.waited > _JOIN_TURNS:
                    self.leave(ref, "INTERNAL_ERROR")
        requests, self.requests = self.requests, Requests()
        for ref, client in self.clients.items() if acting and self.link.has_room else ():
            if client.state == "in" and client.is_checked and not client.watches:
                client.seq += 1
                requests.actions.append((ref, client.seq, [("count", client.seq)]))
        self.link.send(requests)

    def on_tick(self, output: TickOutput) -> None:
        newest = self.link.epoch, output.tick
        assert newest > self._newest, "a tick twice, or out of order"
        self._newest = newest
        for each in output.ended:
            if each.ref in self.clients:
                self.leave(each.ref, str(each.reason))
        for ref, _ in output.joined:
            if ref in self.clients:
                self.clients[ref].welcome(0, is_new=True)
        for resumed in output.resumed:
            if resumed.ref in self.clients:
                self.clients[resumed.ref].welcome(resumed.seq, is_new=False)
                self.requests.confirmed.append(resumed.ref)
        for ref, payload in output.told:
            self._tell(ref, decode_server(payload))
        for ref, refusal, _ in output.refused:
            self._tell(ref, refusal)
        for client in self.clients.values():
            if client.state == "in":
                client.tick = output.tick

    def _tell(self, ref: int, message: object) -> None:
        client = self.clients.get(ref)
        if client is not None and isinstance(message, Refusal):
            if message.code == "SEVEN":  # Else it did too much within one tick, after a while without any.
                client.refused.append(int(message.text))
        elif client is not None and isinstance(message, Told):
            client.told.append(message.values[0])
