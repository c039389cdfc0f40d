"""What tests of the engine share: an upstream without a wire, the context of an operation, and queries on landmarks."""

import asyncio
import atexit
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import cache
from typing import TypeVar, cast

import uvloop

from gateway.execution.context import OperationLimits
from gateway.graph.context import OperationContext
from gateway.graph.schema import make_schema
from gateway.graph.types import UPSTREAM_RESOURCES
from gateway.sandbox import Switches
from gateway.sandbox.api import Api
from gateway.sandbox.world import World
from gateway.source.loaders import Loaders
from gateway.source.options import ReadOptions
from gateway.source.source import Source
from gateway.twilio.client import Client
from gateway.twilio.responses import Response

from ..conftest import Answers, client_over

T = TypeVar("T")
WORLD = World(1, "small", None)
API = Api(WORLD)
MARKS = WORLD.landmarks()
SCHEMA = make_schema()
SERVICE = f"Services/{MARKS['service_sid']}"
THREAD = f"{SERVICE}/Conversations/{MARKS['conversation_sid']}"
MESSAGE = f"{THREAD}/Messages/{MARKS['message_sid']}"


def sandbox_answer(target: str, api: Api = API) -> Response:
    """The sandbox's response to a GET of the target."""
    path, _, query = target.partition("?")
    answer = api.answer("GET", f"/v1/{path}", query, "http://twilio.test", Switches(), b"")
    return Response(answer.status, {"twilio-request-id": "RQ" + "0" * 32}, answer.body)


class Rounds(Answers):
    """Twilio a round trip away: all requests that are sent before a response arrives belong to one round."""

    def __init__(self) -> None:
        self.rounds: list[list[str]] = []
        self._gate: asyncio.Future[None] | None = None

    async def answer(self, target: str) -> Response:
        if self._gate is None or self._gate.done():
            self.rounds.append([])
            self._gate = asyncio.get_running_loop().create_future()
            self._open_after(50, self._gate)
        self.rounds[-1].append(target)
        await self._gate
        return self.respond(target)

    def respond(self, target: str) -> Response:
        """The response to a GET of the target."""
        return sandbox_answer(target)

    def _open_after(self, turns: int, gate: asyncio.Future[None]) -> None:
        """Open the gate after so many turns of the event loop, by which all concurrent requests have been sent."""
        if turns:
            asyncio.get_running_loop().call_soon(self._open_after, turns - 1, gate)
        elif not gate.done():
            gate.set_result(None)


@asynccontextmanager
async def context_over(
    upstream: Answers | None = None, *, no_cache: bool = False, limits: OperationLimits | None = None
) -> AsyncIterator[OperationContext]:
    """The context of one operation, over an upstream or over `Rounds`."""
    async with (
        client_over(upstream or Rounds()) as client,
        Loaders(Source(client, UPSTREAM_RESOURCES), ReadOptions(no_cache=no_cache)) as loaders,
    ):
        yield OperationContext(loaders, limits=limits or OperationLimits())


def bare_context() -> OperationContext:
    """The context of an operation that reads nothing."""
    return OperationContext(Loaders(Source(cast(Client, None), UPSTREAM_RESOURCES)))


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = uvloop.new_event_loop()
    atexit.register(loop.close)
    return loop


def run_in_loop(work: Coroutine[None, None, T]) -> T:
    """Run to the end, on an event loop that is kept: `asyncio.run` would take as long for a new one as for an operation."""
    return _loop().run_until_complete(work)


def thread(selection: str, sid: str = MARKS["conversation_sid"]) -> str:
    return '{ service(sid: "%s") { conversation(sid: "%s") { %s } } }' % (MARKS["service_sid"], sid, selection)


def message(selection: str) -> str:
    return thread('message(sid: "%s") { %s }' % (MARKS["message_sid"], selection))
