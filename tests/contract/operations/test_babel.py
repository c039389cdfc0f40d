"""The literals that are found, against those that Babel's parser lists."""

import json
import subprocess
from pathlib import Path

import pytest

from gateway.contract.operations.javascript import find_literals

from ...conftest import npm_ci
from .snippets import Snippet, snippets

_Found = list[tuple[int, str | None]]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Snippet, _Found]]:
    """The snippets that are valid, each with where its literals begin, and their tags."""
    folder = tmp_path_factory.mktemp("babel")
    npm_ci(Path(__file__).parent / "babel", folder)
    cases = [each._asdict() for each in snippets()]
    command = ["node", "literals.mjs"]
    result = subprocess.run(command, cwd=folder, input=json.dumps(cases), capture_output=True, text=True, check=True)
    return [
        (snippet, [(_characters(snippet.source, each["start"]), each["tag"]) for each in literals])
        for snippet, literals in zip(snippets(), json.loads(result.stdout), strict=True)
        if literals is not None
    ]


def _characters(source: str, units: int) -> int:
    """Convert an offset in UTF-16, as JavaScript counts, to one in Python's text."""
    return len(source.encode("utf-16-le")[: 2 * units].decode("utf-16-le"))


@pytest.mark.timeout(120)  # It may have to download Babel.
def test_the_literals_are_those_of_babel(expected: list[tuple[Snippet, _Found]]) -> None:
    assert len(expected) >= 400
    wrong = []
    for (source, language), literals in expected:
        script = find_literals(source, language=language)
        found = [(each.mappings[0][1] - 1, each.tag) for each in script.literals]
        if found != literals or script.problems:
            wrong.append((language, source, found, literals, script.problems))
    assert wrong == []
