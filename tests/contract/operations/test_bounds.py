"""`operations check` and the gateway apply the same limits to a document, with the same messages."""

import asyncio
from pathlib import Path

import pytest

from gateway.accounts.operation import Operation
from gateway.contract.operations.check import check_operations
from gateway.execution.executor import Executor

from ...execution.conftest import SCHEMA, bare_context

NODES = "query Q { services(first: 1) { edges { node { %s } } } }"
WITHIN = [
    NODES % ("sid " * 316),
    "query Q { services { edges { node { ...F } } } } fragment F on Service { %s }" % ("sid " * 316),
    NODES % " ".join(f"a{number}: sid" for number in range(100)),
]
BEYOND = [
    NODES % ("sid " * 317),
    "query Q { services { edges { node { ...F ...F } } } } fragment F on Service { %s }" % ("sid " * 317),
    "query Q { services { edges { node { %s } } } }" % ("...F " * 13)
    + "fragment F on Service { %s }" % " ".join(f"a{number}: sid" for number in range(8)),
    NODES % ("sid " * 3990),
    NODES % " ".join(f"a{number}: sid" for number in range(101)),
    NODES % ("sid @include(if: true) " * 101),
    NODES % "sid @include(if: true) @skip(if: false) @include(if: true) @skip(if: false) @include(if: true)",
    "query Q { " + " ".join(f"a{number}: __typename" for number in range(51)) + " }",
    "query Q { services { edges { node { " + "...{ " * 26 + "sid" + " }" * 26 + " } } } }",
]


@pytest.mark.parametrize("document", WITHIN + BEYOND)
def test_limits_are_those_of_the_gateway(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("q.graphql").write_text(document, encoding="utf-8")
    outcome = asyncio.run(Executor(SCHEMA).run(Operation(document, dry_run=True), bare_context()))
    report = check_operations(["q.graphql"], {})
    served = [f"Q: {failure.error.message}" for failure in outcome.failures]
    assert [problem.message for problem in report.problems] == served
    assert bool(served) is (document in BEYOND)
