"""The failures of a service, and statistics, beside the alternatives.

    python -m tests.bench.failures

The first part finds the failures of 1,000 messages in 40 conversations, of which 1 % have failed, with the upstream 20 ms away:
by one query, and by a script that uses twilio-python. It prints the wall times and the upstream's own count of calls. The
second part compares the CPU time of the statistics of 1,000 messages with that of reading the pages that they are made from.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import twilio
from twilio.rest import Client as TwilioClient

from gateway.accounts.operation import Operation
from gateway.sandbox import Switches
from gateway.sandbox.api import Api
from gateway.sandbox.world import World
from gateway.twilio.responses import Response

from ..conftest import Answers
from ..execution.conftest import context_over
from ..execution.random_operations import GENERATOR
from ..failing_service import fill_service
from .processes import SERVE, TOKEN, UPSTREAM, Processes, environment
from .upstream import FAILING_SERVICE, SEED, SIZE

FAILURES = """query ($service: ID!) { service(sid: $service) { failures(scan: 1000) {
  edges { node { sid status errorCode messageSid conversationSid } } pageInfo { hasNextPage } scan { messages unread }
} } }"""
STATISTICS = """query ($service: ID!, $conversation: ID!) { service(sid: $service) { conversation(sid: $conversation) {
  deliveryStatistics(last: 1000) { messages byMessage { deliveryStatus count } byReceipt { status count { least most } } }
} } }"""
PAGES = """query ($service: ID!, $conversation: ID!) { service(sid: $service) { conversation(sid: $conversation) {
  messages(first: 1000, order: DESC) { pageInfo { hasNextPage } }
} } }"""


def by_query(url: str, service: str) -> set[str]:
    """The sids of the failed receipts, by one query."""
    request = urllib.request.Request(
        url,
        json.dumps({"query": FAILURES, "variables": {"service": service}}).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"},
    )
    with urllib.request.urlopen(request) as response:
        answer = json.load(response)
    page = answer["data"]["service"]["failures"]
    assert "errors" not in answer
    assert not page["pageInfo"]["hasNextPage"]
    return {edge["node"]["sid"] for edge in page["edges"]}


def by_script(client: TwilioClient, service: str) -> set[str]:
    """The same with twilio-python: receipts are read of messages only whose summaries show a failure."""
    found = set()
    conversations = client.conversations.v1.services(service).conversations
    for conversation in conversations.list(page_size=100):
        messages = conversations(conversation.sid).messages
        for message in messages.list(page_size=100):
            delivery = message.delivery or {}
            if delivery.get("failed", "none") != "none" or delivery.get("undelivered", "none") != "none":
                for receipt in messages(message.sid).delivery_receipts.list(page_size=50):
                    if receipt.status in {"failed", "undelivered"}:
                        found.add(receipt.sid)
    return found


def compare_wall_times(rounds: int, latency_ms: float) -> None:
    """Print the wall times and the calls of both."""
    service = World(SEED, SIZE, None).services[FAILING_SERVICE].sid
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        processes = Processes(Path(directory))
        far = (*UPSTREAM, "--latency-ms", str(latency_ms))
        _, upstream = stack.enter_context(processes.start(far, is_contender=False))
        settings = environment(upstream) | {"GATEWAY_CACHE_BYTES": "0"}
        _, gateway = stack.enter_context(processes.start(SERVE, settings, is_contender=True))
        client = TwilioClient("AC" + "0" * 32, "0" * 32)
        client.conversations.base_url = upstream

        def calls() -> int:
            with urllib.request.urlopen(f"{upstream}/calls") as response:
                return int(response.read())

        runs: dict[str, Callable[[], set[str]]] = {
            "query": lambda: by_query(f"{gateway}/graphql", service),
            "script": lambda: by_script(client, service),
        }
        took: dict[str, list[float]] = {"query": [], "script": []}
        counts: dict[str, int] = {}
        for _ in range(rounds + 1):
            results = []
            for name, run in runs.items():
                calls()
                began = time.perf_counter()
                results.append(run())
                took[name].append(time.perf_counter() - began)
                counts[name] = calls()
            assert results[0] == results[1]
            assert len(results[0]) == 10
    query, script = (statistics.median(each[1:]) for each in took.values())  # The first round warms up.
    print(
        f"failures of 1,000 messages in 40 conversations, upstream {latency_ms:g} ms away, medians of {rounds} rounds:"
    )
    print(f"  one query                 {query * 1000:8.0f} ms  {counts['query']} calls")
    print(f"  twilio-python {twilio.__version__:<12}{script * 1000:8.0f} ms  {counts['script']} calls")
    print(f"  ratio                     {query / script:8.3f}")


class Made(Answers):
    """Responses that are made once."""

    def __init__(self, world: World) -> None:
        self.calls = 0
        self._api = Api(world)
        self._made: dict[str, bytes] = {}

    async def answer(self, target: str) -> Response:
        self.calls += 1
        if target not in self._made:
            path, _, query = target.partition("?")
            self._made[target] = self._api.answer(
                "GET", f"/v1/{path}", query, "http://twilio.test", Switches(), b""
            ).body
        return Response(200, {}, self._made[target])


async def compare_cpu(rounds: int) -> None:
    """Print the CPU time of statistics and of the pages alone."""
    world = World(SEED, "small", None)
    service = world.services[FAILING_SERVICE]
    fill_service(world, service, conversations=1, messages=1000, failing=10)
    upstream = Made(world)
    variables = {"service": service.sid, "conversation": service.conversations[0].sid}
    used: dict[str, list[float]] = {STATISTICS: [], PAGES: []}
    calls: dict[str, int] = {}
    for _ in range(rounds + 5):
        for document in used:
            before, upstream.calls = time.process_time(), 0
            async with context_over(upstream) as context:
                outcome = await GENERATOR.run(Operation(document, variables=variables), context)
            used[document].append(time.process_time() - before)
            assert not outcome.failures
            calls[document] = upstream.calls
    counted, read = (statistics.median(each[5:]) for each in used.values())
    print(f"statistics of 1,000 messages, medians of {rounds} rounds:")
    print(f"  statistics                {counted * 1000:8.2f} ms CPU  {calls[STATISTICS]} calls")
    print(f"  the pages alone           {read * 1000:8.2f} ms CPU  {calls[PAGES]} calls")
    print(f"  ratio                     {counted / read:8.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--latency-ms", type=float, default=20)
    given = parser.parse_args()
    compare_wall_times(given.rounds, given.latency_ms)
    asyncio.run(compare_cpu(10 * given.rounds))
