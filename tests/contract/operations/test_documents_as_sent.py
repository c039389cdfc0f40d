"""Documents that clients send as they are written, fragments that nothing uses included."""

from pathlib import Path

import pytest

from gateway.contract.operations.check import check_operations

QUERY = "query Q { services(first: 1) { edges { node { ...I1 } } } }"
I1, I2 = "fragment I1 on Service { sid }", "fragment I2 on Service { friendlyName }"
UNUSED = "Fragment 'I2' is sent with the operation and never used."
TADA = "import { graphql } from 'gql.tada';"
APOLLO = "import { gql } from '@apollo/client';"


def check(*sources: str) -> tuple[list[str], list[str]]:
    """Return the messages of problems, and the notes, of files a.ts, b.ts and so on."""
    for name, source in zip("abc", sources, strict=False):
        Path(f"{name}.ts").write_text(source, encoding="utf-8")
    report = check_operations(["."], {})
    return [each.message for each in report.problems], report.notes


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "sources",
    [
        [f"export const Q = gql`{QUERY} {I1} {I2}`"],
        [f"const ALL = gql`{I1} {I2}`; export const Q = gql`{QUERY} ${{ALL}}`"],
        [f"export const ALL = gql`{I1} {I2}`", f"import {{ ALL }} from './a'; export const Q = gql`{QUERY} ${{ALL}}`"],
        [
            f"export const A = gql`{I1}`, B = gql`{I2}`",
            f"import * as all from './a'; gql`{QUERY} ${{all.A}} ${{ all.B }}`",
        ],
        [
            f"const A = gql`{I1}`; const B = gql`{I2}`; export {{ A, B }}",
            f"import {{ A as B, B as A }} from './a.js'; gql`{QUERY} ${{A}} ${{B}}`",
        ],
        [
            f"export const A = gql`{I1} {I2}`",
            f"const {{ A: All }} = require('./a'); gql`{QUERY} ${{All}}`",
            f"const A = gql`{I1}`",
        ],
        [f"const A = gql`{I1}`, B = gql`{I2} ${{A}}`; const Q: Node = gql`{QUERY} ${{ B }}`"],
        [f"const A = graphql(`{I1}`); const B = graphql(`{I2}`); const Q = graphql(`{QUERY}`, [A, B])"],
        [f"{APOLLO} gql(`{QUERY} {I1} {I2}`)"],
    ],
)
def test_a_fragment_that_is_sent_and_not_used_is_a_problem(sources: list[str]) -> None:
    assert check(*sources)[0] == [UNUSED]


@pytest.mark.parametrize(
    "sources",
    [
        [f"graphql`{QUERY} {I1} {I2}`"],  # relay-compiler
        [f"import {{ graphql }} from './gql'; graphql(`{QUERY} {I1} {I2}`)"],  # codegen's client preset
        [f"import {{ graphql }} from './gql'; graphql(`{QUERY}`)", f"graphql(`{I1}`)"],
        [f"gql`{I1} {I2}`", f"const Q = /* GraphQL */ `{QUERY}`"],
        [f"const A = gql`{I1}`; gql`{QUERY} ${{A}}`"],
        [f"{TADA} const A = graphql(`{I1}`); graphql(`{QUERY}`, [A])"],
        [f"export const A = gql`{I1}`", f"import {{ A }} from '.'; {APOLLO} gql`{QUERY} ${{A}}`"],
        # Two variables of one name.
        [f"export default gql`{I1}`", f"import A from './a'; {APOLLO} gql`{QUERY} ${{A}}`", f"const A = gql`{I2}`"],
        [
            f"export const B = gql`{I1}`",
            f"import {{ B as A }} from './a'; {APOLLO} gql`{QUERY} ${{A}}`",
            f"const A = gql`{I2}`",
        ],
        [f"gql`{I1}`", f"{APOLLO} const A = make(); gql`{QUERY} ${{A}}`", f"const A = gql`{I2}`"],
        [
            f"export const A = gql`{I1}`",
            f"import {{ A }} from './a'; {APOLLO} gql`{QUERY} ${{A}}`",
            f"export const A = gql`{I2}`",
        ],
        [f"import {{ rows }} from 'rows'; {APOLLO} gql`{QUERY} ${{rows.all()}}`", f"gql`{I1}`"],
    ],
)
def test_what_builds_and_clients_send_correctly_is_no_problem(sources: list[str]) -> None:
    assert check(*sources) == ([], [])


def test_an_operation_without_a_name_beside_another_is_a_problem() -> None:
    (message,), _ = check("gql`query A { services { edges { cursor } } } { services { edges { cursor } } }`")
    assert message == "An operation without a name is refused beside another in the same document: give it a name."


def test_a_fragment_of_another_document_must_be_included() -> None:
    problems, notes = check(f"{TADA} export const A = graphql(`{I1}`)", f"{TADA} graphql(`{QUERY}`)")
    assert problems == [
        "Fragment 'I1' is in another document, and is not sent with this one: include it with graphql(`…`, [I1])."
    ]
    problems, notes = check(f"{APOLLO} export const A = gql`{I1}`", f"{APOLLO} gql`{QUERY}`")
    assert problems == []
    assert notes == [
        "b.ts:1:89: Fragment 'I1' is in another document, and is not sent with this one: include it with ${I1}."
    ]


def test_a_fragment_that_is_left_out_beside_one_that_is_included_is_in_a_note() -> None:
    query = QUERY.replace("...I1", "...I1 ...I2")
    fragments = f"export const A = gql`{I1}`; export const B = gql`{I2}`;"
    note = "b.ts:1:82: Fragment 'I2' is in another document, and is not sent with this one: include it with ${I2}."
    assert check(fragments, f"import {{ A }} from './a'; gql`{query} ${{A}}`") == ([], [note])
    assert check(fragments, f"import {{ A, B }} from './a'; gql`{query} ${{A}} ${{B}}`") == ([], [])


def test_a_client_whose_build_adds_all_fragments_gets_few_notes() -> None:
    queries = "".join(f"gql`{QUERY.replace('Q', f'Q{each}')}`;" for each in range(30))
    problems, notes = check(f"export const A = gql`{I1}`;", APOLLO + queries)
    assert (problems, len(notes)) == ([], 11)
    assert notes[-1] == "20 more fragments are in other documents, for a build step or a registry to include."


def test_a_description_before_a_document_of_relay_is_a_problem() -> None:
    source = '`\n # Why\n """What it shows""" query Q { services { edges { cursor } } }`'
    (message,), _ = check(f"graphql{source}")
    assert message.startswith("Relay's compiler accepts no description of an operation")
    assert check(f"gql{source}") == ([], [])


def test_equal_strings_are_equal_for_relay_in_whichever_quotes() -> None:
    sid = "IS" + "0" * 31 + "1"
    fields = f'service(sid: "{sid}") {{ sid }} service(sid: """{sid}""") {{ friendlyName }}'
    assert check(f"graphql`query Q {{ {fields} }}`") == ([], [])
    (message,), _ = check(f"gql`query Q {{ {fields} }}`")
    assert message.startswith("Fields 'service' conflict because they have differing arguments.")


def test_definitions_that_differ_in_descriptions_or_quotes_are_equal() -> None:
    first = 'query Q { service(sid: "IS00000000000000000000000000000001") { sid } }'
    second = '"Why" query Q { service(sid: """IS00000000000000000000000000000001""") { sid } }'
    assert check(f"gql`{first}`", f"gql`{second}`") == ([], [])
