"""The project of the clients' checks: installed, generated and bundled once for all of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ..conftest import npm_ci

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_WRITTEN = ("node_modules", "gql", "build", "__generated__", "graphql-env.d.ts", "apollo.json", "relay.json")
"""What the project's own steps write."""


def run(*command: str, cwd: Path, **environ: str) -> None:
    """Run a step, and fail with what it printed."""
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}", pytrace=False)


def install(top: Path) -> Path:
    """Install the project below `top`, and generate its code from `schema.graphql`; return its folder."""
    target = top / "tests" / "clients"
    npm_ci(HERE, target, *_WRITTEN)
    shutil.copy(ROOT / "schema.graphql", top)
    run("npm", "run", "generate", cwd=target)
    return target
