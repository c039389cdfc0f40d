"""`receipts-gateway operations`: what the command line adds to `gateway.contract.operations`."""

import json
import re
from pathlib import Path

from click.testing import CliRunner

from gateway.cli import main
from gateway.graph.schema import print_schema

from ..conftest import EXAMPLES
from .conftest import run


def test_costs_are_printed_offline() -> None:
    result = CliRunner().invoke(main, ["operations", "cost", *(path.stem for path in EXAMPLES)])
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if "at most" in line]
    assert len(lines) == len(EXAMPLES)
    assert "thread Thread: at most 22 upstream calls, 11 round trips" in result.output
    result = CliRunner().invoke(main, ["operations", "cost", "thread", "--var", "first=50"])
    assert "at most 62 upstream calls" in result.output


def test_the_generated_code_is_printed_or_why_there_is_none(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["operations", "cost", "thread", "--explain"])
    assert "deliveryStatus" in result.output
    assert "def write(children):" in result.output
    file = tmp_path / "q.graphql"
    file.write_text("query A($ids: [ID!]!) { nodes(ids: $ids) { id } }")
    result = CliRunner().invoke(main, ["operations", "cost", str(file), "--explain"])
    assert result.output.endswith("No code is generated: list of reads.\n")


def test_costs_are_drawn_as_one_mermaid_flowchart(tmp_path: Path) -> None:
    file = tmp_path / '#1;a "b".graphql'
    file.write_text(
        "query A($s: ID!, $c: ID!) { service(sid: $s) { conversation(sid: $c) { messages(first: 1) { edges { node {"
        " sid receipts(status: []) { edges { cursor } } } } } } } }"
    )
    result = CliRunner().invoke(main, ["operations", "cost", "thread", str(file), "--format", "mermaid"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "flowchart LR"
    assert sum(line.startswith("  subgraph ") for line in lines) == 2
    assert lines.count("  end") == 2
    text = result.output
    assert text.count('["Round trip 2"]') == 1
    assert '["thread Thread: at most 22 calls, 11 round trips"]' in text
    assert '["receipts<br/>10 calls<br/>fewer where summaries show none"]' in text
    assert '["participant<br/>10 calls<br/>up to 10 one after another"]' in text
    assert '["receipts<br/>no call: nothing can match"]:::skipped' in text
    assert "/#35;1;a #quot;b#quot;.graphql A: at most 1 call, 1 round trip" in text
    names = dict(re.findall(r'(o\d+f\d+)\["(\w+)<br/>', text))
    arrows = {(names[one], arrow, names[other]) for one, arrow, other in re.findall(r"(\w+) (-\S+>) (\w+)", text)}
    assert ("messages", "-->", "receipts") in arrows  # It waits.
    assert ("receipts", "-.->", "participant") in arrows  # It leaves before.
    assert ("messages", "-.->", "receipts") in arrows  # Nothing is read.
    result = CliRunner().invoke(main, ["operations", "cost", "thread", "--explain", "--format", "mermaid"])
    assert (result.exit_code, result.output) == (2, "--explain prints code: leave out --format mermaid.\n")


def test_what_is_wrong_with_a_document_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "q.graphql"
    file.write_text("query A {\n  nope\n}\nquery B { services { edges { cursor } } }")
    result = CliRunner().invoke(main, ["operations", "cost", str(file)])
    assert result.exit_code == 1
    assert f"{file}:2:3: Cannot query field" in result.output


def test_a_value_nested_too_deeply_for_json_is_text(tmp_path: Path) -> None:
    document = tmp_path / "a.graphql"
    document.write_text("query A($n: Int) { services(first: $n) { edges { cursor } } }")
    result = run("operations", "cost", str(document), "--var", "n=" + "[" * 50_000)
    assert result.returncode == 1
    assert result.stderr.endswith(
        "1:9: --var n: $n has the type Int. "
        "The value is not valid JSON, in which strings, enum values and keys have double quotes.\n"
    )


def test_documents_of_other_tags_are_read_by_every_command(tmp_path: Path) -> None:
    file = tmp_path / "a.ts"
    file.write_text("export const A = query`query A { services { edges { cursor } } }`;")
    schema = tmp_path / "schema.graphql"
    schema.write_text(print_schema())
    for command in (
        ["operations", "cost", str(file)],
        ["schema", "check", str(schema), "--operations", str(file), "--format", "json"],
    ):
        assert "services" not in CliRunner().invoke(main, command).output
        result = CliRunner().invoke(main, [*command, "--tag", "query"])
        assert result.exit_code == 0, result.output
        assert "A: at most 1 upstream call" in result.output or json.loads(result.output)["operations"]["checked"] == 1
