"""The engine against graphql-core: random operations, over working and failing upstreams, must have equal results."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from inspect import isawaitable
from random import Random
from typing import Any

import pytest
from graphql import ExecutionResult, parse
from graphql.execution import IncrementalDeferResult, experimental_execute_incrementally
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from gateway.accounts.operation import Operation
from gateway.errors import ValidationFailed
from gateway.execution.deferred import IncrementalResult, Pending
from gateway.execution.error_behavior import ErrorBehavior
from gateway.execution.outcome import Outcome
from gateway.twilio.paths import is_sid

from .conftest import SCHEMA, context_over, run_in_loop
from .fuzz import difference
from .random_operations import GENERATOR, INTERPRETER, REFERENCE, Upstream, Writer, drawn, run, seen

ALLOWED = {"introspection", "null where none may be"}
"""What may be counted of an operation beside `engine` and generated code."""


@dataclass
class Payloads:
    """The initial result of an operation, and all subsequent ones."""

    initial: Outcome
    pending: list[Pending]
    incremental: list[IncrementalResult] = field(default_factory=list)


def run_in_parts(document: str, variables: dict[str, Any], trouble: int, no_cache: bool) -> tuple[Payloads, Upstream]:
    upstream = Upstream(trouble)

    async def once() -> Payloads:
        async with context_over(upstream, no_cache=no_cache) as context:
            initial = await INTERPRETER.run(Operation(document, variables=variables, defer=True), context)
            initial._data = deepcopy(
                initial.data
            )  # One object can stand at several places; results are merged into it.
            payloads = Payloads(initial, list(initial.pending))
            if initial.subsequent is not None:
                async for payload in initial.subsequent:
                    payloads.incremental += payload.incremental
                    payloads.pending += payload.pending
                    assert payload.has_next is (len(payloads.incremental) < len(payloads.pending))
            return payloads

    return run_in_loop(once()), upstream


def merge(into: Any, more: Any) -> None:
    """Merge a result into an answer, as clients do."""
    for key, value in more.items() if isinstance(more, dict) else enumerate(more):
        if isinstance(value, dict | list) and (into[key] if isinstance(into, list) else into.get(key)) is not None:
            merge(into[key], value)
        else:
            into[key] = value


def merged_by_id(payloads: Payloads) -> Any:
    """Merge the parts as clients of the specification's format do: no field is delivered twice."""
    data = json.loads(json.dumps(payloads.initial.data))  # One object can stand at several places.
    for result in payloads.incremental:
        for place, part in result.parts:
            assert part.path[: len(place.path)] == place.path
            target: Any = data
            for step in part.path:
                target = target[step]
            assert part.data is not None
            assert not target.keys() & part.data.keys()
            target |= json.loads(json.dumps(part.data))
    return data


@st.composite
def operations(draw: Any) -> tuple[str, dict[str, Any]]:
    return Writer(drawn(draw)).document()


# Each share has its own operations, since hypothesis takes the test's id into its seed where it has a fixed one.
@pytest.mark.timeout(300)  # What differs is made smaller before it is shown.
@pytest.mark.parametrize("share", range(4))
@given(
    operation=operations(),
    trouble=st.sampled_from([0, 0, 0, 1, 3]),
    no_cache=st.booleans(),
    on_error=st.sampled_from(["PROPAGATE", "PROPAGATE", "NULL", "HALT"]),
    mark=st.booleans(),
)
@settings(max_examples=500, suppress_health_check=list(HealthCheck))
def test_the_engine_answers_as_graphql_core_does(
    share: int,
    operation: tuple[str, dict[str, Any]],
    trouble: int,
    no_cache: bool,
    on_error: ErrorBehavior,
    mark: bool,
) -> None:
    """Takes twenty seconds, for two thousand operations in all."""
    document, variables = operation
    engine, upstream, context = run(
        document, variables, GENERATOR, trouble=trouble, no_cache=no_cache, on_error=on_error, mark=mark
    )
    others = {reason for reason in context.runs if not reason.startswith(("generated", "not generated: "))}
    assert others <= ALLOWED | {"engine"}
    for reason in context.runs:
        event(f"run by {reason}")
    reference, expected, _ = run(
        document, variables, REFERENCE, trouble=trouble, no_cache=no_cache, on_error=on_error, mark=mark
    )
    assert not any(isinstance(each.error, ValidationFailed) for each in reference.failures), "it is not valid"
    if on_error == "HALT" and reference.failures:  # Which error comes first depends on the order of execution.
        assert reference.data is engine.data is None
        assert len(reference.failures) == len(engine.failures) == 1
        reference, expected, _ = run(
            document, variables, REFERENCE, trouble=trouble, no_cache=no_cache, on_error="NULL", mark=mark
        )
        assert seen(engine)[1] <= seen(reference)[1], "an error that no field has"
        event("halted")
    else:
        assert seen(engine) == seen(reference)
    assert len(upstream.calls) == len(set(upstream.calls)), "a path was read twice"
    # Beyond what graphql-core reads is only what left in the first round trip, for the query's own sids: a record that a
    # list happens to bring as well, the participants of a list without receipts, or what is below a record not there.
    assert upstream.calls == [] or engine.requested >= len(upstream.calls), "the estimate is below the actual"
    beyond = set(upstream.calls) - set(expected.calls) - set(upstream.calls[: upstream.together])
    assert not beyond


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", [0, 500])
def test_generated_code_executes_as_the_interpreter_does(first: int) -> None:
    """`python -m tests.execution.fuzz` tries more operations."""
    runs: Counter[str] = Counter()
    for number in range(first, first + 500):
        assert difference(Random(number), runs) is None, f"seed {number}"
    assert runs["generated"] > 200


@pytest.mark.timeout(300)  # What differs is made smaller before it is shown.
@pytest.mark.parametrize("share", range(2))
@given(operation=operations(), trouble=st.sampled_from([0, 0, 0, 1, 3]), no_cache=st.booleans())
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
def test_the_parts_of_an_answer_make_the_whole(
    share: int, operation: tuple[str, dict[str, Any]], trouble: int, no_cache: bool
) -> None:
    """Takes six seconds, for six hundred operations in all."""
    document, variables = operation
    payloads, upstream = run_in_parts(document, variables, trouble, no_cache)
    whole, calls, _ = run(document, variables, INTERPRETER, trouble=trouble, no_cache=no_cache)
    parts = payloads.incremental
    if not trouble:
        # Whole, it finds a record by its sid that it has read by its name; in parts, that may be read later.
        by_name = sum("?" not in call and not is_sid(call.rpartition("/")[2]) for call in calls.calls)
        assert len(upstream.calls) <= len(calls.calls) + by_name, "more calls than the same operation whole"
    assert Counter((part.pending.path, part.pending.label) for part in parts) == Counter(
        (place.path, place.label) for place in payloads.pending
    ), "each pending place gets its result, once"
    assert len(upstream.calls) == len(set(upstream.calls)), "a path was read twice"
    assert upstream.calls == [] or payloads.initial.requested >= len(upstream.calls), "the estimate is below the actual"
    if any(part.data is None for part in parts):
        # Here the whole may be another: a record that proves not to be there is null in it, and all that is in it.
        assert all(part.failures for part in parts if part.data is None)
        event("a part came to nothing")
        return
    by_id = merged_by_id(payloads)
    failures = (*payloads.initial.failures, *(failure for part in parts for failure in part.failures))
    listener, expected = (set(seen(Outcome(None, each))[1]) for each in (failures, whole.failures))
    if trouble and listener != expected:
        # A record that cannot be read by itself may be in a page that has come meanwhile.
        event("other failures")
        return
    assert listener == expected
    for part in sorted(parts, key=lambda part: len(part.pending.path)):
        place = payloads.initial.data
        for step in part.pending.path:
            assert place is not None
            place = place[step]  # type: ignore[index]
        merge(place, part.data)
    event(f"{min(len(parts), 5)} parts")
    assert payloads.initial.data == whole.data
    assert by_id == whole.data


async def parts_of_graphql_core(document: str, variables: dict[str, Any]) -> tuple[Any, Delivered]:
    """Return the initial data, and what follows, by graphql-core's incremental execution."""
    delivered = Delivered()
    places: dict[str, tuple[str | None, tuple[str | int, ...]]] = {}
    async with context_over(Upstream(0)) as context:
        result = experimental_execute_incrementally(
            SCHEMA._schema, parse(document), context_value=context, variable_values=variables
        )
        if isawaitable(result):
            result = await result
        if isinstance(result, ExecutionResult):
            return result.data, delivered
        data = json.loads(json.dumps(result.initial_result.data))
        payloads = [payload async for payload in result.subsequent_results]
    pending = [*result.initial_result.pending, *(place for payload in payloads for place in payload.pending or ())]
    for place in pending:
        places[place.id] = place.label, tuple(place.path)
        delivered.announced.add(places[place.id])
    for payload in payloads:
        for part in payload.incremental or ():
            assert isinstance(part, IncrementalDeferResult)
            delivered.add(*places[part.id], tuple(part.sub_path or ()), part.data)
    return data, delivered


def leaves(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The scalars in a value, and the lengths of its lists, by their paths."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        yield path, len(value)
        for place, inner in enumerate(value):
            yield from leaves(inner, (*path, place))
    else:
        yield path, value


@dataclass
class Delivered:
    """What follows an initial answer, in any order."""

    announced: set[tuple[str | None, tuple[str | int, ...]]] = field(default_factory=set)
    """The labels and paths of the fragments."""
    parts: dict[tuple[Any, ...], dict[tuple[str | int, ...], Any]] = field(default_factory=dict)
    """The values by the fragment's label and path, then by the path below it; those of a list are its length.

    In how many parts a fragment arrives is the executor's choice: graphql-core makes one more where a fragment is spread again.
    """

    def add(
        self, label: str | None, path: tuple[str | int, ...], below: tuple[str | int, ...], data: dict[str, Any]
    ) -> None:
        """Add a part: those of one fragment at one place, which the repeated spread of a fragment makes, are merged."""
        self.parts.setdefault((label, path), {}).update(leaves(json.loads(json.dumps(data)), below))


@pytest.mark.timeout(120)
def test_the_parts_are_those_of_graphql_core() -> None:
    """Takes ten seconds, for some hundred operations."""
    compared = 0
    for seed in range(300):
        random = Random(seed)
        document, variables = Writer(random.randint).document()
        payloads, _ = run_in_parts(document, variables, trouble=0, no_cache=False)
        if not payloads.incremental:
            continue
        data, expected = run_in_loop(parts_of_graphql_core(document, variables))
        if json.dumps(data) != json.dumps(payloads.initial.data):
            continue  # A record that does not exist, and is looked up later here.
        delivered = Delivered()
        for place in payloads.pending:
            if not place.is_empty:
                delivered.announced.add((place.label, place.path))
        for result in payloads.incremental:
            for place, part in result.parts:
                delivered.add(place.label, place.path, part.path[len(place.path) :], part.data or {})
        assert delivered == expected, f"seed {seed}"
        compared += 1
    assert compared > 60
