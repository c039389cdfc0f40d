"""Fields that Relay resolvers add: their root fragments are sent in place of them."""

from pathlib import Path

import pytest

from gateway.contract.operations.check import check_operations

QUERY = "export const q = graphql`query Q($id: ID!) { node(id: $id) { ... on Conversation { sid recent } } }`;\n"
FRAGMENT = (
    "export const f = graphql`fragment Recent_conversation on Conversation "
    "{ messages(first: 100) { edges { node { receipts { totalCount } } } } }`;\n"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/q.ts").write_text(QUERY + FRAGMENT)
    return tmp_path


@pytest.mark.parametrize(
    ("tags", "calls"),
    [
        (["@relayField Conversation.recent: Int"], 0),
        (["@RelayResolver Conversation.recent: Int"], 0),
        (["@RelayResolver Conversation.recent(of: Int): Int", "@live"], 0),
        (["@relayField Conversation.recent: Int", "@rootFragment Recent_conversation"], 101),
        (["@RelayResolver Conversation.recent: Int", "@rootFragment Recent_conversation"], 101),
        (["@RelayResolver", "@onType Conversation", "@fieldName recent", "@rootFragment Recent_conversation"], 101),
    ],
)
def test_a_resolver_costs_what_its_root_fragment_costs(tags: list[str], calls: int) -> None:
    lines = "".join(f" * {tag}\n" for tag in tags)
    Path("src/resolver.ts").write_text(f"/**\n{lines} */\nexport function recent() {{}}\n")
    report = check_operations(["src"], {})
    assert report.problems == []
    assert [cost.calls for _, cost in report.costs] == [calls]


def test_a_resolver_of_an_interface_is_on_its_implementations() -> None:
    Path("src/resolver.ts").write_text("/**\n * @relayField Node.recent: Int\n * @rootFragment Recent_node\n */\n")
    fragment = FRAGMENT.replace("Recent_conversation on Conversation {", "Recent_node on Node { ... on Conversation {")
    Path("src/q.ts").write_text(QUERY + fragment.replace("}`", "} }`"))
    report = check_operations(["src"], {})
    assert report.problems == []
    assert [cost.calls for _, cost in report.costs] == [101]


def test_a_selection_below_a_resolver_is_noted() -> None:
    Path("src/resolver.ts").write_text("/**\n * @relayField Conversation.first: Message\n */\n")
    Path("src/q.ts").write_text(QUERY.replace("recent", "first @waterfall { body }"))
    report = check_operations(["src"], {})
    assert report.problems == []
    (note,) = report.notes
    assert note.startswith("src/q.ts:1:88: The selection of first, which a Relay resolver computes, was not checked.")


def test_other_docblocks_declare_no_field() -> None:
    Path("src/resolver.ts").write_text(
        "/** @RelayResolver Message.recent: Int */\n/** @fieldName recent @onType Conversation */\n"
    )
    problems = check_operations(["src"], {}).problems
    assert [each.message for each in problems] == ["Cannot query field 'recent' on type 'Conversation'."]


def test_a_root_fragment_gets_the_arguments_that_it_has() -> None:
    Path("src/resolver.ts").write_text(
        "/**\n * @relayField Conversation.recent(count: Int!, style: String): Int\n * @rootFragment Recent_conversation\n */\n"
    )
    fragment = FRAGMENT.replace("on Conversation", 'on Conversation @argumentDefinitions(count: { type: "Int!" })')
    query = QUERY.replace("recent", 'recent(count: 7, style: "short")')
    Path("src/q.ts").write_text(query + fragment.replace("first: 100", "first: $count"))
    report = check_operations(["src"], {})
    assert report.problems == []
    assert [cost.calls for _, cost in report.costs] == [8]
