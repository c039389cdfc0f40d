"""The audit suite of npm `graphql-http` against the live server: every audit, MAY included."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "audits"


@pytest.fixture
def audits(tmp_path: Path) -> Path:
    """The suite, installed. Where Node.js or its packages cannot be had, the test is skipped."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm: install Node.js 20 or later to run the audits")
    for name in ("package.json", "package-lock.json", ".npmrc", "run.mjs"):
        shutil.copy(HERE / name, tmp_path)
    command = [npm, "ci", "--silent", "--no-audit", "--no-fund", "--prefix", str(tmp_path)]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("npm ci failed: the audits need the npm registry")
    return tmp_path


async def test_all_audits_pass(audits: Path, base_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "node", "run.mjs", f"{base_url}/graphql", cwd=audits, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    outcomes = json.loads(output)
    assert len(outcomes) == 61
    assert [outcome for outcome in outcomes if outcome["status"] != "ok"] == []
