"""From a document to an outcome: each failure has its code, and none shows internal details."""

from typing import Any

import pytest
import strawberry
from structlog.testing import capture_logs

from gateway.accounts.operation import Operation
from gateway.errors import BadUserInput, GatewayError
from gateway.execution.executor import Executor

from .conftest import bare_context


class Secret(Exception):
    """An unexpected exception with data in its message."""


@strawberry.type
class Query:
    @strawberry.field
    def double(self, number: int) -> int:
        return number * 2

    @strawberry.field
    def refused(self) -> int | None:
        raise BadUserInput("Not like this.")

    @strawberry.field
    def broken(self) -> int | None:
        raise Secret("+15005550006")

    @strawberry.field
    def huge(self) -> int | None:
        return 2**40


@pytest.fixture
def executor() -> Executor:
    return Executor(strawberry.Schema(Query))


@pytest.mark.parametrize(
    ("document", "variables", "name", "code"),
    [
        ("{", None, None, "GRAPHQL_PARSE_FAILED"),
        ("", None, None, "GRAPHQL_PARSE_FAILED"),
        ("{" * 50_000, None, None, "GRAPHQL_PARSE_FAILED"),
        ("{a" + "{a" * 4_000, None, None, "GRAPHQL_PARSE_FAILED"),
        ("{ nope }", None, None, "GRAPHQL_VALIDATION_FAILED"),
        ("{ double }", None, None, "GRAPHQL_VALIDATION_FAILED"),
        ("mutation { double }", None, None, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { double }", None, None, "GRAPHQL_VALIDATION_FAILED"),
        ("query A { double(number: 1) } query B { double(number: 1) }", None, None, "OPERATION_RESOLUTION_FAILURE"),
        ("query A { double(number: 1) }", None, "B", "OPERATION_RESOLUTION_FAILURE"),
        ("query A { double(number: 1) }", None, "", "OPERATION_RESOLUTION_FAILURE"),
        ("query A($n: Int!) { double(number: $n) }", {}, None, "BAD_USER_INPUT"),
        ("query A($n: Int!) { double(number: $n) }", {"n": "x"}, None, "BAD_USER_INPUT"),
        ("query A($n: Int!) { double(number: $n) }", {"n": None}, None, "BAD_USER_INPUT"),
    ],
)
async def test_a_request_that_cannot_be_executed(
    executor: Executor, document: str, variables: Any, name: str | None, code: str
) -> None:
    outcome = await executor.run(Operation(document, variables=variables, name=name), bare_context())
    assert not outcome.executed
    assert outcome.data is None
    assert {failure.error.code for failure in outcome.failures} == {code}


async def test_the_operation_that_is_named_runs(executor: Executor) -> None:
    document = "query A { a: double(number: 1) } query B { b: double(number: 2) }"
    assert (await executor.run(Operation(document, name="B"), bare_context())).data == {"b": 4}


async def test_our_own_errors_are_shown_as_they_are(executor: Executor) -> None:
    outcome = await executor.run(Operation("{ x: refused double(number: 1) }"), bare_context())
    (failure,) = outcome.failures
    assert outcome.data == {"x": None, "double": 2}
    assert failure.as_json() == {
        "message": "Not like this.",
        "path": ["x"],
        "locations": [{"line": 1, "column": 3}],
        "extensions": {"code": "BAD_USER_INPUT", "retryable": False},
    }


@pytest.mark.parametrize("field", ["broken", "huge"])
async def test_bugs_are_masked_and_logged_without_their_words(executor: Executor, field: str) -> None:
    with capture_logs() as log:
        outcome = await executor.run(Operation("{ %s }" % field), bare_context())
    (failure,) = outcome.failures
    assert failure.error.code == "INTERNAL_SERVER_ERROR"
    shown = str(failure.as_json()) + str(log)
    assert "5005550006" not in shown
    assert str(2**40) not in shown
    assert [line["event"] for line in log] == ["internal error"]


async def test_an_argument_that_fails_while_executing_is_bad_input(executor: Executor) -> None:
    outcome = await executor.run(
        Operation("query A($n: Int = 1) { double(number: $n) }", variables={"n": None}), bare_context()
    )
    assert [failure.error.code for failure in outcome.failures] == ["BAD_USER_INPUT"]


async def test_errors_are_few_however_many_there_are(executor: Executor) -> None:
    outcome = await executor.run(Operation("{" + " nope" * 500 + "}"), bare_context())
    assert 1 <= len(outcome.failures) <= 21


def test_every_leaf_has_a_code_of_its_own() -> None:
    def leaves(kind: type[GatewayError]) -> list[type[GatewayError]]:
        below = kind.__subclasses__()
        return [leaf for child in below for leaf in leaves(child)] if below else [kind]

    codes = [leaf.code for leaf in leaves(GatewayError)]
    assert len(codes) == len(set(codes)) == 18
    assert all(leaf.__doc__ for leaf in leaves(GatewayError))
