"""README's blocks are tried, every one: here, or where the part of the project that they speak of has its tests."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import twilio.rest

from gateway.sandbox import Sandbox

from .conftest import ROOT, Ask

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(?P<language>\S*)(?: \S+)?\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)

ELSEWHERE = {
    "For frontend teams": "tests/clients",
    "Contract tests": "tests/contract_tests",
    "Contracts": "tests/contract",
}
"""Sections whose blocks are tried by other tests."""
NOT_RUN = {
    "python3 -m venv": "takes a fresh checkout: `.ci/run` does, and the wheel's test",
    "docker build": "takes Docker, which is not on every machine: `.ci/run` lints the Dockerfile",
}


def blocks(section: str, language: str) -> list[str]:
    """The blocks of a section in a language; the section before the first heading has no name."""
    text = README.partition(f"\n## {section}\n")[2] if section else README
    return [match["text"] for match in BLOCK.finditer(text.partition("\n## ")[0]) if match["language"] == language]


def test_every_block_is_tried() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    for part in re.split(r"^## ", README, flags=re.MULTILINE):
        section = part.partition("\n")[0] if part is not README and not part.startswith("#") else ""
        if section in ELSEWHERE:
            assert any((ROOT / ELSEWHERE[section]).glob("**/test_*.py"))
            continue
        for match in BLOCK.finditer(part):
            is_run = f'blocks("{section}", "{match["language"]}")' in here
            assert is_run or match["text"].startswith(tuple(NOT_RUN)), f"{section}: {match['text']}"


async def test_the_query_has_the_answer(ask: Ask) -> None:
    (query,), (answer,) = blocks("", "graphql"), blocks("", "json")
    got = await ask(query)
    assert {"data": got.data} == json.loads(answer)
    assert len(got.paths) == 5


def test_the_two_commands_stand_alone() -> None:
    assert blocks("", "sh") == [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/receipts-gateway demo\n",
        "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest\n",
    ]
    assert blocks("", "sh")[1].strip() in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def environment(sandbox: Sandbox, **more: str) -> dict[str, str]:
    """This process's, with the command on the path, and settings for the sandbox in place of any that are there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TWILIO_", "GATEWAY_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return kept | {"PATH": path, "GATEWAY_UPSTREAM_URL": sandbox.url} | more


def credentials(sandbox: Sandbox) -> dict[str, str]:
    return {"TWILIO_ACCOUNT_SID": sandbox.account_sid, "TWILIO_AUTH_TOKEN": sandbox.auth_token}


def shell(script: str, environ: dict[str, str], cwd: Path) -> str:
    """What a script prints; it must succeed."""
    done = subprocess.run(["bash", "-euc", script], env=environ, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def serving(script: str, environ: dict[str, str], cwd: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of the gateway that a script ends in, and what it printed before."""
    script = script.replace("receipts-gateway serve", "exec receipts-gateway serve --port 0")
    with subprocess.Popen(["bash", "-euc", script], env=environ, cwd=cwd, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        said: list[str] = []
        try:
            for line in running.stdout:
                said.append(line)
                if found := re.match(r"GraphQL at ([^\s,]+)", line):
                    yield found[1], said
                    break
            else:
                pytest.fail(f"It did not start: {said}")
        finally:
            running.terminate()


async def test_an_account_of_one_s_own(sandbox: Sandbox, tmp_path: Path) -> None:
    alone, for_others = blocks("Your own account", "sh")
    alone = alone.replace("AC…", sandbox.account_sid, 1).replace("TOKEN=…", f"TOKEN={sandbox.auth_token}", 1)

    def run() -> None:
        with serving(alone, environment(sandbox), tmp_path) as (_, said):
            assert sandbox.landmarks["service_sid"] in "".join(said)  # From `check`.
        with serving(for_others, environment(sandbox, **credentials(sandbox)), tmp_path) as (url, _):
            assert url.startswith("http://0.0.0.0:")

    await asyncio.to_thread(run)


async def test_trusted_documents(sandbox: Sandbox, tmp_path: Path) -> None:
    (block,) = blocks("HTTP", "sh")
    export, curl = block.splitlines()
    document = "query A { __typename }"
    digest = sha256(document.encode()).hexdigest()
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "persisted-documents.json").write_text(json.dumps({digest: document}))
    (tmp_path / "ios").mkdir()
    operation = {"id": "b", "name": "B", "type": "query", "body": "query B { __typename }"}
    manifest = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [operation]}
    (tmp_path / "ios" / "manifest.json").write_text(json.dumps(manifest))

    def run() -> None:
        environ = environment(sandbox, **credentials(sandbox))
        with serving(f"{export}\nreceipts-gateway serve", environ, tmp_path) as (url, _):
            command = curl.replace("localhost:8000/graphql", f"-s {url}").replace("sha256:…", f"sha256:{digest}")
            assert json.loads(shell(command, environ, tmp_path)) == {"data": {"__typename": "Query"}}

    await asyncio.to_thread(run)


async def test_the_price_of_an_example(sandbox: Sandbox, tmp_path: Path) -> None:
    (block,) = blocks("How it stays cheap", "sh")
    said = await asyncio.to_thread(shell, block, environment(sandbox), tmp_path)
    assert re.match(r"thread \S+: at most 6\d upstream calls, 2 round trips\n", said)


async def test_the_sandbox_s_commands(sandbox: Sandbox, tmp_path: Path) -> None:
    start, control = blocks("The sandbox", "sh")
    usage, *looks = start.splitlines()
    about = await asyncio.to_thread(shell, "receipts-gateway sandbox --help", environment(sandbox), tmp_path)
    for option, default in re.findall(r"\[(--\w+) ([^\]|]+)", usage):
        assert re.search(rf"{option} .*?\[default: {default}", about, re.DOTALL), option
    marks = sandbox.landmarks
    for line in [*looks, *control.splitlines()]:
        command = line.replace("localhost:8001", sandbox.url)
        command = command.replace("IM…", marks["message_sid"]).replace("DY…", marks["receipt_sid"])
        said = await asyncio.to_thread(shell, command, environment(sandbox), tmp_path)
        assert "error" not in json.loads(said or "{}"), line


async def test_the_sandbox_in_python(sandbox: Sandbox) -> None:
    with_twilio, alone = blocks("The sandbox", "python")
    names: dict[str, Any] = {
        "twilio": twilio,
        "account_sid": sandbox.account_sid,
        "auth_token": sandbox.auth_token,
    }
    exec(with_twilio.replace("http://127.0.0.1:8001", sandbox.url), names)  # noqa: S102
    (service, *_) = await asyncio.to_thread(names["client"].conversations.v1.services.list)
    assert service.sid.startswith("IS")
    body = textwrap.indent(alone.replace("[...]", "[]"), "    ")
    exec(f"async def run():\n{body}", names)  # noqa: S102
    await names["run"]()


def test_the_developers_commands() -> None:
    (block,) = blocks("Develop", "sh")
    install, check, write = block.splitlines()
    assert install.startswith("python3 -m venv .venv && .venv/bin/pip install -c .ci/constraints.txt -e ")
    assert os.access(ROOT / check.split()[0], os.X_OK)
    command = shutil.which(write.split()[0].replace(".venv/bin/", ""), path=str(Path(sys.executable).parent))
    assert command is not None
    printed = subprocess.run([command, "schema"], capture_output=True, text=True, check=True).stdout
    assert write.split()[1:4] == ["schema", ">", "schema.graphql"]
    assert printed == (ROOT / "schema.graphql").read_text(encoding="utf-8")
