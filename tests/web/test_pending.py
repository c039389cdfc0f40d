"""Replies in progress: their steps are resumed with results, errors and cancellations, and log with the request's id."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.accounts.coalescing import OperationWaiter, RunningOperation
from gateway.execution.outcome import Outcome
from gateway.log import REQUEST_ID
from gateway.web.connection import ClientConnection, ClientDisconnected
from gateway.web.pending import PendingReply, Steps, start
from gateway.web.request import HttpRequest
from gateway.web.responses import Reply

REPLY = Reply(200, [])


@pytest.fixture
def request_() -> HttpRequest:
    return HttpRequest("POST", "/graphql", b"", {}, ClientConnection())


def waiter_for(work: Callable[[], Awaitable[Outcome]]) -> OperationWaiter:
    async def run() -> Outcome:
        return await work()

    return OperationWaiter(RunningOperation({}, None, run(), "1"), lambda _: None, is_shared=False)


def steps_over(awaited: Any, seen: list[Any]) -> Steps:
    """Await one thing, and see what comes of it, and with which request id."""
    try:
        seen.append((yield awaited))
    except BaseException as error:
        seen.append(type(error))
        raise
    finally:
        seen.append(REQUEST_ID.get())
    return REPLY


def pending(request: HttpRequest, steps: Steps) -> PendingReply:
    started = start(request, steps)
    assert isinstance(started, PendingReply)
    return started


async def test_steps_that_await_nothing_have_a_reply_immediately(request_: HttpRequest) -> None:
    def steps() -> Steps:
        return REPLY
        yield

    assert start(request_, steps()) is REPLY


async def test_steps_are_resumed_with_the_result_of_a_coroutine(request_: HttpRequest) -> None:
    seen: list[Any] = []
    assert await pending(request_, steps_over(asyncio.sleep(0, "a key"), seen)).wait() is REPLY
    assert seen == ["a key", request_.id]
    assert REQUEST_ID.get() is None


async def test_steps_are_resumed_with_the_outcome_of_an_operation_in_the_same_turn(request_: HttpRequest) -> None:
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    seen: list[Any] = []
    reply = pending(request_, steps_over(waiter_for(lambda: future), seen))
    replies: list[Reply] = []
    reply.add_done_callback(lambda done: replies.append(done.result()))
    outcome = Outcome({})
    future.set_result(outcome)
    await asyncio.sleep(0)
    assert (seen, replies) == ([outcome, request_.id], [REPLY])


@pytest.mark.parametrize("is_operation", [True, False])
async def test_an_error_of_what_they_await_is_raised_in_the_steps(request_: HttpRequest, is_operation: bool) -> None:
    async def fail() -> Outcome:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    seen: list[Any] = []
    with pytest.raises(ZeroDivisionError):
        await pending(request_, steps_over(waiter_for(fail) if is_operation else fail(), seen)).wait()
    assert seen == [ZeroDivisionError, request_.id]


@pytest.mark.parametrize("is_operation", [True, False])
async def test_cancelling_who_waits_cancels_what_the_steps_await(request_: HttpRequest, is_operation: bool) -> None:
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    seen: list[Any] = []
    reply = pending(request_, steps_over(waiter_for(lambda: future) if is_operation else future, seen))
    waiting = asyncio.create_task(reply.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert future.cancelled()
    assert seen == [asyncio.CancelledError, request_.id]


async def test_a_disconnect_cancels_the_operation_but_not_other_awaitables(request_: HttpRequest) -> None:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    seen: list[Any] = []
    is_started = asyncio.Event()

    def steps() -> Steps:
        yield asyncio.sleep(0)
        is_started.set()
        return (yield from steps_over(waiter_for(lambda: future), seen))

    reply = pending(request_, steps())
    assert request_.connection.on_close is None
    await is_started.wait()
    request_.connection.close()
    with pytest.raises(ClientDisconnected):
        await reply.wait()
    assert future.cancelled()
    assert seen == [ClientDisconnected, request_.id]
    assert request_.connection.on_close is None
