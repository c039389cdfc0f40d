"""The number of a chat user's unread messages: read by itself, and null where it is not known."""

import aiohttp
import pytest
from yarl import URL

from gateway.sandbox import Fault, Sandbox

from ..conftest import Ask

UNREAD = """query($serviceSid: ID!, $conversationSid: ID!, $sid: ID!) { service(sid: $serviceSid) {
  conversation(sid: $conversationSid) { participant(sid: $sid) { unreadMessages } } } }"""


@pytest.mark.parametrize(
    ("mark", "count", "calls"),
    [
        ("first_read_participant_sid", 179, 2),
        ("read_participant_sid", 74, 2),
        ("identity_participant_sid", None, 2),  # In chat, and nothing is known.
        ("participant_sid", None, 1),  # Outside chat.
    ],
)
async def test_the_number_is_twilios_own(ask: Ask, mark: str, count: int | None, calls: int) -> None:
    answer = await ask(UNREAD, sid=ask.sandbox.landmarks[mark])
    assert not answer.errors
    assert answer.data["service"]["conversation"]["participant"] == {"unreadMessages": count}
    assert len(answer.paths) == calls


async def test_0_is_a_number(ask: Ask, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    headers = {"Authorization": aiohttp.encode_basic_auth(sandbox.account_sid, sandbox.auth_token)}
    people = f"v1/Services/{marks['service_sid']}/Conversations/{marks['conversation_sid']}/Participants"
    async with aiohttp.ClientSession(sandbox.url, headers=headers) as http:
        sid = marks["identity_participant_sid"]
        await http.post(URL(f"/{people}/{sid}", encoded=True), data={"LastReadMessageIndex": "179"})
    answer = await ask(UNREAD, sid=sid)
    assert answer.data["service"]["conversation"]["participant"] == {"unreadMessages": 0}


@pytest.mark.parametrize(("status", "codes"), [(404, []), (403, ["UPSTREAM_REJECTED"])])
async def test_a_user_without_the_conversation_and_a_failure(ask: Ask, status: int, codes: list[str]) -> None:
    ask.sandbox.faults.add("*/Users/*", Fault("status", status=status))
    answer = await ask(UNREAD, sid=ask.sandbox.landmarks["read_participant_sid"])
    assert answer.data["service"]["conversation"]["participant"] == {"unreadMessages": None}
    assert answer.codes == codes
    assert "ada-2" not in str(answer.errors)


async def test_a_list_reads_each_user_once(ask: Ask) -> None:
    answer = await ask(
        """query($serviceSid: ID!, $conversationSid: ID!) { service(sid: $serviceSid) { conversation(sid: $conversationSid) {
          participants { edges { node { channel unreadMessages } } }
          messages(first: 20) { edges { node { participant { unreadMessages } recipients { edges { node { participant {
            unreadMessages } } } } } } }
        } } }"""
    )
    assert not answer.errors
    users = [path for path in answer.paths if "/Users/" in path]
    assert len(users) == len(set(users)) == 3
