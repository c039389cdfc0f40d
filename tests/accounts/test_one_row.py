"""Operations that need one row are answered from it alone: with the outcome that the engine's interpreter has."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from gateway.accounts.account import Account
from gateway.accounts.coalescing import OperationWaiter
from gateway.accounts.limits import Limits
from gateway.accounts.one_row import OneRowOperation
from gateway.accounts.operation import Operation
from gateway.demo import landmark_variables
from gateway.execution.executor import Executor
from gateway.execution.outcome import Outcome
from gateway.graph.schema import make_schema
from gateway.log import REQUEST_ID, add_request_id
from gateway.sandbox import Fault, Sandbox
from gateway.source.memory import MemoryCache
from gateway.twilio.client import Client
from gateway.twilio.retry import RetryPolicy
from gateway.twilio.transport import Credentials, Origin

from .live import Live

SCHEMA = make_schema()
RECEIPT = """query R($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!, $receiptSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
    receipt(sid: $receiptSid) { sid status errorCode channelMessageSid dateCreated dateUpdated }
  } } }
}"""
WITH_REFERENCES = """query R($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!, $receiptSid: ID!) {
  service(sid: $serviceSid) { id conversation(sid: $conversationSid) { sid __typename message(sid: $messageSid) {
    url: id receipt(sid: $receiptSid) { __typename id messageSid status url }
  } } same: conversation(sid: $conversationSid) { sid } }
}"""
MESSAGE = """query ($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
    body author index dateCreated delivery { total delivered read failed } media { sid size } attributes deliveryStatus
  } } }
}"""
CONVERSATION = """query ($serviceSid: ID!, $conversationSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { friendlyName state dateUpdated dateClosed } }
}"""
SERVICE = "query ($serviceSid: ID!) { service(sid: $serviceSid) { name: friendlyName dateCreated accountSid } }"
PARTICIPANT = """query ($serviceSid: ID!, $conversationSid: ID!) { service(sid: $serviceSid) {
  conversation(sid: $conversationSid) { participant(sid: "MB%s") { identity channel lastReadTimestamp } }
} }"""
DOCUMENTS = {
    "receipt": RECEIPT,
    "references": WITH_REFERENCES,
    "message": MESSAGE,
    "conversation": CONVERSATION,
    "service": SERVICE,
    "participant": PARTICIPANT % ("0" * 32),
}
OTHER_TIME = json.dumps({"date_created": "2026-11-29T20:37:00+02:00"}).encode()
FAULTS: dict[str, Fault | None] = {
    "none": None,
    "slow": Fault("latency", latency=0.02),
    "absent": Fault("status", status=404),
    "down": Fault("status", status=503),
    "busy": Fault("status", status=429, times=1),
    "refused": Fault("status", status=401),
    "no JSON": Fault("bad_json"),
    "values in lists": Fault("wrong_type", shape="values"),
    "null": Fault("wrong_type", shape="null"),
    "another record": Fault("swap"),
    "reset": Fault("reset"),
    "half": Fault("half_body"),
    "surplus": Fault("surplus"),
    "no answer": Fault("hang"),
}


class Accounts:
    """One account that generates code, and one that never does, over the same sandbox."""

    def __init__(self, sandbox: Sandbox, clients: Sequence[Client], limits: Limits | None = None) -> None:
        self.sandbox = sandbox
        self.direct, self.interpreter = (
            Account(client, limits, executor=Executor(SCHEMA, generate_at=at), cache=MemoryCache(2**20))
            for client, at in zip(clients, (1, 2**62), strict=True)
        )

    async def seen(self, account: Account, document: str, **options: Any) -> dict[str, Any]:
        """What an operation does, as far as it can be seen from outside."""
        self.sandbox.reset()
        before = account.skips.copy(), account.lookups.copy()
        closed: list[int] = []
        given = landmark_variables(document, self.sandbox.landmarks) | options.pop("more", {})
        outcome = await account.run(Operation(document, variables=given, on_close=closed.append, **options))
        return {
            "data": outcome.data,
            "errors": re.sub(r"RQ[0-9a-f]{32}", "RQ", json.dumps([failure.as_json() for failure in outcome.failures])),
            "cost": (outcome.requested, outcome.planned, outcome.calls),
            "paths": sorted(self.sandbox.paths),
            "is fresh": outcome.max_age() > 0,
            "names": (outcome.operation, outcome.document, outcome.executed, outcome.extensions),
            "skips": account.skips - before[0],
            "lookups": account.lookups - before[1],
            "closed": closed,
            "left": (account.in_progress, account._running, account._source._in_flight.by_key),
        }


@pytest.fixture
async def clients(sandbox: Sandbox) -> AsyncIterator[list[Client]]:
    """Two clients, so that neither account uses up the other's retries."""
    origin = Origin(sandbox.url, Credentials(sandbox.account_sid, sandbox.auth_token))
    retries = RetryPolicy(first_delay=0.0)
    async with Client(origin, retries=retries) as first, Client(origin, retries=retries) as second:
        yield [first, second]


@pytest.fixture
def accounts(sandbox: Sandbox, clients: list[Client]) -> Accounts:
    return Accounts(sandbox, clients)


@pytest.fixture
def single(monkeypatch: pytest.MonkeyPatch) -> list[OneRowOperation]:
    """The operations that have been begun with the read of their one row."""
    begun: list[OneRowOperation] = []
    begin = OneRowOperation._begin

    def noted(operation: OneRowOperation) -> None:
        begun.append(operation)
        begin(operation)

    monkeypatch.setattr(OneRowOperation, "_begin", noted)
    return begun


async def warm_up(accounts: Accounts, document: str) -> None:
    """Have the code generated, and the estimate kept, with a record of its own."""
    first = {
        name: f"{sid[:2]}{'1' * 32}" for name, sid in landmark_variables(document, accounts.sandbox.landmarks).items()
    }
    for account in (accounts.direct, accounts.interpreter):
        await accounts.seen(account, document, more=first)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("name", DOCUMENTS)
async def test_the_outcome_is_that_of_the_interpreter(
    accounts: Accounts, single: list[OneRowOperation], name: str, fault: str
) -> None:
    document = DOCUMENTS[name]
    await warm_up(accounts, document)
    assert not single
    found: list[list[dict[str, Any]]] = []
    for account in (accounts.direct, accounts.interpreter):
        accounts.sandbox.faults.clear()
        if (given := FAULTS[fault]) is not None:
            accounts.sandbox.faults.add("*", given)
        options = {"timeout": 0.3} if fault == "no answer" else {}
        found.append([await accounts.seen(account, document, **options) for _ in range(3)])
    direct, expected = found
    assert direct == expected
    assert single
    assert accounts.direct.runs["generated"] >= (fault in {"none", "slow", "surplus"})


async def test_a_time_in_another_zone_is_written_as_the_interpreter_writes_it(
    accounts: Accounts, single: list[OneRowOperation]
) -> None:
    await warm_up(accounts, RECEIPT)
    marks = accounts.sandbox.landmarks
    row = {
        "sid": marks["receipt_sid"],
        "chat_service_sid": marks["service_sid"],
        "conversation_sid": marks["conversation_sid"],
        "message_sid": marks["message_sid"],
        "channel_message_sid": None,
        "participant_sid": "MB" + "0" * 32,
        "status": "read",
        "error_code": 0,
        "date_created": "2026-11-29T20:37:00+02:00",
        "date_updated": "2026-11-29T20:37:00Z",
    }
    accounts.sandbox.faults.add("*", Fault("body", body=json.dumps(row).encode()))
    direct = await accounts.seen(accounts.direct, RECEIPT)
    assert direct == await accounts.seen(accounts.interpreter, RECEIPT)
    receipt = direct["data"]["service"]["conversation"]["message"]["receipt"]
    assert receipt["dateCreated"] == "2026-11-29T18:37:00Z"
    assert (len(single), len(direct["paths"])) == (1, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"trace": True},
        {"no_cache": True},
        {"dry_run": True},
        {"reference": True},
        {"services": frozenset()},
        {"services": frozenset({"IS" + "0" * 32})},
    ],
    ids=str,
)
async def test_an_operation_that_more_than_its_row_decides_takes_the_other_way(
    accounts: Accounts, single: list[OneRowOperation], options: dict[str, Any]
) -> None:
    await warm_up(accounts, RECEIPT)
    direct = await accounts.seen(accounts.direct, RECEIPT, **options)
    expected = await accounts.seen(accounts.interpreter, RECEIPT, **options)
    for each in (direct, expected):
        each["names"][-1].pop("upstream", None)  # With times.
    assert direct == expected
    assert not single


@pytest.mark.parametrize("limits", [{"cost_limit": 0}, {"records_max": 3}, {"caller_budget": 100}], ids=str)
async def test_limits_apply(
    sandbox: Sandbox, clients: list[Client], single: list[OneRowOperation], limits: dict[str, int]
) -> None:
    accounts = Accounts(sandbox, clients, Limits(**limits))
    await warm_up(accounts, RECEIPT)
    assert await accounts.seen(accounts.direct, RECEIPT) == await accounts.seen(accounts.interpreter, RECEIPT)
    assert not single


def reading(accounts: Accounts, **options: Any) -> asyncio.Task[Outcome]:
    """An operation that has called Twilio, which takes half a second."""
    accounts.sandbox.faults.add("*", Fault("latency", latency=0.5))
    given = landmark_variables(RECEIPT, accounts.sandbox.landmarks)
    return asyncio.create_task(accounts.direct.run(Operation(RECEIPT, variables=given, **options)))


async def called(accounts: Accounts, times: int = 1) -> None:
    await accounts.sandbox.until(lambda: len(accounts.sandbox.calls) == times)


async def test_equal_operations_at_the_same_time_share_the_read(
    accounts: Accounts, single: list[OneRowOperation]
) -> None:
    await warm_up(accounts, RECEIPT)
    accounts.sandbox.reset()
    first, second = await asyncio.gather(reading(accounts, request_id="1"), reading(accounts, request_id="2"))
    assert first.data == second.data
    assert [first.calls, second.calls, second.shared_with] == [1, 0, "1"]
    assert len(single) == len(accounts.sandbox.calls) == 1


async def test_others_read_on_when_one_is_cancelled(accounts: Accounts) -> None:
    await warm_up(accounts, RECEIPT)
    accounts.sandbox.reset()
    leaving, staying = reading(accounts), reading(accounts)
    await called(accounts)
    leaving.cancel()
    assert (await staying).data is not None
    assert len(accounts.sandbox.calls) == 1


async def test_the_last_that_is_cancelled_takes_its_read_along(accounts: Accounts) -> None:
    await warm_up(accounts, RECEIPT)
    accounts.sandbox.reset()
    closed: asyncio.Queue[int] = asyncio.Queue()
    leaving = reading(accounts, on_close=closed.put_nowait)
    await called(accounts)
    leaving.cancel()
    assert await closed.get() == 1
    account = accounts.direct
    assert (account.in_progress, account._running, account._source._in_flight.by_key) == (0, {}, {})


async def test_another_operation_joins_the_read(accounts: Accounts) -> None:
    """It needs more than one row, and reads the same record."""
    await warm_up(accounts, RECEIPT)
    accounts.sandbox.reset()
    both = RECEIPT.replace("{ sid status", "{ participant { channel } sid status")
    first = reading(accounts)
    await called(accounts)
    given = landmark_variables(both, accounts.sandbox.landmarks)
    second = await accounts.direct.run(Operation(both, variables=given))
    assert second.data is not None
    assert (await first).data is not None
    path = next(path for path in accounts.sandbox.paths if "/Receipts/" in path)
    assert accounts.sandbox.paths.count(path) == 1


async def test_an_event_that_comes_during_the_read_is_in_the_answer(sandbox: Sandbox, client: Client) -> None:
    live = Live(sandbox, client)
    given = landmark_variables(RECEIPT, sandbox.landmarks)
    operation = Operation(RECEIPT, variables=given)
    for _ in range(2):
        await live.account.run(Operation(RECEIPT, variables=given, no_cache=True))
    live.account._source.remove(f"{live.message}/Receipts/{live.marks['receipt_sid']}")
    sandbox.reset()
    sandbox.faults.add("*", Fault("latency", latency=0.3))
    running = asyncio.create_task(live.account.run(operation))
    await sandbox.until(lambda: len(sandbox.calls) == 1)
    live.apply(live.event("read"))
    outcome = await running
    assert outcome.data is not None
    assert outcome.data["service"]["conversation"]["message"]["receipt"]["status"] == "READ"


async def test_a_callback_that_fails_keeps_nothing_from_others(accounts: Accounts) -> None:
    """Whoever waits for the same read has its value, and the connection is used again."""
    await warm_up(accounts, RECEIPT)
    accounts.sandbox.reset()
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    accounts.sandbox.faults.add("*", Fault("latency", latency=0.2, times=1))
    given = landmark_variables(RECEIPT, accounts.sandbox.landmarks)
    failing = accounts.direct.start(Operation(RECEIPT, variables=given, timeout=1.0))
    other = accounts.direct.start(Operation(RECEIPT, variables=given, timeout=2.0))
    assert not isinstance(failing, Outcome)
    assert not isinstance(other, Outcome)

    def fail(_: OperationWaiter) -> None:
        raise ZeroDivisionError

    failing.add_done_callback(fail)
    assert (await other.wait()).data is not None
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]
    connections = len(accounts.direct._source._client._transport._open)  # type: ignore[attr-defined]
    await accounts.seen(accounts.direct, MESSAGE)
    assert len(accounts.direct._source._client._transport._open) == connections  # type: ignore[attr-defined]


async def test_a_bug_is_raised(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    await warm_up(accounts, RECEIPT)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.source.source.read_item", fail)
    with pytest.raises(ZeroDivisionError):
        await accounts.seen(accounts.direct, RECEIPT)
    assert accounts.direct.in_progress == 0


async def test_what_is_logged_after_an_error_has_the_id_of_the_request(accounts: Accounts) -> None:
    """The answer continues where the response arrives, on a connection that another request has opened."""
    await warm_up(accounts, RECEIPT)
    seen: list[str | None] = []
    execute: Callable[..., Any] = accounts.direct._execute

    async def logged(*given: Any) -> Outcome:
        with capture_logs([add_request_id]) as log:
            structlog.get_logger().info("after the read")
        seen.append(log[0].get("request_id"))
        outcome: Outcome = await execute(*given)
        return outcome

    accounts.direct._execute = logged  # type: ignore[method-assign, assignment]
    accounts.sandbox.faults.add("*", Fault("status", status=404))
    token = REQUEST_ID.set("mine")
    given = landmark_variables(RECEIPT, accounts.sandbox.landmarks)
    started = accounts.direct.start(Operation(RECEIPT, variables=given))
    REQUEST_ID.reset(token)
    assert not isinstance(started, Outcome)
    await started.wait()
    assert seen == ["mine"]
