"""`receipts-gateway schema check` as its user sees it: what it prints, in three forms, and how it ends."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from graphql import build_schema, introspection_from_schema
from graphql import print_schema as print_core_schema

from gateway.cli import main
from gateway.graph.schema import print_schema

from ...docs.blocks import blocks, rows, section
from ..formats import place, sarif

OLD = """
type Query { thread(id: ID!): Thread }
type Thread { id: ID! topic: String! position: Int size(unit: Unit = LINES): Int }
enum Unit { LINES WORDS }
"""
NEW = (
    OLD.replace("position: Int", '"How many." count: Int')
    .replace("topic: String!", "topic: String")
    .replace("= LINES", "= WORDS")
    .replace("thread(", '"One."\nthread(')
)

TEXT = """\
Breaking:
  Thread.position was removed, and had not been deprecated.
  Thread.topic was String! and is String now.

Dangerous:
  Thread.size(unit:) has the default WORDS now; it was LINES.

Safe:
  Thread.count was added.
  1 description changed.

2 breaking, 1 dangerous and 2 safe changes from old.graphql to new.graphql.
The check fails (--fail-on breaking).
"""

WITH_OPERATIONS = """\
Breaking:
  Thread.position was removed, and had not been deprecated.
    src/panel.tsx:2 Panel
  Thread.topic was String! and is String now.
    It affects no operation.

Dangerous:
  Thread.size(unit:) has the default WORDS now; it was LINES.
    src/size.graphql:1 (no name)

Safe:
  Thread.count was added.
  1 description changed.

Operations that do not fit the new schema:
  src/panel.tsx:2 Panel
    src/parts.graphql:2:3: Cannot query field 'position' on type 'Thread'.

2 breaking, 1 dangerous and 2 safe changes from old.graphql to new.graphql.
2 operations checked, of which 1 no longer fits.
The check fails (--fail-on breaking).
"""

PANEL = """export const query = gql`
  query Panel { thread(id: 1) { ...Part } }
`;
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with two schemas and a client."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECEIPTS_GATEWAY_TOKEN", raising=False)
    Path("old.graphql").write_text(OLD)
    Path("new.graphql").write_text(NEW)
    Path("src").mkdir()
    Path("src/panel.tsx").write_text(PANEL)
    Path("src/parts.graphql").write_text("fragment Part on Thread {\n  position\n}\n")
    Path("src/size.graphql").write_text("{ thread(id: 1) { size } }\n")
    return tmp_path


def check(*arguments: str, input: str | None = None) -> Result:
    return CliRunner().invoke(main, ["schema", "check", *arguments], input=input)


def both(*arguments: str) -> Result:
    return check("old.graphql", "new.graphql", *arguments)


CLIENT = ("--operations", "src/**/*.{graphql,tsx}")


def test_what_people_read() -> None:
    assert both().output == TEXT
    assert both(*CLIENT).output == WITH_OPERATIONS


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((), 1),
        (("--fail-on", "breaking"), 1),
        (("--fail-on", "dangerous"), 1),
        (("--fail-on", "none"), 0),
        (CLIENT, 1),
        ((*CLIENT, "--fail-on", "none"), 0),
        ((*CLIENT, "--only-used"), 1),
        (("--operations", "src/size.graphql"), 1),
        (("--operations", "src/size.graphql", "--only-used"), 0),
        (("--operations", "src/size.graphql", "--only-used", "--fail-on", "dangerous"), 1),
    ],
)
def test_when_it_fails(arguments: tuple[str, ...], status: int) -> None:
    for form in ("text", "json", "github", "junit", "sarif"):
        assert both(*arguments, "--format", form).exit_code == status, form


def test_what_is_dangerous_or_safe_fails_only_if_that_is_wanted() -> None:
    Path("new.graphql").write_text(OLD.replace("= LINES", "= WORDS"))
    assert both().exit_code == 0
    assert both("--fail-on", "dangerous").exit_code == 1
    Path("new.graphql").write_text(OLD.replace("position: Int", "position: Int! more: Int"))
    assert both("--fail-on", "dangerous").exit_code == 0
    result = check("old.graphql", "old.graphql")
    assert result.output == "No changes from old.graphql to old.graphql.\nThe check passes.\n"


def test_an_operation_may_break_by_changes_that_are_safe_each() -> None:
    Path("old.graphql").write_text("type Query { a: U } union U = A | B type A { x: Int } type B { x: Int }")
    Path("new.graphql").write_text("type Query { a: U } union U = A | B type A { x: Int! } type B { x: Int }")
    Path("q.graphql").write_text("query Q { a { ... on A { x } ... on B { x } } }")
    assert both().exit_code == 0
    result = both("--operations", "q.graphql", "--only-used")
    assert "Fields 'x' conflict because they return conflicting types" in result.output
    assert result.exit_code == 1


def test_what_cannot_be_checked_is_told_apart_and_counts() -> None:
    Path("src/panel.tsx").write_text("gql`query Panel { thread(id: 1) { nope } }`; gql`{ a `; gql`{ ...Lost }`")
    Path("src/parts.graphql").unlink()
    result = both(*CLIENT, "--only-used")
    assert result.exit_code == 1
    apart = result.output.partition("Not checked, as they cannot be read or do not fit the old schema either:\n")[2]
    assert [line.split(": ")[0].strip() for line in apart.splitlines()[:3]] == [
        "src/panel.tsx:1:35",
        "src/panel.tsx:1:54",
        "src/panel.tsx:1:63",
    ]
    assert "1 operation checked, of which 0 no longer fit." in apart
    assert "Changes that affect none count as well, since not all operations could be checked." in apart
    Path("empty.ts").write_text("export {}")
    result = both("--operations", "empty.ts", "--only-used")
    assert "Changes that affect none count as well, since there are no operations." in result.output
    assert result.exit_code == 1


def test_what_programs_read() -> None:
    content = json.loads(both(*CLIENT, "--format", "json").output)
    panel = {"name": "Panel", "file": "src/panel.tsx", "line": 2}
    assert content["changes"][0] == {
        "criticality": "breaking",
        "kind": "FIELD_REMOVED",
        "coordinate": "Thread.position",
        "message": "Thread.position was removed, and had not been deprecated.",
        "fails": True,
        "touches": [panel],
    }
    assert [(each["fails"], each["touches"]) for each in content["changes"][1:]] == [
        (True, []),
        (False, [{"name": None, "file": "src/size.graphql", "line": 1}]),
        (False, None),
        (False, None),
    ]
    error = {
        "file": "src/parts.graphql",
        "line": 2,
        "column": 3,
        "message": "Cannot query field 'position' on type 'Thread'.",
    }
    del content["changes"]
    assert content == {
        "old": "old.graphql",
        "new": "new.graphql",
        "fails": True,
        "counts": {"breaking": 2, "dangerous": 1, "safe": 2},
        "notCompared": [],
        "operations": {"checked": 2, "broken": [{**panel, "errors": [error]}], "unchecked": [], "notes": []},
    }
    assert json.loads(both("--format", "json").output)["operations"] is None


def test_what_github_reads() -> None:
    assert both("--format", "github").output.splitlines()[:4] == [
        "::error title=Breaking%3A Thread.position::Thread.position was removed, and had not been deprecated.",
        "::error title=Breaking%3A Thread.topic::Thread.topic was String! and is String now.",
        "::warning title=Dangerous%3A Thread.size(unit%3A)::"
        "Thread.size(unit:) has the default WORDS now; it was LINES.",
        "::notice title=Safe%3A Thread.count::Thread.count was added.",
    ]
    lines = both(*CLIENT, "--format", "github").output.splitlines()
    assert lines[0].startswith("::error file=src/panel.tsx,line=2,col=3,title=Breaking%3A Thread.position::")
    assert lines[1].endswith("String now. It affects no operation.")
    assert lines[4] == (
        "::error file=src/parts.graphql,line=2,col=3,title=Does not fit the new schema::"
        "Cannot query field 'position' on type 'Thread'."
    )


def test_what_ci_servers_read_as_tests() -> None:
    cases = ElementTree.fromstring(both(*CLIENT, "--format", "junit").output).findall("testsuite/testcase")
    failed = {case.get("name"): case.find("failure") for case in cases}
    assert [name for name, failure in failed.items() if failure is not None] == [
        "Thread.position was removed, and had not been deprecated.",
        "Thread.topic was String! and is String now.",
        "Panel",
    ]
    assert {case.get("classname") for case in cases} == {
        "breaking changes",
        "dangerous changes",
        "safe changes",
        "src/panel.tsx",
        "src/size.graphql",
    }
    (removed, *_), panel = failed.values(), failed["Panel"]
    assert removed is not None
    assert (removed.text or "").splitlines()[1].startswith("src/panel.tsx:2 Panel")
    assert panel is not None
    assert panel.text == "src/parts.graphql:2:3: Cannot query field 'position' on type 'Thread'."


def test_what_code_scanning_reads() -> None:
    log = sarif(both(*CLIENT, "--format", "sarif").output)
    results = [
        (result["ruleId"], result["level"], *place(result), result["message"]["text"])
        for result in log["runs"][0]["results"]
    ]
    assert results[0][:5] == ("FIELD_REMOVED", "error", "src/panel.tsx", 2, 3)
    assert results[1][:5] == ("FIELD_CHANGED_KIND", "error", "new.graphql", 1, 1)
    assert ("INVALID_OPERATION", "error", "src/parts.graphql", 2, 3) in [result[:5] for result in results]
    Path("new.graphql").rename("git.graphql")
    assert sarif(check("old.graphql", "git.graphql", "--format", "sarif").output)["runs"][0]["results"]


def test_texts_of_schemas_stay_on_their_line() -> None:
    Path("old.graphql").write_text("type Query { a: Int b: Int }")
    Path("new.graphql").write_text(
        'type Query { a: Int b: Int @deprecated(reason: """100%\n::error::x\n\\u001b[31m""") }'
    )
    (line,) = [line for line in both("--format", "github").output.splitlines() if "Query.b" in line]
    assert line == "::notice title=Safe%3A Query.b::Query.b is deprecated now: “100%25 ::error::x \\u001b[31m”"
    Path("new.graphql").write_text('type Query { a: Int b: Int @deprecated(reason: "\\u001b[31m\\n::error::x") }')
    assert "  Query.b is deprecated now: “ [31m ::error::x”\n" in both().output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing argument 'OLD'"),
        (("no.graphql", "new.graphql"), "no.graphql does not exist."),
        (("old.graphql", "no.graphql"), "no.graphql does not exist."),
        (("old.graphql", "src/size.graphql"), "neither SDL nor JSON"),
        (("old.graphql", "src/parts.graphql"), "src/parts.graphql:1:1: This is an operation or a fragment"),
        (("git:HEAD~1",), "not a git repository"),
        (("http://127.0.0.1:1/graphql",), "cannot be reached"),
        (("-", "-"), "Only one of OLD and NEW"),
        (("old.graphql", "--only-used"), "--only-used needs the operations"),
        (("old.graphql", "--operations", "no/**/*.graphql"), "no/**/*.graphql"),
        (("old.graphql", "--fail-on", "all"), "'all' is not one of"),
        (("old.graphql", "new.graphql", "more"), "unexpected extra argument"),
    ],
)
def test_wrong_use_is_said_in_words(arguments: tuple[str, ...], words: str) -> None:
    result = check(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_standard_input_and_this_package() -> None:
    result = check("-", input=print_schema())
    assert result.output == "No changes from standard input to this package's schema.\nThe check passes.\n"
    assert check("old.graphql", "-", input=OLD).exit_code == 0


def test_the_group_prints_the_schema_and_knows_no_other_command() -> None:
    assert CliRunner().invoke(main, ["schema"]).output == print_schema()
    result = CliRunner().invoke(main, ["schema", "chekc"])
    assert result.exit_code == 2
    assert "No such command 'chekc'" in result.output


@pytest.mark.parametrize("arguments", [("old.graphql", "new.graphql", *CLIENT), ("old.graphql",)])
def test_no_server_is_imported(arguments: tuple[str, ...]) -> None:
    code = "import sys, gateway.cli as c; c.main(sys.argv[1:], standalone_mode=False)"
    run = [sys.executable, "-c", f"import atexit, sys; atexit.register(lambda: print(*sys.modules)); {code}"]
    done = subprocess.run([*run, "schema", "check", *arguments], capture_output=True, text=True, timeout=30)
    loaded = set(done.stdout.split())
    assert "gateway.contract.schema.changes" in loaded
    assert not {"starlette", "uvicorn", "aiohttp", "gateway.web"} & loaded
    assert ("strawberry" in loaded) == (len(arguments) == 1)


THREAD = """\
import { gql } from "@apollo/client";
export const THREAD = gql`
  query Thread($service: ID!, $conversation: ID!) {
    service(sid: $service) { conversation(sid: $conversation) { messages(first: 50) { edges { node { ...Row } } } } }
  }
`;
"""


@pytest.fixture
def changed() -> None:
    """A repository where the schema has been changed, as the documentation's example has it."""
    schema = print_schema()
    Path("schema.graphql").write_text(schema)
    Path("src/Thread.tsx").write_text(THREAD)
    Path("src/row.graphql").write_text(
        "fragment Row on Message {\n  receipts { edges { node { sid messageSid status } } }\n}\n"
        "query Services { services { edges { node { friendlyName } } } }\n"
    )
    for name in ("panel.tsx", "parts.graphql", "size.graphql"):
        Path("src", name).unlink()
    identity = ("-c", "user.name=someone", "-c", "user.email=someone@example.com")
    for arguments in (
        ("init", "-q", "-b", "main"),
        ("add", "."),
        (*identity, "commit", "-qm", "Begin"),
        ("update-ref", "refs/remotes/origin/main", "HEAD"),
    ):
        subprocess.run(["git", *arguments], check=True)
    head, _, receipt = schema.partition("type Receipt implements Node {")
    for old, new in (
        ("first: Int = 50", "first: Int = 20"),
        ('"""The name of the conversation, for display."""', '"""What people call it."""'),
    ):
        head = head.replace(old, new, 1)
    head, mark, messages = head.partition("  messages(\n")
    head += mark + messages.replace("pageSize: 100, per: PAGE", "pageSize: 50, per: PAGE", 1)
    receipt = receipt.replace(
        '"""The sid of the message: `IM…`."""\n  messageSid: ID!', '"""When."""\n  sentAt: DateTime', 1
    )
    Path("schema.graphql").write_text(f"{head}type Receipt implements Node {{{receipt}")


@pytest.mark.usefixtures("changed")
def test_the_documented_example_is_true() -> None:
    command, _ = blocks("checks", "sh")
    report, *_ = blocks("checks", "text")
    result = CliRunner().invoke(main, shlex.split(command)[1:])
    assert result.output == report
    assert result.exit_code == 1


@pytest.mark.usefixtures("changed")
def test_the_documented_workflow_works() -> None:
    _, _, workflow, _ = blocks("checks", "yaml")
    command = workflow.partition("- run: ")[2].partition("\n")[0]
    environ = os.environ | {
        "GITHUB_BASE_REF": "main",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environ, timeout=30)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("::error title=Breaking%3A Receipt.messageSid::Receipt.messageSid was removed")


def test_the_object_is_documented_as_it_is() -> None:
    content = json.loads(both(*CLIENT, "--format", "json").output)
    table = dict(rows(section("checks", "schema check"), "key"))
    assert [key for names in table for key in re.findall(r"`(\w+)`", names)] == list(content)
    for key, parts in {
        "changes": content["changes"][0],
        "counts": content["counts"],
        "operations": content["operations"],
    }.items():
        words = table[f"`{key}`"]
        assert [name for name in parts if f"`{name}`" not in words] == []


DEPRECATING = """
type Query { c(old: Int @deprecated, new: Int): Int d(by: In): Int }
input In { old: Int @deprecated new: Int }
directive @mark(old: Int @deprecated, new: Int) on FIELD
"""


DEFAULT = json.dumps(introspection_from_schema(build_schema(DEPRECATING), input_value_deprecation=False))
"""Its introspection as most tools ask for it."""


def test_deprecated_inputs_that_introspection_left_out_are_not_removed() -> None:
    Path("old.graphql").write_text(DEPRECATING)
    Path("default.json").write_text(DEFAULT)
    Path("q.graphql").write_text("query Q { c(old: 1) @mark(old: 2) d(by: { old: 3 }) }")
    for sources in (("old.graphql", "default.json"), ("default.json", "old.graphql")):
        result = check(*sources, "--fail-on", "dangerous", "--operations", "q.graphql")
        assert result.exit_code == 0, result.output
        assert "No changes from" in result.output
        assert "deprecated arguments and input fields, which may be missing in it" in result.output
        assert "1 operation checked, of which 0 no longer fit." in result.output


def test_other_inputs_that_introspection_lacks_are_removed() -> None:
    Path("old.graphql").write_text(DEPRECATING.replace("new: Int", "new: Int more: Int"))
    Path("default.json").write_text(DEFAULT)
    result = check("old.graphql", "default.json")
    assert [line.split()[0] for line in result.output.splitlines() if "was removed" in line] == [
        "@mark(more:)",
        "In.more",
        "Query.c(more:)",
    ]


def test_prices_are_not_compared_with_a_copy_that_has_none() -> None:
    Path("own.graphql").write_text(print_schema())
    Path("copy.graphql").write_text(print_core_schema(build_schema(print_schema())))  # It omits the directives applied.
    for sources in (("own.graphql", "copy.graphql"), ("copy.graphql", "own.graphql")):
        result = check(*sources, "--fail-on", "dangerous")
        assert (result.exit_code, result.output.splitlines()[0]) == (
            0,
            "Not compared, as one of the schemas does not state it: prices (@upstream).",
        )
        assert json.loads(check(*sources, "--format", "json").output)["notCompared"] == ["prices (@upstream)"]
    free = check("copy.graphql", "own.graphql", "--unpriced-is-free", "--fail-on", "dangerous")
    assert free.exit_code == 1
    assert "costs more" in free.output
    assert "Not compared" not in check("copy.graphql", "copy.graphql").output
