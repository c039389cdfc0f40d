"""Where client documents are found, and where in a file each part of one stands."""

import os
from pathlib import Path

import pytest

from gateway.contract import CheckError
from gateway.contract.operations.documents import ClientDocument, find_documents

from ...conftest import Steps


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str | bytes = "query Q { a }") -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def names(*patterns: str) -> list[str]:
    return [document.path.as_posix() for document in find_documents(patterns)]


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["src/**/*.{graphql,gql}"], ["src/a.graphql", "src/deep/er/b.gql"]),
        (["src/*.graphql"], ["src/a.graphql"]),
        (["src/**"], ["src/[id].tsx", "src/a.graphql", "src/deep/c.ts", "src/deep/er/b.gql"]),
        (["**/*.{ts,tsx}"], ["src/[id].tsx", "src/deep/c.ts"]),
        (["src/**/{a,c}.{graphql,ts}"], ["src/a.graphql", "src/deep/c.ts"]),
        (["src/**/{deep,other}/**/?.gql"], ["src/deep/er/b.gql"]),
        (["src/[ab].graphql"], ["src/a.graphql"]),
        (["src/[!b-z].graphql"], ["src/a.graphql"]),
        (["src/[id].tsx"], ["src/[id].tsx"]),
        (["src"], ["src/[id].tsx", "src/a.graphql", "src/deep/c.ts", "src/deep/er/b.gql"]),
        (["./src//deep"], ["src/deep/c.ts", "src/deep/er/b.gql"]),
        (["src/a.graphql", "src/*.graphql"], ["src/a.graphql"]),
        (["src/deep/c.ts", "src/a.graphql"], ["src/a.graphql", "src/deep/c.ts"]),
        (["src/deep/style.css", "src/deep/empty", "src/a.graphql", "LICENSE"], ["LICENSE", "src/a.graphql"]),
        (["src/__generated__/*.graphql"], ["src/__generated__/d.graphql"]),
        (["node_modules/x/*.graphql"], ["node_modules/x/e.graphql"]),
        (["src", "!src/**/*.{ts,tsx}"], ["src/a.graphql", "src/deep/er/b.gql"]),
        (["!src/deep/**", "src/**/*.gql", "src/*.graphql", "!missing/*.ts"], ["src/a.graphql"]),
    ],
)
def test_what_patterns_match(patterns: list[str], found: list[str]) -> None:
    write("src/a.graphql")
    write("src/deep/er/b.gql")
    write("src/deep/c.ts", "const q = gql`{ a }`")
    write("src/[id].tsx", "const q = gql`{ a }`")
    write("src/deep/style.css", "a {}")
    write("src/deep/empty/notes.txt")
    write("LICENSE")
    for skipped in ("src/__generated__/d.graphql", "node_modules/x/e.graphql", "src/.cache/f.graphql"):
        write(skipped)
    os.mkfifo("src/pipe.ts")
    Path("src/gone.ts").symlink_to("nowhere")
    write("src/a.generated.ts", "const q = gql`{ a }`")
    assert names(*patterns) == found


def test_absolute_patterns(here: Path) -> None:
    write("src/a.graphql")
    assert [document.path for document in find_documents([f"{here}/**/*.graphql"])] == [here / "src" / "a.graphql"]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("src/**/*.vue", "src/**/*.vue: no file is there"),
        ("missing", "missing: there is no such file"),
        ("src/(", "src/(: there is no such file"),
        ("{x,y}.ts", "{x,y}.ts: no file is there"),
        ("*.css", "*.css: no file is there"),
        ("src/[z-a].ts", "no file"),
        ("src/[", "no file"),
        ("", "An empty pattern"),
        ("\0", "there is no such file"),
        ("x" * 5000, "there is no such file"),
        ("{a,b}" * 20, "more than 1000 patterns"),
    ],
)
def test_a_pattern_that_matches_nothing_is_told(pattern: str, words: str) -> None:
    write("src/a.graphql")
    with pytest.raises(CheckError) as caught:
        find_documents(["src/a.graphql", pattern])
    assert words in str(caught.value)


def test_where_nothing_is_found_that_is_told() -> None:
    write("src/style.css", "a {}")
    with pytest.raises(CheckError, match=r"^src, src/style.css: no file is there with one of the endings .astro"):
        find_documents(["src", "src/style.css"])


def test_all_files_that_are_no_text_are_told() -> None:
    write("src/a.ts", b"const a = gql`{ a }`\xff\xfe")
    write("src/b.graphql", b"\0\x80")
    write("src/c.graphql")
    with pytest.raises(CheckError) as caught:
        find_documents(["src/**"])
    assert str(caught.value).splitlines() == [
        "src/a.ts: it is not UTF-8 text (byte 20).",
        "src/b.graphql: it is not UTF-8 text (byte 1).",
    ]


def test_what_holds_no_graphql_gives_no_document() -> None:
    write("src/empty.graphql", "")
    write("src/comment.graphql", "\ufeff# nothing\n , \n")
    write("src/empty.ts", "")
    write("src/blank.ts", "const q = gql` `; const other = `query { a }`")
    assert find_documents(["src"]) == []


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    write("a.graphql", "\ufeffquery Q { a }")
    assert find_documents(["a.graphql"]) == [ClientDocument(Path("a.graphql"), "query Q { a }")]


@pytest.mark.parametrize(
    ("source", "word", "place"),
    [
        ("const q = gql`query Q { a }`", "a", (1, 25)),
        ("\n\n  gql`\n  query Q {\n    a }`", "a", (5, 5)),
        ("\r\n\r\n  gql`\r\n  query Q {\r\n    a }`", "a", (5, 5)),
        ('graphql("query Q {\\n  a }")', "a", (1, 23)),
        ("gql`query Q { x(b: \"\\u0041\\\\n\") \\`\n a }`", "a", (2, 2)),
        ("gql`query Q { x(b: \"\\u{1F600}\") a }`", "a", (1, 33)),
        ("gql`${A}\n${\n B }query Q { a }`", "a", (3, 15)),
        ("gql`\\\nquery Q { a }`", "a", (2, 11)),
    ],
)  # fmt: skip
def test_a_place_in_the_text_is_a_place_in_the_file(source: str, word: str, place: tuple[int, int]) -> None:
    write("a.ts", source)
    (document,) = find_documents(["a.ts"])
    assert document.line_and_column(document.text.index(f"{word} }}")) == place


@pytest.mark.parametrize("line", ["#" * 9, "# a # b # c", "# a   ", "#,,,,", " , ,"])
def test_comments_alone_are_no_document(line: str) -> None:
    write("a.graphql", f"{line}\n" * 1000)
    assert find_documents(["a.graphql"]) == []


@pytest.mark.parametrize(
    ("pattern", "is_found"),
    [
        ("**/" * 12 + "*x.graphql", False),
        ("**/" * 12 + "*.graphql", True),
        ("**/" + "*a" * 40 + "b.graphql", False),
        ("**/" + "*a" * 40 + "*.graphql", True),
        ("*/**/b/**/b/*.graphql", True),
        ("**/a/b/**", True),
        ("a/**/a/*.graphql", False),
    ],
)
def test_a_pattern_with_many_stars_is_matched(pattern: str, is_found: bool) -> None:
    write("a/b/" * 15 + "a" * 100 + ".graphql")
    if is_found:
        assert len(names(pattern)) == 1
    else:
        with pytest.raises(CheckError, match="no file is there"):
            names(pattern)


def test_positions_in_a_file_of_twice_the_size_take_twice_the_work() -> None:
    work = []
    for lines in (200, 400):
        write("a.graphql", "query Q { a }\n" * lines)
        write("a.ts", "const q = gql`" + 'query Q { a(b: "\\n") }\n' * lines + "`")
        documents = find_documents(["a.graphql", "a.ts"])
        with Steps() as steps:
            for document in documents:
                for offset in range(0, len(document.text), 13):
                    document.line_and_column(offset)
        work.append(steps.count)
    assert work[1] < 2.3 * work[0]
