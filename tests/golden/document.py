"""The golden vectors as one JSON text, with an entry per line."""

from __future__ import annotations

import json
from typing import Any

from helpers.paths import ROOT

from golden import chains, messages, others, refusals, sessions
from zoneserver.protocol.messages import PROTOCOL_VERSION

__all__ = ["PATH", "document"]

PATH = ROOT / "tests/vectors.json"


def document() -> str:
    """What `vectors.json` has to hold."""
    sections: dict[str, Any] = {
        "messages": messages.messages(),
        "reads": messages.reads(),
        "ignored": messages.ignored(),
        "client_refuses": refusals.client_refuses(),
        "server_refuses": refusals.server_refuses(),
        "other_versions": refusals.other_versions(),
        "streams": others.streams(),
        "web_frames": others.web_frames(),
        "tickets": others.tickets(),
        "names": others.names(),
        "chains": chains.chains(),
        "sessions": sessions.sessions(),
    }
    written = ",\n".join(f" {_text(key)}: {_section(value)}" for key, value in sections.items())
    return f'{{\n "protocol": {PROTOCOL_VERSION},\n{written}\n}}\n'


def _section(value: Any) -> str:
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"  {_text(key)}: {_text(each)}" for key, each in value.items()) + "\n }"
    return "[\n" + ",\n".join(f"  {_entry(each)}" for each in value) + "\n ]"


def _entry(entry: dict[str, Any]) -> str:
    if "steps" not in entry:
        return _text(entry)
    head = {key: value for key, value in entry.items() if key != "steps"}
    steps = ",\n".join(f"   {_text(step)}" for step in entry["steps"])
    return f'{_text(head)[:-1]}, "steps": [\n{steps}]}}'


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
