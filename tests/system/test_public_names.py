"""The names that are for everybody: few, chosen, and each with an example."""

from __future__ import annotations

import ast
import importlib
import itertools
from pathlib import Path
from types import ModuleType

import pytest
import zoneclient as client
from helpers.paths import ROOT

import zoneserver
import zoneserver.testing

GAME = ["Between", "Config", "Limits", "Player", "Refused", "Rules", "Speed", "Text", "ZoneServer", "action"]
ERRORS = ["DivergedError", "JoinRefusedError", "ZoneClosedError", "ZoneError"]
PLAY = ["Behaviour", "Bot", "Event", "Replica", "Update", "ZoneConnection", "connect"]


def docstrings(package: str) -> dict[str, str]:
    """What is written under each class, function and constant at the top of the package's modules."""
    found = {}
    for path in Path(importlib.import_module(package).__file__ or "").parent.rglob("*.py"):
        body = ast.parse(path.read_text()).body
        for node, following in itertools.pairwise([*body, None]):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found[node.name] = ast.get_docstring(node) or ""
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                text = following.value if isinstance(following, ast.Expr) else None
                if isinstance(text, ast.Constant):
                    found[node.targets[0].id] = str(text.value)
    return found


def test_the_public_names_are_these() -> None:
    assert sorted(zoneserver.__all__) == sorted([*GAME, "__version__"])
    assert sorted(client.__all__) == sorted(ERRORS + PLAY)


@pytest.mark.parametrize(
    ("package", "name"), [("zoneserver", name) for name in GAME] + [("zoneclient", name) for name in ERRORS + PLAY]
)
def test_every_public_name_has_an_example(package: str, name: str) -> None:
    assert ">>> " in docstrings(package)[name]
    assert hasattr(importlib.import_module(package), name)


@pytest.mark.parametrize("module", [zoneserver, client, zoneserver.testing], ids=lambda module: module.__name__)
def test_every_name_of_a_star_import_is_there(module: ModuleType) -> None:
    assert all(hasattr(module, name) for name in module.__all__)


def test_the_types_are_there_for_the_type_checkers_of_others() -> None:
    assert (ROOT / "zoneserver/py.typed").exists()
    assert (ROOT / "client/zoneclient/py.typed").exists()
