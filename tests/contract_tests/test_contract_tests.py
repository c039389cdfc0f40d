"""The documented contract tests, each run by its own runner: pytest, Vitest, and Playwright in Debian's Chromium."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ..conftest import find_chromium, npm_ci
from ..docs.blocks import all_blocks, blocks, read

pytest_plugins = ["pytester"]

HERE = Path(__file__).parent
PYTHON, LIVE = blocks("contract-tests", "python")
FILES = {
    name.removeprefix("// "): text
    for name, _, text in (each.partition("\n") for each in blocks("contract-tests", "js"))
} | {block.name: block.text for block in all_blocks("contract-tests") if block.name is not None}


def test_every_block_is_run() -> None:
    assert set(FILES) == {
        "app/index.html",
        "gateway.setup.js",
        "vitest.config.js",
        "tests/receipts.test.js",
        "tests/live.test.js",
        "playwright.config.js",
        "e2e/receipts.spec.js",
    }
    assert len(all_blocks("contract-tests")) == 2 + len(FILES)


def test_versions_are_those_that_are_tested() -> None:
    lock = (HERE / "package-lock.json").read_text(encoding="utf-8")
    for name, shown in (("vitest", "Vitest"), ("graphql-ws", "graphql-ws"), ("@playwright/test", "Playwright")):
        version = re.search(r'"node_modules/%s": \{\s+"version": "(\d+\.\d+)\.' % name, lock)
        assert version is not None
        assert f"{shown} {version[1]}" in read("contract-tests")
    assert "resolved" not in lock


@pytest.mark.parametrize("mode", ["strict", "auto", None])
def test_the_python_test_passes(pytester: pytest.Pytester, mode: str | None) -> None:
    if mode is not None:
        pytester.makeini(f"[pytest]\nasyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(PYTHON)
    others = [] if mode is not None else ["-p", "no:asyncio"]
    pytester.runpytest_subprocess("-W", "error", "--strict-markers", *others).assert_outcomes(passed=1)


def test_the_python_tests_of_subscriptions_pass(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(LIVE)
    pytester.runpytest_subprocess("-W", "error", "--strict-markers").assert_outcomes(passed=2)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the documented files, and with the runners."""
    folder = tmp_path_factory.mktemp("project")
    npm_ci(HERE, folder)
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files. Its path is short, since Chromium puts a Unix socket there."""
    with TemporaryDirectory(prefix="t-") as name:
        yield Path(name)


def run(project: Path, temporary: Path, *command: str, **environ: str) -> str:
    """What the command prints, once it has ended well and left no demo behind it."""
    here = Path(sys.executable).parent  # Where `receipts-gateway` is.
    environ = {"PATH": f"{here}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(temporary), "NO_COLOR": "1"} | environ
    result = subprocess.run(
        ["npx", *command], cwd=project, env=os.environ | environ, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert list(temporary.glob("receipts-*")) == []
    return result.stdout


@pytest.mark.timeout(180)  # Packages are installed, and a process of each kind is started.
def test_the_vitest_tests_pass(project: Path, temporary: Path) -> None:
    output = run(project, temporary, "vitest", "run")
    assert re.search(r"Tests +2 passed \(2\)", output)


@pytest.mark.timeout(180)  # The same, and a browser.
def test_the_playwright_tests_pass(project: Path, temporary: Path) -> None:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no chromium: install Debian's package of that name to run the documented Playwright test")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = ("playwright", "test", "--config", "playwright.here.config.js")
    assert "3 passed" in run(project, temporary, *command, PORT=port, CHROMIUM=chromium)
