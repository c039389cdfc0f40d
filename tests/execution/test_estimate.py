"""The cost of operations: estimated before they run, never below the actual calls, and limited twice."""

from typing import Any

import pytest

from gateway.accounts.account import Account
from gateway.accounts.limits import Limits
from gateway.accounts.operation import Operation
from gateway.demo import landmark_variables
from gateway.graph.ids import encode_id
from gateway.graph.types import RESOURCES
from gateway.sandbox import Sandbox
from gateway.twilio.client import Client

from ..conftest import Steps

ALL = "messages(first: %d) { edges { node { receipts { edges { node { participant { channel } } } } } } }"

NAMED = 'conversationByUniqueName(uniqueName: "x") { state messages { edges { cursor } } }'


def query(selection: str) -> str:
    return (
        "query Q($serviceSid: ID!, $conversationSid: ID!)"
        "{ service(sid: $serviceSid) { conversation(sid: $conversationSid) { %s } } }" % selection
    )


@pytest.fixture
def variables(sandbox: Sandbox) -> dict[str, Any]:
    return landmark_variables(query("sid"), sandbox.landmarks)


@pytest.mark.parametrize(
    ("document", "requested", "trips"),
    [
        ("{ __typename }", 0, 0),
        (query("sid"), 0, 0),
        (query("friendlyName"), 1, 1),
        (query("messages(first: 50) { edges { cursor } }"), 1, 1),
        (query("messages(first: 101) { edges { cursor } }"), 2, 2),
        (query("messages(first: 0) { edges { cursor } }"), 1, 1),
        (query(ALL % 0), 1, 1),
        # The pages of a list are read one after another: those of participants behind the receipts that name them.
        (query(ALL % 50), 1 + 50 + 10, 2 + 9),
        (query("friendlyName service { friendlyName } " + ALL % 50), 2 + 1 + 50 + 10, 2 + 9),
        # An edge that many records share is paid once; two lists of one conversation pay each for its own.
        (query("a: %s b: %s" % (ALL % 10, ALL % 20)), 1 + 10 + 1 + 20 + 10, 2 + 9),
        # Of two reads that begin with one key the dearer is paid: one page of participants beside as many as there may be.
        (query("participants(first: 5) { edges { cursor } } " + ALL % 2), 1 + 2 + 10, 2 + 9),
        (query(ALL % 2 + " participants(first: 5) { edges { cursor } }"), 1 + 2 + 10, 2 + 9),
        (query("messages(first: 9) { edges { node { conversation { friendlyName } service { friendlyName } } } }"), 3, 2),
        (query("messages(first: 9) { edges { node { receipts(status: []) { edges { cursor } } } } }"), 1, 1),
        ("{ services(first: 3) { edges { node { conversations(first: 20) { edges { node { %s } } } } } } }" % (ALL % 50),
         1 + 3 + 60 + 3000 + 600, 5 + 9),
        ("{ services(first: 2) { edges { node { %s } } } }" % NAMED, 1 + 2 + 2, 3),
    ],
)  # fmt: skip
async def test_the_worst_case_is_told_without_a_call(
    client: Client, sandbox: Sandbox, variables: dict[str, Any], document: str, requested: int, trips: int
) -> None:
    given = variables if "$serviceSid" in document else {}
    outcome = await Account(client).run(Operation(document, variables=given, dry_run=True))
    plan = outcome.extensions["plan"]
    assert (plan["requested"], plan["roundTrips"]) == (requested, trips)
    assert outcome.requested == requested
    assert sandbox.calls == []


async def test_a_dry_run_shows_each_edge(client: Client, sandbox: Sandbox, variables: dict[str, Any]) -> None:
    outcome = await Account(client).run(Operation(query("friendlyName " + ALL % 5), variables=variables, dry_run=True))
    thread = f"Services/{variables['serviceSid']}/Conversations/{variables['conversationSid']}"
    below = "service.conversation.messages.edges.node.receipts"
    assert outcome.extensions["plan"]["edges"] == [
        {
            "field": "service.conversation",
            "upstream": thread,
            "calls": 1,
            "inSequence": 1,
            "roundTrip": 1,
            "isAhead": True,
            "mayBeSkipped": False,
        },
        {
            "field": "service.conversation.messages",
            "upstream": f"{thread}/Messages?PageSize=5",
            "calls": 1,
            "inSequence": 1,
            "roundTrip": 1,
            "isAhead": True,
            "mayBeSkipped": False,
        },
        {
            "field": below,
            "upstream": f"{thread}/Messages/{{sid}}/Receipts?PageSize=50",
            "calls": 5,
            "inSequence": 1,
            "roundTrip": 2,
            "isAhead": False,
            "mayBeSkipped": True,
        },
        {
            "field": f"{below}.edges.node.participant",
            "upstream": f"{thread}/Participants?PageSize=100",
            "calls": 10,
            "inSequence": 10,
            "roundTrip": 1,
            "isAhead": True,
            "mayBeSkipped": False,
        },
    ]
    assert outcome.extensions["plan"]["skipped"] == [{"field": "service", "reason": "only ids and sids are selected"}]


async def test_a_dry_run_shows_what_needs_no_call(client: Client, variables: dict[str, Any]) -> None:
    selected = (
        "messages(first: 5) { edges { node { receipts(status: []) { edges { cursor } } conversation { sid } } } }"
    )
    outcome = await Account(client).run(Operation(query(selected), variables=variables, dry_run=True))
    below = "service.conversation.messages.edges.node"
    assert outcome.extensions["plan"]["skipped"] == [
        {"field": "service", "reason": "only ids and sids are selected"},
        {"field": "service.conversation", "reason": "only ids and sids are selected"},
        {"field": f"{below}.receipts", "reason": "nothing can match"},
        {"field": f"{below}.conversation", "reason": "only ids and sids are selected"},
    ]


async def test_a_dry_run_shows_the_errors_that_are_certain(client: Client, sandbox: Sandbox) -> None:
    document = """query Q($sid: ID!) { service(sid: $sid) { friendlyName }
      nodes(ids: ["a", "a"]) { id } services(first: -1) { edges { cursor } } again: services { edges { cursor } } }"""
    outcome = await Account(client).run(Operation(document, variables={"sid": ""}, dry_run=True))
    plan = outcome.extensions["plan"]
    assert [(each["field"], each["code"]) for each in plan["refused"]] == [
        ("service", "BAD_USER_INPUT"),
        ("nodes", "BAD_USER_INPUT"),
        ("services", "BAD_USER_INPUT"),
    ]
    assert plan["refused"][0]["message"].startswith("Expected a sid of the form IS")
    assert plan["requested"] == 1
    assert sandbox.calls == []


async def test_what_could_take_too_much_is_refused_before_the_first_call(
    client: Client, sandbox: Sandbox, variables: dict[str, Any]
) -> None:
    operations = Account(client, Limits(cost_max=40))
    outcome = await operations.run(Operation(query("friendlyName " + ALL % 50), variables=variables))
    assert not outcome.executed
    assert sandbox.calls == []
    (failure,) = outcome.failures
    assert failure.as_json()["extensions"] == {
        "code": "COST_LIMIT_EXCEEDED",
        "retryable": False,
        "per": "operation",
        "requested": 62,
        "limit": 40,
        "contributors": [
            {"field": "service.conversation.messages.edges.node.receipts", "calls": 50},
            {"field": "service.conversation.messages.edges.node.receipts.edges.node.participant", "calls": 10},
            {"field": "service.conversation", "calls": 1},
        ],
        "suggestion": "service.conversation.messages(first: 28)",
    }
    # What is suggested fits, and one more does not.
    assert (await operations.run(Operation(query("friendlyName " + ALL % 28), variables=variables))).executed
    assert not (await operations.run(Operation(query("friendlyName " + ALL % 29), variables=variables))).executed


async def test_introspection_beside_it_does_not_hide_a_cost(client: Client, variables: dict[str, Any]) -> None:
    document = query(ALL % 50).replace("{ service(", "{ __schema { queryType { name } } service(")
    outcome = await Account(client, Limits(cost_max=40)).run(Operation(document, variables=variables))
    assert [failure.error.code for failure in outcome.failures] == ["COST_LIMIT_EXCEEDED"]


async def test_a_level_is_read_as_far_as_the_limit_allows(
    client: Client, sandbox: Sandbox, variables: dict[str, Any]
) -> None:
    """In the order of the list. The first error says how much was left out, and what would fit."""
    operations = Account(client, Limits(cost_limit=20))
    outcome = await operations.run(Operation(query("friendlyName " + ALL % 50), variables=variables))
    assert outcome.data is not None
    messages = outcome.data["service"]["conversation"]["messages"]["edges"]
    filled = [edge["node"]["receipts"] is not None for edge in messages]
    assert filled == [True] * 17 + [False] * 33
    assert len(sandbox.calls) == 20
    errors = [failure.as_json() for failure in outcome.failures]
    way = ["service", "conversation", "messages", "edges"]
    assert [error["path"] for error in errors] == [[*way, index, "node", "receipts"] for index in range(17, 50)]
    assert {error["message"] for error in errors} == {"The limit of 20 upstream calls is reached."}
    assert {error["extensions"]["code"] for error in errors} == {"COST_LIMIT_EXCEEDED"}
    first, *others = [error["extensions"].get("cost") for error in errors]
    assert others == [None] * 32
    assert first == {"limit": 20, "leftOut": 33, "suggestion": "service.conversation.messages(first: 8)"}
    fitting = query("friendlyName " + ALL % 8)
    assert (await operations.run(Operation(fitting, variables=variables))).failures == ()


async def test_graphql_core_reads_as_far_as_the_limit_allows(
    client: Client, sandbox: Sandbox, variables: dict[str, Any]
) -> None:
    """It fetches the participants after the receipts, which have used up the limit."""
    operation = Operation(query("friendlyName " + ALL % 50), variables=variables, reference=True)
    outcome = await Account(client, Limits(cost_limit=20)).run(operation)
    assert outcome.data is not None
    messages = outcome.data["service"]["conversation"]["messages"]["edges"]
    assert [edge["node"]["receipts"] is not None for edge in messages] == [True] * 18 + [False] * 32
    assert len(sandbox.calls) == 20
    costs = [failure.as_json()["extensions"].get("cost") for failure in outcome.failures]
    assert costs[0]["leftOut"] == 32 + 1
    assert costs[1:] == [None] * (len(costs) - 1)


async def test_a_level_below_is_read_for_what_was_read_above(client: Client, variables: dict[str, Any]) -> None:
    """Its own errors come first in the answer, and the first one counts all."""
    below = "messages(first: 10) { edges { node { receipts { edges { node { participant { channel } } } } } } }"
    outcome = await Account(client, Limits(cost_limit=6)).run(Operation(query(below), variables=variables))
    assert outcome.data is not None
    errors = [failure.as_json() for failure in outcome.failures]
    assert {error["extensions"]["code"] for error in errors} == {"COST_LIMIT_EXCEEDED"}
    costs = [error["extensions"].get("cost") for error in errors]
    assert costs[0]["leftOut"] == len({tuple(error["path"][:6]) for error in errors})
    assert costs[1:] == [None] * (len(errors) - 1)


async def test_the_trace_tells_every_call(client: Client, sandbox: Sandbox, variables: dict[str, Any]) -> None:
    document = query("friendlyName messages(first: 2) { edges { node { message: conversation { state } receipts"
                     " { edges { node { participant { channel } service { sid } } } } } } }")  # fmt: skip
    outcome = await Account(client).run(Operation(document, variables=variables, trace=True))
    assert outcome.extensions["cost"] == {"requested": 1 + 1 + 2 + 10, "planned": 5, "actual": 5}
    upstream = outcome.extensions["upstream"]
    assert (upstream["count"], upstream["roundTrips"]) == (5, 2)
    network = [call for call in upstream["calls"] if call["source"] == "network"]
    assert sorted(call["path"] for call in network) == sorted(sandbox.paths)
    for call in network:
        assert (call["status"], call["attempt"]) == (200, 1)
        assert call["startMs"] >= 0
        assert call["waitMs"] >= 0
        assert 0 <= call["durationMs"] <= upstream["totalMs"]
    others = {call["source"] for call in upstream["calls"]} - {"network"}
    assert others == {"skipped"}


async def test_the_trace_tells_what_was_skipped_and_why(
    client: Client, sandbox: Sandbox, variables: dict[str, Any]
) -> None:
    sid = sandbox.landmarks["chat_only_message_sid"]
    document = query('message(sid: "%s") { body receipts { edges { cursor } } again: conversation { sid } }' % sid)
    outcome = await Account(client).run(Operation(document, variables=variables, trace=True))
    skipped = {
        call["path"].rpartition("/")[2]: call["reason"]
        for call in outcome.extensions["upstream"]["calls"]
        if call["source"] == "skipped"
    }
    assert skipped["Receipts"] == "the message's `delivery` shows that no receipt matches"
    assert "selected" in skipped[variables["conversationSid"]]


async def test_participants_of_several_messages_are_each_paid_for(client: Client, sandbox: Sandbox) -> None:
    ids = await Account(client).run(
        Operation(
            query("messages(first: 9) { edges { node { id } } }"),
            variables=landmark_variables(query("sid"), sandbox.landmarks),
        )
    )
    assert ids.data is not None
    given = [edge["node"]["id"] for edge in ids.data["service"]["conversation"]["messages"]["edges"]]
    document = "query N($ids: [ID!]!) { nodes(ids: $ids) { ... on Message { participant { channel } } } }"
    outcome = await Account(client).run(Operation(document, variables={"ids": given}))
    assert outcome.calls <= outcome.requested == 18


async def test_a_limited_caller_pays_for_its_own_services(client: Client, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    services = frozenset({marks["service_sid"], marks["other_service_sid"], "IS" + "0" * 32})
    outcome = await Account(client).run(
        Operation(
            "{ services(first: 1) { edges { node { sid } } pageInfo { hasNextPage endCursor } } }", services=services
        )
    )
    assert (outcome.requested, outcome.calls) == (3, 3)
    assert all(path in {f"Services/{sid}" for sid in services} for path in sandbox.paths)
    assert outcome.data is not None
    window = outcome.data["services"]
    assert window["pageInfo"]["hasNextPage"]
    rest = await Account(client).run(
        Operation(
            "query S($after: String) { services(after: $after) { edges { node { sid } } pageInfo { hasNextPage } } }",
            variables={"after": window["pageInfo"]["endCursor"]},
            services=services,
        )
    )
    assert rest.data is not None
    seen = [edge["node"]["sid"] for edge in window["edges"] + rest.data["services"]["edges"]]
    assert sorted(seen) == sorted(services - {"IS" + "0" * 32})
    assert not rest.data["services"]["pageInfo"]["hasNextPage"]


async def test_refusing_takes_no_more_work_however_many_lists_there_are(client: Client, sandbox: Sandbox) -> None:
    ids = [
        encode_id(RESOURCES["Conversations"], f"Services/IS{'0' * 32}/Conversations/CH{number:032x}")
        for number in range(100)
    ]
    operations = Account(client, Limits(cost_max=5))
    work = []
    for size in (5, 20):
        lists = " ".join(f"a{number}: {ALL % 1}" for number in range(size))
        document = "query N($ids: [ID!]!) { nodes(ids: $ids) { ... on Conversation { %s } } }" % lists
        for _ in range(2):  # The first time, it is parsed and planned too.
            with Steps() as steps:
                outcome = await operations.run(Operation(document, variables={"ids": ids}))
            assert not outcome.executed
        work.append(steps.count)
    assert work[1] < 1.5 * work[0]
    assert sandbox.calls == []


async def test_what_costs_nothing_hides_nothing_that_costs(client: Client, sandbox: Sandbox) -> None:
    """Keys below lists without members do not count towards the limit at which the estimate stops."""
    node_ids = [
        encode_id(RESOURCES["Conversations"], f"Services/IS{'0' * 32}/Conversations/CH{number:032x}")
        for number in range(9)
    ]
    document = "query N($ids: [ID!]!) { nodes(ids: $ids) { ... on Conversation { a: %s b: %s } } }" % (ALL % 0, ALL % 1)
    outcome = await Account(client, Limits(cost_max=20)).run(
        Operation(document, variables={"ids": node_ids}, dry_run=True)
    )
    assert not outcome.executed
    assert outcome.requested > 20
