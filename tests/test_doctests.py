"""The examples in docstrings. With --doctest-modules each process of the tests would search every module for them."""

from __future__ import annotations

import doctest
import importlib

import pytest
from helpers.paths import ROOT

PACKAGES = ROOT / "zoneserver", ROOT / "client" / "zoneclient", ROOT / "tools" / "zonetools"
FILES = sorted((path.relative_to(package.parent), path) for package in PACKAGES for path in package.rglob("*.py"))
MODULES = [".".join(place.with_suffix("").parts) for place, path in FILES if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("module", MODULES)
def test_examples_of_a_module_hold(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert tried > 0
    assert failed == 0
