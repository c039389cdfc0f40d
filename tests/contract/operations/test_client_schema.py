"""Fields of the client's own: valid, not sent, and without a price."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main

CLIENT = """
extend type Message { isExpanded: Boolean, draftsOf(author: String): [Draft!] }
type Draft { text: String message: Message }
extend type Query { draft(first: Int): Draft, settings: Settings! }
type Settings { theme: Theme }
enum Theme { DARK LIGHT }
directive @remembered(for: Int) on FIELD
"""
QUERY = """query Thread($id: ID!, $author: String, $n: Int) {
  draft(first: $n) { text message { conversation { messages(first: 1000) { __typename } } } }
  node(id: $id) @remembered(for: 5) { ... on Message { body isExpanded ...Drafts } }
}
fragment Drafts on Message { draftsOf(author: $author) { ...Own } }
fragment Own on Draft { text }
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/q.graphql").write_text(QUERY)
    (tmp_path / "extensions").mkdir()
    (tmp_path / "extensions/client.graphql").write_text(CLIENT)
    return tmp_path


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["operations", "check", *arguments])


def test_fields_of_the_client_are_not_sent_and_cost_nothing() -> None:
    result = check("src", "--client-schema", "extensions/client.graphql")
    assert result.output.splitlines() == [
        "src/q.graphql:1:1 Thread: at most 1 upstream call, 1 round trip",
        "  with $id = the id of a Message",
        "1 file read, 0 passed over",
        "1 operation, 0 problems",
    ]


def test_without_the_schema_they_are_unknown() -> None:
    result = check("src")
    assert result.exit_code == 1
    assert "Cannot query field 'isExpanded' on type 'Message'." in result.output
    assert "Cannot query field 'draft' on type 'Query'." in result.output


def test_other_fields_are_unknown_with_it() -> None:
    Path("src/q.graphql").write_text(QUERY.replace("isExpanded", "isExpandde"))
    result = check("src", "--client-schema", "extensions/client.graphql")
    assert [line for line in result.output.splitlines() if "Cannot" in line] == [
        "src/q.graphql:3:61: Cannot query field 'isExpandde' on type 'Message'."
    ]


def test_an_operation_of_the_client_alone_is_not_sent() -> None:
    Path("src/q.graphql").write_text("query Own { settings { theme } }")
    assert (
        check("src", "--client-schema", "extensions/client.graphql").output.splitlines()[-1]
        == "0 operations, 0 problems"
    )


@pytest.mark.parametrize("extended", ["extend type", "type"])
def test_a_whole_type_may_be_written_again(extended: str) -> None:
    """As code generators merge schemas."""
    text = CLIENT.replace("extend type", extended).replace("isExpanded", "id: ID! isExpanded")
    Path("extensions/client.graphql").write_text(text)
    assert check("src", "--client-schema", "extensions/client.graphql").exit_code == 0


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("relay.config.json", {"schemaExtensions": ["./extensions"]}),
        ("relay.config.json", {"schemaExtensions": ["./extensions/client.graphql"]}),
        ("relay.config.json", {"projects": {"app": {"schemaExtensions": ["extensions"]}}}),
        ("package.json", {"relay": {"schemaExtensions": ["./extensions"]}}),
    ],
)
def test_relays_configuration_names_it(name: str, config: dict[str, object]) -> None:
    Path(name).write_text(json.dumps(config))
    for more in ((), ("--client-schema", "extensions/client.graphql")):
        assert check("src", *more).exit_code == 0
    result = CliRunner().invoke(main, ["schema", "check", "own.graphql", "own.graphql", "--operations", "src"])
    assert result.exit_code == 2  # There is no such schema.
    Path("own.graphql").write_text(CliRunner().invoke(main, ["schema"]).output)
    result = CliRunner().invoke(main, ["schema", "check", "own.graphql", "own.graphql", "--operations", "src"])
    assert "1 operation checked, of which 0 no longer fit." in result.output


def test_several_projects_may_define_the_same() -> None:
    """As Relay's projects do, each with a schema of its own."""
    more = """
    enum View { LIST GRID }
    union Shown = Draft
    directive @own on FIELD
    scalar Color
    """
    Path("extensions/client.graphql").write_text(CLIENT + more)
    other = (
        CLIENT.replace("isExpanded", "isShown: Int isExpanded")
        + more.replace("GRID", "GRID ROW")
        + "type Other { a: View }"
    )
    Path("extensions/other.graphql").write_text(other)
    Path("relay.config.json").write_text('{"schemaExtensions": ["extensions"]}')
    result = check("src")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "text", ["enum A { B B }", "type A { b: Int b: Int }", "scalar A scalar A", "type A { b: Int } type A { c: Int }"]
)
def test_one_file_must_not_define_the_same_twice(text: str) -> None:
    Path("extensions/client.graphql").write_text(text)
    result = check("src", "--client-schema", "extensions/client.graphql")
    assert (result.exit_code, "client.graphql:1:" in result.output) == (2, True)


@pytest.mark.parametrize(
    "source",
    [
        "module.exports = { src: './src', schemaExtensions: ['./extensions'] };",
        "// @ts-check\n/** @type {import('relay-compiler').Config} */\n"
        "module.exports = { 'schemaExtensions': [`extensions/client.graphql`] }",
        "const path = require('path');\nconst folder = './extensions', config = { schemaExtensions: [folder, /* all */] };\n"
        "module.exports = config;",
        "export default ({ src: path.join(__dirname, 'src'), projects: { app: { schemaExtensions: ['extensions'] } } });",
        "const schemaExtensions = ['extensions']; module.exports = { schemaExtensions, noSourceControl: !!process.env.CI };",
    ],
)
def test_a_configuration_in_javascript_is_read_as_data(source: str) -> None:
    Path("relay.config.js").write_text(source)
    assert check("src").exit_code == 0


@pytest.mark.parametrize(
    "source",
    [
        "module.exports = { schemaExtensions: [require('path').join(__dirname, 'extensions')] };",
        "module.exports = { schemaExtensions: folders() };",
        "module.exports = { ...shared, src: './src' };",
        "module.exports = makeConfig();",
        "module.exports = { projects: { app: project, web: {} } };",
        "let folder = 'extensions'; folder += '/x'; module.exports = { schemaExtensions: [`${folder}`] };",
        "let folder = 'other'; folder = 'extensions'; module.exports = { schemaExtensions: [folder] };",
        "const a = b, b = a; module.exports = { schemaExtensions: [a] };",
        "module.exports = { schemaExtensions: ['extensions'.trim()] };",
    ],
)
def test_what_a_configuration_in_javascript_computes_is_reported(source: str) -> None:
    Path("relay.config.js").write_text(source)
    result = check("src")
    assert result.exit_code == 1
    note = "relay.config.js: schemaExtensions is computed there, and was not read. Name its files with --client-schema."
    assert result.stdout.count(note) == 1
    result = check("src", "--client-schema", "extensions/client.graphql")
    assert (result.exit_code, result.stdout.count(note)) == (0, 0)


def schema_check(*arguments: str) -> Result:
    Path("own.graphql").write_text(CliRunner().invoke(main, ["schema"]).output)
    return CliRunner().invoke(
        main, ["schema", "check", "own.graphql", "own.graphql", "--operations", "src", *arguments]
    )


def test_schema_check_reports_it_too() -> None:
    Path("relay.config.js").write_text("module.exports = makeConfig();")
    note = "relay.config.js: schemaExtensions is computed there, and was not read. Name its files with --client-schema."
    result = schema_check()
    assert (note in result.output, "0 operations checked" in result.output) == (True, True)
    assert json.loads(schema_check("--format", "json").output)["operations"]["notes"][0].endswith(note)
    result = schema_check("--client-schema", "extensions/client.graphql")
    assert (note in result.output, "1 operation checked, of which 0 no longer fit." in result.output) == (False, True)


def test_schema_check_reads_relay_resolvers() -> None:
    Path("src/q.graphql").unlink()
    Path("src/shout.ts").write_text(
        "/** @relayField Message.shout: String\n * @rootFragment Shout */\n"
        "graphql`fragment Shout on Message { body }`;\n"
        "graphql`query Q($id: ID!) { node(id: $id) { ... on Message { shout } } }`;"
    )
    assert "1 operation checked, of which 0 no longer fit." in schema_check().output


@pytest.mark.parametrize(
    "source",
    [
        "module.exports = { src: './src', excludes: ['a', ...more], language: lang };",
        "exports.a = 1;",
        "module.exports = { schemaExtensions: [] }",
        "module.exports = { schemaExtensions: undefined, projects: null }",
        "module.exports = {",
        "",
    ],
)
def test_a_configuration_in_javascript_without_extensions_is_not_reported(source: str) -> None:
    Path("relay.config.js").write_text(source)
    result = check("src")
    assert (result.exit_code, "relay.config.js" in result.output) == (1, False)


@pytest.mark.parametrize("text", ["[]", "{", '{"schemaExtensions": null}', '{"relay": 1, "projects": []}'])
def test_other_configurations_name_none(text: str) -> None:
    Path("relay.config.json").write_text(text)
    Path("package.json").write_text(text)
    assert check("src").exit_code == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extend type Message {", "client.graphql:1:22: Syntax Error: Expected Name, found <EOF>."),
        (
            "extend type Nothing { a: Int }",
            "client.graphql:1:13: Cannot extend type 'Nothing' because it is not defined.",
        ),
        ("extend type Message { a: Nothing @own }", "client.graphql:1:26: Unknown type 'Nothing'."),
    ],
)
def test_a_schema_that_does_not_fit_is_refused(text: str, message: str) -> None:
    Path("client.graphql").write_text(text)
    result = check("src", "--client-schema", "client.graphql")
    assert (result.exit_code, message in result.output) == (2, True), result.output
    assert "nothing.graphql: it cannot be read" in check("src", "--client-schema", "nothing.graphql").output
