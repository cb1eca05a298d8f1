"""zone.js in Node, against a server that the test plays by hand."""

from __future__ import annotations

from typing import Any

from helpers.node import Node
from helpers.paths import ROOT

__all__ = ["run"]

FAKE = (ROOT / "tests/web/fake_socket.js").as_uri()
BEGIN = f"""
    const {{ FakeSocket, until }} = await import("{FAKE}");
    Math.random = () => 0;
    FakeSocket.all = [];
    const {{ connect }} = zonejs;
    // What a client sent, as values: an ANSWERED with the message in it.
    const read = (payload) => zonejs.decode(Uint8Array.of(0x94, 24, 0, 0, ...payload)).values;
    const told = [], short = (value) => value?.code ?? value?.name ?? value;
    const join = async (options = {{}}, welcome = {{}}) => {{
        const joined = connect("http://server.example/", {{ name: "ann", WebSocket: FakeSocket, ...options }});
        const socket = await FakeSocket.next(1);
        socket.welcome(zonejs, welcome);
        socket.snapshot(zonejs);
        const zone = await joined;
        for (const event of ["drop", "back", "closed", "refused", "told", "diverged", "join", "leave", "say"])
            zone.on(event, (...values) => told.push([event, ...values.map(short)]));
        return [zone, socket];
    }};
"""


def run(node: Node, body: str) -> Any:
    """What the body of an async function returns: `join` gives it a zone, and the socket whose server it is."""
    return node.evaluate(BEGIN + body)
