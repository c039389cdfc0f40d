"""The verdicts of graphql-js and of GraphQL Inspector on every edit, there and back: the same as ours, or a reason."""

import json
import subprocess
from pathlib import Path
from typing import Literal

import pytest
from graphql import build_schema

from gateway.contract.schema.changes import find_changes

from .conftest import BEFORE, EDITS

Verdict = Literal["breaking", "dangerous", "safe"]
PAIRS = [pair for after in (edit.apply(BEFORE) for edit in EDITS) for pair in ((BEFORE, after), (after, BEFORE))]

pytestmark = pytest.mark.timeout(300)  # npm fetches 30 MB when its cache is empty.

ANSWER = "An operation that omits it is answered otherwise."
REFUSED = "An operation that omits it is refused from then on."
PRICE = "Costs are this project's own."
REASONS: dict[str, dict[str, str]] = {
    "graphqlJs": {
        "ARG_DEFAULT_VALUE_ADDED": ANSWER,
        "ARG_DEFAULT_VALUE_CHANGE": ANSWER + " It compares no arguments of directives.",
        "ARG_CHANGED_KIND": "It compares no arguments of directives.",
        "ARG_BECAME_REQUIRED": REFUSED,
        "INPUT_FIELD_BECAME_REQUIRED": REFUSED,
        "ONE_OF_ADDED": "An operation that passes two fields, or none, is refused from then on.",
        "VALUE_ADDED_TO_ENUM": "No field returns the enum, so no client receives the value.",
        "IMPLEMENTATION_ADDED": "A field that returns the interface may return a type that no client knows, as with a union.",
        "ROOT_TYPE_REMOVED": "Operations of this kind are refused from then on.",
        "ROOT_TYPE_CHANGED": "The type is another one, with fields that may differ.",
        "SPECIFIED_BY_CHANGED": "https://spec.graphql.org/draft/#sec-Scalars.Custom-Scalars forbids it.",
        "SPECIFIED_BY_REMOVED": "Clients that parse the scalar by its URL do so no longer.",
        "UPSTREAM_DEARER": PRICE,
    },
    "inspector": {
        "ARG_BECAME_REQUIRED": REFUSED,
        "INPUT_FIELD_BECAME_REQUIRED": REFUSED,
        "ARG_DEFAULT_VALUE_ADDED": "It was required, so every operation passes it.",
        "INPUT_FIELD_DEFAULT_VALUE_ADDED": "It was required, so every operation passes it.",
        "OPTIONAL_INPUT_FIELD_ADDED": "The server may answer otherwise, as with an optional argument; graphql-js agrees.",
        "VALUE_ADDED_TO_ENUM": "No field returns the enum, so no client receives the value.",
        "IMPLEMENTATION_ADDED": "A field that returns the interface may return a type that no client knows, as with a union.",
        "DIRECTIVE_REPEATABLE_REMOVED": "An operation that repeats it is refused from then on; graphql-js agrees.",
        "SPECIFIED_BY_CHANGED": "https://spec.graphql.org/draft/#sec-Scalars.Custom-Scalars forbids it.",
        "SPECIFIED_BY_REMOVED": "Clients that parse the scalar by its URL do so no longer.",
        "UPSTREAM_DEARER": PRICE,
    },
}
"""Why a change of this kind is judged otherwise."""


def is_counted(kind: str) -> bool:
    """Inspector reports each directive applied in SDL as well, most as dangerous; @oneOf is reported in no other way."""
    return not kind.startswith("DIRECTIVE_USAGE_") or kind == "DIRECTIVE_USAGE_INPUT_OBJECT_ADDED"


def worst(levels: set[str]) -> Verdict:
    return "breaking" if "breaking" in levels else "dangerous" if "dangerous" in levels else "safe"


def test_verdicts_are_those_of_others(npm: Path) -> None:
    assert len(EDITS) >= 60
    asked = json.dumps([{"before": before, "after": after} for before, after in PAIRS])
    done = subprocess.run(["node", "schema.mjs"], cwd=npm, input=asked, capture_output=True, text=True, check=True)
    unexplained, used = [], set()
    for (before, after), found in zip(PAIRS, json.loads(done.stdout), strict=True):
        changes = find_changes(build_schema(before), build_schema(after))
        verdict = worst({change.criticality for change in changes})
        for package, reasons in REASONS.items():
            theirs = worst({level for level, kind in found[package] if is_counted(kind)})
            explained = {change.kind for change in changes} & reasons.keys() if theirs != verdict else set()
            used |= {(package, kind) for kind in explained}
            if theirs != verdict and not explained:
                unexplained.append(
                    (package, theirs, verdict, [str(change.message) for change in changes], found[package])
                )
    assert unexplained == []
    assert used == {(package, kind) for package, reasons in REASONS.items() for kind in reasons}
