"""What operations a client has: joined from its documents, and as they are sent."""

from pathlib import Path

import pytest
from graphql import build_schema, parse, print_ast

from gateway.contract.operations.client_operations import ClientOperations, gather_operations
from gateway.contract.operations.documents import ClientDocument

SCHEMA = build_schema("type Query { node(id: ID!): T } type T { f(g: [Int!]!, h: Int): Int }")


def gather(*texts: str) -> ClientOperations:
    """What is in these documents, of files a, b and so on."""
    documents = [ClientDocument(Path(name), text) for name, text in zip("abcdef", texts, strict=False)]
    return gather_operations(documents, SCHEMA)


def sent(*texts: str) -> list[str]:
    gathered = gather(*texts)
    assert gathered.problems == []
    return [" ".join(print_ast(operation.document).split()) for operation in gathered.operations]


def same(text: str) -> str:
    return " ".join(print_ast(parse(text)).split())


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["query A { a }", "{ b } query C { c }"], ["query A { a }", "{ b }", "query C { c }"]),
        (["{ a }", "{ b }"], ["{ a }", "{ b }"]),
        (["query A { ...F }", "fragment F on Q { ...G }", "fragment G on Q { g }"],
         ["query A { ...F } fragment F on Q { ...G } fragment G on Q { g }"]),
        (["query A { ...F } fragment F on Q { f } fragment G on Q { g }"], ["query A { ...F } fragment F on Q { f }"]),
        (["query A { ...F ...F } query B { ...F }", "fragment F on Q { f }"],
         ["query A { ...F ...F } fragment F on Q { f }", "query B { ...F } fragment F on Q { f }"]),
        # The same definition twice, as generators write it, is one; so it is in another layout.
        (["query A { a }", "query A {\n  a\n}", "fragment F on Q { f }", "fragment F on Q { f }"], ["query A { a }"]),
        # What is defined of a schema is no document.
        (["type T { t: Int } extend type Query { q: Int } query A { a } scalar S"], ["query A { a }"]),
        (["schema { query: Q } directive @client on FIELD"], []),
    ],
)  # fmt: skip
def test_operations_have_the_fragments_they_need(texts: list[str], joined: list[str]) -> None:
    assert sent(*texts) == [same(text) for text in joined]


@pytest.mark.parametrize(
    ("text", "is_sent"),
    [
        # Apollo
        ("query A { a b @client }", "query A { a }"),
        ("query A { a b @client { c { d } } e { f @client } }", "query A { a e { __typename } }"),
        ("query A { a { ...F b { ... on B { c @client } } } } fragment F on Q { f @client }",
         "query A { a { b { __typename } } }"),
        ("query A { a { ...F } } fragment F on Q { f @client }", "query A { a { __typename } }"),
        ("query A { a @connection(key: \"k\", filter: [\"x\"]) { b @nonreactive } }", "query A { a { b } }"),
        ("query A($x: Int, $y: Int) { a(x: $x) b(y: $y) @client }", "query A($x: Int) { a(x: $x) }"),
        ("query A($x: Int) { a @client @export(as: \"x\") b(x: $x) }", "query A($x: Int) { b(x: $x) }"),
        ("query A { ...F a } fragment F on Q { f @client }", "query A { a }"),
        ("query A { ...F @unmask(mode: \"migrate\") } fragment F on Q { f g @client }",
         "query A { ...F } fragment F on Q { f }"),
        ("query A { a p @rest(type: \"P\", path: \"p\") { b } }", "query A { a }"),
        ("query A { a ... @client { b } ... on Q { c @client } }", "query A { a }"),
        # urql, gql.tada
        ("query A { a @_required b @_optional ...F } fragment F on Q @_unmask { f }",
         "query A { a b ...F } fragment F on Q { f }"),
        # Relay
        ("query A @raw_response_type @throwOnFieldError { a @required(action: LOG) ...F @relay(mask: false) @alias } "
         "fragment F on Q @inline { f @catch(to: RESULT) }", "query A { a ...F } fragment F on Q { f }"),
        ("query A { a } query B @updatable { b }", "query A { a }"),
        ("query A { a { __id __typename b } c { __id } }", "query A { a { __typename b } c { __typename } }"),
        ("query A { ...F @arguments(n: 3) } fragment F on Q @argumentDefinitions(n: {type: Int, defaultValue: 7}) { f(n: $n) }",
         "query A { ...F } fragment F on Q { f(n: 3) }"),
        ("query A($n: Int) { ...F @arguments(n: $n) } "
         "fragment F on Q @argumentDefinitions(n: {type: \"Int\", defaultValue: 7}) { f(n: $n) }",
         "query A($n: Int) { ...F } fragment F on Q { f(n: $n) }"),
        ("query A { ...F } fragment F on Q @argumentDefinitions(n: {type: \"Int\", defaultValue: 7}) { f(n: $n) }",
         "query A { ...F } fragment F on Q { f(n: 7) }"),
        ("query A { ...F } fragment F on Q @argumentDefinitions(n: {type: \"Int\"}) { f(n: $n, in: {n: $n, l: [$n]}) }",
         "query A { ...F } fragment F on Q { f(in: {l: []}) }"),
        ("query A { ...F @arguments(n: 1) a { ...F @arguments(n: 2) ...F @arguments(n: 1) } } "
         "fragment F on Q @argumentDefinitions(n: {type: \"Int\"}) { f(n: $n) ...G @arguments(m: $n) } "
         "fragment G on Q @argumentDefinitions(m: {type: \"Int!\"}) { g @include(if: $m) }",
         "query A { ...F a { ...F__2 ...F } } fragment F on Q { f(n: 1) ...G } fragment F__2 on Q { f(n: 2) ...G__2 } "
         "fragment G on Q { g @include(if: 1) } fragment G__2 on Q { g @include(if: 2) }"),
        # A variable of the operation's own may be used in a fragment that does not define it.
        ("query A($n: Int) { ...F } fragment F on Q { f(n: $n) }", "query A($n: Int) { ...F } fragment F on Q { f(n: $n) }"),
        ("query A { ...F } fragment F on Q "
         "@argumentDefinitions(on: {type: \"Boolean!\", provider: \"./On.relayprovider\"}) { f @include(if: $on) }",
         "query A($__relay_internal__pv__Onrelayprovider: Boolean!) { ...F } "
         "fragment F on Q { f @include(if: $__relay_internal__pv__Onrelayprovider) }"),
        ("query A { ...F } fragment F on Q "
         "@argumentDefinitions(on: {type: \"Boolean!\", provider: \"./On.relayprovider\"}) { f }",
         "query A { ...F } fragment F on Q { f }"),
        ("query A($n: Int) { ...F @arguments(n: $n) } fragment F on Q @argumentDefinitions(n: {type: \"Int\"}) { f }",
         "query A { ...F } fragment F on Q { f }"),
        # A directive that no client is known to take out goes to the server.
        ("query A { a @mine }", "query A { a @mine }"),
        # What is not used is not hidden.
        ("query A($unused: Int) { a b(x: 1) @client }", "query A($unused: Int) { a }"),
    ],
)  # fmt: skip
def test_what_is_for_the_client_is_not_sent(text: str, is_sent: str) -> None:
    got = sent(text)
    assert len(got) == 1

    def parts(document: str) -> set[str]:
        return {print_ast(definition) for definition in parse(document).definitions}

    assert parts(got[0]) == parts(is_sent)


def test_an_operation_for_the_client_alone_is_none() -> None:
    assert (
        sent("query A { a @client }", "query B @client { b }", "query C { ...F } fragment F on Q { f @client }") == []
    )


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ('fragment F on T @refetchable(queryName: "R") { f }', "query R($id: ID!) { node(id: $id) { ...F } }"),
        ('fragment F on Query @refetchable(queryName: "R") { f }', "query R { ...F }"),
        ('fragment F on T @refetchable(queryName: "R") @argumentDefinitions(n: {type: "Int", defaultValue: 7},'
         ' c: {type: "ID!"}) { f(n: $n, c: $c) }', "query R($n: Int = 7, $c: ID!, $id: ID!) { node(id: $id) { ...F } }"),
        ('fragment F on T @refetchable(queryName: "R") @argumentDefinitions(n: {type: Int}) { f(n: $n) }',
         "query R($n: Int, $id: ID!) { node(id: $id) { ...F } }"),
        ('query A($g: [Int!]!, $h: Int) { a { ...F } b(h: $h) } fragment F on T @refetchable(queryName: "R") { f(g: $g) }',
         "query R($id: ID!, $g: [Int!]!) { node(id: $id) { ...F } }"),
    ],
)  # fmt: skip
def test_what_relay_fetches_again_is_an_operation(text: str, query: str) -> None:
    (got,) = (operation for operation in gather(text).operations if operation.name == "R")
    assert print_ast(got.document.definitions[0]) == print_ast(parse(query).definitions[0])
    assert (got.location.line, got.location.column) == (1, text.index("@refetchable") + 1)


@pytest.mark.parametrize(
    ("texts", "problems"),
    [
        (["query A {\n  a(\n}"], ["a:3:1: Syntax Error: Expected Name, found '}'."]),
        (["{ a { } }"], ["a:1:7: Syntax Error: Expected Name, found '}'."]),
        (["query A {\n  ...F\n}"], ["a:2:3: No document that could be read has the fragment F."]),
        (["fragment F on Q {\n  ...G\n}"], ["a:2:3: No document that could be read has the fragment G."]),
        (["query A { ...F }", "\n fragment F on Q { ...G @client ...H }"],
         ["b:2:33: No document that could be read has the fragment H."]),
        (["query A { a }", "{ b }\nquery A { b }"],
         ["b:2:1: There is another operation A at a:1:1: give each its own name."]),
        (["fragment F on Q { a }", "fragment F on P { a }"],
         ["b:1:1: There is another fragment F at a:1:1: give each its own name."]),
        (['query R { a } fragment F on T @refetchable(queryName: "R") { f }'],
         ["a:1:31: There is another operation R at a:1:1: give each its own name."]),
        (['fragment F on T @refetchable(queryName: "R S") { f }'],
         ["a:1:1: No query can be generated from its @refetchable and @argumentDefinitions: Syntax Error: "
          "Expected '{', found Name 'S'."]),
        (["{ a }", "{ b", "}"], ["b:1:4: Syntax Error: Expected Name, found <EOF>.",
                                 "c:1:1: Syntax Error: Unexpected '}'."]),
        (["{" + "a{" * 5000 + "b" + "}" * 5001], ["a:1:401: Syntax Error: Document is nested too deeply. Parsing aborted."]),
        (["query A { ...F } fragment F on Q @argumentDefinitions(n: {type: \"Int\"}) { ...F @arguments(n: [$n]) }"],
         ["a:1:1: The fragments it spreads are nested too deeply."]),
    ],
)  # fmt: skip
def test_problems_are_told_at_their_places(texts: list[str], problems: list[str]) -> None:
    assert [str(problem) for problem in gather(*texts).problems] == problems


@pytest.mark.parametrize(
    ("text", "hole"),
    [
        ("${A}", None),
        ("${A} ${B}", None),
        ("${A} query Q { a }", None),
        ("query Q { a } ${A}", None),
        ("query Q { a } ${A} ${B} fragment F on T { a }", None),
        ("query Q { a # ${A}\n }", None),
        ("query Q { a } # ${A}\n ${B}", None),
        ("query Q { ${A} }", 10),
        ("query Q { a ...${A} }", 15),
        ("query Q { a } ${A} { b ${B} }", 23),
        ("query ${A} { a }", 6),
        ("query Q(${A}) { a }", 8),
        ("query Q { a(b: ${A}) }", 15),
        ('query Q { a(b: "x${A}") }', 17),
        ('query Q { a(b: """x${A}""") }', 19),
        ("fragment F on ${A} { a }", 14),
        ("query Q @d(x: [${A}]) { a }", 15),
        ("query Q ${A}", 8),
    ],
)
def test_only_fragments_can_be_put_in(text: str, hole: int | None) -> None:
    holes, blank = [], text
    while "${" in blank:
        start = blank.index("${")
        end = blank.index("}", start) + 1
        holes.append(start)
        blank = blank[:start] + " " * (end - start) + blank[end:]
    problems = gather_operations([ClientDocument(Path("a"), blank, substitutions=tuple(holes))], SCHEMA).problems
    found = [problem.location.column - 1 for problem in problems if "${…}" in problem.message]
    assert found == ([] if hole is None else [hole])


def test_fragments_that_nothing_spreads_are_told_apart() -> None:
    gathered = gather("query A { ...F }", "fragment F on Q { f }", "fragment G on Q { ...H } fragment H on Q { ...F }")
    assert [print_ast(document.definitions[0]).split()[1] for document in gathered.fragments] == ["G", "H"]
