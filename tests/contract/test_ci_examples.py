"""The documented workflow and pre-commit hooks: valid by their schemas, and run in a client's repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.graph.schema import print_schema

from ..docs.blocks import all_blocks

FILES = {block.name: block.text for block in all_blocks("checks") if block.name is not None}
WORKFLOW, HOOKS = ".github/workflows/contract.yml", ".pre-commit-config.yaml"
THREAD = """query Thread($sid: ID!, $first: Int = 10) { node(id: $sid) { ... on Conversation {
  messages(first: $first) { edges { node { id receipts { edges { node { id } } } } } }
} } }
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A client's repository with the documented files, and one commit."""
    for name, text in {
        "schema.graphql": print_schema(),
        "src/thread.graphql": THREAD,
        WORKFLOW: FILES[WORKFLOW],
        HOOKS: FILES[HOOKS],
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    run(tmp_path, "receipts-gateway operations check 'src/**/*.graphql' --snapshot prices.json")
    run(tmp_path, "git init -q -b main . && git add -A && git commit -qm One")
    run(tmp_path, "git update-ref refs/remotes/origin/main HEAD")
    return tmp_path


def run(folder: Path, command: str, status: int = 0) -> str:
    """Run a command, which must have this exit code; return what it prints."""
    identity = {f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = os.environ | identity | {"PATH": path, "GITHUB_BASE_REF": "main", "PRE_COMMIT_HOME": str(folder / ".git")}
    done = subprocess.run(
        ["bash", "-euc", command], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def steps() -> list[str]:
    """The commands of the documented workflow, without the installation."""
    workflow: Any = yaml.safe_load(FILES[WORKFLOW])
    (job,) = workflow["jobs"].values()
    install, *commands = [step["run"] for step in job["steps"] if "run" in step]
    assert install == 'pip install "receipts-gateway[operations] @ $PACKAGE"'
    return commands


def test_github_accepts_the_workflow(tmp_path: Path) -> None:
    file = tmp_path / "contract.yml"
    file.write_text(FILES[WORKFLOW], encoding="utf-8")
    command = f"{sys.executable} -m check_jsonschema --builtin-schema vendor.github-workflows {file}"
    assert "ok -- validation done" in run(tmp_path, command)


def test_the_workflow_finds_what_breaks(repository: Path) -> None:
    operations, schema = steps()
    run(repository, operations)
    run(repository, schema)
    (repository / "src" / "thread.graphql").write_text(THREAD.replace("= 10", "= 50"))
    assert "::error file=src/thread.graphql,line=1,col=1::Thread 11 → 51 calls" in run(repository, operations, 1)
    sdl = (repository / "schema.graphql").read_text(encoding="utf-8")
    (repository / "schema.graphql").write_text(sdl.replace("  totalCount: Int\n", "  total: Int\n"), encoding="utf-8")
    assert "ReceiptConnection.totalCount was removed" in run(repository, schema, 1)


def test_the_hooks_find_what_breaks(repository: Path) -> None:
    run(repository, "pre-commit run --all-files")
    (repository / "src" / "thread.graphql").write_text(THREAD.replace("receipts", "nothing"))
    sdl = (repository / "schema.graphql").read_text(encoding="utf-8")
    (repository / "schema.graphql").write_text(sdl.replace("  totalCount: Int\n", "  total: Int\n"), encoding="utf-8")
    printed = run(repository, "git add -A && pre-commit run", 1)
    assert "Cannot query field 'nothing' on type 'Message'." in printed
    assert "ReceiptConnection.totalCount was removed" in printed
