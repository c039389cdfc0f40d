"""Golden answers, one for each rule of null, errors and arguments: a schema diff does not show a change of meaning.

A rule is a document, `NAME.graphql`, whose first comment states it, and `NAME.json`: what is `given` beside the seeded
sandbox, the upstream `calls` and the `answer`, without its messages, which are for people.
"""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from gateway.accounts.account import Account
from gateway.accounts.limits import Limits
from gateway.accounts.operation import Operation
from gateway.accounts.subscriptions import Subscription
from gateway.demo import landmark_variables
from gateway.sandbox import Sandbox
from gateway.sandbox.occurrences import Occurrence
from gateway.sandbox.parsing import change_switches, parse_fault
from gateway.sandbox.resources import Renderer
from gateway.sandbox.webhook_events import webhook_event
from gateway.source.memory import MemoryCache
from gateway.twilio.client import Client
from gateway.twilio.events import read_event

HERE = Path(__file__).parent
RULES = sorted(path.stem for path in HERE.glob("*.graphql"))
UPDATE = "RECEIPTS_GATEWAY_UPDATE_GOLDENS"
HINT = f"Answers are a contract. To accept a deliberate change: {UPDATE}=1 pytest tests/golden"


class Given(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What differs from the seeded sandbox and the default request."""

    variables: dict[str, Any] = {}
    switches: dict[str, str] = {}
    faults: list[dict[str, Any]] = []
    """In the form of the sandbox's control route."""
    limits: dict[str, int] = {}
    """Arguments of `Limits`."""
    no_cache: bool = False
    """`Cache-Control: no-cache`."""
    seconds: float | None = None
    """`X-Gateway-Timeout`."""
    services: list[str] | None = None
    """The services that the caller may read."""
    before: str = ""
    """A document that the caller executes before."""
    event: Literal["receipt", "message", "removal"] | None = None
    """What happens to the landmark receipt or message: the answer is then the payload of a subscription for that event."""


class Golden(msgspec.Struct, forbid_unknown_fields=True):
    """What is given, and the result."""

    given: Given = msgspec.field(default_factory=Given)
    calls: list[str] = []
    """Sorted, since concurrent calls arrive in any order."""
    answer: dict[str, Any] = {}


def rule_of(document: str) -> str:
    """The rule in the first comment of a document."""
    lines = re.match(r"(?:# .*\n)*", document)
    assert lines is not None
    return " ".join(line.removeprefix("# ") for line in lines[0].splitlines())


async def outcome_of(document: str, given: Given, sandbox: Sandbox, client: Client) -> Golden:
    sandbox.switches = change_switches(sandbox.switches, given.switches)
    for fault in given.faults:
        options = dict(fault)
        sandbox.faults.add(options.pop("pattern"), parse_fault(options))
    account = Account(client, Limits(**given.limits), cache=MemoryCache(2**20 if given.event is not None else 0))
    operation = Operation(
        document,
        variables=landmark_variables(document, sandbox.landmarks) | given.variables,
        no_cache=given.no_cache,
        timeout=given.seconds,
        services=frozenset(given.services) if given.services is not None else None,
    )
    if given.before:
        await account.run(Operation(given.before))
    if given.event is not None:
        payload = await payload_of(account, operation, given.event, sandbox)
        return Golden(given, sorted(sandbox.paths), payload)
    outcome = await account.run(operation)
    answer: dict[str, Any] = {"data": outcome.data} if outcome.executed else {}
    errors = [failure.as_json() for failure in outcome.failures]
    if errors:
        answer["errors"] = [{key: error[key] for key in ("path", "extensions") if key in error} for error in errors]
    text = re.sub(r'"RQ[0-9a-f]{32}"', '"RQ…"', json.dumps(answer))
    return Golden(given, sorted(sandbox.paths), json.loads(text))


async def payload_of(account: Account, operation: Operation, what: str, sandbox: Sandbox) -> dict[str, Any]:
    """The payload of a subscription for one event, after `DeliveriesReady`."""
    marks, world = sandbox.landmarks, sandbox.world
    subscription = account.subscribe(operation)
    assert isinstance(subscription, Subscription)

    def receive(occurrence: Occurrence) -> None:
        renderer = Renderer(sandbox.account_sid, "", sandbox.switches)
        account.publication.apply(read_event(webhook_event(occurrence, renderer).parameters))

    async with asyncio.timeout(20):
        await subscription.next()
        world.on_occurrence = receive
        conversation, message = world.find_message(marks["message_sid"])
        if what == "receipt":
            world.progress(message.sid, receipt_sid=marks["receipt_sid"], to="read")
        elif what == "message":
            changed = conversation.change_message(message, body="edited", date_updated=2_000_000_000)
            world.fire(Occurrence("onMessageUpdated", conversation, world.tick(), changed))
        else:
            conversation.remove_message(message)
            world.fire(Occurrence("onMessageRemoved", conversation, world.tick(), message))
        body = await subscription.next()
    assert isinstance(body, bytes)
    return json.loads(body)  # type: ignore[no-any-return]


@pytest.mark.parametrize("rule", RULES)
async def test_a_rule_holds(rule: str, sandbox: Sandbox, client: Client) -> None:
    document = (HERE / f"{rule}.graphql").read_text(encoding="utf-8")
    file = HERE / f"{rule}.json"
    golden = msgspec.json.decode(file.read_bytes(), type=Golden) if file.exists() else Golden()
    got = await outcome_of(document, golden.given, sandbox, client)
    if os.environ.get(UPDATE) == "1":
        text = json.dumps(msgspec.to_builtins(got), indent=2, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")
        golden = got
    assert got.answer == golden.answer, f"{rule_of(document)}\n{HINT}"
    assert got.calls == golden.calls, f"{rule_of(document)}\n{HINT}"


def test_every_rule_is_stated_and_every_file_is_a_rule_s() -> None:
    for rule in RULES:
        sentence = rule_of((HERE / f"{rule}.graphql").read_text(encoding="utf-8"))
        assert re.fullmatch(r"[A-Z`].+\.", sentence), f"{rule}.graphql begins with no sentence that states its rule"
    assert sorted(path.stem for path in HERE.glob("*.json")) == RULES
