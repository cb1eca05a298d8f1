"""The public names are few, chosen, and each has an example in its docstring."""

from __future__ import annotations

import ast
import functools
import importlib
import itertools
from pathlib import Path
from types import ModuleType

import pytest
import zoneclient
from helpers.paths import ROOT

import zoneserver
import zoneserver.testing

GAME = ["AtMost", "Between", "Config", "Entity", "Limits", "Player", "Refused", "Rules", "Speed", "Text", "Thing"]
GAME += ["Timer", "ZoneServer", "action", "command"]
ERRORS = ["ActionRefusedError", "DivergedError", "JoinRefusedError", "ZoneClosedError", "ZoneError"]
PLAY = ["Behaviour", "Bot", "Event", "Replica", "Update", "ZoneConnection", "connect"]


@functools.cache
def docstrings(package: str) -> dict[str, str]:
    """The docstrings of the classes, functions and constants at the top level of a package's modules."""
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


def test_public_names_are_the_chosen_ones() -> None:
    assert sorted(zoneserver.__all__) == sorted([*GAME, "__version__"])
    assert sorted(zoneclient.__all__) == sorted(ERRORS + PLAY)


@pytest.mark.parametrize(
    ("package", "name"), [("zoneserver", name) for name in GAME] + [("zoneclient", name) for name in ERRORS + PLAY]
)
def test_public_name_has_an_example_in_its_docstring(package: str, name: str) -> None:
    assert ">>> " in docstrings(package)[name]
    assert hasattr(importlib.import_module(package), name)


@pytest.mark.parametrize("module", [zoneserver, zoneclient, zoneserver.testing], ids=lambda module: module.__name__)
def test_all_names_of_a_star_import_exist(module: ModuleType) -> None:
    assert all(hasattr(module, name) for name in module.__all__)


def test_both_packages_are_marked_as_typed() -> None:
    assert (ROOT / "zoneserver/py.typed").exists()
    assert (ROOT / "client/zoneclient/py.typed").exists()
