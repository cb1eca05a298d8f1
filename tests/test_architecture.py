"""Imports run downward only: the house as it is meant to stand, checked from the syntax tree."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# The floors of zoneserver, from the ground up: a module imports from floors below its own.
FLOORS = [
    ["budget", "closing", "exits", "figures", "sockets", "state", "text", "values", "version"],
    ["logs"],
    ["config", "loading", "process", "settings"],
    ["command"],
    ["guard", "pacing", "round", "tickets"],
    ["admission"],
    ["wire.framing", "wire.columns", "wire.deflate"],
    ["wire.messages"],
    ["wire.decoding"],
    ["world", "metrics"],
    ["exposition", "frames", "rates"],
    ["rules"],
    ["games.chat", "games.pixels", "games.plaza", "games.tag"],
    ["report", "session", "ticker", "zone"],
    ["fanout", "lobby", "trial"],
    ["roster"],
    ["gateway", "checkup"],
    ["delivery"],
    ["admin", "listeners.tcp"],
    ["server"],
    ["__init__"],
    ["beside", "console", "scaffold"],
    ["cli"],
    ["__main__"],
    ["testing"],
]
# A test of a game has both halves in its hand, so the fixtures for it stand on top of both: the one
# module of the server's package that imports the client. Nobody imports it but pytest and tests.
BOTH_HALVES = "testing"
# What the other programs may take from zoneserver. The server itself they run as a subprocess.
SHARED = (
    *("wire", "closing", "figures", "metrics", "rates", "text", "world", "tickets"),
    *("command", "config", "exits", "loading", "process", "settings", "values"),
)
# What a module of the tools may take beyond that: micro benchmarks measure pieces of the server by
# themselves, though not its moving parts; and a game that the fault lab has a server run is content.
BEYOND = {
    "tools.bench.micro": ("frames", "round", "session", "state", "zone", "games"),
    "tools.soak.games": ("games", "rules"),
}
PURE = [
    *(
        "admission",
        "budget",
        "guard",
        "pacing",
        "round",
        "tickets",
        "world",
        "frames",
        "rules",
        "zone",
        "ticker",
        "metrics",
    ),
    *("figures", "rates", "text"),
    *("games.chat", "games.pixels", "games.plaza", "games.tag", "wire.messages", "wire.framing", "wire.deflate"),
]


def modules(package: str) -> dict[str, Path]:
    """The modules of a package by their dotted names within it; `__init__` is the package itself."""
    found = {}
    for path in (ROOT / package).rglob("*.py"):
        parts = path.relative_to(ROOT / package).with_suffix("").parts
        if parts[-1] == "__init__" and len(parts) > 1:
            assert not path.read_text().strip(), f"{path} is more than a folder"
            continue
        found[".".join(parts)] = path
    return found


def imports(path: Path) -> set[str]:
    """Every module that a file imports, by its full name."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by dots"
            assert node.module
            is_folder = (ROOT / node.module.replace(".", "/")).is_dir()
            names |= {f"{node.module}.{alias.name}" if is_folder else node.module for alias in node.names}
    return names


def test_every_module_has_a_floor() -> None:
    assert sorted(name for floor in FLOORS for name in floor) == sorted(modules("zoneserver"))


@pytest.mark.parametrize("name", sorted(modules("zoneserver")))
def test_the_server_imports_downward(name: str) -> None:
    level = {module: height for height, floor in enumerate(FLOORS) for module in floor}
    for imported in imports(modules("zoneserver")[name]):
        package, _, module = imported.partition(".")
        assert package not in {"tools", "tests"}, f"{name} imports {imported}"
        assert package != "client" or name == BOTH_HALVES, f"{name} imports {imported}"
        if package == "zoneserver":
            below = module if module in level else "__init__"
            assert level[below] < level[name], f"{name} imports {imported}, which is not below it"


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_touch_no_socket_and_no_clock(name: str) -> None:
    assert not imports(modules("zoneserver")[name]) & {"asyncio", "socket", "time", "datetime", "select", "threading"}


@pytest.mark.parametrize("package", ["client", "tools"])
def test_programs_and_client_share_only_the_vocabulary(package: str) -> None:
    for name, path in modules(package).items():
        for imported in imports(path):
            if imported.startswith("zoneserver."):
                allowed = SHARED + BEYOND.get(f"{package}.{name}", ())
                assert imported.split(".")[1] in allowed, f"{package}.{name} imports {imported}"
            if package == "client":
                assert not imported.startswith("tools"), f"client.{name} imports {imported}"


@pytest.mark.parametrize("package", ["zoneserver", "client", "tools"])
def test_a_module_fits_one_reading(package: str) -> None:
    for name, path in modules(package).items():
        assert len(path.read_text().splitlines()) <= 450, f"{package}.{name} has grown too long"
