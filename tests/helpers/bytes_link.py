"""A link between a gateway and a zone that passes nothing but bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Refusal, Snapshot, Tick
from zoneserver.protocol.world import World
from zoneserver.protocol.zone_info import Kind, ZoneInfo
from zoneserver.zone.link import Command, Ended, Join, RefusedAction, Requests, Resumed, TickInput, TickOutput
from zoneserver.zone.zone import Zone

__all__ = ["BytesLink", "FarZone", "decode_output", "decode_requests", "encode_output", "encode_requests"]


def encode_requests(requests: Requests) -> bytes:
    lists = requests.joins, requests.leaves, requests.actions, requests.commands, requests.drops, requests.confirmed
    data: bytes = msgpack.packb((*lists, requests.bans))
    return data


def decode_requests(data: bytes) -> Requests:
    joins, leaves, actions, commands, drops, confirmed, bans = msgpack.unpackb(data)
    return Requests(
        [Join(*join) for join in joins],
        leaves,
        [(ref, seq, [tuple(action) for action in sent]) for ref, seq, sent in actions],
        [Command(ref, tuple(words)) for ref, words in commands],
        drops,
        confirmed,
        [(host, seconds) for host, seconds in bans],
    )


def encode_output(output: TickOutput) -> bytes:
    ended = [(ref, str(reason), text) for ref, reason, text in output.ended]
    lists = output.joined, ended, output.refused, output.told, output.results, output.resumed, output.bans, output.share
    data: bytes = msgpack.packb((output.tick, output.frame, output.records, *lists), default=tuple)
    return data


def decode_output(data: bytes) -> TickOutput:
    tick, frame, records, joined, ended, refused, told, results, resumed, bans, share = msgpack.unpackb(data)
    return TickOutput(
        tick,
        frame,
        records,
        [(ref, slot) for ref, slot in joined],
        [Ended(ref, CloseReason(reason), text) for ref, reason, text in ended],
        [RefusedAction(ref, Refusal(*refusal), is_violation) for ref, refusal, is_violation in refused],
        [(ref, payload) for ref, payload in told],
        results=[(ref, is_done, text) for ref, is_done, text in results],
        resumed=[Resumed(*each) for each in resumed],
        bans=[(host, seconds) for host, seconds in bans],
        share=share,
    )


class BytesLink:
    """The gateway's end. It applies the frames to a world of its own, and makes snapshots of that world."""

    def __init__(self, info: bytes, snapshot: bytes, send: Callable[[bytes], object]) -> None:
        *facts, kinds, board = msgpack.unpackb(info, use_list=False)
        self.commands = ()
        self.epoch = 1
        self.has_room = True
        self.info = ZoneInfo(*facts, tuple(Kind(*kind) for kind in kinds), board)
        self._world = World(self.info)
        state = decode_server(snapshot)
        assert isinstance(state, Snapshot)
        self._world.restore(state)
        self._send = send
        self._receive: Callable[[TickOutput], None] = bool

    def send(self, requests: Requests) -> None:
        self._send(encode_requests(requests))

    def subscribe(self, receive: Callable[[TickOutput], None]) -> None:
        self._receive = receive

    def snapshot(self) -> bytes:
        return self._world.snapshot().encode()

    def received(self, data: bytes) -> None:
        output = decode_output(data)
        frame = decode_server(output.frame)
        assert isinstance(frame, Tick)
        self._world.apply(frame)
        assert frame.hash is None or frame.hash == self._world.hash()
        self._receive(output)


class FarZone:
    """The zone's end: requests and outputs cross it as bytes. It turns the refs of each gateway into unique ones."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self._requests = Requests()
        self._links: list[BytesLink] = []

    def connect(self) -> BytesLink:
        """Makes a link for another gateway, which begins with the present state."""
        info: bytes = msgpack.packb(self.zone.info)
        number = len(self._links)
        link = BytesLink(info, self.zone.snapshot(), lambda data: self._hear(number, data))
        self._links.append(link)
        return link

    def _hear(self, number: int, data: bytes) -> None:
        requests = decode_requests(data)
        count = len(GATEWAYS)
        self._requests.add(
            Requests(
                [join._replace(ref=join.ref * count + number) for join in requests.joins],
                [ref * count + number for ref in requests.leaves],
                [(ref * count + number, seq, actions) for ref, seq, actions in requests.actions],
                [command._replace(ref=command.ref * count + number) for command in requests.commands],
                [ref * count + number for ref in requests.drops],
                [ref * count + number for ref in requests.confirmed],
                requests.bans,
            )
        )

    def tick(self, unix_seconds: float = 0.0) -> None:
        requests, self._requests = self._requests, Requests()
        output = self.zone.tick(TickInput(self.zone.world.tick + 1, unix_seconds, 100, requests))
        for number, link in enumerate(self._links):
            link.received(encode_output(_for_gateway(output, number)))


# The most gateways whose refs can be told apart.
GATEWAYS = range(4)


def _for_gateway(output: TickOutput, number: int) -> TickOutput:
    """The output, reduced to the players of one gateway."""
    count = len(GATEWAYS)

    def own(entries: list[Any]) -> list[Any]:
        return [
            entry._replace(ref=entry.ref // count) if hasattr(entry, "_replace") else (entry[0] // count, *entry[1:])
            for entry in entries
            if entry[0] % count == number
        ]

    own_lists = {name: own(getattr(output, name)) for name in ("joined", "ended", "refused", "told", "results")}
    resumed = [
        each._replace(ref=each.ref // count, former=each.former // count if each.former % count == number else 0)
        for each in output.resumed
        if each.ref % count == number
    ]
    return TickOutput(output.tick, output.frame, output.records, **own_lists, resumed=resumed, bans=output.bans)
