"""Manifests of trusted documents, as tools write them, and invalid ones."""

import json
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import pytest

from gateway.web.manifests import read_manifests

CODEGEN = {
    "sha256:ef5260aba9d1eac4edd932220a9e235a9c62a98d2f6a942769b1ad9ecab650ef": (
        "fragment Named on Service { friendlyName sid } query ServiceName($sid: ID!) { service(sid: $sid) { ...Named } }"
    )
}
"""What @graphql-codegen/client-preset 6.2 wrote."""
APOLLO = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [
        {
            "id": "87a0bb7ca3dc1c62aa6e70177af76fbb44ba67bc9f0fe375d36667ba33a2a5da",
            "name": "ServiceName",
            "type": "query",
            "body": "query ServiceName($sid: ID!) {\n  service(sid: $sid) {\n    ...Named\n    __typename\n  }\n}\n\n"
            "fragment Named on Service {\n  sid\n  friendlyName\n  __typename\n}",
        }
    ],
}
"""What @apollo/generate-persisted-query-manifest 1.4 wrote."""
RELAY = {
    "490b1a74f4a0d5827d32052dbe4ba6b8": (
        "query RServiceNameQuery(\n  $sid: ID!\n) {\n  service(sid: $sid) {\n    ...R_named\n    id\n  }\n}\n\n"
        "fragment R_named on Service {\n  sid\n  friendlyName\n}\n"
    )
}
"""What relay-compiler 21 wrote."""


def written(folder: Path, **manifests: Any) -> Path:
    for name, manifest in manifests.items():
        content = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        (folder / f"{name}.json").write_bytes(content)
    return folder


def read(*paths: Path) -> tuple[dict[str, str], list[str]]:
    problems: list[str] = []
    return read_manifests(paths, problems), problems


def test_the_manifests_of_three_tools(tmp_path: Path) -> None:
    documents, problems = read(written(tmp_path, codegen=CODEGEN, apollo=APOLLO, relay=RELAY))
    assert problems == []
    (codegen,), (relay,) = CODEGEN.items(), RELAY.items()
    apollo = APOLLO["operations"][0]["id"], APOLLO["operations"][0]["body"]  # type: ignore[index]
    assert documents == dict([codegen, apollo, relay])
    # Each tool hashes the text as it stands in its file.
    assert codegen[0] == f"sha256:{sha256(codegen[1].encode()).hexdigest()}"
    assert apollo[0] == sha256(apollo[1].encode()).hexdigest()
    assert relay[0] == md5(relay[1].encode(), usedforsecurity=False).hexdigest()


def test_the_same_document_may_be_in_several_files(tmp_path: Path) -> None:
    folder = written(tmp_path, one=RELAY, two=RELAY)
    assert read(folder / "one.json", folder / "two.json", folder) == (RELAY, [])


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (b"", "is not JSON (line 1, column 1: Expecting value)."),
        (b'{"a":\n "{ __typename }"', "is not JSON (line 2, column"),
        (b"\xff", "is not JSON."),
        (b"[" * 100_000, "is not JSON."),
        (None, "is not a manifest: "),
        ([], "is not a manifest: "),
        ("{ __typename }", "is not a manifest: "),
        ({"a": 1}, "is not a manifest: "),
        ({"a": "{ __typename }", "b": {}}, "is not a manifest: "),
        ({"format": "another", "operations": []}, "is not a manifest: "),
        ({}, "has no documents."),
        (APOLLO | {"operations": []}, "has no documents."),
        (APOLLO | {"version": 2}, "has version 2 of Apollo's format; version 1 is supported."),
        (APOLLO | {"operations": {}}, "is not a manifest: "),
        (APOLLO | {"operations": [{"id": "a"}]}, "is not a manifest: "),
        (APOLLO | {"operations": ["a"]}, "is not a manifest: "),
    ],
)
def test_a_file_that_is_not_a_manifest_is_one_problem(tmp_path: Path, manifest: Any, words: str) -> None:
    folder = written(tmp_path, some=manifest)
    documents, (problem,) = read(folder)
    assert documents == {}
    assert problem.startswith(f"{folder / 'some.json'}: {words}")
    assert "\n" not in problem


def test_missing_files(tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing.json", tmp_path / "empty"
    empty.mkdir()
    assert read(missing, empty) == (
        {},
        [f"{missing}: cannot be read (No such file or directory).", f"{empty}: has no .json files."],
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("query Old { servcies { id } }", "Old (id a): line 1, column 13: Cannot query field 'servcies'"),
        (
            "query Old {\n  services {\n    edges { cursor(x: 1) } } }",
            "Old (id a): line 3, column 20: Unknown argument 'x'",
        ),
        ("{", "operation without a name (id a): line 1, column 2: Syntax Error"),
        ("fragment F on Query { __typename }", "(id a): line 1, column 1: Fragment 'F' is never used."),
        ("mutation Send { send }", "Send (id a): line 1, column 1: "),
        ("query Long { __typename } #" + "x" * 70_000, "Long (id a): The document has more than"),
    ],
)
def test_an_invalid_document_is_named(tmp_path: Path, text: str, words: str) -> None:
    folder = written(tmp_path, some={"a": text, "b": "{ __typename }"})
    _, (problem,) = read(folder)
    assert words in problem


def test_two_documents_with_one_id(tmp_path: Path) -> None:
    folder = written(tmp_path, a={"x": "query One { __typename }"}, b={"x": "query Two { __typename }"})
    assert read(folder)[1] == [
        f"{folder / 'b.json'}: Two (id x): {folder / 'a.json'} has another document with that id."
    ]


def test_without_introspection_no_document_may_introspect(tmp_path: Path) -> None:
    folder, problems = written(tmp_path, some={"a": "{ __schema { queryType { name } } }"}), list[str]()
    read_manifests([folder], problems, introspection=False)
    assert {"introspection has been disabled" in problem for problem in problems} == {True}
    assert read(folder)[1] == []
