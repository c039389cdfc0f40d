"""Every code block of the documentation is run or compared: here, or beside the code that it shows."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import twilio.rest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.sandbox import Sandbox
from gateway.settings import Settings
from gateway.twilio.events import EVENT_TYPES

from ..conftest import ROOT, serving
from .blocks import FILES, all_blocks, blocks
from .running import credentials, environment, serving_script, shell

TESTS = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))


@pytest.mark.parametrize("name", FILES)
def test_every_block_is_in_a_test(name: str) -> None:
    for block in all_blocks(name):
        is_tested = f'blocks("{name}", "{block.language}")' in TESTS
        is_tested |= block.name is not None and f'all_blocks("{name}")' in TESTS
        assert is_tested, f"{name}: no test has this block\n{block.text}"


async def test_trusted_documents(sandbox: Sandbox, tmp_path: Path) -> None:
    (block,) = blocks("http", "sh")
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
        with serving_script(f"{export}\nreceipts-gateway serve", environ, tmp_path) as (url, _):
            command = curl.replace("localhost:8000/graphql", f"-s {url}").replace("sha256:…", f"sha256:{digest}")
            assert json.loads(shell(command, environ, tmp_path)) == {"data": {"__typename": "Query"}}

    await asyncio.to_thread(run)


async def test_the_cost_of_an_example(sandbox: Sandbox, tmp_path: Path) -> None:
    (block,) = blocks("costs", "sh")
    printed = await asyncio.to_thread(shell, block, environment(sandbox), tmp_path)
    assert re.match(r"thread \S+: at most 6\d upstream calls, 11 round trips\n", printed)


async def test_the_sandbox_s_commands(sandbox: Sandbox, tmp_path: Path) -> None:
    start, control, _ = blocks("sandbox", "sh")
    usage, *looks = start.splitlines()
    about = await asyncio.to_thread(shell, "receipts-gateway sandbox --help", environment(sandbox), tmp_path)
    for option, default in re.findall(r"\[(--\w+) ([^\]|]+)", usage):
        assert re.search(rf"{option} .*?\[default: {default}", about, re.DOTALL), option
    marks = sandbox.landmarks
    for line in [*looks, *control.splitlines()]:
        command = line.replace("localhost:8001", sandbox.url)
        command = command.replace("IM…", marks["message_sid"]).replace("DY…", marks["receipt_sid"])
        printed = await asyncio.to_thread(shell, command, environment(sandbox), tmp_path)
        assert "error" not in json.loads(printed or "{}"), line


async def _accept(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await Response(status_code=204)(scope, receive, send)


async def test_the_sandbox_in_python(sandbox: Sandbox, tmp_path: Path) -> None:
    with_twilio, alone, configuring = blocks("sandbox", "python")
    _, _, firing = blocks("sandbox", "sh")
    names: dict[str, Any] = {
        "twilio": twilio,
        "account_sid": sandbox.account_sid,
        "auth_token": sandbox.auth_token,
    }
    exec(with_twilio.replace("http://127.0.0.1:8001", sandbox.url), names)  # noqa: S102
    (service, *_) = await asyncio.to_thread(names["client"].conversations.v1.services.list)
    assert service.sid.startswith("IS")
    names["service_sid"] = sandbox.landmarks["service_sid"]
    async with serving(_accept) as url:
        await asyncio.to_thread(exec, configuring.replace("http://127.0.0.1:8000", url), names)
        for line in firing.replace("http://127.0.0.1:8000", url).splitlines():
            command = line.replace("sandbox trigger", f"sandbox trigger --sandbox {sandbox.url}").partition("#")[0]
            for shown, name in (("IM…", "message_sid"), ("DY…", "receipt_sid")):
                command = command.replace(shown, sandbox.landmarks[name])
            printed = await asyncio.to_thread(shell, command, environment(sandbox), tmp_path)
            assert printed.endswith(f" sent to {url}/webhooks/twilio\n"), line
        await sandbox.until(lambda: [each.statuses for each in sandbox.webhooks] == [[204], [204]])
    body = textwrap.indent(alone.replace("[...]", "[]"), "    ")
    exec(f"async def run():\n{body}", names)  # noqa: S102
    await names["run"]()


async def test_webhooks_are_configured_as_described(sandbox: Sandbox, tmp_path: Path) -> None:
    setting, command, check, _ = blocks("webhooks", "sh")
    command = command.replace("https://conversations.twilio.com", sandbox.url)
    service = sandbox.landmarks["service_sid"]
    environ = environment(sandbox, **credentials(sandbox), SERVICE=service)
    printed = json.loads(
        await asyncio.to_thread(shell, setting + command.replace("curl", "curl -s"), environ, tmp_path)
    )
    assert printed["post_webhook_url"] == "https://receipts.example.com/webhooks/twilio"
    assert set(printed["filters"]) == set(EVENT_TYPES)
    assert Settings.load({**credentials(sandbox), "GATEWAY_WEBHOOK_URL": printed["post_webhook_url"]}).webhook
    assert "every event reaches the gateway." in await asyncio.to_thread(shell, setting + check, environ, tmp_path)


async def test_conversations_are_watched_as_described(sandbox: Sandbox, tmp_path: Path) -> None:
    *_, command = blocks("webhooks", "sh")
    sids = [service.sid for service in sandbox.world.services[:2]]
    conversations = [f"{sid}/{next(iter(sandbox.world.find_service(sid).by_sid))}" for sid in sids]  # type: ignore[union-attr]
    for conversation in conversations:
        command = command.replace("IS…/CH…", conversation, 1)
    environ = environment(sandbox, **credentials(sandbox), GATEWAY_RECONCILE_SECONDS="0.1")

    paths = [f"Services/{each.replace('/', '/Conversations/')}" for each in conversations]
    targets = [f"{path}/Messages?Order=desc&PageSize=100" for path in paths]
    serving = serving_script(command, environ, tmp_path)
    await asyncio.to_thread(serving.__enter__)
    try:
        await sandbox.until(lambda: all(sandbox.paths.count(target) >= 2 for target in targets))
    finally:
        await asyncio.to_thread(serving.__exit__, None, None, None)


def test_the_contributors_commands() -> None:
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert text.count("```") == 2
    install, check, write, generate, take = block.splitlines()
    assert install.startswith("python3 -m venv .venv && .venv/bin/pip install -c .ci/constraints.txt -e ")
    assert os.access(ROOT / check.split()[0], os.X_OK)
    command = shutil.which(write.split()[0].replace(".venv/bin/", ""), path=str(Path(sys.executable).parent))
    assert command is not None
    printed = subprocess.run([command, "schema"], capture_output=True, text=True, check=True).stdout
    assert write.split()[1:4] == ["schema", ">", "schema.graphql"]
    assert printed == (ROOT / "schema.graphql").read_text(encoding="utf-8")
    module = ROOT / generate.split()[2].replace(".", "/")
    assert (module / "__main__.py").is_file()
    assert (ROOT / take.split()[2].replace(".", "/")).with_suffix(".py").is_file()
