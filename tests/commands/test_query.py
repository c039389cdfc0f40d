"""`receipts-gateway query`: examples and documents, over the sandbox and at a URL."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.sandbox import Sandbox

from ..conftest import EXAMPLES
from .conftest import run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no-such",), "Examples: conversations, failures"),
        (("thread", "--var", "first"), "NAME=VALUE"),
        (("thread", "--var", "frist=3"), "no variable $frist"),
        (("thread", "--url", "http://127.0.0.1:1/graphql"), "cannot be reached"),
        (("thread", "--url", "nonsense"), "not an address"),
    ],
)
def test_wrong_use_is_reported_in_words(arguments: tuple[str, ...], words: str) -> None:
    result = run("query", *arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES])
def test_every_example_runs_over_the_sandbox(name: str) -> None:
    result = CliRunner().invoke(main, ["query", name])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.output)
    assert list(answer) == ["data"]
    assert "null" not in json.dumps(next(iter(answer["data"].values())))[:40]


def test_a_document_and_its_variables_from_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "q.graphql"
    file.write_text(
        "query Q($serviceSid: ID!, $n: Int) { service(sid: $serviceSid) { conversations(first: $n) { edges { cursor } } } }"
    )
    result = CliRunner().invoke(main, ["query", str(file), "--var", "n=2"])
    assert len(json.loads(result.output)["data"]["service"]["conversations"]["edges"]) == 2
    result = CliRunner().invoke(main, ["query", str(file), "--var", "serviceSid=IS1"])
    assert result.exit_code == 1
    assert json.loads(result.output)["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    result = CliRunner().invoke(main, ["query", "-"], input="{ nope }")
    assert result.exit_code == 1
    assert "data" not in json.loads(result.output)


async def test_a_query_can_go_to_a_running_gateway(base_url: str, sandbox: Sandbox) -> None:
    variables = [
        f"--var={name}={sandbox.landmarks[key]}"
        for name, key in (("serviceSid", "service_sid"), ("conversationSid", "conversation_sid"))
    ]
    result = await asyncio.to_thread(run, "query", "summary", "--url", f"{base_url}/graphql", *variables)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["data"]["service"]["conversation"]["messages"]["edges"]
    result = await asyncio.to_thread(run, "query", "summary", "--url", f"{base_url}/graphiql", *variables)
    assert result.returncode == 1
    assert json.loads(result.stdout)["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
