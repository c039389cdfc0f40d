"""The modules of GraphiQL's page that need no browser: their own tests, in Node.js."""

import os
import subprocess
from pathlib import Path

from ..conftest import ROOT, npm_ci

PAGE = ROOT / "gateway" / "web" / "graphiql" / "page" / "src"


def test_the_modules_of_the_page(tmp_path: Path) -> None:
    npm_ci(Path(__file__).parent / "modules", tmp_path)
    environment = {**os.environ, "SCHEMA": str(ROOT / "schema.graphql")}
    process = subprocess.run(
        ["node", "run.mjs", str(PAGE)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "# fail 0" in process.stdout
    assert "# tests 0" not in process.stdout
