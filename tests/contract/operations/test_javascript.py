"""GraphQL in JavaScript and TypeScript: every way in which clients write it, and all that only looks like it."""

from typing import Literal as OneOf

import pytest

from gateway.contract.operations.javascript import IncludedVariable, Literal, find_literals

from ...conftest import Steps


def texts(source: str, language: OneOf["js", "ts", "tsx"] = "tsx") -> list[str]:
    return [literal.text for literal in find_literals(source, language=language).literals]


@pytest.mark.parametrize(
    "source",
    [
        "gql`{ a }`",
        "const Q = gql`{ a }`;",
        "export default gql `{ a }`",
        "export default gql\n  `{ a }`",
        "gql /* why */ `{ a }`",
        "graphql`{ a }`",
        "gql(`{ a }`)",
        "gql( `{ a }` )",
        "gql(\n  `{ a }`,\n)",
        "gql(// why\n `{ a }`)",
        "graphql(`{ a }`, [A, B])",
        "graphql(\n  `{ a }`,\n  [A],\n)",
        "gql(/* GraphQL */ `{ a }`)",
        "graphql(/* GraphQL */`{ a }`)",
        "/* GraphQL */ `{ a }`",
        "f(/*graphql*/ `{ a }`)",
        "const q = /* GraphQL */\n  `{ a }`",
        "/* GraphQL */ '{ a }'",
        "gql('{ a }')",
        'gql("{ a }")',
        'graphql("{ a }")',
        "const Q = `#graphql\n{ a }`",
        "gql<Data>`{ a }`",
        "gql<Data, Variables>`{ a }`",
        "gql<Data, { id: string; on?: boolean }>`{ a }`",
        "gql<A<B<C>>, D>(`{ a }`)",
        "graphql<Query>(/* GraphQL */ `{ a }`)",
        "useQuery(gql`{ a }`, { variables: { a: 1 / 2 } })",
        "({ query: gql`{ a }` })",
        "x = { ...gql`{ a }` }",
        "[gql`{ a }`]",
        "async () => await gql`{ a }`",
        "a ? gql`{ a }` : null",
        "class A { static q = gql`{ a }` }",
        "createFragmentContainer(A, { a: graphql`{ a }` })",
        "`x ${`y ${gql`{ a }`} z`} w`",
        "`}` + `${'}'}` + gql`{ a }`",
        "`\\`` + gql`{ a }`",
        "`$` + `$$` + `${1}$` + gql`{ a }`",
        "'it\\'s' + \"a \\\" b\" + gql`{ a }`",
        "'a\\\nb`' + gql`{ a }`",
        "// it's `\ngql`{ a }`",
        "/* it's ` */ gql`{ a }`",
        "/**/ gql`{ a }`",
        "/* ** // */ gql`{ a }`",
        "#!/usr/bin/env node `\ngql`{ a }`",
        # Regular expressions, and what only looks like them.
        "const r = /`/; gql`{ a }`",
        "const r = /[/`]/g, s = /\\/`/u; gql`{ a }`",
        "if (x.match(/it's `/)) gql`{ a }`",
        "return /`/.test(x) ? gql`{ a }` : b",
        "a.replace(/[`'\"]/g, '').replace(/>/, `x`); gql`{ a }`",
        "const a = b / c; const d = `${e}` / 2; gql`{ a }`",
        "a = b++ / 2; c = `${d}` / 3; gql`{ a }`",
        "a = (b) / 2 + `/`; gql`{ a }`",
        "a = b[0] / 2 + `/`; gql`{ a }`",
        "a = x ? /`/ : /'/; gql`{ a }`",
        # JSX
        "const a = <p>Don't</p>; gql`{ a }`",
        "const a = <p>it's `quoted</p>; gql`{ a }`",
        "const a = <a href='http://x/y'>http://x/y</a>; gql`{ a }`",
        "const a = <p>Accept: */* and /* too</p>; gql`{ a }`",
        "const a = <Q query={gql`{ a }`}>Don't</Q>",
        "const a = <Q query={gql`{ a }`} />",
        "const a = <><b>1/2</b>{`a/${b}`} / <i/> don't</>; gql`{ a }`",
        "const a = <b title=\"it's `\" t='\"`'>x</b>; gql`{ a }`",
        "return <div>{/* don't ` */}{list.map((x) => <li key={x}>{x}'s `</li>)}</div>; } gql`{ a }`",
        "const a = b && <A.B c:d='`' {...e}>{f}</A.B>; gql`{ a }`",
        "const a = <div // it's `\n>'</div>; gql`{ a }`",
        "const a = <p>{a}/{b}</p>, c = `x/y`; gql`{ a }`",
        "() => <Foo render={() => <p>it's</p>} />; gql`{ a }`",
        "x = a < b; y = c > `d`; gql`{ a }`",
        "x = a <b && c> `d`; gql`{ a }`",
        # Type parameters, which begin as elements do.
        "const f = <T,>(x: T) => `${x}`; gql`{ a }`",
        "const f = <T extends object>(x: T): T => x; const s = `it's`; gql`{ a }`",
        "const f: <T>(x: T) => string = (x) => `${x}`; gql`{ a }`",
        "const f = <T>(x: T) => x; const e = <p>don't `</p>; gql`{ a }`",
        "f<T>(`x`); const y = z as Map<string, 'a'>; gql`{ a }`",
        # What is not closed elsewhere.
        "} ) ] gql`{ a }`",
        "const a = 'never closed\ngql`{ a }`",
    ],
)  # fmt: skip
def test_what_holds_graphql_is_found(source: str) -> None:
    assert [text.removeprefix("#graphql\n") for text in texts(source)] == ["{ a }"]
    crlf = source.replace("\n", "\r\n")
    assert [text.removeprefix("#graphql\r\n") for text in texts(crlf)] == ["{ a }"]


@pytest.mark.parametrize(
    "source",
    [
        "",
        "const gql = 1, graphql = 2",
        "import gql from 'graphql-tag'; import { graphql } from `x`",
        "// gql`{ a }`",
        "/* gql`{ a }` */",
        "const a = 'gql`{ a }`', b = \"graphql`{ a }`\"",
        "const a = `gql\\`{ a }\\``",
        "const a = <p>gql`no` and graphql(`no`)</p>",
        "const a = /gql`[`]/",
        "octokit.graphql(`{ a }`)",
        "this.gql`{ a }`",
        "client?.graphql(`{ a }`)",
        "mygql`{ a }`; gqlx`{ a }`; $gql`{ a }`; gql2`{ a }`",
        "gql(QUERY, { a: `x` })",
        "gql<T>(QUERY, `x`)",
        "async function gql<T>(query: string): Promise<T> { return list.map((x) => `${x}`) }",
        "graphql({ schema, source: `{ a }` })",
        "graphql(schema, `{ a }`)",
        "/* GraphQL is nice */ `{ a }`",
        "const a = `# graphql\n{ a }`",
        "export function graphql(source: `{ a }`): unknown",
    ],
)
def test_what_only_looks_like_it_is_not(source: str) -> None:
    assert texts(source) == []


def test_without_jsx_a_bracket_is_a_type() -> None:
    source = "const a = <Foo>bar; const b = `it's`; const c = x > y; gql`{ a }`"
    assert texts(source, "ts") == ["{ a }"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("gql`a\\`b`", "a`b"),
        ("gql`a\\\\b`", "a\\b"),
        ("gql`\\n\\t\\u0041\\u{1F600}\\uD83D\\uDE00\\x41`", "\n\tA\U0001f600\U0001f600A"),
        ("gql`\\uD83D`", "�"),
        ("gql`\\u{FFFFFFFF}`", "�"),
        ("gql`a\\\nb\\\r\nc`", "abc"),
        ("gql`a\\$\\{b}`", "a${b}"),
        ("gql`a\r\n$b`", "a\r\n$b"),
        ("gql('a\\'\\n\"')", "a'\n\""),
        ("gql`a ${b} c`", "a      c"),
        ("gql`${\n b\n}`", "  \n  \n "),
        ("gql`${`}${x}`}${'`'}`", " " * len("${`}${x}`}${'`'}")),
        ("gql`a ${fn({ a: `}` })} b`", f"a {' ' * len('${fn({ a: `}` })}')} b"),
    ],
)
def test_text_is_as_javascript_reads_it(source: str, text: str) -> None:
    assert texts(source) == [text]


def test_where_each_part_stands() -> None:
    source = "x\ngql`a\\`b${c}d\\n`"
    (literal,) = find_literals(source, language="tsx").literals
    assert literal == Literal("a`b    d\n", ((0, 6), (2, 9), (9, 17)), (3,), "gql", included=(IncludedVariable("c"),))
    for offset, position in literal.mappings[:2]:
        assert literal.text[offset] == source[position]


def test_several_are_found_in_order() -> None:
    source = "gql`a ${gql`b`}`; const r = /x/; graphql('c'); /* GraphQL */ `d`; `#graphql\ne`"
    assert texts(source) == ["b", f"a {' ' * len('${gql`b`}')}", "c", "d", "#graphql\ne"]


@pytest.mark.parametrize(
    ("source", "offset"),
    [
        ("gql`query { a", 0),
        ("const a = `x ${ gql`query { a", 16),
        ("const a = `never closed\nconst q = gql`query { a }`", 34),
        ("const a = <p>never closed; gql`{ a }`", 27),
        ("const a = <p>a => b `</p>;\ngql /* why */ `{ a }`", 27),
        ("const a = <p>a => b `</p>;\ngql // why\n (`{ a }`)", 27),
        ("const a = b(/`never]closed\ngql`{ a }`", 27),
        ("const q = /* why */ graphql(\n  `query { a }, [A])", 20),
    ],
)
def test_a_document_lost_to_a_syntax_error_is_a_problem(source: str, offset: int) -> None:
    script = find_literals(source, language="ts" if "<p>" not in source else "tsx")
    assert script.syntax_error is not None
    assert offset in {problem.offset for problem in script.problems} or "{ a }" in {
        each.text for each in script.literals
    }
    assert script.problems or script.literals


LOST = "query Lost($id: ID!) { node(id: $id) { ... on Message { text } } }"


@pytest.mark.parametrize(
    "before",
    [
        "const label = `${done! / 60}/${total! / 60} min`;",
        "const r = a! / b, s = `${a}/${b}`;",
        "const half = width! / 2; const label = `half is ${half / 1}`;",
        "const h = a?.b! / 2, s = `${a?.b! / 2}`;",
        'if (!value) /["`]/.test(other) && report(other);',
        "if (a) { b(); } /`/.test(c) && d();",
        "for (const a of b) /`/.test(a);",
        "while (x) /'`/g.exec(y);",
        "label: { a(); } /`/.test(b);",
        "function f() {} /`/.test(c);",
        "const a = b as any / 2, c = `${d as number / 2}`;",
        "const a = <const>['`'];",
        "const t = `a${b satisfies C}/`;",
        "type A = `${B}/${C}`;",
        "x = y++ / 2; z = `${w-- / 3}`;",
        "const o = { if: 1 }.if / 2, p = `${q}/`;",
    ],
)
def test_no_document_is_lost_behind(before: str) -> None:
    assert texts(f"{before}\nexport const A = gql`{LOST}`;", "ts") == [LOST]


@pytest.mark.parametrize(
    "source",
    [
        "// The row's data.\ngql`{ a }`",
        "// The row's data.\ngraphql`{ a }`",
        "// The row's data.\ngql(`{ a }`)",
        "useQuery(\n  // The row's data.\n  gql`{ a }`,\n)",
        "gql((`{ a }`))",
        "gql(( /* a */ (`{ a }`)), 1)",
        "gql<Data, { a: () => void; b: `x${string}` }>`{ a }`",
        "import { gql as query } from '@apollo/client'; query`{ a }`",
        "import { a, graphql as g } from './graphql'; g(`{ a }`)",
        "import { default as query } from 'graphql-tag'; query`{ a }`",
        "import query from 'graphql-tag'; query`{ a }`",
        "import query, { resetCaches } from 'graphql-tag'; query`{ a }`",
        "import type { A } from 'b'; import query from 'graphql-tag.macro'; query`{ a }`",
        "import * as Apollo from '@apollo/client'; Apollo.gql`{ a }`",
        "import * as Apollo from '@apollo/client'; Apollo . gql(`{ a }`)",
        "const query = require('graphql-tag'); query`{ a }`",
        "const { gql: query, useQuery } = require('@apollo/client'); query`{ a }`",
        "const { gql } = require('urql'); gql`{ a }`",
    ],
)
def test_tags_are_found_by_their_imports_and_behind_comments(source: str) -> None:
    assert texts(source, "ts") == ["{ a }"]


@pytest.mark.parametrize(
    "source",
    [
        "this.#graphql`query nope {`",
        "a.b.gql`x`",
        "octokit . graphql(`x`)",
        "import query from './styles'; query`a {}`",
        "import * as octokit from '@octokit/core'; octokit.graphql(`{ a }`)",
        "import { graphql } from '@octokit/graphql'; graphql(`{ a }`)",
        "new gql(`x`)",
        "gql < a > b; c = `x`",
    ],
)
def test_other_tags_are_not_taken(source: str) -> None:
    assert find_literals(source, language="ts").problems == []
    assert texts(source, "ts") == []


def test_tags_by_name() -> None:
    source = "query`{ a }`; sql`select`; gql`{ b }`"
    assert [each.text for each in find_literals(source, language="ts", tags={"query"}).literals] == ["{ a }", "{ b }"]


@pytest.mark.parametrize(
    "piece", ["<a>(b);", "<a b={c}>", "`${", "{a: (<b>{`${", "/* */", "'", "gql<", "gql<A<", "<", "</", "gql("]
)
def test_a_source_of_twice_the_size_takes_twice_the_work(piece: str) -> None:
    """Where reading went back to the beginning each time, it would take four times the work."""
    work = []
    for lines in (100, 200):
        with Steps() as steps:
            find_literals("gql" + f"x = {piece}\n" * lines, language="tsx")
        work.append(steps.count)
    assert work[1] < 2.2 * work[0]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("const A = gql`a`", "A"),
        ("export const a1 = b, $A_ = /* why */ gql(`a`)", "$A_"),
        ("const A: TypedDocumentNode<B, { c: string }> = gql`a`", "A"),
        ("A = gql`a`", "A"),
        ("a.B = gql`a`", None),
        ("f(gql`a`)", None),
        ("export default gql`a`", None),
        ("const A = 1, b = { c: gql`a` }", None),
    ],
)
def test_the_variable_of_a_literal(source: str, name: str | None) -> None:
    (literal,) = find_literals(source, language="ts").literals
    assert literal.name == name


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ('const C = styled(Flex)<{ href?: string }>`a: ${x};`; gql`{ a(b: "x & y") }`', ['{ a(b: "x & y") }']),
        ("const T = styled.button<{ $a: boolean }>`x`; gql<A & B, C>`{ b }`", ["{ b }"]),
        ("gql`{ a(b: \"&\") }`; <T variant='a'>Fairs & Events {gql`{ b }`}</T>", ['{ a(b: "&") }', "{ b }"]),
        ('<L to="/s?i=s&c=f" />; gql`{ b }`', ["{ b }"]),
        ("type A = B & C; <a>T & c</a>; if (a && b) c &= d & e; gql`{ b }`", ["{ b }"]),
    ],
)
def test_valid_syntax_that_the_grammars_refuse_hides_nothing(source: str, texts: list[str]) -> None:
    script = find_literals(source, language="tsx")
    assert [each.text for each in script.literals] == texts
    assert (script.problems, script.syntax_error) == ([], None)
