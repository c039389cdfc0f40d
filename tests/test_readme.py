"""README: its query has the answer that it shows, its commands run, its links lead to files, and it is short."""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from pathlib import Path

from gateway.sandbox import Sandbox

from .conftest import ROOT, Ask
from .docs.blocks import FILES, blocks, read
from .docs.running import credentials, environment, serving_script


def test_it_is_short() -> None:
    assert len(read("README").splitlines()) <= 200


def test_its_links_lead_to_files_and_every_topic_is_among_them() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", read("README"))
    assert [link for link in links if not link.startswith("https://") and not (ROOT / link).is_file()] == []
    topics = {str(path.relative_to(ROOT)) for name, path in FILES.items() if name != "README"}
    assert topics <= set(links)


async def test_the_query_has_the_answer(ask: Ask) -> None:
    (query,), (answer,) = blocks("README", "graphql"), blocks("README", "json")
    got = await ask(query)
    assert {"data": got.data} == json.loads(answer)
    assert len(got.paths) == 5


def test_the_two_commands_stand_alone() -> None:
    run, test, _, _ = blocks("README", "sh")
    assert run == "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/receipts-gateway demo\n"
    assert test == "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest\n"
    assert test.strip() in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_uv_installs_the_tests_requirements_for_the_tests_alone() -> None:
    assert "`uv run receipts-gateway demo`, `uv run --group dev pytest`" in read("README")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["uv"]["default-groups"] == []
    assert project["dependency-groups"] == {"dev": ["receipts-gateway[test]"]}
    assert "pytest" not in " ".join(project["project"]["dependencies"])


async def test_an_account_of_one_s_own(sandbox: Sandbox, tmp_path: Path) -> None:
    _, _, alone, for_others = blocks("README", "sh")
    alone = alone.replace("AC…", sandbox.account_sid, 1).replace("TOKEN=…", f"TOKEN={sandbox.auth_token}", 1)

    def run() -> None:
        with serving_script(alone, environment(sandbox), tmp_path) as (_, printed):
            assert sandbox.landmarks["service_sid"] in "".join(printed)  # From `check`.
        with serving_script(for_others, environment(sandbox, **credentials(sandbox)), tmp_path) as (url, _):
            assert url.startswith("http://0.0.0.0:")

    await asyncio.to_thread(run)
