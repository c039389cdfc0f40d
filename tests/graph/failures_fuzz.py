"""Searches for failures while conversations and messages come and go: each failure must be found once, and none invented.

    python -m tests.graph.failures_fuzz 500

The upstream is the sandbox's data without a network, in pages of any size; what fails is read off the data itself.
"""

from __future__ import annotations

import asyncio
import sys
from random import Random
from typing import Any

from gateway.accounts.operation import Operation
from gateway.sandbox import Switches
from gateway.sandbox.api import Api
from gateway.sandbox.conversation import ConversationSettings
from gateway.sandbox.world import PRESENT, ServiceRecord, World
from gateway.twilio.responses import Response

from ..conftest import Answers
from ..execution.conftest import context_over
from ..execution.random_operations import INTERPRETER, REFERENCE

QUERY = """
query ($service: ID!, $first: Int, $after: String, $scan: Int) {
  service(sid: $service) {
    failures(first: $first, after: $after, scan: $scan) {
      edges { cursor node { sid } }
      pageInfo { hasNextPage endCursor }
      scan { messages conversations unread }
    }
  }
}
"""


class SmallPages(Answers):
    """The sandbox's data, in pages of so many conversations and messages; 0 leaves the size as it is asked for."""

    def __init__(self, api: Api, size: int, switches: Switches) -> None:
        self._api, self._size, self._switches = api, size, switches
        self.calls = 0

    async def answer(self, target: str) -> Response:
        self.calls += 1
        await asyncio.sleep(0)
        if self._size:
            target = target.replace("PageSize=100", f"PageSize={self._size}")
        path, _, query = target.partition("?")
        answer = self._api.answer("GET", f"/v1/{path}", query, "http://twilio.test", self._switches, b"")
        return Response(answer.status, {}, answer.body)


def failed(service: ServiceRecord) -> set[str]:
    """The sids of all failed receipts of a service."""
    return {
        conversation.receipt_sid(message, receipt)
        for conversation in service.conversations.values()
        for message in map(conversation.message, conversation.message_indexes())
        for receipt in conversation.receipts(message)
        if receipt.status in {"failed", "undelivered"}
    }


def change(world: World, service: ServiceRecord, random: Random) -> None:
    """Add or remove a conversation or a message."""
    world.version += 1
    conversations = list(service.conversations.values())
    conversation = random.choice(conversations)
    indexes = list(conversation.message_indexes())
    kind = random.choice(["conversation", "message", "gone", "removed", "removed", "removed"])
    now = PRESENT + world.version
    if kind == "conversation":
        world.add_conversation(
            service, ConversationSettings(date_created=now, date_updated=now), "support", random.randint(0, 9)
        )
    elif kind == "gone" and len(conversations) > 2:
        world.remove_conversation(service, conversation)
    elif kind == "removed" and indexes:
        conversation.remove_message(conversation.message(random.choice(indexes)))
    elif kind == "message":
        times = {"date_created": now, "date_updated": now}
        message = conversation.add_message("system", body="", media=None, attributes="{}", **times)
        for receipt in conversation.receipts(message):
            conversation.update_receipt(message, receipt, "failed", 30003, now)


async def search(seed: int) -> str | None:
    """Search a service page by page, while it changes; return what is wrong with the result."""
    random = Random(seed)
    world = World(random.randint(1, 10**6), "small")
    service = world.services[random.choice([0, 1, 1, 1, 2])]
    switches = random.choice([Switches(page_token="offset"), Switches(page_token="keyset")])
    upstream = SmallPages(Api(world), random.choice([0, 2, 3, 5]), switches)
    at_first = failed(service)
    ever, found = set(at_first), list[str]()
    scans = random.choice([[3, 10], [30, 100], [500]])
    changes = random.choice([0, 1, 1])
    after, has_more, examined, is_straight = None, True, 0, True
    while has_more:
        page = await _page(upstream, random, service.sid, after, random.choice(scans))
        edges, info = page["edges"], page["pageInfo"]
        after, has_more = info["endCursor"], info["hasNextPage"]
        examined += page["scan"]["messages"]
        if edges and random.random() < 0.3:  # A client may continue after any record.
            edges = edges[: random.randint(1, len(edges))]
            after, has_more, is_straight = edges[-1]["cursor"], True, False
        found += [edge["node"]["sid"] for edge in edges]
        if changes and random.random() < 0.5:
            change(world, service, random)
            ever |= failed(service)
            is_straight = False
    lost, invented = (at_first & failed(service)) - set(found), set(found) - ever
    total = sum(len(each.message_indexes()) for each in service.conversations.values())
    if lost or invented or len(found) != len(set(found)):
        return f"seed {seed}: {len(lost)} lost, {len(invented)} invented, {len(found) - len(set(found))} repeated"
    return f"seed {seed}: {examined} messages examined of {total}" if is_straight and examined != total else None


async def _page(upstream: SmallPages, random: Random, service: str, after: str | None, scan: int) -> Any:
    upstream.calls = 0
    executor = random.choice([INTERPRETER, REFERENCE])
    variables = {"service": service, "first": random.randint(1, 20), "after": after, "scan": scan}
    async with context_over(upstream) as context:
        operation = Operation(QUERY, variables=variables, reference=executor is REFERENCE)
        outcome = await executor.run(operation, context)
    assert not outcome.failures
    assert outcome.requested >= upstream.calls
    assert outcome.data is not None
    return outcome.data["service"]["failures"]


def main() -> None:
    """Search with so many seeds, and print those whose result is wrong."""
    wrong = [result for seed in range(int(sys.argv[1])) if (result := asyncio.run(search(seed))) is not None]
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
