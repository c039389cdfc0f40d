"""Addresses of Twilio's API, as they stand in logs: which record they are of, and which are refused."""

from urllib.parse import quote

import pytest

from gateway.errors import BadUserInput
from gateway.graph.types import RESOURCES
from gateway.graph.urls import read_of_url

from ..conftest import Ask

IS, CH, IM, DY, MB = (f"{prefix}{'0a' * 16}" for prefix in ("IS", "CH", "IM", "DY", "MB"))
TOP = "https://conversations.twilio.com/v1/"
THREAD = f"Services/{IS}/Conversations/{CH}"


@pytest.mark.parametrize(
    ("address", "path"),
    [
        (f"{TOP}Services/{IS}", f"Services/{IS}"),
        (f"{TOP}{THREAD}", THREAD),
        (f"{TOP}{THREAD}/", THREAD),
        (f"{TOP}{THREAD}/Messages/{IM}", f"{THREAD}/Messages/{IM}"),
        (f"{TOP}{THREAD}/Messages/{IM}/Receipts/{DY}", f"{THREAD}/Messages/{IM}/Receipts/{DY}"),
        (f"{TOP}{THREAD}/Participants/{MB}", f"{THREAD}/Participants/{MB}"),
        (f"{TOP}{THREAD}/Messages?Order=desc&PageSize=50&Page=0#top", THREAD),
        (f"{TOP}{THREAD}/Messages/{IM}/Receipts?PageSize=50", f"{THREAD}/Messages/{IM}"),
        (f"{TOP}{THREAD}/Messages/{IM}/ChannelMetadata", f"{THREAD}/Messages/{IM}"),
        (f"{TOP}Services/{IS}/Users", f"Services/{IS}"),
        (f"  {TOP}{THREAD}\n", THREAD),
        (f"HTTPS://CONVERSATIONS.TWILIO.COM:443/v1/{THREAD}", THREAD),
        (f"https://conversations.dublin.ie1.twilio.com/v1/{THREAD}", THREAD),
        (f"https://conversations.ie1.twilio.com/v1/{THREAD}", THREAD),
        (f"http://127.0.0.1:8001/v1/{THREAD}", THREAD),
        (f"http://[::1]:8001/v1/{THREAD}", THREAD),
        (f"{TOP}Services/{IS}/Conversations/a%2Fb%20c", f"Services/{IS}/Conversations/a%2Fb%20c"),
        (f"{TOP}{THREAD}/Participants/zo%C3%AB+1", f"{THREAD}/Participants/zo%C3%AB%2B1"),
    ],
)
def test_an_address_is_of_a_record(address: str, path: str) -> None:
    assert read_of_url(RESOURCES, address).path == path


@pytest.mark.parametrize(
    "address",
    [
        "",
        "secret",
        f"/v1/{THREAD}",
        f"https://example.com/v1/{THREAD}",
        f"https://conversations.twilio.com.example.com/v1/{THREAD}",
        f"https://evil.conversations.twilio.com/v1/{THREAD}",
        f"https://chat.twilio.com/v2/{THREAD}",
        f"https://secret@conversations.twilio.com/v1/{THREAD}",
        f"ftp://conversations.twilio.com/v1/{THREAD}",
        f"https://conversations.twilio.com:99999/v1/{THREAD}",
        "https://[conversations.twilio.com/v1",
        TOP,
        f"{TOP}Services",
        f"{TOP}Services/{CH}",
        f"{TOP}Services/secret",
        f"{TOP}Conversations/{CH}",
        f"{TOP}Services/{IS}/Users/US{'0' * 32}",
        f"{TOP}Services/{IS}/Messages/{IM}",
        f"{TOP}{THREAD}/Messages/secret",
        f"{TOP}{THREAD}//Messages",
        f"{TOP}{THREAD}/%2E%2E/secret",
        f"{TOP}Services/{IS}/Conversations/..",
        f"https://conversations.twilio.com/v2/{THREAD}",
    ],
)
def test_any_other_address_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(BadUserInput) as refused:
        read_of_url(RESOURCES, address)
    assert "secret" not in refused.value.message


async def test_a_record_by_its_own_address(ask: Ask) -> None:
    document = "query($messageUrl: URL!) { nodeByUrl(url: $messageUrl) { id ... on Message { index url } } }"
    answer = await ask(document)
    assert not answer.errors
    record = answer.data["nodeByUrl"]
    assert (record["index"], len(answer.paths)) == (0, 1)
    again = await ask(document, messageUrl=record["url"])  # The sandbox's own.
    assert again.data == answer.data
    absent = ask.sandbox.landmarks["message_url"][:-32] + "0" * 32
    assert (await ask(document, messageUrl=absent)).data == {"nodeByUrl": None}


async def test_ids_alone_are_not_looked_up(ask: Ask) -> None:
    answer = await ask("query($messageUrl: URL!) { nodeByUrl(url: $messageUrl) { id } }")
    assert answer.data["nodeByUrl"]["id"].startswith("AU")
    assert answer.paths == []


async def test_a_message_below_a_conversation_by_its_unique_name(ask: Ask) -> None:
    marks = ask.sandbox.landmarks
    document = """query($url: URL!) { nodeByUrl(url: $url) { id
      ... on Conversation { sid messages(first: 1) { edges { node { sid } } } }
      ... on Message { sid conversationSid recipients(first: 2) { edges { node { status } } } } } }"""
    named = f"{TOP}Services/{marks['service_sid']}/Conversations/{quote(marks['unique_name'], safe='')}"
    conversation = await ask(document, url=f"{named}/Participants?PageSize=2")
    assert not conversation.errors
    assert conversation.data["nodeByUrl"]["sid"] == marks["unique_name_conversation_sid"]
    (edge,) = conversation.data["nodeByUrl"]["messages"]["edges"]
    message = await ask(document, url=f"{named}/Messages/{edge['node']['sid']}")
    assert not message.errors
    shown = message.data["nodeByUrl"]
    assert (shown["sid"], shown["conversationSid"]) == (edge["node"]["sid"], marks["unique_name_conversation_sid"])
    by_id = await ask("query($id: ID!) { node(id: $id) { ... on Message { sid index } } }", id=shown["id"])
    assert by_id.data["node"] == {"sid": shown["sid"], "index": 0}
