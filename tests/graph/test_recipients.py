"""The recipients of a message: who is one, what is known of each, and what it costs to know."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from yarl import URL

from gateway.graph.recipients import RecipientEvidence, RecipientRow, RecipientStatus, recipients_of
from gateway.sandbox import Fault, Sandbox
from gateway.twilio.partial_rows import PartialRow

from ..conftest import Answer, Ask

SENT = "2026-01-01T00:00:10Z"
BEFORE, AFTER = "2026-01-01T00:00:09Z", "2026-01-01T00:00:11Z"
LIST = """query(
  $serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!, $first: Int, $after: String, $status: [RecipientStatus!]
) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
    recipients(first: $first, after: $after, status: $status) {
      edges { cursor node { participantSid via status at participant { sid identity } receipt { sid status dateUpdated } } }
      pageInfo { hasNextPage endCursor }
    }
  } } }
}"""


def message(**values: Any) -> Any:
    return SimpleNamespace(**{"index": 5, "participant_sid": "MB0", "author": "agent", "date_created": SENT} | values)


def receipt(number: int, status: str | None = "sent") -> Any:
    return SimpleNamespace(sid=f"DY{number}", participant_sid=f"MB{number}", status=status, date_updated=AFTER)


def person(number: int, horizon: Any = None, **values: Any) -> Any:
    given = {
        "sid": f"MB{number}",
        "identity": f"user-{number}",
        "messaging_binding": None,
        "date_created": BEFORE,
        "last_read_message_index": horizon,
        "last_read_timestamp": AFTER,
    }
    return SimpleNamespace(**given | values)


def outside(number: int, **values: Any) -> Any:
    binding = SimpleNamespace(address=f"+155500{number}")
    return person(number, identity=None, messaging_binding=binding, **values)


def found(message: Any, receipts: list[Any], people: list[Any]) -> list[tuple[str | None, str, str]]:
    rows = recipients_of(message, receipts, people)
    return [(row.participant_sid, row.via.name, row.status.name) for row in rows]


@pytest.mark.parametrize(
    ("horizon", "via", "status"),
    [
        (None, "NONE", "UNKNOWN"),
        (0, "READ_HORIZON", "NOT_READ"),
        (4, "READ_HORIZON", "NOT_READ"),
        (5, "READ_HORIZON", "READ"),
        (6, "READ_HORIZON", "READ"),
    ],
)
def test_a_chat_user_by_the_read_horizon(horizon: int | None, via: str, status: str) -> None:
    assert found(message(), [], [person(1, horizon)]) == [("MB1", via, status)]


def test_the_horizon_0_has_read_the_first_message_and_null_is_not_known() -> None:
    assert found(message(index=0), [], [person(1, 0), person(2)]) == [
        ("MB1", "READ_HORIZON", "READ"),
        ("MB2", "NONE", "UNKNOWN"),
    ]


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (None, "PENDING"),
        ("sent", "SENT"),
        ("delivered", "DELIVERED"),
        ("read", "READ"),
        ("failed", "FAILED"),
        ("undelivered", "UNDELIVERED"),
        ("queued", "UNKNOWN"),
    ],
)
def test_everybody_with_a_receipt_by_its_status(status: str | None, shown: str) -> None:
    assert found(message(), [receipt(1, status)], [outside(1)]) == [("MB1", "RECEIPT", shown)]


@pytest.mark.parametrize(
    ("what", "author", "people"),
    [
        ("by sid", {}, [person(0, 9)]),
        ("by identity", {"participant_sid": None, "author": "user-7"}, [person(7, 9)]),
        ("by address", {"participant_sid": None, "author": "+1555007"}, [outside(7)]),
        ("joined in the second after", {}, [person(1, date_created=AFTER)]),
    ],
)
def test_who_is_no_recipient(what: str, author: dict[str, Any], people: list[Any]) -> None:
    assert found(message(**author), [], people) == [], what


@pytest.mark.parametrize(
    ("what", "sent", "people"),
    [
        ("joined in the same second", {}, [person(1, 5, date_created=SENT)]),
        ("joined in another offset", {}, [person(1, 5, date_created="2026-01-01T01:00:09+01:00")]),
        ("joined at an unknown time", {}, [person(1, 5, date_created=None)]),
        ("joined at a time that cannot be read", {}, [person(1, 5, date_created="yesterday")]),
        ("a message without a time", {"date_created": None}, [person(1, 5, date_created=AFTER)]),
        ("an author that nobody is", {"participant_sid": None, "author": None}, [person(1, 5, identity=None)]),
    ],
)
def test_who_is_a_recipient_all_the_same(what: str, sent: dict[str, Any], people: list[Any]) -> None:
    assert found(message(**sent), [], people) == [("MB1", "READ_HORIZON", "READ")], what


def test_those_with_a_receipt_come_first_and_once() -> None:
    people = [person(3, 5), outside(1), outside(2), outside(4)]
    late = receipt(9, "failed")  # Of somebody who has left, or joined again.
    assert found(message(), [receipt(2), receipt(1, "read"), late], people) == [
        ("MB2", "RECEIPT", "SENT"),
        ("MB1", "RECEIPT", "READ"),
        ("MB9", "RECEIPT", "FAILED"),
        ("MB3", "READ_HORIZON", "READ"),
        ("MB4", "NONE", "UNKNOWN"),
    ]


def test_what_cannot_be_read_is_not_guessed() -> None:
    unreadable = PartialRow(
        {"sid": "MB1", "identity": "a", "messaging_binding": None}, {"last_read_message_index", "date_created"}
    )
    assert found(message(), [], [unreadable]) == [("MB1", "NONE", "UNKNOWN")]
    without_index = PartialRow({"participant_sid": None, "author": "b", "date_created": SENT}, {"index"})
    assert found(without_index, [], [person(1, 9)]) == [("MB1", "NONE", "UNKNOWN")]
    dated = PartialRow({"sid": "DY1", "participant_sid": "MB1"}, {"status", "date_updated"})
    assert found(message(), [dated], []) == [("MB1", "RECEIPT", "UNKNOWN")]


def test_the_time_is_that_of_the_evidence() -> None:
    def at(via: RecipientEvidence, status: RecipientStatus, **evidence: Any) -> str | None:
        return RecipientRow("MB1", "MB1", via, status, **evidence).at

    horizon = RecipientEvidence.READ_HORIZON
    assert at(RecipientEvidence.RECEIPT, RecipientStatus.SENT, receipt=receipt(1)) == AFTER
    assert at(horizon, RecipientStatus.READ, participant=person(1, 5)) == AFTER
    assert at(horizon, RecipientStatus.NOT_READ, participant=person(1, 4)) is None
    assert at(RecipientEvidence.NONE, RecipientStatus.UNKNOWN, participant=person(1)) is None


def nodes(answer: Answer) -> list[Any]:
    assert not answer.errors
    edges = answer.data["service"]["conversation"]["message"]["recipients"]["edges"]
    return [edge["node"] for edge in edges]


async def test_the_landmark_has_evidence_of_each_kind(ask: Ask) -> None:
    marks = ask.sandbox.landmarks
    shown = nodes(await ask(LIST))
    by_sid = {node["participantSid"]: node for node in shown}
    assert len(by_sid) == len(shown) == 13  # All who are there, of whom `system` is none; the 14th has left.
    assert Counter(node["via"] for node in shown) == {"RECEIPT": 4, "READ_HORIZON": 2, "NONE": 7}
    first = by_sid[marks["participant_sid"]]
    assert (first["receipt"]["sid"], first["at"]) == (marks["receipt_sid"], first["receipt"]["dateUpdated"])
    assert [by_sid[marks[f"{name}participant_sid"]]["status"] for name in ("first_read_", "read_", "identity_")] == [
        "READ",
        "READ",
        "UNKNOWN",
    ]
    assert all(node["participant"]["sid"] == sid for sid, node in by_sid.items())
    assert all((node["receipt"] is not None) == (node["via"] == "RECEIPT") for node in shown)


async def test_a_later_message_is_not_read_and_its_author_is_no_recipient(ask: Ask) -> None:
    marks = ask.sandbox.landmarks
    shown = nodes(await ask(LIST, messageSid=marks["failed_receipt_message_sid"]))  # By the agent, at 51.
    status = {node["participantSid"]: node["status"] for node in shown}
    assert marks["identity_participant_sid"] not in status
    assert status[marks["first_read_participant_sid"]] == "NOT_READ"
    assert status[marks["read_participant_sid"]] == "READ"
    assert "FAILED" in status.values()


async def test_a_recipient_who_has_left_is_known_by_the_receipt(ask: Ask) -> None:
    shown = nodes(await ask(LIST, messageSid=ask.sandbox.landmarks["departed_participant_receipt_message_sid"]))
    (departed,) = [node for node in shown if node["participant"] is None]
    assert (departed["via"], departed["participantSid"][:2]) == ("RECEIPT", "MB")


@pytest.mark.parametrize("size", [1, 3, 5])
async def test_pages_are_the_whole_list(ask: Ask, size: int) -> None:
    whole = nodes(await ask(LIST))
    after, pieces = None, list[Any]()
    while True:
        answer = await ask(LIST, first=size, after=after)
        pieces += nodes(answer)
        page = answer.data["service"]["conversation"]["message"]["recipients"]["pageInfo"]
        if not page["hasNextPage"]:
            break
        after = page["endCursor"]
    assert pieces == whole


async def test_a_status_filter_chooses_and_has_its_own_cursors(ask: Ask) -> None:
    every = nodes(await ask(LIST))
    chosen = await ask(LIST, status=["READ", "UNDELIVERED"], first=1)
    assert nodes(chosen) == [next(node for node in every if node["status"] in {"READ", "UNDELIVERED"})]
    page = chosen.data["service"]["conversation"]["message"]["recipients"]["pageInfo"]
    assert page["hasNextPage"] is True
    other = await ask(LIST, after=page["endCursor"])
    assert other.codes == ["BAD_USER_INPUT"]
    nothing = await ask(LIST, status=[])
    assert (nodes(nothing), len(nothing.paths)) == ([], 1)  # The message, whose row the field needs.


async def test_what_a_thread_costs(ask: Ask) -> None:
    """One page of messages, the participants once, and the receipts of each message that has any."""
    answer = await ask(
        """query($serviceSid: ID!, $conversationSid: ID!) { service(sid: $serviceSid) { conversation(sid: $conversationSid) {
          messages(first: 60) { edges { node { index recipients {
            edges { node { status participant { identity } receipt { status } } } } } } }
        } } }"""
    )
    assert not answer.errors
    kinds = Counter(path.partition("?")[0].rpartition("/")[2] for path in answer.paths)
    assert kinds == {"Messages": 1, "Participants": 1, "Receipts": 59}  # The 58th message was for chat users alone.


async def test_a_conversation_of_many_pages_of_people(ask: Ask) -> None:
    answer = await ask(
        """query($serviceSid: ID!, $crowdedConversationSid: ID!) { service(sid: $serviceSid) {
          conversation(sid: $crowdedConversationSid) { messages(first: 1) { edges { node { recipients(first: 1000) {
            edges { node { participantSid status via } } pageInfo { hasNextPage } } } } } } } }"""
    )
    (edge,) = answer.data["service"]["conversation"]["messages"]["edges"]
    shown = edge["node"]["recipients"]
    assert len(shown["edges"]) == 139  # Of 140, without the author.
    assert sum("/Participants?" in path for path in answer.paths) == 2


async def test_who_joins_later_is_left_out_and_a_moved_horizon_counts(ask: Ask, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    people = f"v1/Services/{marks['service_sid']}/Conversations/{marks['conversation_sid']}/Participants"
    headers = {"Authorization": aiohttp.encode_basic_auth(sandbox.account_sid, sandbox.auth_token)}
    before = {node["participantSid"] for node in nodes(await ask(LIST))}
    async with aiohttp.ClientSession(sandbox.url, headers=headers) as http:
        await http.post(f"/{people}", data={"Identity": "newcomer"})
        moved = URL(f"/{people}/{marks['identity_participant_sid']}", encoded=True)
        await http.post(moved, data={"LastReadMessageIndex": "0"})
    after = {node["participantSid"]: node for node in nodes(await ask(LIST))}
    assert after.keys() == before
    assert after[marks["identity_participant_sid"]]["status"] == "READ"


async def test_a_failure_of_either_list_is_one_error(ask: Ask) -> None:
    for pattern in ("*/Receipts*", "*/Participants*"):
        ask.sandbox.faults.clear()
        ask.sandbox.faults.add(pattern, Fault("status", status=403))
        answer = await ask(LIST)
        assert answer.codes == ["UPSTREAM_REJECTED"], pattern
        assert answer.errors[0]["path"] == ["service", "conversation", "message", "recipients"]
        assert answer.data["service"]["conversation"]["message"] == {"recipients": None}
