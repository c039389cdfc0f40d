"""`receipts-gateway query`: examples and documents, over the sandbox and at a URL."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from gateway.cli import main
from gateway.sandbox import Sandbox

from ..conftest import EXAMPLES
from .conftest import run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no-such",), "Examples: address, conversations, failures"),
        (("thread", "--var", "first"), "NAME=VALUE"),
        (("thread", "--var", "frist=3"), "no variable $frist"),
        (("thread", "--url", "http://127.0.0.1:1/graphql"), "cannot be reached"),
        (("thread", "--url", "nonsense"), "not an address"),
        (("thread", "--url", "http://"), "not an address"),
        (("thread", "--url", "localhost:8000/graphql"), "must start with http:// or https://"),
        (("thread", "--url", "//localhost:8000/graphql"), "must start with http:// or https://"),
        (("thread", "--url", "ftp://localhost/graphql"), "must start with http:// or https://"),
        (("thread", "--operation", "Other"), "--operation: the document has no operation Other. It has Thread."),
    ],
)
def test_wrong_use_is_reported_in_words(arguments: tuple[str, ...], words: str) -> None:
    result = CliRunner().invoke(main, ["query", *arguments])
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)  # Any other exception is a traceback.
    assert words in result.stderr


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


def test_an_operation_is_chosen_among_several() -> None:
    document = "query A { a: __typename } query B { b: __typename }"
    result = CliRunner().invoke(main, ["query", "-"], input=document)
    assert (result.exit_code, result.output) == (
        2,
        "The document has several operations. Choose one with --operation: A, B.\n",
    )
    result = CliRunner().invoke(main, ["query", "-", "--operation", "B"], input=document)
    assert json.loads(result.output) == {"data": {"b": "Query"}}
    result = CliRunner().invoke(main, ["query", "-", "--operation", "B"], input="{ __typename }")
    assert result.output == "--operation: the document has no operation B. It has one without a name.\n"


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [
        ("String!", "15551234567", "15551234567"),
        ("String!", "007", "007"),
        ("String!", "1.50", "1.50"),
        ("String!", "true", "true"),
        ("String!", "null", "null"),
        ("String!", '"15551234567"', "15551234567"),
        ("String!", "hello", "hello"),
        ("String", "null", None),
        ("ID!", "1e5", "1e5"),
        ("DateTime", "2026", "2026"),
        ("[ID!]!", "1", "1"),
        ("[ID!]!", '["1", "2"]', ["1", "2"]),
        ("Int", "5", 5),
        ("Int!", "null", None),
        ("Float", "5", 5),
        ("Boolean!", "true", True),
        ("[Int!]", "5", 5),
    ],
)
async def test_a_value_has_the_type_of_its_variable(declared: str, text: str, value: Any) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"data": (await request.json())["variables"]})

    server = TestServer(web.Application())
    server.app.router.add_post("/graphql", answer)
    async with server:
        document = f"query Q($x: {declared}) {{ a(x: $x) }}"
        arguments = ["query", "-", "--url", str(server.make_url("/graphql")), "--var", f"x={text}"]
        result = await asyncio.to_thread(CliRunner().invoke, main, arguments, input=document)
    assert json.loads(result.output) == {"data": {"x": value}}


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
