"""Equal operations at the same time are executed once, as long as anyone waits. Nothing else is shared."""

import asyncio
import gc
from typing import Any

import pytest

from gateway.accounts.account import Account
from gateway.accounts.coalescing import RunningOperation
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
    assert all(outcome.data is outcomes[0].data for outcome in outcomes)
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


async def test_an_exception_without_waiters_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio logs an exception that nobody has looked at, when its task goes."""

    is_time = asyncio.Event()

    async def fail() -> Outcome:
        await is_time.wait()
        raise RuntimeError("a fault of the gateway's own")

    key = Operation("{ __typename }").key(per_caller=False)
    assert key is not None
    running = RunningOperation({}, key, fail(), "1")
    waiting = [asyncio.create_task(running.wait())]
    await asyncio.sleep(0)
    running._task.add_done_callback(lambda _: waiting[0].cancel())
    is_time.set()
    await asyncio.wait(waiting)
    assert waiting.pop().cancelled()
    del running
    gc.collect()
    assert caplog.records == []


async def test_variables_that_cannot_be_encoded_are_not_shared(operations: Account) -> None:
    query = "query Q($n: Int) { services(first: $n) { edges { node { sid } } } }"
    outcomes = await asyncio.gather(*(operations.run(Operation(query, variables={"n": 10**30})) for _ in range(2)))
    assert [outcome.failures[0].error.code for outcome in outcomes] == ["BAD_USER_INPUT"] * 2
