"""The package for Unity has what its package manager needs, and the page shows what is in it."""

from __future__ import annotations

import json
import re

from helpers.csharp import CLIENT
from helpers.markdown import Page

import zoneserver


def test_package_has_the_version_of_the_project_and_its_files() -> None:
    package = json.loads((CLIENT / "package.json").read_text())
    assert package["version"] == zoneserver.__version__
    assert all((CLIENT / sample["path"] / "Walk.cs").exists() for sample in package["samples"])
    assembly = json.loads((CLIENT / "Zoneserver.Client.asmdef").read_text())
    assert (assembly["references"], assembly["noEngineReferences"]) == ([], True)


def test_each_file_of_the_package_has_an_identity_of_its_own() -> None:
    # A package from git is read-only: Unity ignores a file in it that has no .meta beside it.
    files = [path for path in CLIENT.iterdir() if path.is_file() and path.suffix != ".meta"]
    metas = [(CLIENT / f"{path.name}.meta").read_text() for path in files]
    identities = re.findall(r"^guid: ([0-9a-f]{32})$", "\n".join(metas), re.MULTILINE)
    assert len(set(identities)) == len(files) == 3


def test_client_uses_nothing_that_ahead_of_time_compilers_lack() -> None:
    source = (CLIENT / "ZoneClient.cs").read_text()
    assert not re.search(r"System\.(Linq|Reflection)|\bdynamic\b|Activator|MakeGeneric|UnityEngine", source)


def test_page_shows_the_sample() -> None:
    (scene,) = [block.text for block in Page("docs/unity.md").blocks if block.file == "Walk.cs"]
    assert scene == (CLIENT / "Samples~/Walk/Walk.cs").read_text()
