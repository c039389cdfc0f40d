"""Answers and their upstream calls: the reference query, null and not found, arguments, skips, participants."""

import asyncio
from typing import Any

import pytest

from gateway.accounts.account import Account
from gateway.accounts.limits import Limits
from gateway.accounts.operation import Operation
from gateway.sandbox import Fault, Sandbox, Switches
from gateway.twilio.client import Client

from ..conftest import Ask

Q1 = """
query Q1($serviceSid: ID!, $conversationSid: ID!) {
  service(sid: $serviceSid) {
    friendlyName
    conversation(sid: $conversationSid) {
      friendlyName
      messages(first: 50) {
        edges { node { index body receipts { edges { node { status errorCode participant { identity channel } } } } } }
      }
    }
  }
}
"""


def below(selection: str) -> str:
    """A query for `selection` on the landmark conversation, reached by its sids."""
    return (
        "query Q($serviceSid: ID!, $conversationSid: ID!)"
        "{ service(sid: $serviceSid) { conversation(sid: $conversationSid) { %s } } }" % selection
    )


def conversation(data: Any) -> Any:
    return data["service"]["conversation"]


def only_node(connection: Any) -> Any:
    (edge,) = connection["edges"]
    return edge["node"]


class Paths:
    """The upstream paths of a sandbox's landmarks."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.marks = sandbox.landmarks
        self.service = f"Services/{self.marks['service_sid']}"
        self.conversation = f"{self.service}/Conversations/{self.marks['conversation_sid']}"
        self.participants = f"{self.conversation}/Participants"
        self.message = f"{self.conversation}/Messages/{self.marks['message_sid']}"


@pytest.fixture
def at(sandbox: Sandbox) -> Paths:
    return Paths(sandbox)


async def test_the_reference_query_makes_54_calls(ask: Ask, at: Paths) -> None:
    answer = await ask(Q1)
    messages = [edge["node"] for edge in conversation(answer.data)["messages"]["edges"]]
    assert not answer.errors
    assert len(messages) == 50
    assert all(len(message["receipts"]["edges"]) == 4 for message in messages)
    assert all(edge["node"]["participant"] for message in messages for edge in message["receipts"]["edges"])
    receipts = [path for path in answer.paths if path.endswith("/Receipts?PageSize=50")]
    assert len(set(receipts)) == len(receipts) == 50
    assert sorted(path for path in answer.paths if path not in receipts) == [
        at.service,
        at.conversation,
        f"{at.conversation}/Messages?PageSize=50",
        f"{at.participants}?PageSize=100",
    ]


async def test_receipts_by_sids_are_one_call(ask: Ask, at: Paths) -> None:
    answer = await ask(
        """query Q($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!) {
          service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
            sid id conversationSid chatServiceSid receipts { totalCount edges { node { status } } }
          } } }
        }"""
    )
    assert answer.paths == [f"{at.message}/Receipts?PageSize=50"]
    assert conversation(answer.data)["message"]["receipts"]["totalCount"] == 4


async def test_what_only_sids_tell_costs_nothing(ask: Ask, sandbox: Sandbox) -> None:
    answer = await ask(
        below("__typename id sid chatServiceSid service { id sid } message(sid: $m) { sid id }").replace(
            "$conversationSid: ID!)", "$conversationSid: ID!, $m: ID!)"
        ),
        m="IM" + "0" * 32,
    )
    assert answer.paths == []
    assert conversation(answer.data)["message"]["sid"] == "IM" + "0" * 32


async def test_no_cache_looks_up_what_only_sids_tell(ask: Ask, at: Paths) -> None:
    answer = await ask(below("sid"), no_cache=True)
    assert sorted(answer.paths) == [at.service, at.conversation]
    answer = await ask(below("sid"), no_cache=True, conversationSid="CH" + "0" * 32)
    assert answer.data == {"service": {"conversation": None}}
    assert not answer.errors


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        ("... on Conversation { friendlyName }", True),
        ("... on Node { id }", False),
        ("...F", True),
        ("...F @skip(if: true)", False),
        ("... @include(if: $no) { friendlyName }", False),
        ("friendlyName @skip(if: $no)", True),
        ("sid @include(if: $no) ... { ...F @include(if: $no) }", False),
    ],
)
async def test_fragments_and_directives_decide_what_is_looked_up(ask: Ask, selection: str, wanted: bool) -> None:
    query = below("__typename " + selection)
    if "$no" in selection:
        query = query.replace("ID!)", "ID!, $no: Boolean = false)")
    fragment = "fragment F on Conversation { friendlyName }" if "...F" in selection else ""
    answer = await ask(query + fragment)
    assert not answer.errors
    assert len(answer.paths) == wanted


async def test_a_record_that_is_looked_up_and_missing_is_null_without_an_error(ask: Ask) -> None:
    answer = await ask(below("friendlyName messages { edges { node { sid } } }"), conversationSid="CH" + "0" * 32)
    assert answer.data == {"service": {"conversation": None}}
    assert not answer.errors


async def test_a_list_below_a_record_that_was_not_looked_up_is_not_found_with_an_error(ask: Ask) -> None:
    answer = await ask(below("sid messages { edges { node { sid } } }"), conversationSid="CH" + "0" * 32)
    assert answer.data == {"service": {"conversation": {"sid": "CH" + "0" * 32, "messages": None}}}
    (error,) = answer.errors
    assert error["path"] == ["service", "conversation", "messages"]
    assert error["extensions"]["code"] == "NOT_FOUND"
    assert error["extensions"]["upstream"] == {
        "status": 404,
        "code": 20404,
        "requestId": error["extensions"]["upstream"]["requestId"],
        "retryAfter": None,
    }
    assert error["extensions"]["upstream"]["requestId"].startswith("RQ")


async def test_one_failure_keeps_its_siblings(ask: Ask, sandbox: Sandbox, at: Paths) -> None:
    sandbox.faults.add(f"{at.message}/Receipts*", Fault("status", status=500, retry_after=7))
    answer = await ask(Q1)
    messages = [edge["node"] for edge in conversation(answer.data)["messages"]["edges"]]
    (error,) = answer.errors
    assert [message["index"] for message in messages if message["receipts"] is None] == [0]
    assert error["path"] == ["service", "conversation", "messages", "edges", 0, "node", "receipts"]
    assert error["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
    assert error["extensions"]["retryable"] is True
    assert error["extensions"]["upstream"]["retryAfter"] == 7


RECEIPT = """query R($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!, $receiptSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
    receipt(sid: $receiptSid) {
      sid status rawStatus isFinal errorCode error { code title documentationUrl } participant { sid channel }
    }
  } } }
}"""


async def receipt(ask: Ask, name: str) -> Any:
    marks = ask.sandbox.landmarks
    answer = await ask(
        RECEIPT, messageSid=marks[f"{name}_receipt_message_sid"], receiptSid=marks[f"{name}_receipt_sid"]
    )
    assert not answer.errors
    return conversation(answer.data)["message"]["receipt"], answer.paths


@pytest.mark.parametrize("error_code", ["null", "zero", "text"])
async def test_a_failed_receipt_has_its_error(ask: Ask, sandbox: Sandbox, error_code: Any) -> None:
    sandbox.switches = Switches(error_code=error_code)
    row, _ = await receipt(ask, "failed")
    assert row["status"] in {"FAILED", "UNDELIVERED"}
    assert row["isFinal"] is True
    assert row["errorCode"] == row["error"]["code"] > 0
    assert row["error"]["documentationUrl"].endswith(f"/{row['errorCode']}")
    assert row["error"]["title"]


@pytest.mark.parametrize(("word", "status"), [("null", "PENDING"), ("queued", "UNKNOWN")])
@pytest.mark.parametrize("error_code", ["null", "zero", "text"])
async def test_a_pending_receipt_is_pending(
    ask: Ask, sandbox: Sandbox, word: Any, status: str, error_code: Any
) -> None:
    sandbox.switches = Switches(pending_status=word, error_code=error_code)
    row, _ = await receipt(ask, "pending")
    assert (row["status"], row["rawStatus"]) == (status, None if word == "null" else word)
    assert (row["errorCode"], row["error"], row["isFinal"]) == (None, None, False)


async def test_a_word_of_the_future_is_unknown_and_shown(ask: Ask) -> None:
    row, _ = await receipt(ask, "unknown_status")
    assert row["status"] == "UNKNOWN"
    assert row["rawStatus"] not in {None, "sent", "delivered", "read", "failed", "undelivered"}


async def test_a_participant_who_left_is_null_without_an_error(ask: Ask, at: Paths) -> None:
    row, paths = await receipt(ask, "departed_participant")
    assert row["participant"] is None
    assert [path.rpartition("/")[0].rpartition("/")[2] for path in paths] == ["Receipts", "Participants"]
    # Below a list, the complete list of participants says so.
    answer = await ask(
        below("messages(first: 180) { edges { node { receipts { edges { node { participant { channel } } } } } } }")
    )
    assert not answer.errors
    found = [
        edge["node"]["participant"]
        for message in conversation(answer.data)["messages"]["edges"]
        for edge in message["node"]["receipts"]["edges"]
    ]
    assert None in found
    assert [path for path in answer.paths if "/Participants" in path] == [f"{at.participants}?PageSize=100"]


async def test_participants_below_a_list_are_one_call_whatever_the_timing(
    ask: Ask, sandbox: Sandbox, at: Paths
) -> None:
    sandbox.faults.add("*/Receipts*", Fault(latency=(0.0, 0.05)))
    query = below(
        "messages(first: 50) { edges { node { receipts(first: 1) { edges { node { participant { channel } } } } } } }"
    )
    answer = await ask(query)
    assert not answer.errors
    assert [path for path in answer.paths if "/Participants" in path] == [f"{at.participants}?PageSize=100"]


async def test_participants_on_a_second_page_are_found(ask: Ask, sandbox: Sandbox) -> None:
    answer = await ask(
        below("messages(first: 40) { edges { node { receipts { edges { node { participant { sid channel } } } } } } }"),
        conversationSid=sandbox.landmarks["crowded_conversation_sid"],
    )
    assert not answer.errors
    rows = [
        edge["node"]["participant"]
        for message in conversation(answer.data)["messages"]["edges"]
        for edge in message["node"]["receipts"]["edges"]
    ]
    assert rows
    assert all(rows)
    assert len([path for path in answer.paths if "/Participants" in path]) == 2


async def test_a_message_knows_its_author(ask: Ask, at: Paths) -> None:
    answer = await ask(below("messages(first: 20) { edges { node { participantSid participant { sid } } } }"))
    for edge in conversation(answer.data)["messages"]["edges"]:
        sid, participant = edge["node"]["participantSid"], edge["node"]["participant"]
        assert (participant and participant["sid"]) == sid
    assert answer.paths == [f"{at.conversation}/Messages?PageSize=20"]


async def test_back_edges_below_a_list_cost_nothing_more(ask: Ask, at: Paths) -> None:
    query = below(
        "friendlyName messages(first: 5) { edges { node { receipts(first: 1) { edges { node {"
        " message { body index } conversation { friendlyName } service { sid } } } } } } }"
    )
    answer = await ask(query)
    assert not answer.errors
    assert len(answer.paths) == 1 + 1 + 5
    assert [
        edge["node"]["receipts"]["edges"][0]["node"]["message"]["index"]
        for edge in conversation(answer.data)["messages"]["edges"]
    ] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("delivery", ["null", "zero"])
async def test_a_chat_only_message_has_no_receipts_and_costs_none(ask: Ask, sandbox: Sandbox, delivery: Any) -> None:
    sandbox.switches = Switches(chat_only_delivery=delivery)
    query = """query Q($serviceSid: ID!, $conversationSid: ID!, $chatOnlyMessageSid: ID!) {
      service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $chatOnlyMessageSid) {
        deliveryStatus delivery { total } receipts { totalCount edges { node { sid } } pageInfo { hasNextPage } }
      } } }
    }"""
    answer = await ask(query)
    assert conversation(answer.data)["message"] == {
        "deliveryStatus": "UNTRACKED",
        "delivery": None if delivery == "null" else {"total": 0},
        "receipts": {"totalCount": 0, "edges": [], "pageInfo": {"hasNextPage": False}},
    }
    assert len(answer.paths) == 1
    assert len((await ask(query, no_cache=True)).paths) == 4


async def test_failures_are_looked_for_where_the_summary_tells_of_some(ask: Ask) -> None:
    every = await ask(below("messages(first: 60) { edges { node { receipts { edges { node { sid status } } } } } }"))
    some = await ask(
        below(
            "messages(first: 60) { edges { node { receipts(status: [FAILED, UNDELIVERED])"
            " { totalCount edges { node { sid status } } } } } }"
        )
    )

    def bad(data: Any) -> list[list[str]]:
        return [
            [
                edge["node"]["sid"]
                for edge in message["node"]["receipts"]["edges"]
                if edge["node"]["status"] in {"FAILED", "UNDELIVERED"}
            ]
            for message in conversation(data)["messages"]["edges"]
        ]

    assert bad(some.data) == bad(every.data)
    assert any(bad(some.data))
    assert len(some.paths) == 1 + sum(1 for sids in bad(some.data) if sids)


@pytest.mark.parametrize("status", ["PENDING", "UNKNOWN"])
async def test_a_summary_says_nothing_of_pending_and_unknown(ask: Ask, status: str) -> None:
    query = below("messages(first: 60) { edges { node { receipts(status: [%s]) { totalCount } } } }" % status)
    answer = await ask(query)
    counts = [edge["node"]["receipts"]["totalCount"] for edge in conversation(answer.data)["messages"]["edges"]]
    assert sum(counts) >= 1
    assert len(answer.paths) > 50


async def test_no_status_matches_nothing_at_no_call(ask: Ask) -> None:
    query = """query Q($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!, $status: [DeliveryStatus!]) {
      service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
        receipts(status: $status) { totalCount edges { node { sid } } }
      } } }
    }"""
    answer = await ask(query, status=[])
    assert conversation(answer.data)["message"]["receipts"] == {"totalCount": 0, "edges": []}
    assert answer.paths == []
    answer = await ask(query, status=None)
    assert conversation(answer.data)["message"]["receipts"]["totalCount"] == 4


async def test_the_count_alone_comes_with_the_message(ask: Ask) -> None:
    query = below("messages(first: 5) { edges { node { receipts { totalCount } delivery { total } } } }")
    answer = await ask(query)
    for edge in conversation(answer.data)["messages"]["edges"]:
        assert edge["node"]["receipts"]["totalCount"] == edge["node"]["delivery"]["total"] == 4
    assert len(answer.paths) == 1
    assert len((await ask(query, no_cache=True)).paths) == 3 + 5


async def test_participants_asked_for_twice_are_read_once(ask: Ask, at: Paths) -> None:
    query = below(
        "participants(first: 50) { edges { node { sid } } }"
        " messages(first: 2) { edges { node { receipts { edges { node { participant { channel } } } } } } }"
    )
    answer = await ask(query)
    assert [path for path in answer.paths if "/Participants" in path] == [f"{at.participants}?PageSize=100"]


async def test_below_a_list_of_services_participants_come_from_their_list(ask: Ask) -> None:
    answer = await ask(
        "query Q($conversationSid: ID!) { services(first: 1) { edges { node { conversation(sid: $conversationSid) {"
        " messages(first: 20) { edges { node { participant { channel } } } } } } } } }"
    )
    assert len([path for path in answer.paths if "/Participants" in path]) == 1


async def test_receipts_page_and_count(ask: Ask) -> None:
    query = """query Q($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!, $after: String) {
      service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
        receipts(first: 3, after: $after) { totalCount edges { node { sid } } pageInfo { hasNextPage endCursor } }
      } } }
    }"""
    first = conversation((await ask(query)).data)["message"]["receipts"]
    second = conversation((await ask(query, after=first["pageInfo"]["endCursor"])).data)["message"]["receipts"]
    assert (first["totalCount"], len(first["edges"]), first["pageInfo"]["hasNextPage"]) == (4, 3, True)
    assert (second["totalCount"], len(second["edges"]), second["pageInfo"]["hasNextPage"]) == (4, 1, False)
    assert only_node(second)["sid"] not in [edge["node"]["sid"] for edge in first["edges"]]


async def test_ids_lead_back_to_their_records(ask: Ask) -> None:
    answer = await ask(
        below(
            "id service { id } messages(first: 1) { edges { node { id receipts(first: 1) { edges { node { id"
            " participant { id } } } } } } }"
        )
    )
    thread = conversation(answer.data)
    message = only_node(thread["messages"])
    row = only_node(message["receipts"])
    ids = [thread["service"]["id"], thread["id"], message["id"], row["id"], row["participant"]["id"]]
    query = """query N($ids: [ID!]!) { nodes(ids: $ids) { __typename id
      ... on Service { friendlyName } ... on Conversation { state } ... on Message { index } ... on Receipt { status }
      ... on Participant { channel } } }"""
    answer = await ask(query, ids=[*ids, "AAAA", ids[0]])
    kinds = ["Service", "Conversation", "Message", "Receipt", "Participant"]
    assert [node and node["__typename"] for node in answer.data["nodes"]] == [*kinds, None, "Service"]
    assert [node and node["id"] for node in answer.data["nodes"]] == [*ids, None, ids[0]]
    assert (answer.codes, answer.errors[0]["path"]) == (["BAD_USER_INPUT"], ["nodes", 5])
    assert len(answer.paths) == 5
    answer = await ask("query N($ids: [ID!]!) { nodes(ids: $ids) { id __typename } }", ids=ids)
    assert answer.paths == []
    answer = await ask("query N($id: ID!) { node(id: $id) { ... on Receipt { status } } }", id=ids[3])
    assert answer.data["node"]["status"]
    answer = await ask("query N($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[ids[0]] * 101)
    assert (answer.data, answer.codes) == (None, ["BAD_USER_INPUT"])


async def test_awkward_names_are_found_and_answer_with_their_sids(ask: Ask, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    answer = await ask(
        """query Q($serviceSid: ID!, $uniqueName: String!) {
          service(sid: $serviceSid) { conversationByUniqueName(uniqueName: $uniqueName) {
            id sid uniqueName messages(first: 1) { edges { node { sid } } }
          } }
        }"""
    )
    found = answer.data["service"]["conversationByUniqueName"]
    assert found["sid"] == marks["unique_name_conversation_sid"]
    assert found["uniqueName"] == marks["unique_name"]
    assert answer.paths[1].startswith(f"Services/{marks['service_sid']}/Conversations/{found['sid']}/Messages")
    answer = await ask(
        """query Q($serviceSid: ID!, $conversationSid: ID!, $identity: String!) {
          service(sid: $serviceSid) { conversation(sid: $conversationSid) {
            participantByIdentity(identity: $identity) { id sid identity }
          } }
        }"""
    )
    person = conversation(answer.data)["participantByIdentity"]
    assert (person["sid"], person["identity"]) == (marks["identity_participant_sid"], marks["identity"])


@pytest.mark.parametrize("name", ["", ".", "..", "a\nb", "x" * 513, "CH" + "0" * 32, "\x7f", "\ud800"])
async def test_a_name_that_cannot_be_is_refused_without_a_call(ask: Ask, name: str) -> None:
    query = """query Q($serviceSid: ID!, $name: String!) {
      service(sid: $serviceSid) { conversationByUniqueName(uniqueName: $name) { sid } }
    }"""
    answer = await ask(query, name=name)
    assert (answer.codes, answer.paths) == (["BAD_USER_INPUT"], [])


@pytest.mark.parametrize("sid", ["", "CH1", "IM" + "0" * 32, "CH" + "g" * 32, "CH" + "0" * 33, "../x", "ch" + "0" * 32])
async def test_a_sid_of_the_wrong_kind_is_refused_without_a_call(ask: Ask, sid: str) -> None:
    answer = await ask(below("friendlyName"), conversationSid=sid)
    assert (answer.codes, answer.paths) == (["BAD_USER_INPUT"], [])
    assert answer.errors[0]["path"] == ["service", "conversation"]
    assert not sid or sid not in answer.errors[0]["message"]


async def test_conversations_are_chosen_by_state_and_time(ask: Ask, sandbox: Sandbox) -> None:
    query = """query Q($serviceSid: ID!, $state: ConversationStateFilter, $from: DateTime, $to: DateTime) {
      service(sid: $serviceSid) { conversations(first: 100, state: $state, createdFrom: $from, createdTo: $to) {
        edges { node { sid state dateCreated } }
      } }
    }"""

    async def found(**filters: Any) -> list[Any]:
        answer = await ask(query, **filters)
        assert not answer.errors
        return [edge["node"] for edge in answer.data["service"]["conversations"]["edges"]]

    every = await found()
    closed = await found(state="CLOSED")
    assert closed == [row for row in every if row["state"] == "CLOSED"] != []
    dates = sorted(row["dateCreated"] for row in every)
    bounds = {"from": dates[1], "to": dates[-2]}
    chosen = await found(**bounds)
    assert {row["sid"] for row in chosen} == {
        row["sid"] for row in every if bounds["from"] <= row["dateCreated"] <= bounds["to"]
    }
    assert 0 < len(chosen) < len(every)
    # The same moments, said in another offset.
    shifted = await found(**{"from": bounds["from"].replace("Z", "+00:00"), "to": bounds["to"].replace("Z", "-00:00")})
    assert shifted == chosen


@pytest.mark.parametrize(
    "time",
    ["yesterday", "2026-02-30T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", 5, {}],
)
async def test_a_time_that_is_none_is_refused(ask: Ask, time: Any) -> None:
    query = """query Q($serviceSid: ID!, $from: DateTime) {
      service(sid: $serviceSid) { conversations(createdFrom: $from) { edges { node { sid } } } }
    }"""
    answer = await ask(query, **{"from": time})
    assert (answer.codes, answer.paths) == (["BAD_USER_INPUT"], [])


async def test_services_are_listed(ask: Ask, sandbox: Sandbox) -> None:
    answer = await ask("{ services { edges { cursor node { sid friendlyName url } } pageInfo { hasNextPage } } }")
    assert sandbox.landmarks["service_sid"] in [edge["node"]["sid"] for edge in answer.data["services"]["edges"]]
    assert answer.paths == ["Services?PageSize=50"]


async def test_when_the_asker_leaves_its_reads_end(sandbox: Sandbox, client: Client, at: Paths) -> None:
    sandbox.faults.add("*/Receipts*", Fault("hang"))
    marks = sandbox.landmarks
    operation = asyncio.create_task(
        Account(client).run(
            Operation(Q1, variables={"serviceSid": marks["service_sid"], "conversationSid": marks["conversation_sid"]})
        )
    )
    await sandbox.until(lambda: sum(call.fault == "hang" for call in sandbox.calls) == 50)
    operation.cancel()
    await sandbox.until(lambda: sum(call.client_left for call in sandbox.calls) == 50)
    with pytest.raises(asyncio.CancelledError):
        await operation


async def test_what_is_not_back_by_the_deadline_is_an_error_and_the_rest_is_answered(
    sandbox: Sandbox, client: Client, at: Paths
) -> None:
    sandbox.faults.add(f"{at.message}/Receipts*", Fault("hang"))
    marks = sandbox.landmarks
    outcome = await Account(client, Limits(deadline=2.0)).run(
        Operation(Q1, variables={"serviceSid": marks["service_sid"], "conversationSid": marks["conversation_sid"]})
    )
    messages = outcome.data["service"]["conversation"]["messages"]["edges"]  # type: ignore[index]
    assert [edge["node"]["receipts"] is None for edge in messages] == [True] + [False] * 49
    assert [failure.error.code for failure in outcome.failures] == ["UPSTREAM_TIMEOUT"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (b'"date_updated":"soon","x"', ["dateUpdated"]),
        (b'"participant_sid":"../Roles/RL1","x"', ["participant"]),
    ],
)
async def test_an_unreadable_value_is_an_error_where_it_is_asked_for(
    ask: Ask, sandbox: Sandbox, at: Paths, change: bytes, path: list[str]
) -> None:
    marks = sandbox.landmarks
    body = b'{"sid":"%s",%s:1}' % (marks["receipt_sid"].encode(), change)
    sandbox.faults.add("*/Receipts/*", Fault("body", body=body))
    query = RECEIPT.replace("participant {", "dateUpdated participant {")
    answer = await ask(query)
    (error,) = answer.errors
    assert (error["extensions"]["code"], error["path"][-1:]) == ("UPSTREAM_INVALID_RESPONSE", path)
    assert conversation(answer.data)["message"]["receipt"]["sid"] == marks["receipt_sid"]


async def test_a_list_of_participants_that_is_not_there_is_no_word_on_a_participant(ask: Ask, sandbox: Sandbox) -> None:
    sandbox.faults.add("*/Participants*", Fault("status", status=404))
    answer = await ask(Q1)
    receipts = [
        edge["node"]
        for message in conversation(answer.data)["messages"]["edges"]
        for edge in message["node"]["receipts"]["edges"]
    ]
    assert all(receipt["status"] and receipt["participant"] is None for receipt in receipts)
    assert answer.codes == ["NOT_FOUND"] * len(receipts)
