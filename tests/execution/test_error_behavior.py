"""`onError`: what an error does to the rest of the answer, with the engine and with graphql-core."""

from typing import Any

import pytest

from gateway.accounts.operation import Operation
from gateway.execution.error_behavior import ERROR_BEHAVIORS, ErrorBehavior
from gateway.execution.outcome import Outcome
from gateway.graph.limits import IDS_MAX
from gateway.twilio.responses import Response

from .conftest import THREAD, Rounds, context_over, thread
from .random_operations import GENERATOR

NON_NULL = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } deliveryErrors(codes: [30003]) { code } }"
TOO_MANY = {"ids": ["x"] * (IDS_MAX + 1)}


class Failing(Rounds):
    """An upstream whose list of messages cannot be read."""

    def respond(self, target: str) -> Response:
        return Response(503, {}, b"") if target.startswith(f"{THREAD}/Messages?") else super().respond(target)


async def run(document: str, behavior: ErrorBehavior, upstream: Rounds, **more: Any) -> Outcome:
    async with context_over(upstream) as context:
        return await GENERATOR.run(Operation(document, on_error=behavior, **more), context)


@pytest.mark.parametrize("behavior", ERROR_BEHAVIORS)
async def test_an_error_where_null_is_not_allowed(behavior: ErrorBehavior) -> None:
    outcome = await run(NON_NULL, behavior, Rounds(), variables=TOO_MANY)
    assert [(failure.error.code, failure.path) for failure in outcome.failures] == [("BAD_USER_INPUT", ("nodes",))]
    assert outcome.executed
    null = {"nodes": None, "deliveryErrors": [{"code": 30003}]}
    assert outcome.data == (null if behavior == "NULL" else None)


@pytest.mark.parametrize("behavior", ERROR_BEHAVIORS)
async def test_an_error_where_null_is_allowed(behavior: ErrorBehavior) -> None:
    below = "participants(first: 1) { edges { node { service { friendlyName } } } }"
    selection = f"messages(first: 1) {{ edges {{ node {{ sid }} }} }} {below}"
    upstream = Failing()
    outcome = await run(thread(selection), behavior, upstream)
    assert [failure.error.code for failure in outcome.failures] == ["UPSTREAM_UNAVAILABLE"]
    paths = [path.partition("?")[0].rpartition("/")[2] for level in upstream.rounds for path in level]
    assert paths[:2] == ["Messages", "Participants"]
    if behavior == "HALT":
        assert outcome.data is None
        assert len(paths) == 2, "a level after the one with the error was read"
    else:
        assert outcome.data is not None
        conversation = outcome.data["service"]["conversation"]
        assert conversation["messages"] is None
        assert len(conversation["participants"]["edges"]) == 1
        assert len(paths) == 3


@pytest.mark.parametrize("behavior", ERROR_BEHAVIORS)
async def test_answers_without_errors_are_equal(behavior: ErrorBehavior) -> None:
    document = thread("sid messages(first: 2) { edges { node { sid body } } }")
    first = await run(document, "PROPAGATE", Rounds())
    outcome = await run(document, behavior, Rounds())
    assert not outcome.failures
    assert outcome.data == first.data


@pytest.mark.parametrize("behavior", ["NULL", "HALT"])
async def test_nothing_is_deferred_but_with_propagate(behavior: ErrorBehavior) -> None:
    """What was delivered could not be taken back."""
    document = thread("sid ... @defer { messages(first: 1) { edges { node { sid } } } }")
    outcome = await run(document, behavior, Rounds(), defer=True)
    assert outcome.subsequent is None
    assert outcome.data is not None
    assert outcome.data["service"]["conversation"]["messages"]["edges"]


def test_the_behavior_is_a_part_of_an_operations_identity() -> None:
    keys = {Operation("{ x }", on_error=behavior).key(per_caller=False) for behavior in ERROR_BEHAVIORS}
    assert len(keys) == 3
    assert Operation("{ x }").key(per_caller=False) in keys
