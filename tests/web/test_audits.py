"""The audit suite of npm `graphql-http` against the live server: every audit, MAY included."""

import asyncio
import json
from pathlib import Path

import pytest

from ..conftest import npm_ci

HERE = Path(__file__).parent / "audits"


@pytest.fixture
def audits(tmp_path: Path) -> Path:
    """The suite, installed. Where Node.js or its packages cannot be had, the test is skipped."""
    npm_ci(HERE, tmp_path)
    return tmp_path


async def test_all_audits_pass(audits: Path, base_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "node", "run.mjs", f"{base_url}/graphql", cwd=audits, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    outcomes = json.loads(output)
    assert len(outcomes) == 61
    assert [outcome for outcome in outcomes if outcome["status"] != "ok"] == []
