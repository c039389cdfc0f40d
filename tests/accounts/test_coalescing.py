"""Equal operations at the same time are executed once, as long as anyone waits. Nothing else is shared."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import pytest

from gateway.accounts.account import Account
from gateway.accounts.coalescing import OperationWaiter, RunningOperation
from gateway.accounts.operation import Operation
from gateway.execution.outcome import Outcome
from gateway.sandbox import Fault, Sandbox
from gateway.twilio.client import Client

QUERY = "query Q($sid: ID!) { service(sid: $sid) { friendlyName } }"


@pytest.fixture
def operations(client: Client) -> Account:
    return Account(client)


@pytest.fixture
def given(sandbox: Sandbox) -> dict[str, Any]:
    sandbox.faults.add("*", Fault(latency=0.05))
    return {"sid": sandbox.landmarks["service_sid"]}


async def test_equal_operations_at_the_same_time_are_executed_once(
    sandbox: Sandbox, operations: Account, given: dict[str, Any]
) -> None:
    outcomes = await asyncio.gather(
        *(operations.run(Operation(QUERY, variables=dict(given), request_id=str(number))) for number in range(4))
    )
    assert len(sandbox.calls) == 1
    assert outcomes[0].data
    assert all(outcome.data == outcomes[0].data for outcome in outcomes)
    assert [outcome.calls for outcome in outcomes] == [1, 0, 0, 0]
    assert [outcome.shared_with for outcome in outcomes] == [None, "0", "0", "0"]
    again = await operations.run(Operation(QUERY, variables=given))
    assert (again.calls, again.shared_with) == (1, None)
    assert operations._running == {}


@pytest.mark.parametrize(
    "other",
    [
        {"services": frozenset()},
        {"services": frozenset({"IS" + "0" * 32})},
        {"no_cache": True},
        {"trace": True},
        {"dry_run": True},
        {"name": "Q"},
        {"document": QUERY + " "},
        {"variables": {"sid": "IS" + "0" * 32}},
    ],
    ids=str,
)
async def test_different_operations_are_not_shared(
    sandbox: Sandbox, operations: Account, given: dict[str, Any], other: dict[str, Any]
) -> None:
    """A caller's rights above all: what one may not see is not in an answer that another one's made."""
    asked: dict[str, Any] = {"document": QUERY, "variables": given}
    first, second = await asyncio.gather(operations.run(Operation(**asked)), operations.run(Operation(**asked | other)))
    assert second.shared_with is None
    assert first.data is not None
    assert first.data["service"]["friendlyName"]
    if "services" in other:
        assert second.data == {"service": None}
        assert [failure.error.code for failure in second.failures] == ["FORBIDDEN"]


async def test_cancelling_one_waiter_does_not_affect_another(
    sandbox: Sandbox, operations: Account, given: dict[str, Any]
) -> None:
    first, second = (asyncio.create_task(operations.run(Operation(QUERY, variables=given))) for _ in range(2))
    await sandbox.until(lambda: len(sandbox.calls) == 1)
    first.cancel()
    outcome = await second
    assert (outcome.failures, len(sandbox.calls)) == ((), 1)
    assert first.cancelled()


async def test_cancelling_the_last_waiter_cancels_the_operation(
    sandbox: Sandbox, operations: Account, given: dict[str, Any]
) -> None:
    sandbox.faults.clear()
    sandbox.faults.add("*", Fault("hang", times=1))
    leaving = [asyncio.create_task(operations.run(Operation(QUERY, variables=given))) for _ in range(2)]
    await sandbox.until(lambda: len(sandbox.calls) == 1)
    for task in leaving:
        task.cancel()
    await asyncio.wait(leaving)
    later: Outcome = await operations.run(Operation(QUERY, variables=given))  # It does not join what is about to end.
    assert later.failures == ()
    await sandbox.until(lambda: sandbox.calls[0].client_left)


def running(work: Coroutine[Any, Any, Outcome], request_id: str = "1") -> RunningOperation:
    return RunningOperation({}, Operation("{ __typename }").key(per_caller=False), work, request_id)


def waiter_of(operation: RunningOperation) -> OperationWaiter:
    return OperationWaiter(operation, lambda _: None, is_shared=False)


async def test_an_operation_that_does_not_wait_is_done_immediately(operations: Account, sandbox: Sandbox) -> None:
    outcome = operations.start(Operation("{ __typename }"))
    assert isinstance(outcome, Outcome)
    assert (outcome.data, outcome.shared_with) == ({"__typename": "Query"}, None)
    assert (operations.in_progress, operations._running, sandbox.calls) == (0, {}, [])


async def test_an_operation_continues_after_a_bare_yield_and_after_a_future() -> None:
    steps: list[str] = []
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work() -> Outcome:
        steps.append("first")
        await asyncio.sleep(0)
        steps.append(await future)
        return Outcome({})

    waiter = waiter_of(running(work()))
    assert steps == ["first"]
    future.set_result("second")
    assert (await waiter.wait()).data == {}
    assert steps == ["first", "second"]


async def test_what_an_operation_raises_is_raised_to_each_waiter() -> None:
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    async def work() -> Outcome:
        return await future

    operation = running(work())
    waiting = [asyncio.create_task(waiter_of(operation).wait()) for _ in range(2)]
    await asyncio.sleep(0)
    future.set_exception(ZeroDivisionError())
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [ZeroDivisionError] * 2


@pytest.mark.parametrize("awaits", ["a future", "a bare yield", "a future that is done"])
async def test_cancelling_an_operation_raises_in_it_whatever_it_awaits(awaits: str) -> None:
    ended = asyncio.Event()
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> Outcome:
        try:
            await (asyncio.sleep(0) if awaits == "a bare yield" else future)
        except asyncio.CancelledError:
            ended.set()
            raise
        return Outcome({})

    operation = running(work())
    waiter = waiter_of(operation)
    if awaits == "a future that is done":
        future.set_result(None)
    waiter.cancel()
    await asyncio.wait_for(ended.wait(), 1)
    assert operation.is_done
    assert not waiter.is_done


async def test_an_exception_without_waiters_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio logs exceptions that are never retrieved."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    ended = asyncio.Event()

    async def fail() -> Outcome:
        try:
            await future
        finally:
            ended.set()
            raise RuntimeError("a bug in the gateway")

    operation = running(fail())
    waiter_of(operation).cancel()
    await asyncio.wait_for(ended.wait(), 1)
    del operation
    gc.collect()
    assert caplog.records == []


async def test_variables_that_cannot_be_encoded_are_not_shared(operations: Account) -> None:
    query = "query Q($n: Int) { services(first: $n) { edges { node { sid } } } }"
    outcomes = await asyncio.gather(*(operations.run(Operation(query, variables={"n": 10**30})) for _ in range(2)))
    assert [outcome.failures[0].error.code for outcome in outcomes] == ["BAD_USER_INPUT"] * 2
