"""Reconciliation: what a round reads, which events it finds, and who pays and polls."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from structlog.testing import capture_logs

from gateway.accounts.account import Account
from gateway.accounts.limits import Limits
from gateway.accounts.operation import Operation
from gateway.accounts.reconciliation import Reconciliation
from gateway.demo import landmark_variables
from gateway.errors import GatewayError
from gateway.sandbox import Fault, Sandbox
from gateway.source.journal import Update
from gateway.source.memory import MemoryCache
from gateway.source.redis import RedisCache
from gateway.source.worker_lease import WorkerLeases
from gateway.twilio.client import Client
from gateway.twilio.events import Change, UpdateSource

from ..conftest import RedisServer

RECEIPTS = """query Q($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
    body deliveryStatus receipts { edges { node { sid status errorCode } } }
  } } }
}"""


class Polled:
    """An account whose first conversation is watched, and the updates that its rounds find."""

    def __init__(self, sandbox: Sandbox, client: Client, *, budget: int = 0, leases: Any = None) -> None:
        self.sandbox = sandbox
        self.account = Account(client, Limits(caller_budget=budget), cache=MemoryCache(2**24))
        self.updates: list[Update] = []
        self.account.updates.add_listener(self.updates.append)
        self.reconciliation = Reconciliation(self.account, self.account.updates.apply, seconds=30, leases=leases)
        marks = sandbox.landmarks
        service = sandbox.world.services[0]
        self.conversation = service.by_sid[marks["conversation_sid"]]
        self.path = f"Services/{service.sid}/Conversations/{self.conversation.sid}"
        self.newest = self.conversation.message(len(self.conversation.message_indexes()) - 1)
        self.stop = self.reconciliation.watch(self.path)

    async def round(self) -> list[tuple[Change, str, Any]]:
        """Take one round; return what it found: changes, collections and statuses, and leave the calls in the sandbox's log."""
        self.sandbox.reset()
        self.updates.clear()
        await self.reconciliation.poll()
        assert all(update.event.source is UpdateSource.POLL for update in self.updates)
        return [
            (update.event.change, update.event.path.split("/")[-2], update.properties.get("status"))
            for update in self.updates
        ]

    async def ask(self) -> Any:
        given = landmark_variables(RECEIPTS, self.sandbox.landmarks) | {"messageSid": self.newest.sid}
        outcome = await self.account.run(Operation(RECEIPTS, variables=given))
        assert not outcome.failures
        data: Any = outcome.data
        return data["service"]["conversation"]["message"]

    def progress(self, to: str, **options: Any) -> None:
        self.sandbox.world.progress(self.newest.sid, to=to, **options)


@pytest.fixture
def polled(sandbox: Sandbox, client: Client) -> Polled:
    return Polled(sandbox, client)


async def test_a_round_without_changes_is_one_call(polled: Polled) -> None:
    for _ in range(3):
        assert await polled.round() == []
        assert polled.sandbox.paths == [f"{polled.path}/Messages?Order=desc&PageSize=100"]
    assert polled.reconciliation.calls == 3


async def test_receipts_are_read_where_a_summary_moved(polled: Polled) -> None:
    polled.progress("sent")
    await polled.round()
    polled.progress("failed", error_code=30006)
    count = len(polled.newest.recipients)
    assert await polled.round() == [(Change.UPDATED, "Receipts", "failed")] * count
    assert polled.sandbox.paths[1:] == [f"{polled.path}/Messages/{polled.newest.sid}/Receipts?PageSize=50"]
    assert polled.updates[0].properties["error_code"] == 30006
    assert await polled.round() == []
    assert len(polled.sandbox.paths) == 1
    found = await polled.ask()
    assert {edge["node"]["status"] for edge in found["receipts"]["edges"]} == {"FAILED"}


async def test_the_last_watcher_may_leave_while_receipts_are_read(polled: Polled) -> None:
    polled.progress("sent")
    await polled.round()
    polled.progress("read")
    stops = [polled.stop]
    polled.account.updates.add_listener(lambda update: stops.pop()() if stops else None)
    with capture_logs() as logs:
        await polled.round()
    assert (stops, logs, polled.reconciliation._seen) == ([], [], {})


async def test_only_what_differs_from_cached_receipts_is_an_event(polled: Polled) -> None:
    polled.progress("sent")
    await polled.ask()
    await polled.round()
    first = polled.conversation.receipts(polled.newest)[0]
    polled.progress("read", receipt_sid=polled.conversation.receipt_sid(polled.newest, first))
    assert await polled.round() == [(Change.UPDATED, "Receipts", "read")]


async def test_final_receipts_are_not_read_again(polled: Polled) -> None:
    polled.progress("read")
    await polled.ask()
    await polled.round()
    polled.progress("sent")  # Twilio would not.
    assert await polled.round() == []
    assert len(polled.sandbox.paths) == 1


async def test_messages_that_are_added_edited_and_removed(polled: Polled) -> None:
    await polled.round()
    world, conversation = polled.sandbox.world, polled.conversation
    now = world.tick()
    values = {
        "body": "new",
        "media": None,
        "attributes": "{}",
        "content_sid": None,
        "date_created": now,
        "date_updated": now,
    }
    added = conversation.add_message("me", **values)
    conversation.change_message(polled.newest, body="edited", date_updated=now)
    conversation.remove_message(conversation.message(polled.newest.index - 1))
    found = await polled.round()
    assert [(change, kind) for change, kind, _ in found] == [
        (Change.ADDED, "Messages"),
        (Change.UPDATED, "Messages"),
        (Change.REMOVED, "Messages"),
    ]
    assert polled.updates[0].event.path.endswith(added.sid)
    assert polled.updates[1].properties["body"] == "edited"
    assert await polled.round() == []


async def test_an_event_of_a_webhook_is_not_found_again(polled: Polled) -> None:
    polled.progress("sent")
    await polled.round()
    polled.progress("read")
    await polled.round()
    events = [update.event for update in polled.updates]
    assert [polled.account.updates.apply(event) for event in events] == [None] * len(events)


async def test_a_failed_read_is_logged_once_and_repeated(polled: Polled) -> None:
    polled.progress("sent")
    await polled.round()
    polled.progress("delivered")
    rule = polled.sandbox.faults.add("*/Receipts*", Fault("status", status=403, code=20403))
    with capture_logs() as log:
        assert await polled.round() == []
        assert await polled.round() == []
    assert [(line["event"], line["code"]) for line in log] == [("not reconciled", "UPSTREAM_REJECTED")]
    polled.sandbox.faults.remove(rule)
    assert len(await polled.round()) == len(polled.newest.recipients)


async def test_a_conversation_that_its_watchers_leave_is_forgotten(polled: Polled) -> None:
    """Whether they leave after a failure, or because of it: clients can name any."""

    class Listener:
        def on_first_poll(self, path: str) -> None: ...
        def on_restart(self, path: str) -> None: ...
        def on_gone(self, path: str, error: GatewayError) -> None:
            stops.pop()()

    stops = [polled.reconciliation.watch(f"{polled.path[:-32]}{1:032x}", Listener())]
    polled.sandbox.faults.add("*/Messages?*", Fault("status", status=500))
    with capture_logs():
        await polled.round()
    polled.stop()
    assert len(polled.reconciliation._failing) == 1
    polled.sandbox.faults.clear()
    with capture_logs() as log:
        await polled.round()
    assert (stops, log) == ([], [])
    for each in ("_watched", "_new", "_seen", "_failing"):
        assert not getattr(polled.reconciliation, each)


async def test_calls_are_charged_to_a_caller_of_its_own(sandbox: Sandbox, client: Client) -> None:
    polled = Polled(sandbox, client, budget=3)
    with capture_logs() as log:
        for _ in range(5):
            await polled.round()
    assert polled.reconciliation.calls == 3
    assert [line["code"] for line in log] == ["COST_LIMIT_EXCEEDED"]
    await polled.ask()  # Others have budgets of their own.


async def test_nothing_is_read_without_a_watcher_or_a_lease(sandbox: Sandbox, client: Client) -> None:
    class Leases:
        has_lease = False
        released: ClassVar[list[str]] = []

        async def acquire(self, name: str, seconds: float) -> bool:
            assert seconds > 30
            return self.has_lease

        def release(self, name: str) -> None:
            self.released.append(name)

    leases = Leases()
    polled = Polled(sandbox, client, leases=leases)
    second = polled.reconciliation.watch(polled.path)
    await polled.round()
    assert sandbox.calls == []
    leases.has_lease = True
    polled.stop()
    await polled.round()
    assert len(sandbox.calls) == 1
    assert leases.released == []
    second()
    assert leases.released == [f"reconcile {polled.path}"]
    await polled.round()
    assert sandbox.calls == []


async def test_it_polls_while_it_is_open(sandbox: Sandbox, client: Client) -> None:
    polled = Polled(sandbox, client)
    polled.reconciliation.seconds = 0.01
    async with polled.reconciliation:
        await sandbox.until(lambda: len(sandbox.calls) >= 3)


def test_one_worker_has_a_lease(tmp_path: Path) -> None:
    """The other worker is another process: locks of one do not exclude each other."""
    script = (
        "import sys, pathlib; from gateway.source.worker_lease import WorkerLeases\n"
        "leases = WorkerLeases(pathlib.Path(sys.argv[1]))\n"
        "for line in sys.stdin: print(leases.acquire(line.strip()), flush=True)"
    )
    one = WorkerLeases(tmp_path)
    assert [one.acquire("x"), one.acquire("x"), one.acquire("y")] == [True] * 3
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as two:
        assert two.stdin is not None
        assert two.stdout is not None

        def acquire(name: str) -> str:
            assert two.stdin is not None
            assert two.stdout is not None
            two.stdin.write(f"{name}\n")
            two.stdin.flush()
            return two.stdout.readline().strip()

        assert [acquire("x"), acquire("y"), acquire("z")] == ["False", "False", "True"]
        one.release("x")
        assert [acquire("x"), acquire("y"), str(one.acquire("x"))] == ["True", "False", "False"]
        two.stdin.close()
    assert one.acquire("x")  # The locks of a process end with it.
    one.close()


async def test_one_machine_has_the_lease(redis_server: RedisServer) -> None:
    async with (
        RedisCache(redis_server.url, "t", timeout=10) as one,
        RedisCache(redis_server.url, "t", timeout=10) as two,
    ):
        assert [await one.lease("x", 60), await two.lease("x", 60), await one.lease("x", 60)] == [True, False, True]
        assert await two.lease("y", 60)
        redis_server.stop()
        assert await two.lease("x", 60)  # Each goes on alone.
