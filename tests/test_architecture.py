"""Imports run downward: the rooms of the house as they are meant to stand, checked from the syntax tree."""

import ast
import functools
from pathlib import Path

import pytest
from helpers.paths import ROOT

# The rooms of `zoneserver`, from the ground up. A room may import from those below it.
ROOMS = [
    "support",
    "protocol",
    "notation",
    "config",
    "zone",
    "journal",
    "link",
    "http",
    "gateway",
    "store",
    "admin",
    "control",
    "frontend",
    "persistence",
    "gateway_server",
    "remote_gateways",
    "server",
    "zoneserver",
    "games",
    "authoring",
    "cli",
]
# What may stand directly in `zoneserver/`, beside the folders.
TOP = {
    "__init__",
    "__main__",
    "config",
    "frontend",
    "gateway_loop",
    "gateway_server",
    "notation",
    "persistence",
    "remote_gateways",
    "server",
    "testing",
    "tick_loop",
}
PACKAGES = {
    "zoneserver": ROOT / "zoneserver",
    "zoneclient": ROOT / "client/zoneclient",
    "zonetools": ROOT / "tools/zonetools",
}


def modules(package: str) -> dict[str, Path]:
    """The modules of a package, by their full dotted names."""
    root = PACKAGES[package]
    found = {}
    for path in root.rglob("*.py"):
        parts = (package, *path.relative_to(root).with_suffix("").parts)
        if parts[-1] == "__init__" and len(parts) > 2:
            assert not path.read_text().strip(), f"{path} is more than a folder"
        else:
            found[".".join(parts)] = path
    return found


MODULES = {name: path for package in PACKAGES for name, path in modules(package).items()}


@functools.cache
def imports(name: str) -> frozenset[str]:
    """Every module that a module imports, by its full name."""
    names = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports by dots"
            assert node.module
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {each if each in MODULES else node.module for each in inner}
    return frozenset(names)


def room(module: str) -> str:
    """The room of a module of `zoneserver`. The package is a room of its own; a loop is part of its server, and the
    address of a link is a setting."""
    parts = module.split(".")
    if module == "zoneserver.link.address":
        return "config"
    if len(parts) == 1 or parts[1] == "__init__":
        return "zoneserver"
    return {"tick_loop": "server", "gateway_loop": "gateway_server"}.get(parts[1], parts[1])


def test_rooms_import_downward() -> None:
    for name in modules("zoneserver"):
        if room(name) in {"testing", "__main__"}:
            continue  # These two stand on top of everything.
        for imported in imports(name):
            if imported.split(".")[0] == "zoneserver" and room(imported) != room(name):
                assert ROOMS.index(room(imported)) < ROOMS.index(room(name)), f"{name} imports {imported}"


def test_modules_import_no_cycle() -> None:
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"{' -> '.join(way)} -> {name}"
        if name not in done:
            for imported in imports(name) & MODULES.keys():
                visit(imported, (*way, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


def test_the_session_knows_no_player_and_no_group() -> None:
    beside = {imported for imported in imports("zoneserver.gateway.session") if room(imported) == "gateway"}
    assert beside == {
        "zoneserver.gateway.batched_sender",
        "zoneserver.gateway.session_handler",
        "zoneserver.gateway.state",
    }


def test_the_gateway_knows_a_link_and_no_zone() -> None:
    for name in modules("zoneserver"):
        if room(name) in {"gateway", "frontend"}:
            zone = {imported for imported in imports(name) if imported.startswith("zoneserver.zone.")}
            assert zone <= {"zoneserver.zone.link", "zoneserver.zone.frame_history"}, name


@pytest.mark.parametrize(
    ("package", "shared"),
    [
        ("zoneclient", {"protocol", "support"}),
        ("zonetools", {"protocol", "support", "notation", "config", "admin", "control", "cli", "authoring"}),
    ],
)
def test_programs_beside_the_server_take_only_what_is_shared(package: str, shared: set[str]) -> None:
    for name in modules(package):
        allowed = shared | EXCEPTIONS.get(name, set())
        for imported in imports(name):
            if imported.split(".")[0] == "zoneserver":
                assert room(imported) in allowed, f"{name} imports {imported}"


# The console is a command; micro benchmarks measure pieces of the server; some programs run a game of their own.
EXCEPTIONS = {
    "zoneclient.__main__": {"cli"},
    "zonetools.bench.micro_benchmarks": {"zone", "gateway", "games"},
    "zonetools.soak.games": {"zone", "games"},
    "zonetools.soak.lives": {"journal"},
    "zonetools.soak.made_journal": {"journal", "zone", "games"},
    "zonetools.soak.scenarios.restarts": {"journal"},
    "zonetools.soak.scenarios.saves": {"journal"},
    "zonetools.compare.delivery": {"zone", "gateway", "server"},
}


def test_only_tests_of_games_import_the_client_and_nobody_the_tools() -> None:
    for name, path in MODULES.items():
        tops = {imported.split(".")[0] for imported in imports(name)}
        package = name.split(".")[0]
        assert "zonetools" not in tops or package == "zonetools", path
        assert "zoneclient" not in tops or package != "zoneserver" or name == "zoneserver.testing", path


def test_the_zone_touches_no_socket_and_no_clock() -> None:
    forbidden = {"asyncio", "socket", "select", "threading", "time", "datetime"}
    for name in modules("zoneserver"):
        if room(name) in {"protocol", "zone", "games"}:
            assert not imports(name) & forbidden, name


def test_the_folders_are_the_architecture() -> None:
    assert {path.stem for path in PACKAGES["zoneserver"].glob("*.py")} <= TOP


def test_a_module_fits_one_reading() -> None:
    for name, path in MODULES.items():
        assert len(path.read_text().splitlines()) <= 400, f"{name} has grown too long"
