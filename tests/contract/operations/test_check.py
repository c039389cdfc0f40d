"""`receipts-gateway operations check` as its user sees it, over the repositories of small clients."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.contract.junit import Case, as_junit
from gateway.contract.operations.check import check_operations
from gateway.graph.schema import print_schema

from ...conftest import Steps
from ...docs.blocks import blocks, rows, section
from ..formats import place, sarif


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(files: dict[str, str]) -> None:
    for name, text in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def check(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["operations", "check", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


APOLLO = {
    "src/Thread.tsx": """\
import { gql, useQuery } from "@apollo/client";
import { RECEIPT_ROW } from "./ReceiptRow";

export const THREAD = gql`
  query Thread($serviceSid: ID!, $conversationSid: ID!, $first: Int = 20, $after: String) {
    isSidebarOpen @client
    service(sid: $serviceSid) {
      conversation(sid: $conversationSid) {
        id
        friendlyName
        draft @client { body }
        messages(first: $first, after: $after) @connection(key: "messages") {
          edges { node { id ...ReceiptRow @nonreactive } }
          pageInfo { hasNextPage endCursor }
        }
      }
    }
  }
  ${RECEIPT_ROW}
`;

export const Thread = ({ sid }: { sid: string }) => <p>Don't use gql`…` here, it's `text`</p>;
""",
    "src/ReceiptRow.tsx": """\
export const RECEIPT_ROW = gql`
  fragment ReceiptRow on Message {
    id
    deliveryStatus
    receipts(status: [FAILED, UNDELIVERED]) { edges { node { id status error { code title } } } }
  }
`;
""",
    "src/schema.graphql": "extend type Query { isSidebarOpen: Boolean! } extend type Conversation { draft: Draft }",
}

RELAY = {
    "src/ThreadScreen.js": """\
// @flow
const query = graphql`
  query ThreadScreenQuery($id: ID!, $withPeople: Boolean!) {
    node(id: $id) {
      ...MessageList_conversation @arguments(count: 30)
      ... on Conversation @include(if: $withPeople) { participants(first: 100) { edges { node { channel } } } }
    }
  }
`;
""",
    "src/MessageList.js": """\
export default createPaginationContainer(<T>(props: T) => <div>{props.x}'s</div>, {
  conversation: graphql`
    fragment MessageList_conversation on Conversation
    @refetchable(queryName: "MessageListPaginationQuery")
    @argumentDefinitions(count: { type: "Int", defaultValue: 10 }, cursor: { type: "String" }) {
      __id
      messages(first: $count, after: $cursor) @connection(key: "MessageList_messages") {
        edges { node { ...Message_message @relay(mask: false) } }
      }
    }
  `,
});
""",
    "src/Message.js": """\
const fragment = graphql`
  fragment Message_message on Message @throwOnFieldError {
    deliveryStatus @required(action: LOG)
    receipts { totalCount }
  }
`;
""",
    "src/__generated__/X.graphql": "query Generated { nope }",
}

TADA = {
    "src/receipts.ts": """\
import { graphql } from './graphql'
export const receiptFields = graphql(`
  fragment ReceiptFields on Receipt @_unmask { id status participant { id channel } }
`)
export const messageQuery = graphql(
  `query Message($id: ID!) {
    node(id: $id) { ... on Message { body @_required receipts { edges { node { ...ReceiptFields } } } } }
  }`,
  [receiptFields],
)
""",
}

URQL = {
    "src/list.jsx": """\
const Services = gql(/* GraphQL */ `
  query Services($first: Int!) { services(first: $first) { edges { node { id friendlyName } } } }
`);
export default () => <Query query={gql('{ services(first: 3) { edges { cursor } } }')}>{(x) => x?.y / 2}</Query>;
""",
}

CODEGEN = {
    "src/queries/summary.gql": """\
query Summary($serviceSid: ID!, $conversationSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { ...Messages } }
}
""",
    "src/queries/messages.graphql": "\ufefffragment Messages on Conversation { messages { edges { node { sid } } } }",
    "src/gql/gql.ts": 'export function graphql(source: "query Summary { nope }"): unknown;\n',
    "src/gql/summary.generated.ts": "export const SummaryDocument = gql`query Summary { nope }`;",
    "node_modules/x/bad.graphql": "query Bad { nope }",
}


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        (APOLLO, ["src/Thread.tsx:5:3 Thread: at most 22 upstream calls, 2 round trips"]),
        (RELAY, [
            "src/MessageList.js:4:5 MessageListPaginationQuery: at most 11 upstream calls, 2 round trips",
            "  with $id = the id of a Conversation",
            "src/ThreadScreen.js:3:3 ThreadScreenQuery: at most 32 upstream calls, 2 round trips",
            "  with $id = the id of a Conversation, $withPeople = true",
        ]),
        (TADA, ["src/receipts.ts:6:4 Message: at most 12 upstream calls, 11 round trips", "  with $id = the id of a Message"]),
        (URQL, [
            "src/list.jsx:2:3 Services: at most 10 upstream calls, 10 round trips",
            "  with $first = 1000",
            "src/list.jsx:4:41 (no name): at most 1 upstream call, 1 round trip",
        ]),
        (CODEGEN, ["src/queries/summary.gql:1:1 Summary: at most 1 upstream call, 1 round trip"]),
    ],
    ids=["apollo", "relay", "gql.tada", "urql", "codegen"],
)  # fmt: skip
def test_clients_of_all_kinds_are_read(files: dict[str, str], lines: list[str]) -> None:
    write(files)
    result = check("src/**/*.{graphql,gql,ts,tsx,js,jsx}")
    assert result.stderr == ""
    assert result.exit_code == 0
    *prices, read, last = result.stdout.splitlines()
    assert prices == lines
    assert read.endswith("read, 0 passed over")
    count = sum("at most" in line for line in lines)
    assert last == f"{count} operation{'s' if count > 1 else ''}, 0 problems"


@pytest.mark.parametrize(
    ("files", "problems"),
    [
        ({"a.graphql": "query A {\n  services { edges { node { nope } } }\n}"},
         ["a.graphql:2:29: Cannot query field 'nope' on type 'Service'."]),
        ({"a.ts": "\n\n  gql`query A {\r\n  services { edges { cursor } }\r\n  nope }`"},
         ["a.ts:5:3: Cannot query field 'nope' on type 'Query'. Did you mean 'node' or 'nodes'?"]),
        ({"a.ts": 'gql("query A {\\n  nope }")'}, ["a.ts:1:19: Cannot query field 'nope' on type 'Query'. "
                                                  "Did you mean 'node' or 'nodes'?"]),
        ({"a.graphql": "query A { ...F }", "b.ts": "const x = 1;\ngql`fragment F on Query { nope }`"},
         ["b.ts:2:27: Cannot query field 'nope' on type 'Query'. Did you mean 'node' or 'nodes'?"]),
        # A fragment that nothing spreads is checked too; two operations that spread one tell of it once.
        ({"a.graphql": "fragment F on Query { nope }"}, ["a.graphql:1:23: Cannot query field 'nope' on type 'Query'. "
                                                         "Did you mean 'node' or 'nodes'?"]),
        ({"a.graphql": "query A { ...F } query B { ...F } fragment F on Query { x }"},
         ["a.graphql:1:57: Cannot query field 'x' on type 'Query'."]),
        ({"a.graphql": "query A { services { edges { cursor } } ...F }"},
         ["a.graphql:1:41: No document that could be read has the fragment F."]),
        ({"a.graphql": "query A { services { edges { cursor @nope } } }"}, ["a.graphql:1:37: Unknown directive '@nope'."]),
        ({"a.graphql": "mutation A { nope }"}, ["a.graphql:1:1: The mutation operation is not supported by the schema."]),
        ({"a.graphql": "query A($x: Int) { services { edges { cursor } } }"},
         ["a.graphql:1:9: Variable '$x' is never used in operation 'A'."]),
        ({"a.graphql": "query A { services { edges { cursor } } ...F } fragment F on Query { ...F }"},
         ["a.graphql:1:1: A: The fragment F contains itself."]),
        ({"a.graphql": "{ services(first: 5000) { edges { cursor } } }"},
         ["a.graphql:1:3: services: `first` must be from 0 to 1000."]),
        ({"b.graphql": "query B { " + " ".join(f"a{n}: services {{ edges {{ cursor }} }}" for n in range(60)) + " }"},
         ["b.graphql:1:1: B: The document is larger than allowed: it has more than 50 fields at its root."]),
        ({"a.graphql": "query Deep { service(sid: \"IS%s\") { " % ("0" * 32) + "... { " * 27 + "sid" + " }" * 29},
         ["a.graphql:1:1: Deep: The document is nested more deeply than 25 levels of fragments."]),
        ({"a.graphql": "query Wide { %s }" % ("services { edges { cursor } } " * 3000)},
         ["a.graphql:1:1: Wide: The document has more than 65536 characters."]),
        ({"a.graphql": "fragment F on Service { " + "... { " * 27 + "sid" + " }" * 28},
         ["a.graphql:1:1: The document is nested more deeply than 25 levels of fragments."]),
        ({"a.ts": "gql`query A { services { ${fields} } }`"},
         ["a.ts:1:26: The content of ${…} is unknown here: only whole fragments can be inserted, outside of all braces. "
          "Use a variable, or a fragment and its name."]),
        ({"b.ts": "gql`query A { services { `", "a.graphql": "query A {"},
         ["a.graphql:1:10: Syntax Error: Expected Name, found <EOF>.", "b.ts:1:26: Syntax Error: Expected Name, found <EOF>."]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_place(files: dict[str, str], problems: list[str]) -> None:
    write(files)
    result = check(".")
    assert result.stderr.splitlines() == problems
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing"], "missing: there is no such file"),
        (["src/**/*.vue"], "src/**/*.vue: no file is there"),
        (["a.graphql", "--max-calls", "-1"], "Invalid value for '--max-calls'"),
        (["a.graphql", "--max-calls", "many"], "'many' is not a valid integer"),
        (["a.graphql", "--format", "xml"], "'xml' is not one of 'text', 'json', 'github'"),
        (["a.graphql", "--var", "first"], "NAME=VALUE"),
        (["a.graphql", "--var", "frist=5"], "--var frist: no operation has a variable $frist."),
        (["a.graphql", "--update"], "--snapshot FILE"),
        (["a.graphql", "--snapshot", "."], "cannot be read (Is a directory)"),
        (["a.graphql", "--snapshot", "a.graphql"], "a.graphql: it is not a snapshot of costs"),
        (["a.graphql", "--snapshot", "missing/prices.json"], "cannot be written (No such file or directory)"),
        (["a.graphql", "--schema", "missing.graphql"], "missing.graphql does not exist"),
        (["a.graphql", "--schema", "a.graphql"], "This is an operation or a fragment; a schema is expected."),
        (["a.graphql", "--schema", "bin"], "bin is not UTF-8 text (byte 0)"),
        (["a.graphql", "--schema", "broken.graphql"], "broken.graphql:1:6: Syntax Error"),
        (["a.graphql", "--schema", "empty.graphql"], "empty.graphql: Query root type must be provided."),
        (["bin"], "bin: it is not UTF-8 text (byte 0)"),
        (["/proc/self/mem"], "it cannot be read (Input/output error)"),
        ([], "Missing argument"),
    ],
)  # fmt: skip
def test_wrong_use_is_said_in_words(arguments: list[str], words: str) -> None:
    write(
        {
            "a.graphql": "query A { services { edges { cursor } } }",
            "empty.graphql": "type T { t: Int }",
            "broken.graphql": "type {\n",
        }
    )
    Path("bin").write_bytes(b"\xff\0")
    result = check(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert words in result.stderr


def test_no_more_is_told_than_can_be_read() -> None:
    fields = " ".join(f"f{number}" for number in range(300))
    write({"a.graphql": "query A { services { edges { node { ...F } } } }\nfragment F on Service { %s }" % fields})
    write({"b.graphql": "fragment G on Query { %s }" % fields})
    result = check(".")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 202
    assert result.stderr.count("Too many validation errors") == 2


def test_a_directory_that_cannot_be_read_is_told(here: Path) -> None:
    write({"src/a.graphql": "{ services { edges { cursor } } }", "src/secret/b.graphql": "{ a }"})
    assert check("src/a.graphql").exit_code == 0  # What it imports is imported.
    here.chmod(0o755)
    for parent in here.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    user = os.geteuid()
    (here / "src" / "secret").chmod(0)
    try:
        os.seteuid(user or 65534)  # Root may read everything.
        result = check("src")
    finally:
        os.seteuid(user)
        (here / "src" / "secret").chmod(0o755)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "src/secret: it cannot be read (Permission denied).\n"


def panel(first: int, extra: str = "") -> None:
    text = """\
export const Panel = gql`
  query ReceiptsPanel($serviceSid: ID!, $conversationSid: ID!, $first: Int = %d) {
    service(sid: $serviceSid) {
      conversation(sid: $conversationSid) {
        messages(first: $first) { edges { node { receipts { totalCount } } } }
      }
    }
  }
`;
%s""" % (first, extra)
    write({"src/Panel.tsx": text})


def test_an_operation_that_could_take_too_much_fails() -> None:
    panel(50, "const other = gql`query Other { services { edges { cursor } } }`")
    assert check("src", "--max-calls", "51").exit_code == 0
    result = check("src", "--max-calls", "20")
    assert result.exit_code == 1
    assert result.stderr == (
        "src/Panel.tsx:2:3: ReceiptsPanel could take 51 upstream calls, and 20 are allowed. The largest part is "
        "Query.service.conversation.messages.receipts with 50; Query.service.conversation.messages(first: 19) would fit.\n"
    )
    # What is suggested fits, and one more does not.
    panel(19)
    assert check("src", "--max-calls", "20").exit_code == 0
    panel(20)
    assert check("src", "--max-calls", "20").exit_code == 1
    assert "shortening a single list is not enough" in check("src", "--max-calls", "0").stderr
    # A variable that is given counts.
    assert check("src", "--max-calls", "20", "--var", "first=5").exit_code == 0


def test_a_person_is_one_of_two() -> None:
    def problems(by: str) -> str:
        write(
            {
                "src/people.graphql": f"""query People($it: String!) {{ service(sid: "IS{"0" * 32}") {{
          participations(by: {by}) {{ edges {{ node {{ conversationSid participant {{ id }} }} }} }} }} }}"""
            }
        )
        return check("src").stderr

    assert problems("{identity: $it}") == problems("{address: $it}") == ""
    assert "exactly one field" in problems("{identity: $it, address: $it}")
    assert "phone" in problems("{phone: $it}")
    write({"other.graphql": print_schema()})
    assert "phone" in check("src", "--schema", "other.graphql").stderr


def test_a_snapshot_is_written_held_to_and_written_anew() -> None:
    panel(10, "const other = gql`query Other { services { edges { cursor } } }`")
    snapshot = Path("prices.json")
    first = check("src", "--snapshot", "prices.json")
    assert (first.exit_code, "prices.json is written: commit it." in first.stdout) == (0, True)
    content = snapshot.read_bytes()
    assert json.loads(content)["operations"]["ReceiptsPanel"] == {
        "calls": 11,
        "roundTrips": 2,
        "edges": {"Query.service.conversation.messages": 1, "Query.service.conversation.messages.receipts": 10},
    }
    again = check("src", "--snapshot", "prices.json")
    assert (again.exit_code, again.stdout.splitlines()[-1], "prices.json" in again.stdout) == (
        0, "2 operations, 0 problems", False)  # fmt: skip

    panel(
        50, "const another = gql`query New { services { edges { cursor } } }`; gql`{ services { edges { cursor } } }`"
    )
    dearer = check("src", "--snapshot", "prices.json")
    assert dearer.exit_code == 1
    words = "ReceiptsPanel 11 → 51 calls: Query.service.conversation.messages.receipts 10 → 50"
    assert dearer.stderr == f"src/Panel.tsx:2:3: {words}\n"
    assert dearer.stdout.splitlines()[-6:] == [
        "New is new: 1 call",
        "Other is gone: 1 call",
        "prices.json has no costs of operations without a name; there are 1.",
        "prices.json has other costs: if the new ones are intended, write them with --update.",
        "1 file read, 0 passed over",
        "3 operations, 1 problem",
    ]
    assert snapshot.read_bytes() == content

    updated = check("src", "--snapshot", "prices.json", "--update")
    assert (updated.exit_code, updated.stderr, words in updated.stdout) == (0, "", True)
    assert sorted(json.loads(snapshot.read_bytes())["operations"]) == ["New", "ReceiptsPanel"]
    assert check("src", "--snapshot", "prices.json").exit_code == 0

    panel(10, "const another = gql`query New { services { edges { cursor } } }`")
    cheaper = check("src", "--snapshot", "prices.json")
    assert cheaper.exit_code == 0
    assert "ReceiptsPanel 51 → 11 calls: Query.service.conversation.messages.receipts 50 → 10" in cheaper.stdout


def test_a_snapshot_is_not_written_while_something_is_wrong() -> None:
    panel(10)
    check("src", "--snapshot", "prices.json")
    content = Path("prices.json").read_bytes()
    write({"src/Panel.tsx": "gql`query ReceiptsPanel { nope }`"})
    for more in ([], ["--update"]):
        result = check("src", "--snapshot", "prices.json", *more)
        assert result.exit_code == 1
        assert "is gone" not in result.stdout  # It is there, and wrong.
        assert Path("prices.json").read_bytes() == content
    assert "prices.json is not written" in result.stdout
    Path("prices.json").unlink()
    assert check("src", "--snapshot", "prices.json").exit_code == 1
    assert not Path("prices.json").exists()


def test_a_broken_snapshot_can_be_written_anew() -> None:
    panel(10)
    Path("prices.json").write_text("<<<<<<< HEAD\n")
    assert check("src", "--snapshot", "prices.json").exit_code == 2
    assert check("src", "--snapshot", "prices.json", "--update").exit_code == 0
    assert check("src", "--snapshot", "prices.json").exit_code == 0


def test_another_schema_is_checked_against() -> None:
    panel(10)
    write({"served.graphql": print_schema().replace("totalCount: Int", "later: Int")})
    result = check("src", "--schema", "served.graphql")
    assert (result.exit_code, result.stderr) == (
        1, "src/Panel.tsx:5:61: Cannot query field 'totalCount' on type 'ReceiptConnection'.\n")  # fmt: skip
    write({"served.graphql": print_schema().replace("type Query {", "type Query {\n  later: Int\n")})
    assert check("src", "--schema", "served.graphql").exit_code == 0
    write({"src/Later.ts": "gql`query Later { later }`"})
    result = check("src", "--schema", "served.graphql")
    assert (result.exit_code, result.stderr) == (
        1, "src/Later.ts:1:19: This release, which computes the cost, rejects it: Cannot query field 'later' on type "
        "'Query'.\n")  # fmt: skip


def test_programs_are_told_the_same() -> None:
    panel(10)
    check("src", "--snapshot", "prices.json")
    panel(
        50,
        "gql`query Wrong($id: ID!) { nope node(id: $id) { id } }`; gql`query Node($id: ID!) { node(id: $id) { id } }`",
    )
    result = check("src", "--snapshot", "prices.json", "--format", "json")
    assert (result.exit_code, result.stderr) == (1, "")
    content: dict[str, Any] = json.loads(result.stdout)
    receipts = "Query.service.conversation.messages.receipts"
    keys = [key.strip("`") for key, _ in rows(section("checks", "operations check"), "key")]
    assert keys == list(content)
    assert content["operations"][0] == {
        "name": "ReceiptsPanel", "file": "src/Panel.tsx", "line": 2, "column": 3, "per": "operation",
        "calls": 51, "roundTrips": 2, "assumed": {},
        "edges": [
            {"field": "Query.service.conversation.messages", "calls": 1, "roundTrip": 1,
             "upstream": "Services/{sid}/Conversations/{sid}/Messages?PageSize=50"},
            {"field": receipts, "calls": 50, "roundTrip": 2,
             "upstream": "Services/{sid}/Conversations/{sid}/Messages/{sid}/Receipts?PageSize=50"},
        ],
    }  # fmt: skip
    assert content["operations"][1]["assumed"] == {"id": "the id of a Service"}
    assert [(each["line"], each["column"]) for each in content["problems"]] == [(2, 3), (10, 29)]
    assert content["changes"] == [
        {"name": "Node", "kind": "new", "per": "operation", "before": None, "after": 0, "edges": []},
        {"name": "ReceiptsPanel", "kind": "dearer", "per": "operation", "before": 11, "after": 51,
         "edges": [{"field": receipts, "before": 10, "after": 50}]},
    ]  # fmt: skip


def test_github_shows_problems_beside_the_lines() -> None:
    write({"src/100%,a.graphql": "query A {\n  nope\n}"})
    result = check("src", "--format", "github")
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout.splitlines()[0] == (
        "::error file=src/100%25%2Ca.graphql,line=2,col=3::Cannot query field 'nope' on type 'Query'. "
        "Did you mean 'node' or 'nodes'?"
    )


def test_ci_servers_show_operations_as_tests() -> None:
    """Text is escaped, and characters that XML does not allow are replaced."""
    write(
        {
            "src/a.graphql": "query Good { __typename }",
            "src/b.graphql": 'query Wrong { service(sid: "<&\\u0007") { nope } }',
            "src/c.graphql": "query Costly($sid: ID!) { node(id: $sid) { ... on Service { friendlyName } } }",
        }
    )
    result = check("src", "--format", "junit", "--max-calls", "0")
    assert result.exit_code == 1
    (suite,) = ElementTree.fromstring(result.stdout)
    assert suite.attrib == {
        "name": "operations check",
        "tests": "3",
        "failures": "2",
        "errors": "0",
        "skipped": "0",
    }
    cases = {(case.get("classname"), case.get("name")): case.find("failure") for case in suite}
    assert cases["src/a.graphql", "Good"] is None
    costly = cases["src/c.graphql", "Costly"]
    assert costly is not None
    assert "1 upstream call" in (costly.text or "")
    (wrong,) = [failure for (file, _), failure in cases.items() if file == "src/b.graphql"]
    assert wrong is not None
    assert (wrong.text or "").startswith("Cannot query field 'nope' on type 'Service'.")
    assert as_junit("x", [Case("a", "<&\x07", "b\ud800")]).count("\ufffd") == 3


def test_code_scanning_shows_problems(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"web/src/100% a.graphql": "query A {\n  nope\n}"})
    monkeypatch.chdir(here / "web")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(here))
    (result,) = sarif(check("src", "--format", "sarif").stdout)["runs"][0]["results"]
    assert (result["ruleId"], result["level"], place(result)) == (
        "OPERATION_PROBLEM",
        "error",
        ("web/src/100%25%20a.graphql", 2, 3),
    )
    write({"src/100% a.graphql": "query A { __typename }"})
    assert sarif(check("src", "--format", "sarif").stdout)["runs"][0]["results"] == []


def test_github_finds_the_file_where_the_step_runs_in_a_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"web/src/a.graphql": "{ nope }"})
    monkeypatch.chdir(here / "web")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(here))
    for pattern in ("src", "../web/src", str(here)):
        assert check(pattern, "--format", "github").stdout.startswith("::error file=web/src/a.graphql,line=1,col=3::")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(here / "elsewhere"))
    assert check("src", "--format", "github").stdout.startswith("::error file=src/a.graphql,line=1,col=3::")


def test_no_server_is_imported() -> None:
    panel(10)
    code = "import sys, gateway.cli as c; c.main(sys.argv[1:], standalone_mode=False); print(*sys.modules, file=sys.stderr)"
    result = subprocess.run(
        [sys.executable, "-c", code, "operations", "check", "src", "--snapshot", "prices.json"],
        capture_output=True,
        text=True,
    )
    loaded = set(result.stderr.split())
    assert "gateway.contract.operations.worst_case" in loaded
    assert not {"starlette", "uvicorn", "aiohttp", "gateway.web", "gateway.sandbox"} & loaded


def test_the_documented_example_is_true() -> None:
    (source,) = blocks("checks", "tsx")
    _, wrong, right, dearer = blocks("checks", "text")
    _, command = blocks("checks", "sh")
    arguments = shlex.split(command)[3:]

    def answer(*more: str) -> tuple[int, list[str]]:
        result = check(*arguments, *more)
        return result.exit_code, sorted((result.stdout + result.stderr).splitlines())

    write({"src/ReceiptsPanel.tsx": source})
    assert answer() == (1, sorted(wrong.splitlines()))
    write({"src/ReceiptsPanel.tsx": source.replace("id text", "id body")})
    assert answer() == (0, sorted(right.splitlines()))
    *_, workflow = blocks("checks", "yaml")
    arguments = shlex.split(workflow.partition("run: ")[2])[3:]
    assert answer()[0] == 0
    write({"src/ReceiptsPanel.tsx": source.replace("id text", "id body").replace("= 10", "= 50")})
    assert answer()[0] == 1
    assert answer("--format", "text")[1].count(dearer.strip()) == 1


def test_twice_as_many_operations_in_one_file_take_twice_the_work() -> None:
    work = []
    for count in (6, 12):
        comments = "  # what it is for\n" * 100
        queries = (f"query Q{each} {{\n{comments}  services {{ nope{each} }}\n}}\n" for each in range(count))
        write({"src/a.graphql": "".join(queries)})
        with Steps() as steps:
            report = check_operations(["src"], {})
        assert len(report.problems) == report.operations == count
        assert report.problems[-1].location.line == 103 * count - 1
        work.append(steps.count)
    assert work[1] < 2.3 * work[0]


def test_a_valid_operation_takes_as_much_work_beside_many_as_beside_few() -> None:
    work = []
    for count in (32, 64):
        write(
            {
                "src/a.graphql": "".join(
                    f"query Q{each} {{ services {{ edges {{ node {{ sid }} }} }} }}\n" for each in range(count)
                )
            }
        )
        with Steps() as steps:
            report = check_operations(["src"], {})
        assert (len(report.costs), report.problems) == (count, [])
        work.append(steps.count)
    assert work[1] < 2.1 * work[0]


LOST = "query Lost($id: ID!) { node(id: $id) { ... on Message { text } } }"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a.vue", "<template>\n  <p>it's `</p>\n</template>\n<script setup lang=\"ts\">\nconst q = gql`LOST`\n</script>"),
        ("a.vue", "<script>\nexport default { q: gql`LOST` }\n</script>\n<style>a { b: '`' }</style>"),
        ("a.vue", "<!-- <script>`</script> -->\n<script generic='T extends A<\"b\">' lang=tsx>\ngql`LOST`</script >"),
        ("a.vue", "<script>\nlet a = 1\n</script>\n<script setup>\ngql`LOST`\n</script>"),
        ("a.svelte", "<script module>\n  const q = gql(`LOST`);\n</script>\n{#if a}it's{/if}"),
        ("a.svelte", "<p>'</p><SCRIPT lang='ts'>const q = a! / 2; gql`LOST`</SCRIPT>"),
        ("a.astro", "---\nimport { gql as query } from 'urql';\nconst q = query`LOST`;\n---\n<p>it's</p>"),
        ("a.astro", "<p>it's</p>\n<script>\n  gql`LOST`\n</script>"),
    ],
)  # fmt: skip
def test_scripts_of_components_are_read(name: str, source: str) -> None:
    text = source.replace("LOST", LOST)
    before = text[: text.index("text }")].split("\n")
    write({f"src/{name}": text})
    result = check("src")
    place = f"src/{name}:{len(before)}:{len(before[-1]) + 1}"
    assert result.stderr == f"{place}: Cannot query field 'text' on type 'Message'.\n"
    assert result.exit_code == 1


def test_what_is_passed_over_is_listed() -> None:
    write({
        "src/a.vue": "<script lang='coffee'>\nq = gql`{ a }`\n</script>",
        "src/b.js": "import { graphql } from '@octokit/graphql'; graphql(`{ viewer { login } }`)",
        "src/c.ts": "const a = ;\ngql`query Q { services { edges { cursor } } }`",
        "src/d.css": "a {}",
    })  # fmt: skip
    result = check("src")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:] == [
        "src/a.vue: A script in the language coffee is not read.",
        "src/b.js: Documents tagged with `graphql` of @octokit/graphql are for another server.",
        "src/c.ts: A syntax error at 1:11; the documents around it were read.",
        "3 files read, 3 passed over",
        "1 operation, 0 problems",
    ]
    content = json.loads(check("src", "--format", "json").stdout)
    assert (content["filesRead"], content["operationsFound"]) == (3, 1)
    assert [each["file"] for each in content["passedOver"]] == ["src/a.vue", "src/b.js", "src/c.ts"]


def test_a_template_without_an_end_is_a_problem() -> None:
    write({"src/a.ts": f"const a = `never closed\nconst q = gql`{LOST}`"})
    result = check("src")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "src/a.ts:2:11: The document after gql cannot be read, because of a syntax error at line "
    )


def test_files_without_any_operation_are_an_error() -> None:
    write({"src/a.ts": "export const a = query`{ services { edges { cursor } } }`", "src/b.css": ""})
    result = check("src")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "src: 1 file was read, and no operation was found. Name other tags with --tag NAME.\n"
    assert check("src", "--tag", "query").exit_code == 0
    write({"src/a.ts": "export const a = gql`fragment F on Service { sid }`"})
    result = check("src")
    assert result.exit_code == 0
    assert "No operation is sent: there are only fragments, type definitions, or fields of the client." in result.stdout


def test_variables_have_the_types_of_each_operation() -> None:
    write(
        {
            "a.graphql": "query A($x: ID!) { service(sid: $x) { sid } }\n"
            "query B($x: Int) { services(first: $x) { edges { cursor } } }\n"
            "query C($only: [DeliveryStatus!], $m: ID!) "
            "{ node(id: $m) { ... on Message { receipts(status: $only) { totalCount } } } }"
        }
    )
    result = check("a.graphql", "--var", "x=5", "--var", 'only=["READ", "FAILD"]')
    assert [line.partition(": ")[2] for line in result.stderr.splitlines()] == [
        "service: Expected a sid of the form IS followed by 32 hexadecimal digits.",
        "--var only: $only has the type [DeliveryStatus!]. Value 'FAILD' does not exist in 'DeliveryStatus' enum. Did you mean "
        "the enum value 'FAILED'?",
    ]
    assert "B: at most 1 upstream call" in result.stdout


def test_without_the_parser_graphql_files_are_checked() -> None:
    write(
        {
            "a.graphql": "{ services { edges { cursor } } }",
            "b.ts": "const a = 1",
            "c.ts": "gql`{ services { edges { cursor } } }`",
        }
    )
    code = "import sys; sys.modules['tree_sitter'] = None; import gateway.cli as c; c.main(sys.argv[1:])"

    def run(*patterns: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, "operations", "check", *patterns]
        return subprocess.run(command, capture_output=True, text=True)

    assert run("a.graphql", "b.ts").returncode == 0
    result = run("a.graphql", "c.ts")
    assert result.returncode == 2
    assert "pip install 'receipts-gateway[operations]'" in result.stderr
