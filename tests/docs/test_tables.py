"""The documentation names commands, options, settings, headers, codes and metrics as they are, and all of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args, get_type_hints

import aiohttp
import click
import pytest

from gateway.app import create_app
from gateway.cli import main
from gateway.demo import settings_for
from gateway.errors import CODES
from gateway.execution.bounds import Bounds
from gateway.sandbox import Sandbox, Switches
from gateway.sandbox.faults import KINDS
from gateway.settings import SETTINGS
from gateway.web.server import serving

from ..conftest import EXAMPLES, ROOT
from .blocks import FILES, code, read, rows, section
from .generated import TABLES, metrics_table, settings_table, with_table

OTHERS = {
    "GATEWAY_TTL_…",  # All that begin so.
    "RECEIPTS_GATEWAY_TOKEN",
    "RECEIPTS_GATEWAY_BUILD_GRAPHIQL",
}
"""Variables that are not settings of the gateway."""


def commands(group: click.Group = main, before: str = "") -> dict[str, click.Command]:
    """Return every command that does something, by its words."""
    found: dict[str, click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        words = f"{before}{name}"
        if isinstance(command, click.Group):
            found |= commands(command, f"{words} ")
        if not isinstance(command, click.Group) or command.invoke_without_command:
            found[words] = command
    return found


def options_of(command: click.Command) -> set[str]:
    return {
        name for each in command.params if isinstance(each, click.Option) for name in each.opts if name.startswith("--")
    }


def plain(cell: str) -> str:
    return cell.strip("`")


def test_generated_tables_are_current() -> None:
    for name, (_, table) in TABLES.items():
        assert with_table(read(name), table()) == read(name), "run: python -m tests.docs"


def test_settings_are_all_there() -> None:
    assert [plain(row[0]) for row in rows(settings_table(), "variable")] == [each.env for each in SETTINGS]


def test_every_command_and_option_is_in_the_table() -> None:
    table = {plain(row[0]).removeprefix("receipts-gateway "): row[2] for row in rows(read("operate"), "command")}
    assert {name: set(code(options)) for name, options in table.items()} == {
        name: options_of(command) for name, command in commands().items()
    }


@pytest.mark.parametrize("name", FILES)
def test_commands_and_options_exist(name: str) -> None:
    every = commands()
    for span in code(read(name)):
        program, *words = span.split() or [""]
        options = {word for word in words if word.startswith("--")}
        if program == "receipts-gateway" and words:
            own = next((words[:count] for count in (2, 1) if " ".join(words[:count]) in every), None)
            assert own is not None, f"{name}: {span}"
            assert options <= options_of(every[" ".join(own)]) | {"--help"}, f"{name}: {span}"
        elif program.startswith("--"):
            assert any({program, *options} <= options_of(command) for command in every.values()), f"{name}: {span}"


@pytest.mark.parametrize("name", FILES)
def test_the_project_s_own_scripts_exist(name: str) -> None:
    for span in code(read(name)):
        if span.startswith("python -m tests."):
            module, *options = span.split()[2:]
            path = ROOT / module.replace(".", "/")
            source = (path / "__main__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")
            assert all(f'"{option}"' in source for option in options if option.startswith("-")), f"{name}: {span}"


def test_every_example_is_named() -> None:
    assert {example.stem for example in EXAMPLES} <= set(code(read("operate")))


def test_variables_that_are_no_settings_are_read_somewhere() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "gateway").rglob("*.py"))
    assert [name for name in OTHERS if not name.endswith("…") and name not in sources] == []


@pytest.mark.parametrize("name", FILES)
def test_settings_exist(name: str) -> None:
    known = {each.env for each in SETTINGS} | {f"{each.env}_FILE" for each in SETTINGS if each.in_file} | OTHERS
    known |= {each.alias for each in SETTINGS if each.alias is not None}
    assert set(re.findall(r"\b(?:GATEWAY|TWILIO|RECEIPTS_GATEWAY)_[A-Z_]+(?:…|(?<!_))", read(name))) <= known


def test_every_error_code_is_described() -> None:
    codes = {name: "yes" if kind.retryable else "no" for name, kind in CODES.items()}
    assert {plain(row[0]): row[2] for row in rows(read("errors"), "code")} == codes


@pytest.mark.parametrize("name", FILES)
def test_error_codes_exist(name: str) -> None:
    known = set(CODES) | {"PARTLY_FAILED", "UNKNOWN", "PENDING", "AFTER_CHANGE", "NOT_READ"}
    named = {each for each in code(read(name)) if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", each)}
    settings = (
        {name for each in SETTINGS for name in (each.env, each.alias)}
        | OTHERS
        | {"HTTPS_PROXY", "NO_PROXY", "SO_REUSEPORT"}
    )
    assert named - settings <= known


def test_metrics_exist() -> None:
    metrics = {plain(row[0]) for row in rows(metrics_table(), "metric")}
    assert len(metrics) > 10
    dashboard = (ROOT / "gateway" / "dashboard.json").read_text(encoding="utf-8")
    named = {each.removesuffix("_bucket") for each in re.findall(r"\bgateway_\w+", dashboard)}
    assert named <= metrics


async def test_headers_are_as_browsers_may_use_them(sandbox: Sandbox) -> None:
    """CORS allows the headers of the one table, and exposes those of the other, beside what browsers show without it."""
    origin = "https://app.example.com"
    app = create_app(replace(settings_for(sandbox), cors_origins=frozenset({origin})))
    requests = ",".join(plain(row[0]).lower() for row in rows(read("http"), "request header"))
    ask = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": requests}
    async with serving(app) as base, aiohttp.ClientSession() as session:
        async with session.options(f"{base}/graphql", headers=ask) as preflight:
            assert preflight.headers["Access-Control-Allow-Headers"] == requests
        async with session.get(f"{base}/graphql?query={{__typename}}", headers={"Origin": origin}) as response:
            exposed = response.headers["Access-Control-Expose-Headers"]
            assert response.headers.keys() >= {"Gateway-Cost", "X-Request-Id", "ETag", "Cache-Control"}
    assert {plain(row[0]) for row in rows(read("http"), "response header")} == {*exposed.split(", "), "Cache-Control"}


def test_limits_are_as_stated() -> None:
    limits, bounds = {row[0]: row[1] for row in rows(read("http"), "what")}, Bounds()
    assert limits["document"] == f"{bounds.characters >> 10} KiB, {bounds.tokens:,} tokens, {bounds.depth} levels"
    assert limits["fields of a document"].startswith(f"{bounds.fields:,}, ")
    assert limits["fields of a document"].endswith(f" {bounds.root_fields} at the root")
    assert limits["aliases, directives"] == f"{bounds.aliases} each; {bounds.directives_each} directives at one place"


def test_the_sandbox_s_faults_and_switches_are_described() -> None:
    kinds = [kind for row in rows(section("sandbox", "Faults"), "kind") for kind in code(row[0])]
    assert kinds == list(KINDS)
    switches = {plain(row[0]): code(row[1]) for row in rows(section("sandbox", "Switches"), "switch")}
    assert switches == {name: list(get_args(hint)) for name, hint in get_type_hints(Switches).items()}
