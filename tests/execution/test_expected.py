"""Expected reads, kept for operations that name other records: always those of an estimate made for the operation."""

from random import Random
from typing import Any
from unittest.mock import ANY

import pytest

from gateway.execution.estimate import Estimate
from gateway.execution.executor import Executor, _Invalid
from gateway.execution.expected import Expected, ExpectedReads
from gateway.execution.steps import Arguments
from gateway.graph.cursors import Cursor
from gateway.graph.lists import PagedList
from gateway.graph.types import Message
from gateway.twilio.paths import is_sid

from .conftest import MARKS, SCHEMA, THREAD, bare_context
from .random_operations import Writer

THREAD_QUERY = """query ($service: ID!, $conversation: ID!, $first: Int, $after: String, $status: [MessageDeliveryStatus!]) {
  service(sid: $service) { conversation(sid: $conversation) {
    friendlyName messages(first: $first, after: $after, deliveryStatus: $status) { edges { node {
      sid receipts { edges { node { sid participant { channel } } } }
    } } }
  } }
}"""
SERVICES = [f"IS{number:032x}" for number in range(3)]
CONVERSATIONS = [f"CH{number:032x}" for number in range(3)]


def expected(executor: Executor, document: str, variables: dict[str, Any], **context: Any) -> tuple[Expected, Expected]:
    """The kept reads, and those of an estimate that is made for the variables."""
    of_operation = bare_context()
    for name, value in context.items():
        setattr(of_operation, name, value)
    operation = executor._operation(document, None)
    values = executor._coerce(operation, variables)
    planned = executor._plan(operation, values, False)
    assert not isinstance(planned, str)
    kept = planned.expected_reads.of(of_operation, values)
    estimate = Estimate(planned.plan, of_operation, Arguments(values))
    return kept, Expected.of(estimate, planned.expected_reads._named)


def kept_in(executor: Executor) -> ExpectedReads:
    (planned,) = executor._plans.values()
    return planned.expected_reads


def other(random: Random, value: Any) -> Any:
    """Another value of a variable, perhaps."""
    if isinstance(value, str) and is_sid(value) and random.random() < 0.7:
        return value[:2] + random.choice(["0", "1", "2"]) * 32
    return value


def executable(random: Random, executor: Executor) -> tuple[str, dict[str, Any]]:
    """The first random document that the engine executes, with its variables."""
    while True:
        document, variables = Writer(random.randint).document()
        try:
            expected(executor, document, variables)
        except (_Invalid, AssertionError):
            continue
        return document, variables


@pytest.mark.parametrize("seed", range(400))
def test_kept_reads_are_those_of_an_estimate(seed: int) -> None:
    random, executor = Random(seed), Executor(SCHEMA)
    document, variables = executable(random, executor)
    for _ in range(6):
        variables = {name: other(random, value) for name, value in variables.items()}
        kept, estimated = expected(executor, document, variables, no_cache=random.random() < 0.3)
        assert kept == estimated


def test_an_estimate_is_made_once_for_other_records() -> None:
    executor = Executor(SCHEMA)
    for service in SERVICES:
        for conversation in CONVERSATIONS:
            kept, estimated = expected(executor, THREAD_QUERY, {"service": service, "conversation": conversation})
            assert kept == estimated
            assert f"Services/{service}/Conversations/{conversation}/Participants?PageSize=100" in kept.prefetch
    assert len(kept_in(executor)._kept) == 1


def test_an_estimate_is_made_for_each_value_of_another_argument() -> None:
    executor = Executor(SCHEMA)
    for first in (1, 100, 101, 1000, -1, None):
        for status in (None, [], ["FAILED"]):
            variables = {"service": SERVICES[0], "conversation": CONVERSATIONS[0], "first": first, "status": status}
            kept, estimated = expected(executor, THREAD_QUERY, variables)
            assert kept == estimated


def test_a_cursor_is_valid_for_one_list_only() -> None:
    executor = Executor(SCHEMA)
    key = PagedList(Message.resource, THREAD, 50, None).key
    cursor = Cursor.make(key, "PageToken=1", "IM0", 0, None)
    requested = []
    for service in (MARKS["service_sid"], MARKS["other_service_sid"]):
        variables = {"service": service, "conversation": MARKS["conversation_sid"], "after": cursor.encode()}
        kept, estimated = expected(executor, THREAD_QUERY, variables)
        assert kept == estimated
        requested.append(kept.requested)
    assert requested[0] > requested[1]


def test_a_record_that_is_named_twice_is_read_once() -> None:
    document = (
        "query ($a: ID!, $b: ID!) { a: service(sid: $a) { friendlyName } b: service(sid: $b) { friendlyName } "
        'c: service(sid: "%s") { friendlyName } }' % SERVICES[0]
    )
    executor = Executor(SCHEMA)
    for a, b, calls in ((1, 2, 3), (2, 1, 3), (1, 1, 2), (0, 1, 2), (0, 0, 1), (1, 2, 3)):
        kept, estimated = expected(executor, document, {"a": SERVICES[a], "b": SERVICES[b]})
        assert kept == estimated == (calls, ANY, (), ANY)


def test_what_names_no_record_is_not_read() -> None:
    executor = Executor(SCHEMA)
    for conversation in (CONVERSATIONS[0], SERVICES[0], "{0}", ""):
        kept, estimated = expected(executor, THREAD_QUERY, {"service": SERVICES[0], "conversation": conversation})
        assert kept == estimated


def test_a_restricted_caller_reads_what_it_may() -> None:
    executor = Executor(SCHEMA)
    for service in SERVICES:
        variables = {"service": service, "conversation": CONVERSATIONS[0]}
        kept, estimated = expected(executor, THREAD_QUERY, variables, services=frozenset(SERVICES[:1]))
        assert kept == estimated
        assert bool(kept.requested) is (service == SERVICES[0])


def test_the_kept_reads_are_bounded() -> None:
    executor = Executor(SCHEMA)
    for first in range(200):
        variables = {"service": SERVICES[0], "conversation": CONVERSATIONS[0], "first": first}
        expected(executor, THREAD_QUERY, variables)
    assert len(kept_in(executor)._kept) <= 64
