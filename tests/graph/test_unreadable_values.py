"""One value that cannot be read is null with an error, and its page stays."""

import json
from typing import Any

import pytest

from gateway.sandbox import Fault
from gateway.twilio.client import Client

from ..conftest import Ask

RECEIPTS = """query Q($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!) { service(sid: $serviceSid) {
  conversation(sid: $conversationSid) { message(sid: $messageSid) { list: receipts%s { edges { cursor node {
    sid status rawStatus isFinal errorCode error { code } dateCreated dateUpdated url channelMessageSid participantSid
    participant { sid }
  } } pageInfo { endCursor } } } } } }"""
MESSAGES = """query Q($serviceSid: ID!, $conversationSid: ID!) { service(sid: $serviceSid) {
  conversation(sid: $conversationSid) { list: messages(first: 3%s) { edges { cursor node {
    sid index author body attributes media { sid size contentType } dateCreated deliveryStatus
    delivery { total sent delivered read failed undelivered } receipts { totalCount edges { node { sid } } }
  } } pageInfo { endCursor } } } } }"""
PARTICIPANTS = """query Q($serviceSid: ID!, $conversationSid: ID!) { service(sid: $serviceSid) {
  conversation(sid: $conversationSid) { list: participants(first: 3) { edges { node {
    sid identity channel messagingBinding { type address } lastReadMessageIndex dateCreated
  } } } } } }"""
CONVERSATIONS = """query Q($serviceSid: ID!) { service(sid: $serviceSid) { list: conversations(first: 3%s) { edges { node {
    sid state friendlyName uniqueName dateCreated dateInactive dateClosed
  } } } } }"""
SINCE = ', createdFrom: "2020-01-01T00:00:00Z", createdTo: "2030-01-01T00:00:00Z"'


def nodes(data: Any) -> list[dict[str, Any]]:
    """The records of the one list in an answer."""
    while "list" not in data:
        (data,) = data.values()
    return [edge["node"] for edge in data["list"]["edges"]]


class Spoil:
    """Runs an operation twice: as it is, and when Twilio sends other values in the second row of a list."""

    def __init__(self, ask: Ask, client: Client) -> None:
        self.ask, self.client = ask, client

    async def __call__(self, query: str, collection: str, values: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
        """The list's records before and after, and the errors' codes by the fields of its second record."""
        before = await self.ask(query)
        assert before.errors == []
        target = next(path for path in before.paths if f"/{collection}?" in path)
        body = json.loads(await self.client.get(target, lambda _, response: response.body))
        body[body["meta"]["key"]][1].update(values)
        self.ask.sandbox.faults.add(target, Fault("body", body=json.dumps(body).encode()))
        after = await self.ask(query)
        failed = {}
        for error in after.errors:
            place = error["path"].index("list")
            assert error["path"][place : place + 4] == ["list", "edges", 1, "node"]
            failed[".".join(map(str, error["path"][place + 4 :]))] = error["extensions"]["code"]
        return nodes(before.data), nodes(after.data), failed


@pytest.fixture
def spoil(ask: Ask, client: Client) -> Spoil:
    return Spoil(ask, client)


INVALID = "UPSTREAM_INVALID_RESPONSE"
CASES: list[tuple[str, str, dict[str, Any], dict[str, Any], list[str]]] = [
    # The query, the list, what Twilio sends, what is shown otherwise than before, and where the errors are.
    (RECEIPTS % "", "Receipts", {"error_code": ""}, {"errorCode": None, "error": None}, ["errorCode", "error"]),
    (RECEIPTS % "", "Receipts", {"error_code": "abc"}, {"errorCode": None, "error": None}, ["errorCode", "error"]),
    (RECEIPTS % "", "Receipts", {"error_code": 2**31}, {"errorCode": None, "error": None}, ["errorCode", "error"]),
    (RECEIPTS % "", "Receipts", {"date_created": "2016-02-30T00:00:00Z"}, {"dateCreated": None}, ["dateCreated"]),
    (RECEIPTS % "", "Receipts", {"date_created": "yesterday"}, {"dateCreated": None}, ["dateCreated"]),
    (RECEIPTS % "", "Receipts", {"date_created": 1735689600}, {"dateCreated": None}, ["dateCreated"]),
    (RECEIPTS % "", "Receipts", {"status": 7}, {"status": "UNKNOWN", "isFinal": False, "rawStatus": None}, ["rawStatus"]),
    (RECEIPTS % "(status: [SENT, DELIVERED, READ, FAILED, UNDELIVERED, UNKNOWN])", "Receipts",
     {"status": []}, {"status": "UNKNOWN", "isFinal": False, "rawStatus": None}, ["rawStatus"]),
    (RECEIPTS % "", "Receipts", {"participant_sid": 7},
     {"participantSid": None, "participant": None}, ["participantSid", "participant"]),
    (RECEIPTS % "", "Receipts", {"participant_sid": "me"}, {"participantSid": "me", "participant": None}, ["participant"]),
    (RECEIPTS % "", "Receipts", {"url": {}, "channel_message_sid": 1},
     {"url": None, "channelMessageSid": None}, ["url", "channelMessageSid"]),
    (MESSAGES % "", "Messages", {"body": 7}, {"body": None}, ["body"]),
    (MESSAGES % "", "Messages", {"index": "third"}, {"index": None}, ["index"]),
    (MESSAGES % "", "Messages", {"attributes": {"a": 1}}, {"attributes": None}, ["attributes"]),
    (MESSAGES % "", "Messages", {"media": [{"sid": "ME1", "size": 2**33, "content_type": "video/mp4"}]},
     {"media": [{"sid": "ME1", "size": None, "contentType": "video/mp4"}]}, ["media.0.size"]),
    (MESSAGES % "", "Messages", {"media": [{"sid": None}]}, {"media": None}, ["media"]),
    (MESSAGES % "", "Messages", {"delivery": "all"}, {"delivery": None, "deliveryStatus": "UNKNOWN"}, ["delivery"]),
    (MESSAGES % "", "Messages", {"delivery": {"total": "some"}}, {"delivery": None, "deliveryStatus": "UNKNOWN"}, ["delivery"]),
    (MESSAGES % "", "Messages", {"delivery": {"total": 4, "sent": 4, "failed": False}},
     {"delivery": {"total": 4} | dict.fromkeys(["sent", "delivered", "read", "failed", "undelivered"], "UNKNOWN"),
      "deliveryStatus": "UNKNOWN"}, []),
    (PARTICIPANTS, "Participants", {"messaging_binding": 7},
     {"channel": "unknown", "messagingBinding": None}, ["messagingBinding"]),
    (PARTICIPANTS, "Participants", {"messaging_binding": {"type": 7, "address": "+1"}},
     {"channel": "unknown", "messagingBinding": {"type": None, "address": "+1"}}, ["messagingBinding.type"]),
    (PARTICIPANTS, "Participants", {"last_read_message_index": "x"}, {"lastReadMessageIndex": None}, ["lastReadMessageIndex"]),
    (CONVERSATIONS % "", "Conversations", {"state": 7}, {"state": None}, ["state"]),
    (CONVERSATIONS % "", "Conversations", {"timers": {"date_closed": 7}},
     {"dateClosed": None, "dateInactive": None}, ["dateClosed"]),
    (CONVERSATIONS % "", "Conversations", {"timers": 7},
     {"dateClosed": None, "dateInactive": None}, ["dateClosed", "dateInactive"]),
    (CONVERSATIONS % SINCE, "Conversations", {"date_created": "soon"}, {"dateCreated": None}, ["dateCreated"]),
    (CONVERSATIONS % SINCE, "Conversations", {"date_created": 7}, {"dateCreated": None}, ["dateCreated"]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "collection", "values", "shown", "errors"), CASES)
async def test_one_value_that_cannot_be_read_is_null_and_its_page_stays(
    spoil: Spoil, query: str, collection: str, values: dict[str, Any], shown: dict[str, Any], errors: list[str]
) -> None:
    before, after, failed = await spoil(query, collection, values)
    assert failed == dict.fromkeys(errors, INVALID)
    assert after == [before[0], before[1] | shown, *before[2:]]


async def test_a_message_whose_summary_cannot_be_read_matches_unknown(spoil: Spoil) -> None:
    query = MESSAGES % ", deliveryStatus: [UNKNOWN, READ, DELIVERED, SENT, PENDING, FAILED, PARTLY_FAILED], scan: 5"
    before, after, failed = await spoil(query, "Messages", {"delivery": 7})
    assert failed == {"delivery": INVALID}
    assert after[1] == before[1] | {"delivery": None, "deliveryStatus": "UNKNOWN"}


async def test_rows_without_a_readable_index_can_be_paged(ask: Ask, spoil: Spoil) -> None:
    await spoil(MESSAGES % "", "Messages", {"index": {}})
    answer = await ask((MESSAGES % "").replace("pageInfo { endCursor }", ""))
    cursor = answer.data["service"]["conversation"]["list"]["edges"][1]["cursor"]
    following = await ask(MESSAGES % f', after: "{cursor}"')
    assert nodes(following.data)[0]["sid"] == nodes(answer.data)[2]["sid"]
