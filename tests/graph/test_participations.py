"""From a person to the conversations they are in: pages, prices, and who it is that is searched for, which stays private."""

import json
from base64 import urlsafe_b64decode
from typing import Any
from urllib.parse import quote

import pytest

from gateway.sandbox import Fault

from ..conftest import Ask

FIND = """query Find($serviceSid: ID!, $by: PersonInput!, $first: Int, $after: String) {
  service(sid: $serviceSid) { participations(by: $by, first: $first, after: $after) {
    edges { cursor node { conversationSid participantSid } } pageInfo { hasNextPage endCursor }
  } }
}"""


def found(answer: Any) -> list[tuple[str, str]]:
    assert not answer.errors
    nodes = [edge["node"] for edge in answer.data["service"]["participations"]["edges"]]
    return [(node["conversationSid"], node["participantSid"]) for node in nodes]


async def test_an_address_and_an_identity_lead_to_their_conversations(ask: Ask) -> None:
    marks = ask.sandbox.landmarks
    by_address = await ask(FIND, by={"address": marks["address"]})
    assert found(by_address) == [(marks["conversation_sid"], marks["participant_sid"])]
    search = f"Address={quote(marks['address'], safe='')}&PageSize=50"
    assert by_address.paths == [f"Services/{marks['service_sid']}/ParticipantConversations?{search}"]
    by_identity = found(await ask(FIND, by={"identity": marks["identity"]}))
    assert (marks["conversation_sid"], marks["identity_participant_sid"]) == by_identity[0]
    assert len(by_identity) == 13
    assert found(await ask(FIND, by={"identity": "nobody"})) == []


async def test_pages_are_the_whole_list_and_cursors_do_not_name_the_person(ask: Ask) -> None:
    identity = ask.sandbox.landmarks["identity"]
    whole = found(await ask(FIND, by={"identity": identity}))
    after, pieces, calls = None, list[Any](), 0
    while True:
        answer = await ask(FIND, by={"identity": identity}, first=5, after=after)
        pieces += found(answer)
        calls += len(answer.paths)
        page = answer.data["service"]["participations"]["pageInfo"]
        if not page["hasNextPage"]:
            break
        after = page["endCursor"]
        cursors = [after, *(edge["cursor"] for edge in answer.data["service"]["participations"]["edges"])]
        for cursor in cursors:
            text = urlsafe_b64decode(cursor + "==")
            assert b"Identity=&" in text
            assert b"ops" not in text
    assert pieces == whole
    assert calls == 3


async def test_a_cursor_of_another_person_is_refused(ask: Ask) -> None:
    page = await ask(FIND, by={"identity": ask.sandbox.landmarks["identity"]}, first=2)
    after = page.data["service"]["participations"]["pageInfo"]["endCursor"]
    for by in ({"identity": "ada-2"}, {"address": ask.sandbox.landmarks["identity"]}):
        assert (await ask(FIND, by=by, after=after)).codes == ["BAD_USER_INPUT"]


async def test_the_record_behind_a_participation(ask: Ask) -> None:
    answer = await ask(
        """query($serviceSid: ID!, $address: String!) { service(sid: $serviceSid) { participations(by: {address: $address}) {
          edges { node { conversation { id sid friendlyName } participant { id sid channel conversation { sid } } } }
        } } }"""
    )
    assert not answer.errors
    ((edge),) = answer.data["service"]["participations"]["edges"]
    conversation, participant = edge["node"]["conversation"], edge["node"]["participant"]
    marks = ask.sandbox.landmarks
    assert (conversation["sid"], conversation["friendlyName"]) == (marks["conversation_sid"], "Boiler inspection")
    assert (participant["sid"], participant["channel"]) == (marks["participant_sid"], "sms")
    assert len(answer.paths) == 3


async def test_sids_of_a_participation_cost_nothing_more(ask: Ask) -> None:
    answer = await ask(
        """query($serviceSid: ID!, $identity: String!) { service(sid: $serviceSid) { participations(by: {identity: $identity}) {
          edges { node { conversation { id sid } participant { id sid } } } } } }"""
    )
    assert not answer.errors
    assert len(answer.paths) == 1


@pytest.mark.parametrize(
    "by",
    [{"identity": ""}, {"address": ""}, {"identity": "secret\n"}, {"address": "s" * 600}, {"identity": "secret\ud800"}],
)
async def test_a_person_that_cannot_be(ask: Ask, by: dict[str, str]) -> None:
    answer = await ask(FIND, by=by)
    assert answer.codes == ["BAD_USER_INPUT"]
    assert "secret" not in json.dumps(answer.errors)
    assert answer.paths == []


WRONG: list[Any] = [
    {},
    {"identity": "secret", "address": "+1secret"},
    {"identity": None},
    {"identity": ["secret"]},
    {"identity": 12345678},
    {"phone": "secret"},
    "secret",
    ["secret"],
    None,
]


@pytest.mark.parametrize("by", WRONG, ids=str)
async def test_one_of_two_is_demanded_of_variables_without_showing_them(ask: Ask, by: Any) -> None:
    answer = await ask(FIND, by=by)
    assert set(answer.codes) == {"BAD_USER_INPUT"}
    assert "$by" in answer.errors[0]["message"]
    assert not {"secret", "12345678"} & set(json.dumps(answer.errors).replace('"', " ").replace("'", " ").split())
    assert answer.paths == []


@pytest.mark.parametrize(
    ("by", "says"),
    [
        ("{}", "exactly one"),
        ('{identity: "secret", address: "+1secret"}', "exactly one"),
        ("{identity: null}", "non-null"),
        ("{identity: 12345678}", "not shown"),
        ("{identity: secret}", "not shown"),
        ('"secret"', "not shown"),
    ],
)
async def test_one_of_two_is_demanded_of_literals_without_showing_them(ask: Ask, by: str, says: str) -> None:
    head = "query($serviceSid: ID!, $it: String)" if "$it" in by else "query($serviceSid: ID!)"
    answer = await ask(
        f"{head} {{ service(sid: $serviceSid) {{ participations(by: {by}) {{ edges {{ cursor }} }} }} }}"
    )
    assert set(answer.codes) == {"GRAPHQL_VALIDATION_FAILED"}
    assert says in answer.errors[0]["message"]
    assert "secret" not in json.dumps(answer.errors)
    assert "12345678" not in json.dumps(answer.errors)


@pytest.mark.parametrize("status", [400, 403, 404, 500])
async def test_an_upstream_error_does_not_say_who_was_searched_for(ask: Ask, status: int) -> None:
    ask.sandbox.faults.add("*ParticipantConversations*", Fault("status", status=status))
    answer = await ask(FIND, by={"identity": "secret"})
    assert len(answer.errors) == 1
    assert "secret" not in json.dumps(answer.errors)
    assert answer.errors[0]["path"] == ["service", "participations"]
