"""What is called "at most": over random operations and data, no run takes more calls or round trips than was said before it."""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import pytest
from graphql import parse
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from gateway.accounts.operation import Operation
from gateway.contract.operations.worst_case import OperationCost, operation_cost
from gateway.execution.context import OperationLimits
from gateway.execution.executor import Executor
from gateway.graph.types import UPSTREAM_RESOURCES
from gateway.twilio.paths import collection_of
from gateway.twilio.responses import Response

from .conftest import MARKS, MESSAGE, SCHEMA, SERVICE, THREAD, Rounds, context_over, run_in_loop, sandbox_answer
from .random_operations import GENERATOR, INTERPRETER, Writer, drawn

ROWS = {
    "Services": (1, 3, 120),
    "Conversations": (0, 2, 130, 250),
    "Messages": (0, 1, 3, 40, 130, 330),
    "Receipts": (0, 1, 4, 50),
    "Participants": (0, 4, 100, 150, 1000),
    "ParticipantConversations": (0, 3, 60, 130),
}
"""How many rows a list can have."""
FIRST = [0, 1, 3, 50, 101, 250, 1000]


@cache
def template(collection: str) -> dict[str, Any]:
    lists = [
        "Services",
        f"{SERVICE}/Conversations",
        f"{THREAD}/Messages",
        f"{MESSAGE}/Receipts",
        f"{THREAD}/Participants",
        f"{SERVICE}/ParticipantConversations",
        f"{SERVICE}/Users/ada-2/Conversations",
    ]
    path = next(each for each in lists if collection_of(f"{each}?") == collection)
    search = f"&Address={quote(MARKS['address'], safe='')}" if collection == "ParticipantConversations" else ""
    body = json.loads(sandbox_answer(f"{path}?PageSize=1{search}").body)
    row: dict[str, Any] = body[UPSTREAM_RESOURCES[collection].rows_key][0]
    return row


class World(Rounds):
    """Twilio with lists of random lengths, a round trip away: every sid exists, and the seed and its path make a record."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def respond(self, target: str) -> Response:
        path, _, query = target.partition("?")
        *above, last = path.split("/")
        if len(above) % 2:
            record = self.record(collection_of(path), "/".join(above), unquote(last))
            return Response(200, {}, json.dumps(record).encode())
        size, page = (int(parse_qs(query).get(name, ["0"])[0]) for name in ("PageSize", "Page"))
        rows = range(self.choose(path, ROWS[last]))[page * size : (page + 1) * size]
        url = f"https://twilio.test/v1/{path}?PageSize={size}&Page={page + 1}"
        more = rows.stop < self.choose(path, ROWS[last])
        body = {
            "meta": {"key": UPSTREAM_RESOURCES[last].rows_key, "next_page_url": url if more else None},
            UPSTREAM_RESOURCES[last].rows_key: [
                self.record(last, path, self.sid(path, index), index) for index in rows
            ],
        }
        return Response(200, {}, json.dumps(body).encode())

    def record(self, collection: str, list_path: str, sid_or_name: str, index: int = 0) -> dict[str, Any]:
        resource, segments = UPSTREAM_RESOURCES[collection], list_path.split("/")
        is_name = sid_or_name[:2] != resource.prefix
        sid = self.sid(list_path, index) if is_name else sid_or_name
        owners = {owner.sid_property: segments[2 * level + 1] for level, owner in enumerate(resource.ancestors)}
        row: dict[str, Any] = {**template(collection), **owners, resource.sid_key: sid}
        if collection == "ParticipantConversations":
            row["conversation_sid"] = self.sid(f"{'/'.join(segments[:2])}/Conversations", index)
        if collection == "Participants":  # Half of them are in chat.
            row["identity"] = self.choose(sid, [None, f"user {sid}"])
        if is_name:
            row[str(resource.name_property)] = sid_or_name
        if "index" in row:
            row["index"] = index
        if collection == "Messages":
            words = ["all", "some", "none"]
            summary = {
                word: self.choose(sid + word, words) for word in ("sent", "delivered", "read", "failed", "undelivered")
            }
            row["delivery"] = self.choose(sid, [None, {"total": 4, **summary}])
        if collection == "Receipts":
            participants = "/".join(segments[:4]) + "/Participants"
            row["participant_sid"] = self.sid(participants, self.choose(sid, range(ROWS["Participants"][-1])))
            row["status"] = self.choose(sid, ["read", "delivered", "failed", "sent"])
        return row

    def sid(self, list_path: str, index: int) -> str:
        return (
            UPSTREAM_RESOURCES[list_path.rpartition("/")[2]].prefix
            + sha256(f"{list_path} {index}".encode()).hexdigest()[:32]
        )

    def choose(self, what: str, choices: Any) -> Any:
        return choices[int.from_bytes(sha256(f"{self.seed} {what}".encode()).digest()[:4]) % len(choices)]


class Longer(Writer):
    """Writes operations whose lists may have many pages."""

    def argument(self, field_name: str, key: str, of: Any) -> str:
        return str(self.pick(FIRST)) if key == "first" else super().argument(field_name, key, of)


@st.composite
def operations(draw: Any) -> tuple[str, dict[str, Any]]:
    return Longer(drawn(draw)).document()


async def counted(
    executor: Executor, document: str, variables: dict[str, Any], seed: int, limit: int, defer: bool
) -> tuple[World, dict[str, Any] | None]:
    """Run an operation; return the world, which has the round trips, and what a dry run has said before."""
    world, limits = World(seed), OperationLimits(cost_limit=limit)
    async with context_over(world, limits=limits) as context:
        dry_run = Operation(document, variables=variables, defer=defer, dry_run=True)
        plan = (await executor.run(dry_run, context)).extensions.get("plan")
    async with context_over(world, limits=limits) as context:
        outcome = await executor.run(Operation(document, variables=variables, defer=defer), context)
        if outcome.subsequent is not None:
            async for _ in outcome.subsequent:
                pass
    return world, plan


@pytest.mark.timeout(300)
@given(
    operations(),
    st.integers(0, 10**6),
    st.sampled_from([500, 500, 500, 60, 3]),
    st.booleans(),
    st.sampled_from([INTERPRETER, GENERATOR]),
)
@settings(max_examples=500, suppress_health_check=list(HealthCheck))
def test_no_run_takes_more_than_was_said(
    operation: tuple[str, dict[str, Any]], seed: int, limit: int, defer: bool, executor: Executor
) -> None:
    """Takes five seconds, for five hundred operations."""
    document, variables = operation
    world, plan = run_in_loop(counted(executor, document, variables, seed, limit, defer))
    if plan is None:
        event("nothing was said")
        return
    calls, round_trips = sum(map(len, world.rounds)), len(world.rounds)
    event(f"round trips beyond single pages: {max(round_trips - plan['singlePageRoundTrips'], 0)}")
    assert calls <= plan["requested"]
    assert round_trips <= plan["roundTrips"]
    said = operation_cost(SCHEMA, parse(document), variables)
    if isinstance(said, OperationCost) and limit == 500:
        assert calls <= said.calls
        assert round_trips <= said.round_trips
