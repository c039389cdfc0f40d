"""Where schemas come from, and what is said when there is none: files, git, introspection, with real git and real HTTP."""

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from graphql import build_schema, graphql_sync, introspection_from_schema
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.contract import CheckError
from gateway.contract.schema.changes import find_changes
from gateway.contract.schema.sources import SchemaSource, read_source
from gateway.demo import settings_for
from gateway.sandbox import Sandbox

from ...conftest import serving

SCHEMA = "type Query { a(b: Int = 1): String }"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(text: str | bytes) -> SchemaSource:
    Path("s.graphql").write_bytes(text.encode() if isinstance(text, str) else text)
    return read_source("s.graphql", None)


def refusal(where: str, token: str | None = None) -> str:
    with pytest.raises(CheckError) as caught:
        read_source(where, token)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        SCHEMA,
        "\ufeff" + SCHEMA,
        # Directives that are applied and not declared, as in a federation's subgraph.
        'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"]) '
        'type Query { a: A } type A @key(fields: "id") @key(fields: "x") { id: ID! @shareable x: Int @tag(name: "y") }',
        "type Q { a: Int } schema { query: Q }",
        "type Query { a: A } type A { b: Int } extend type A { c: Int }",
    ],
)
def test_sdl_is_read(text: str) -> None:
    assert read(text).schema.query_type is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "s.graphql is empty."),
        (" \n ", "s.graphql is empty."),
        ("type Query {\n  a: Int\n", "s.graphql:3:1: Syntax Error: Expected Name, found <EOF>."),
        ("type Query {\n  a: B\n}", "s.graphql:2:6: Unknown type 'B'."),
        ("type Query { a: Int }\ntype Query { b: Int }", "s.graphql:1:6: There can be only one type named 'Query'."),
        ("type Query {\n  a: In\n}\ninput In { a: Int }",
         "s.graphql:2:6: The type of Query.a must be Output Type but got: In."),
        ("type A { b: Int }", "s.graphql: Query root type must be provided."),
        ("type Query { a: Int }\nextend type B { c: Int }",
         "s.graphql:2:13: Cannot extend type 'B' because it is not defined."),
        ("type Query { a: Int }\ntype A @deprecated { b: Int }",
         "s.graphql:2:8: Directive '@deprecated' may not be used on object."),
        ("query Q { a }", "s.graphql:1:1: This is an operation or a fragment; a schema is expected."),
        ("{ a }", "s.graphql is neither SDL nor JSON: a schema is expected, not an operation."),
        ("{}", "s.graphql is JSON, but not the complete result of an introspection query."),
        ('{"data": null, "errors": []}', "s.graphql is JSON, but not the complete result of an introspection query."),
        ('{"__schema": {"types": [{}]}}', "s.graphql is JSON, but not the complete result of an introspection query."),
        ("<html>", "s.graphql:1:1: Syntax Error: Unexpected character: '<'."),
        (b"\xff\xfe", "s.graphql is not UTF-8 text (byte 0)."),
        ("type Query { a: %sInt%s }" % ("[" * 5000, "]" * 5000),
         "s.graphql:1:218: Syntax Error: Document is nested too deeply. Parsing aborted."),
        ("[" * 100_000, "s.graphql:1:1: Syntax Error: Unexpected '['."),
        ('{"a":' * 100_000, "s.graphql is nested too deeply to be a schema."),
    ],
)  # fmt: skip
def test_what_is_no_schema_is_said_in_words(text: str | bytes, message: str) -> None:
    Path("s.graphql").write_bytes(text.encode() if isinstance(text, str) else text)
    assert refusal("s.graphql") == message


def test_many_errors_are_not_all_told() -> None:
    Path("s.graphql").write_text("type Query { %s }" % " ".join(f"f{number}: B" for number in range(20)))
    assert refusal("s.graphql").splitlines()[-1] == "s.graphql: and 10 more."


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("no.graphql", "no.graphql does not exist. A schema is a file, the address of a gateway"),
        ("localhost:8000/graphql", "localhost:8000/graphql does not exist. If it is an address, write http://"),
        (".", ". cannot be read (Is a directory)."),
        ("a\0b", "cannot be read"),
        ("", "The name of a schema is empty"),
        ("HTTP://127.0.0.1:1/graphql", "cannot be reached"),
        ("git:HEAD", "git says: fatal: not a git repository"),
        ("git::schema.graphql", "git says: fatal: not a git repository"),
        ("git:", "git: names no revision."),
        ("git:--help", "names no revision."),
        ("http://127.0.0.1:1/graphql", "http://127.0.0.1:1/graphql cannot be reached. Is the gateway running?"),
        ("http://user:secret@127.0.0.1:1/graphql?key=secret", "http://127.0.0.1:1/graphql cannot be reached."),
        ("http://", "is not an address"),
        ("https://[::1", "is not an address"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_in_words(where: str, words: str) -> None:
    message = refusal(where)
    assert words in message
    assert "secret" not in message


async def test_a_gateway_tells_its_schema(base_url: str) -> None:
    asked = await asyncio.to_thread(read_source, f"{base_url}/graphql?x=1", None)
    assert asked.name == f"{base_url}/graphql"
    assert asked.not_compared == {"UPSTREAM"}
    changes = find_changes(read_source(None, None).schema, asked.schema)
    assert {change.kind for change in changes} == {"UPSTREAM_CHEAPER"}  # Introspection has no prices.


async def test_a_gateway_may_want_a_token_and_hide_its_schema(sandbox: Sandbox) -> None:
    settings = replace(settings_for(sandbox), tokens={"ann": Token("ann-has-a-long-token")}, introspection=False)
    async with serving(create_app(settings)) as url:
        where = f"{url}/graphql"
        message = await asyncio.to_thread(refusal, where)
        assert message == f"{where} rejects the caller (401): give its token with --token or RECEIPTS_GATEWAY_TOKEN."
        message = await asyncio.to_thread(refusal, where, "ann-has-a-long-token")
        assert message.startswith(f"{where} does not return its schema: “GraphQL introspection has been disabled")
        assert "GATEWAY_INTROSPECTION" in message
        message = await asyncio.to_thread(refusal, f"{url}/nowhere", "ann-has-a-long-token")
        assert message == f"{url}/nowhere is not a GraphQL endpoint (404). A gateway's address ends in /graphql."
        message = await asyncio.to_thread(refusal, where, "line\nbreak")
        assert "cannot be requested" in message
        assert "break" not in message


def app(endpoint: Callable[[Request], Awaitable[Response]]) -> Starlette:
    return Starlette(routes=[Route("/graphql", endpoint, methods=["GET", "POST"])])


@pytest.mark.parametrize(
    ("unknown", "untold"),
    [
        (["isOneOf"], {"UPSTREAM", "ONE_OF"}),
        (
            ["isOneOf", "includeDeprecated: true) {", "specifiedByURL", "isRepeatable"],
            {"UPSTREAM", "ONE_OF", "SPECIFIED_BY", "DIRECTIVE_REPEATABLE", "DEPRECATED_INPUT"},
        ),
    ],
)
async def test_older_servers_are_asked_for_what_they_know(unknown: list[str], untold: set[str]) -> None:
    async def older(request: Request) -> Response:
        query = (await request.json())["query"]
        for word in unknown:
            if word in query.replace("fields(includeDeprecated", "").replace("enumValues(includeDeprecated", ""):
                return JSONResponse({"errors": [{"message": f"Cannot query {word}."}]}, 400)
        return JSONResponse({"data": graphql_sync(build_schema(SCHEMA), query).data})

    async with serving(app(older)) as url:
        source = await asyncio.to_thread(read_source, f"{url}/graphql", None)
    assert source.not_compared == untold
    assert find_changes(build_schema(SCHEMA), source.schema) == []


async def test_what_is_no_gateway_is_said_in_words() -> None:
    authorizations = []

    async def endpoint(request: Request) -> Response:
        authorizations.append(request.headers["authorization"])
        match request.query_params["as"]:
            case "page":
                return PlainTextResponse("<html>")
            case "list":
                return JSONResponse([])
            case "data":
                return JSONResponse({"data": {}})
            case "part":
                return JSONResponse({"data": {"__schema": {"types": [{}]}}})
            case _:
                return RedirectResponse("/graphql?as=page")

    async with serving(app(endpoint)) as url:
        for kind, words in {
            "page": "does not answer with a GraphQL response: is it a GraphQL endpoint?",
            "list": "does not answer with a GraphQL response",
            "data": "does not return its schema: there is no `__schema` in the response.",
            "part": "is JSON, but not the complete result of an introspection query",
            "redirect": "redirects (307): give the address that it redirects to.",
        }.items():
            authorizations.clear()
            message = await asyncio.to_thread(refusal, f"{url}/graphql?as={kind}", "token-of-mine")
            assert words in message, kind
            assert len(authorizations) == (2 if kind == "data" else 1)  # A redirect is not followed.


def test_the_result_of_introspection_is_read_from_a_file() -> None:
    result = introspection_from_schema(build_schema(SCHEMA))
    for content in (result, {"data": result}):
        source = read(json.dumps(content, indent=1))
        assert find_changes(build_schema(SCHEMA), source.schema) == []
        assert "UPSTREAM" in source.not_compared


@pytest.fixture
def git(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs git in a repository of its own."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "someone")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "someone@example.com")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")

    def run(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout

    run("init", "-q", "-b", "main")
    return run


def test_a_revision_is_read(git: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        Path("schema.graphql").write_text("type Query { a%d: Int }" % number)
        Path("api dir").mkdir(exist_ok=True)
        Path("api dir/s.graphql").write_text("type Query { b%d: Int }" % number)
        git("add", ".")
        git("commit", "-qm", f"{number}")
    git("tag", "v1", "HEAD~1")
    Path("schema.graphql").write_text("type Query { a3: Int }")
    git("add", ".")
    Path("schema.graphql").write_text("not staged")
    Path("deep").mkdir()
    for directory in (".", "deep"):
        monkeypatch.chdir(directory)
        for where, field in {
            "git:HEAD": "a2",
            "git:HEAD~1": "a1",
            "git:main": "a2",
            "git:v1": "a1",
            "git:v1:api dir/s.graphql": "b1",
            "git:HEAD:schema.graphql": "a2",
            "git::schema.graphql": "a3",
            "git::": "a3",
        }.items():
            source = read_source(where, None)
            assert source.schema.query_type is not None
            assert list(source.schema.query_type.fields) == [field]
            assert source.name == where
    for where, words in {
        "git:HEAD~2": "HEAD~2 is not a revision of this repository. A shallow clone",
        "git:nope": "nope is not a revision",
        "git:HEAD:nope": "HEAD has no file nope. Name another with git:HEAD:PATH, from the top.",
        "git:HEAD:api dir": "HEAD has no file api dir.",
        "git::nope": "The index has no file nope.",
    }.items():
        assert words in refusal(where)
    git("clone", "-q", "--depth", "1", f"file://{Path.cwd().parent}", "shallow")
    monkeypatch.chdir("shallow")
    assert "git fetch --deepen=1" in refusal("git:HEAD~1")


def test_git_may_not_be_there(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.setenv("PATH", str(here))
    assert refusal("git:HEAD") == "git is not installed here, so that no revision can be read."
