"""The step of `.ci/run` that compares the schema with the parent commit's, run by itself in repositories of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STEP = (
    (ROOT / ".ci" / "run").read_text(encoding="utf-8").partition('step "the schema, against')[2].partition("\nstep ")[0]
)
SCRIPT = f'set -euo pipefail; step() {{ :; }}\nstep "the schema, against{STEP}'

GIT = {f"GIT_{role}_{what}": "a@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty repository, beside the command that is tested."""
    tools = tmp_path / "work" / "tools" / "bin"
    tools.mkdir(parents=True)
    (tools / "receipts-gateway").symlink_to(Path(sys.executable).parent / "receipts-gateway")
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    git("init", "-q")


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, env=os.environ | GIT)


def commit(fields: str, message: str = "Change it") -> None:
    Path("schema.graphql").write_text("type Query { %s }" % fields)
    git("add", ".")
    git("commit", "-qm", message)


def step() -> tuple[int, str]:
    environ = os.environ | {"work": str(Path("../work").resolve())}
    done = subprocess.run(["bash", "-c", SCRIPT], capture_output=True, text=True, env=environ, timeout=30)
    return done.returncode, done.stdout + done.stderr


def test_the_first_commit_is_passed_over() -> None:
    commit("a: Int")
    assert step() == (0, "Skipped: this is the first commit, and there is nothing to compare it with.\n")


def test_a_change_that_breaks_clients_must_be_meant() -> None:
    commit("a: Int b: Int")
    commit("a: Int b: Int c: Int")
    assert step()[0] == 0
    commit("a: Int", "Leave b out\n\nIt is not used.")
    status, output = step()
    assert status == 1
    assert "Query.b was removed" in output
    assert "say why in the last lines of the commit's message: Breaking-Schema: …" in output
    git("commit", "-q", "--amend", "-m", "Leave b out\n\nIt is not used.\n\nBreaking-Schema: nobody asks for it")
    status, output = step()
    assert status == 0
    assert output.startswith("Clients may break, and are meant to: nobody asks for it\n")
    assert "Query.b was removed" in output
    commit("a: Int c: Int")  # What was meant once is not meant for ever.
    commit("c: Int")
    assert step()[0] == 1


def test_what_is_not_yet_committed_counts() -> None:
    commit("a: Int b: Int")
    git("commit", "-q", "--allow-empty", "-m", "Nothing")
    Path("schema.graphql").write_text("type Query { a: Int }")
    assert step()[0] == 1


def test_a_shallow_clone_says_what_to_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit("a: Int")
    commit("a: Int b: Int")
    git("clone", "-q", "--depth", "1", f"file://{Path.cwd()}", str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    status, output = step()
    assert status == 0
    assert "Skipped" in output
    assert "git fetch --deepen=1" in output
