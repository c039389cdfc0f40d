"""The project itself: imports go down, and what is public is described."""

import ast
import importlib.util
import inspect
import pkgutil
import re
import subprocess
import sys
import zipfile
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gateway

ROOT = Path(__file__).parents[1]

FLOORS = [
    {"addresses", "docs", "errors", "log", "sandbox", "version"},
    {"execution", "twilio"},
    {"callers", "source"},
    {"graph", "settings"},
    {"accounts", "contract"},
    {"mcp", "web"},
    {"app", "stream_faults"},
    {"demo"},
    {"commands", "pytest_plugin"},
    {"cli"},
    {"__main__"},
]
"""The rooms of the house, lowest first. A room imports from lower floors only, and from itself; `examples` has no code."""

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(gateway.__path__, "gateway.") if module.name != "gateway.__main__"
)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports_of(module: str, *, at_run_time: bool = False) -> set[str]:
    """Return the modules of this package that a module imports anywhere; `at_run_time`, not those for type checkers."""
    source = importlib.util.find_spec(module)
    assert source is not None
    assert source.origin is not None
    package = module if source.submodule_search_locations else module.rpartition(".")[0]
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if at_run_time and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(relative, package) if node.level else relative
            names = {f"{base}.{alias.name}" for alias in node.names}
            found.update(names & set(MODULES) or {base})
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(Path(source.origin).read_text(encoding="utf-8")))
    return {name for name in found if name == "gateway" or name.startswith("gateway.")}


@pytest.mark.parametrize("module", [*MODULES, "gateway.__main__"])
def test_imports_go_down(module: str) -> None:
    height = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    if room_of(module) == "examples":
        assert imports_of(module) == set()
        return
    for imported in imports_of(module):
        above, below = room_of(module), room_of(imported)
        assert below, f"{module} imports the package itself, which names the Python API of all rooms"
        assert above == below or height[below] < height[above], f"{module} imports {imported}"


def test_every_room_has_its_floor_and_there_are_few() -> None:
    rooms = [room for floor in FLOORS for room in floor]
    assert sorted(rooms) == sorted({room_of(module) for module in MODULES} - {"examples"} | {"__main__"})
    assert len(FLOORS) <= 11


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Inside rooms too. Imports in functions count: they would hide a circle."""
    TopologicalSorter({module: imports_of(module, at_run_time=True) for module in MODULES}).prepare()


def test_tests_share_code_in_conftests_only() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        if "node_modules" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                names = {*(node.module or "").split("."), *(each.name for each in node.names)}
                assert not {name for name in names if name.startswith("test_")}, path


@pytest.mark.parametrize("room", ["sandbox", "twilio", "execution"])
def test_rooms_that_stand_apart(room: str) -> None:
    allowed = {room} if room == "sandbox" else {room, "errors", "version"}
    for module in MODULES:
        if room_of(module) == room:
            assert {room_of(name) for name in imports_of(module)} <= allowed, module


def test_twilio_and_execution_know_nothing_of_each_others_trade() -> None:
    for module in MODULES:
        source = Path(importlib.import_module(module).__file__ or "").read_text(encoding="utf-8")
        if room_of(module) == "twilio":
            assert "graphql" not in re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE)
        sockets = re.search(r"aiohttp\.(ClientSession|TCPConnector)|\.create_connection\(", source)
        assert not sockets or module in {
            "gateway.twilio.httptools_transport",
            "gateway.twilio.aiohttp_transport",
            "gateway.callers.jwt",
            "gateway.commands.query",
            "gateway.commands.watch",
            "gateway.sandbox.sender",
        }


@pytest.mark.parametrize("module", MODULES)
def test_what_is_public_is_described(module: str) -> None:
    loaded = importlib.import_module(module)
    assert loaded.__doc__, module
    for name in getattr(loaded, "__all__", []):
        thing = getattr(loaded, name)
        if inspect.isclass(thing) and not hasattr(thing, "__strawberry_definition__"):
            assert thing.__doc__, f"{module}.{name}"
            for method, value in vars(thing).items():
                if inspect.isfunction(value) and not method.startswith("_"):
                    assert value.__doc__, f"{module}.{name}.{method}"
        elif inspect.isfunction(thing) and thing.__module__ == module:
            assert thing.__doc__, f"{module}.{name}"


def test_files_are_short() -> None:
    for path in [*ROOT.glob("gateway/**/*.py"), *ROOT.glob("tests/**/*.py")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 700, path


def test_nothing_but_what_belongs_stands_at_the_top() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout: what is tracked cannot be told")
    top = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= {
        "pyproject.toml",
        "README.md",
        "gateway",
        "schema.graphql",
        "tests",
        "findings",
        "Dockerfile",
    }


def test_the_wheel_runs_by_itself(tmp_path: Path, wheel: Path) -> None:
    """What users install, not the checkout: every module and example is in the wheel, and it prints the schema."""
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    code = "import gateway, gateway.cli; print(gateway.__file__); gateway.cli.main(['schema'])"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(unpacked)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    where, _, schema = result.stdout.partition("\n")
    assert where.startswith(str(unpacked))
    assert schema == (ROOT / "schema.graphql").read_text(encoding="utf-8")
    packed = {
        path.relative_to(unpacked) for path in unpacked.glob("gateway/**/*") if path.suffix in {".py", ".graphql"}
    }
    here = {path.relative_to(ROOT) for path in ROOT.glob("gateway/**/*") if path.suffix in {".py", ".graphql"}}
    assert packed == {path for path in here if "page" not in path.parts}  # What GraphiQL is built from stays here.
    bundle = {path.name for path in unpacked.glob("gateway/web/graphiql/dist/*")}
    assert bundle in ({"why-not.txt"}, {"index.html", "graphiql", "NOTICES.txt", "built-from.txt"})
    assert not (unpacked / "gateway/web/graphiql/page").exists()
    assert (unpacked / "gateway/py.typed").exists()
    assert wheel.stat().st_size <= 3_000_000
