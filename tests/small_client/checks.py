"""Holds a client against `tests/vectors.json`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from small_client.client import SmallClient
from small_client.rules import MessageError

__all__ = ["complaints", "in_json"]

Client = Callable[[], SmallClient]


def complaints(vectors: dict[str, Any], client: Client) -> Iterator[str]:
    """What of the vectors a client gets wrong. `client` makes a new one."""
    for section, check in _CHECKS.items():
        for entry in [vectors[section]] if section == "names" else vectors[section]:
            try:
                agrees = check(entry, client)
            except MessageError:
                agrees = False
            except (LookupError, TypeError, ValueError, OverflowError):
                # A client with a mistake may also fall over.
                agrees = False
            if not agrees:
                yield f"{section}: {entry.get('name', '')}"


def in_json(value: Any) -> Any:
    """A value as vectors.json has it."""
    if isinstance(value, bytes):
        return {"bin": value.hex()}
    if type(value) is int and abs(value) >= 2**53:
        return {"int": str(value)}
    if isinstance(value, dict):
        return {name: in_json(each) for name, each in value.items()}
    return [in_json(each) for each in value] if isinstance(value, list) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        if "bin" in value:
            return bytes.fromhex(value["bin"])
        return int(value["int"]) if "int" in value else {name: _from_json(each) for name, each in value.items()}
    return [_from_json(each) for each in value] if isinstance(value, list) else value


def _message(entry: dict[str, Any], client: Client) -> bool:
    payload = bytes.fromhex(entry["hex"])
    if entry.get("from") == "client":
        # Another client may write another form of the same meaning.
        unpack = client().unpack
        return bool(unpack(client().encode(_from_json(entry["message"]))) == unpack(payload))
    message = client().decode(payload)
    return message is not None and in_json(message) == entry["message"]


def _ignored(entry: dict[str, Any], client: Client) -> bool:
    return client().decode(bytes.fromhex(entry["hex"])) is None


def _refused(entry: dict[str, Any], client: Client) -> bool:
    one, payload = client(), bytes.fromhex(entry["hex"])
    for before in entry.get("after", ()):
        one.receive(bytes.fromhex(before))
    try:
        if "after" in entry:
            one.receive(payload)
        else:
            one.read(payload)
    except MessageError:
        return True
    return "strict" in entry


def _stream(entry: dict[str, Any], client: Client) -> bool:
    payloads, error = client().cut(map(bytes.fromhex, entry["chunks"]))
    return bool([payload.hex() for payload in payloads] == entry["payloads"] and error == entry["error"])


def _ticket(entry: dict[str, Any], client: Client) -> bool:
    secret, nonce = bytes.fromhex(entry["secret"]), bytes.fromhex(entry["nonce"])
    ticket, text = client().ticket(secret, entry["expiry"], nonce, entry["zone"], entry["name"])
    return (ticket.hex(), text) == (entry["ticket"], entry["text"])


def _names(entry: dict[str, Any], client: Client) -> bool:
    # A client may leave the rest to the server, but it must not refuse what the server allows.
    return all(map(client().may_be_named, entry["allowed"]))


def _chain(entry: dict[str, Any], client: Client) -> bool:
    one = client()
    one.receive(bytes.fromhex(entry["welcome"]))
    for step in entry["steps"]:
        message = one.receive(bytes.fromhex(step["hex"]))
        if in_json(one.state()) != step["state"] or message is None or message.get("hash") not in {None, one.hash()}:
            return False
    return True


def _session(entry: dict[str, Any], client: Client) -> bool:
    one, known = client(), dict[str, str]()
    for step in entry["steps"]:
        if step["from"] == "client":
            one.send(_from_json(step["message"]))
        else:
            one.receive(bytes.fromhex(step["hex"]))
        known |= step.get("outcomes", {})
        if {str(seq): outcome for seq, outcome in one.outcomes.items()} != known:
            return False
    return bool(one.waiting == entry["waiting"])


_CHECKS: dict[str, Callable[[dict[str, Any], Client], bool]] = {
    "messages": _message,
    "reads": _message,
    "ignored": _ignored,
    "client_refuses": _refused,
    "streams": _stream,
    "tickets": _ticket,
    "names": _names,
    "chains": _chain,
    "sessions": _session,
}
