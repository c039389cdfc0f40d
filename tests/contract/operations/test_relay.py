"""What Relay's compiler makes of fragments: arguments, refetch queries, labels, and its own directives."""

from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_schema

from gateway.contract.operations.check import OperationsReport, check_documents
from gateway.contract.operations.documents import find_documents
from gateway.graph.schema import print_schema

LIST = (
    'fragment List on Conversation @argumentDefinitions(count: { type: "Int", defaultValue: 1000 }) '
    "{ messages(first: $count) { edges { node { receipts { edges { node { status } } } } } } }"
)
ROWS = "fragment Rows on Conversation { messages(first: $howMany) { edges { node { body } } } }"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def report(*texts: str, tag: str = "graphql", served: GraphQLSchema | None = None) -> OperationsReport:
    """Check these literals of one file."""
    source = "".join(f"{tag}`{text}`;\n" for text in texts)
    Path("a.ts").write_text(source, encoding="utf-8")
    return check_documents(find_documents(["a.ts"]), {}, served)


def problems(*texts: str, tag: str = "graphql", served: GraphQLSchema | None = None) -> list[str]:
    return [problem.message for problem in report(*texts, tag=tag, served=served).problems]


def calls(*texts: str) -> dict[str | None, int]:
    found = report(*texts)
    assert found.problems == []
    return {operation.name: cost.calls for operation, cost in found.costs}


@pytest.mark.parametrize("spread", ["...List @arguments(count: null)", "...Outer"])
def test_null_and_no_value_mean_the_default(spread: str) -> None:
    outer = (
        'fragment Outer on Conversation @argumentDefinitions(none: { type: "Int", defaultValue: null }) '
        "{ ...List @arguments(count: $none) }"
    )
    query = f"query NullArg($id: ID!) {{ node(id: $id) {{ {spread} }} }}"
    assert calls(query, LIST, outer)["NullArg"] == 1010


@pytest.mark.parametrize("default", ["", ", defaultValue: null"])
def test_null_without_a_default_is_no_argument(default: str) -> None:
    fragment = LIST.replace(", defaultValue: 1000", default)
    query = "query NullArg($id: ID!) { node(id: $id) { ...List @arguments(count: null) } }"
    assert calls(query, fragment) == {"NullArg": 51}


def test_refetch_queries_define_the_variables_of_every_fragment_that_they_send() -> None:
    outer = "query Outer($id: ID!, $howMany: Int!) { node(id: $id) { ...Panel } }"
    panel = 'fragment Panel on Conversation @refetchable(queryName: "PanelRefetchQuery") { friendlyName ...Rows }'
    assert calls(outer, panel, ROWS) == {"Outer": 11, "PanelRefetchQuery": 2}  # There $howMany: Int may be left out.


def test_a_variable_has_the_strictest_type_of_its_uses() -> None:
    panel = (
        'fragment Panel on Conversation @refetchable(queryName: "Refetch") { ...Rows ...Some @arguments(n: $howMany) }'
    )
    some = 'fragment Some on Conversation @argumentDefinitions(n: { type: "Int!" }) { m: messages(first: $n) { __typename } }'
    assert calls(panel, ROWS, some) == {"Refetch": 10}


def test_a_fragment_on_query_has_arguments_of_its_own_and_variables_of_its_operations() -> None:
    fragment = (
        'fragment Own on Query @argumentDefinitions(id: { type: "ID!" }) @refetchable(queryName: "Refetch") '
        "{ node(id: $id) { ... on Conversation { sid state } } services(first: $howMany) { edges { node { sid } } } }"
    )
    assert calls(fragment) == {"Refetch": 2}


def test_a_fragment_on_viewer_is_fetched_by_viewer() -> None:
    text = print_schema().replace("type Query {", "type Query { viewer: Viewer", 1)
    served = build_schema(text + " type Viewer { name(short: Boolean): String }")
    fragment = 'fragment Me on Viewer @refetchable(queryName: "Refetch") { name(short: $short) }'
    found = problems(fragment, served=served)
    assert found
    assert all(each.startswith("This release, which computes the cost, rejects it") for each in found)


def test_an_argument_of_a_fragment_that_no_operation_spreads_may_be_required() -> None:
    fragment = 'fragment F on Query @argumentDefinitions(id: { type: "ID!" }) { node(id: $id) { id } }'
    assert problems(fragment) == []
    assert problems(fragment.replace("{ id } }", "{ text } }")) == ["Cannot query field 'text' on type 'Node'."]


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        ("", ["Argument 'id' of type 'ID!' on fragment 'F' is required, but not provided."]),
        ("@arguments(id: null)", ["Argument 'id' of type 'ID!' on fragment 'F' is required, but not provided."]),
        ("@arguments(id: 1, is: 2)", ["Unknown argument 'is' on fragment 'F'."]),
        ("@arguments(is: 2)", ["Argument 'id' of type 'ID!' on fragment 'F' is required, but not provided.",
                               "Unknown argument 'is' on fragment 'F'."]),
    ],
)  # fmt: skip
def test_a_spread_passes_the_arguments_that_the_fragment_defines(given: str, messages: list[str]) -> None:
    fragment = 'fragment F on Query @argumentDefinitions(id: { type: "ID!" }) { node(id: $id) { id } }'
    assert problems(f"query Q {{ ...F {given} }}", fragment) == messages
    assert problems(f"fragment G on Query {{ ...F {given} }}", fragment) == messages


@pytest.mark.parametrize(
    "text",
    [
        "query Q { services(first: 1) { edges { node { ...S @dangerously_unaliased_fixme } } } }",
        "query Q @live_query(polling_interval: 5) { services(first: 1) { edges { node { ...S } } } }",
        "query Q @exec_time_resolvers { services(first: 1) { edges { node { ...S @alias(as: \"s\") } } } }",
        "query Q @raw_response_type { services(first: 1) @connection(key: \"Q_services\") { edges { node { ...S } } } }",
        "query Q($c: ID!) { services(first: 1) { edges @appendEdge(connections: [$c]) { node { ...S } } } }",
    ],
)  # fmt: skip
def test_directives_of_the_compiler_are_not_sent(text: str) -> None:
    assert calls(text, "fragment S on Service @inline { sid }") == {"Q": 1}


def test_streamed_connections_are_refused() -> None:
    """The gateway has no `@stream`, which the compiler would send."""
    text = 'query Q { services(first: 1) @stream_connection(key: "Q_s", initial_count: 1) { edges { node { sid } } } }'
    assert problems(text) == ["Unknown directive '@stream_connection'."]


def test_labels_are_unique_by_their_fragments() -> None:
    deferring = [f'fragment {name} on Service {{ ...Rows @defer(label: "rows") }}' for name in "AB"]
    query = (
        'query Q { services(first: 1) { edges { node { ...A ...B ...Rows @defer ...Rows @defer(label: "rows") } } } }'
    )
    rows = "fragment Rows on Service { friendlyName }"
    assert problems(query, *deferring, rows) == []
    assert "Defer/Stream directive label argument must be unique." in problems(query, *deferring, rows, tag="gql")


def test_labels_of_one_definition_are_not_unique() -> None:
    query = 'query Q { services(first: 1) { edges { node { ...R @defer(label: "R") ...S @defer(label: "R") } } } }'
    fragments = [f"fragment {name} on Service {{ friendlyName }}" for name in "RS"]
    assert problems(query, *fragments) == ["Defer/Stream directive label argument must be unique."]


def test_conditions_that_arguments_decide_are_evaluated() -> None:
    fragment = (
        'fragment Part on Conversation @argumentDefinitions(on: { type: "Boolean!" }, n: { type: "Int!" }) '
        "{ messages(first: $n) @include(if: $on) { edges { node { receipts { totalCount } } } } state @skip(if: $on) }"
    )
    query = "query Q($id: ID!, $n: Int!) { node(id: $id) { ...Part @arguments(on: false, n: $n) } }"
    assert calls(query, fragment) == {"Q": 1}
    assert calls(query.replace("false", "true"), fragment) == {"Q": 1010}


def test_a_text_is_the_same_in_either_notation() -> None:
    query = 'query Q { service(sid: "{sid}") { friendlyName ...F } ...R }'.replace("{sid}", "IS" + "0" * 32)
    rest = 'fragment R on Query { service(sid: """{sid}""") { uniqueName: sid } }'.replace("{sid}", "IS" + "0" * 32)
    assert problems(query.replace("...F", ""), rest) == []
    assert len(problems(query.replace("...F", ""), rest, tag="gql")) == 1


def test_descriptions_are_refused_for_relay() -> None:
    query = '"""The services.""" query Q { services(first: 1) { edges { node { sid } } } }'
    (message,) = problems(query)
    assert message.startswith("Relay's compiler accepts no description")
    assert problems(query, tag="gql") == []
    assert problems('query Q("Which." $id: ID!) { node(id: $id) { id } }') == []
