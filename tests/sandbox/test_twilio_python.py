"""Twilio's own Python library, sync and async, unmodified but for its base URL, takes the sandbox for Twilio."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from gateway.sandbox import Fault, Sandbox

# The library's async client passes credentials in a way that aiohttp has since deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]


@pytest.fixture
async def async_client(sandbox: Sandbox) -> AsyncIterator[Client]:
    async with AsyncTwilioHttpClient() as http:
        client = Client(sandbox.account_sid, sandbox.auth_token, http_client=http)
        client.conversations.base_url = sandbox.url
        yield client


def conversation(twilio: Client, sandbox: Sandbox) -> Any:
    marks = sandbox.landmarks
    return twilio.conversations.v1.services(marks["service_sid"]).conversations(marks["conversation_sid"])


async def test_lists_messages_over_pages(twilio: Client, sandbox: Sandbox) -> None:
    messages = await asyncio.to_thread(conversation(twilio, sandbox).messages.list, limit=120, page_size=50)
    assert [message.index for message in messages] == list(range(120))
    assert len(sandbox.calls) == 3
    assert all(isinstance(message.date_created, datetime) for message in messages)
    assert messages[0].date_created.tzinfo == UTC


async def test_lists_messages_over_pages_async(async_client: Client, sandbox: Sandbox) -> None:
    messages = await conversation(async_client, sandbox).messages.list_async(limit=120, page_size=50)
    assert [message.index for message in messages] == list(range(120))
    assert len(sandbox.calls) == 3


async def test_the_first_request_of_a_bare_list_has_no_query(twilio: Client, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    messages = await asyncio.to_thread(conversation(twilio, sandbox).messages.list)
    assert len(messages) == 180
    path = f"Services/{marks['service_sid']}/Conversations/{marks['conversation_sid']}/Messages"
    assert sandbox.paths[0] == path
    assert all(target.startswith(f"{path}?PageSize=50&Page=") for target in sandbox.paths[1:])


async def test_a_limit_becomes_the_page_size_and_is_clamped(twilio: Client, sandbox: Sandbox) -> None:
    messages = conversation(twilio, sandbox).messages
    assert len(await asyncio.to_thread(messages.list, limit=7)) == 7
    assert len(await asyncio.to_thread(messages.list, limit=1000)) == 180
    assert [call.query[:13] for call in sandbox.calls] == ["PageSize=7", "PageSize=1000", "PageSize=100&"]


async def test_streams_in_descending_order(twilio: Client, sandbox: Sandbox) -> None:
    messages = conversation(twilio, sandbox).messages
    streamed = await asyncio.to_thread(lambda: [row.index for row in messages.stream(order="desc", page_size=80)])
    assert streamed == list(range(179, -1, -1))
    assert len(sandbox.calls) == 3


async def test_streams_async(async_client: Client, sandbox: Sandbox) -> None:
    stream = await conversation(async_client, sandbox).messages.stream_async(limit=60)
    assert [row.index async for row in stream] == list(range(60))


async def test_lists_receipts_and_fetches_one(twilio: Client, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    receipts = conversation(twilio, sandbox).messages(marks["message_sid"]).delivery_receipts
    listed = await asyncio.to_thread(receipts.list)
    fetched = await asyncio.to_thread(receipts(marks["receipt_sid"]).fetch)
    assert len(listed) == 4
    assert fetched.sid == listed[0].sid == marks["receipt_sid"]
    assert fetched.participant_sid == marks["participant_sid"]
    assert isinstance(fetched.date_created, datetime)


async def test_lists_receipts_and_fetches_one_async(async_client: Client, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    receipts = conversation(async_client, sandbox).messages(marks["message_sid"]).delivery_receipts
    assert len(await receipts.list_async()) == 4
    assert (await receipts(marks["receipt_sid"]).fetch_async()).sid == marks["receipt_sid"]


async def test_reads_the_hard_receipts_as_documented(twilio: Client, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks

    def fetch(name: str) -> Any:
        message = conversation(twilio, sandbox).messages(marks[f"{name}_receipt_message_sid"])
        return message.delivery_receipts(marks[f"{name}_receipt_sid"]).fetch()

    pending = await asyncio.to_thread(fetch, "pending")
    failed = await asyncio.to_thread(fetch, "failed")
    assert (pending.status, pending.error_code, pending.date_updated) == (None, None, None)
    assert (failed.status, failed.error_code) == ("failed", 30003)
    assert (await asyncio.to_thread(fetch, "unknown_status")).status == "queued"


async def test_fetches_each_resource(twilio: Client, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    service = twilio.conversations.v1.services(marks["service_sid"])
    there = service.conversations(marks["conversation_sid"])
    assert (await asyncio.to_thread(service.fetch)).sid == marks["service_sid"]
    assert (await asyncio.to_thread(there.fetch)).sid == marks["conversation_sid"]
    assert (await asyncio.to_thread(there.messages(marks["message_sid"]).fetch)).index == 0
    participant = await asyncio.to_thread(there.participants(marks["participant_sid"]).fetch)
    assert participant.messaging_binding["type"] == "sms"
    assert len(await asyncio.to_thread(twilio.conversations.v1.services.list)) == 4
    assert len(await asyncio.to_thread(service.conversations.list)) == 16


async def test_fetches_by_unique_name_and_identity(async_client: Client, sandbox: Sandbox) -> None:
    """The library puts names into paths as they are, so its caller encodes them."""
    marks = sandbox.landmarks
    service = async_client.conversations.v1.services(marks["service_sid"])
    named = await service.conversations(quote(marks["unique_name"], safe="")).fetch_async()
    assert named.sid == marks["unique_name_conversation_sid"]
    people = conversation(async_client, sandbox).participants
    agent = await people(quote(marks["identity"], safe="")).fetch_async()
    assert agent.sid == marks["identity_participant_sid"]


async def test_a_missing_message_is_404(twilio: Client, sandbox: Sandbox) -> None:
    message = conversation(twilio, sandbox).messages("IM" + "0" * 32)
    with pytest.raises(TwilioRestException) as caught:
        await asyncio.to_thread(message.fetch)
    assert (caught.value.status, caught.value.code) == (404, 20404)
    assert caught.value.msg.endswith(f"The requested resource {message._uri} was not found")


async def test_a_missing_message_is_404_async(async_client: Client, sandbox: Sandbox) -> None:
    with pytest.raises(TwilioRestException) as caught:
        await conversation(async_client, sandbox).messages("IM" + "0" * 32).fetch_async()
    assert (caught.value.status, caught.value.code) == (404, 20404)


async def test_wrong_credentials_are_401(sandbox: Sandbox, twilio: Client, async_client: Client) -> None:
    twilio.auth = async_client.auth = (sandbox.account_sid, "wrong")
    service_sid = sandbox.landmarks["service_sid"]
    with pytest.raises(TwilioRestException) as caught:
        await asyncio.to_thread(twilio.conversations.v1.services(service_sid).fetch)
    assert (caught.value.status, caught.value.code) == (401, 20003)
    with pytest.raises(TwilioRestException) as caught:
        await async_client.conversations.v1.services(service_sid).fetch_async()
    assert (caught.value.status, caught.value.code) == (401, 20003)


async def test_an_api_key_is_accepted(sandbox: Sandbox, twilio: Client) -> None:
    twilio.auth = (sandbox.api_key, sandbox.api_secret)
    assert await asyncio.to_thread(twilio.conversations.v1.services.list)


async def test_too_many_requests_is_429(sandbox: Sandbox, twilio: Client, async_client: Client) -> None:
    sandbox.faults.add("*", Fault("status", status=429))
    with pytest.raises(TwilioRestException) as caught:
        await asyncio.to_thread(conversation(twilio, sandbox).fetch)
    assert (caught.value.status, caught.value.code) == (429, 20429)
    with pytest.raises(TwilioRestException) as caught:
        await conversation(async_client, sandbox).fetch_async()
    assert (caught.value.status, caught.value.code) == (429, 20429)
    with pytest.raises(TwilioException, match="Unable to fetch page"):
        await asyncio.to_thread(conversation(twilio, sandbox).messages.list)


async def test_creates_changes_and_deletes(twilio: Client, sandbox: Sandbox) -> None:
    messages = conversation(twilio, sandbox).messages

    def live() -> None:
        made = messages.create(author="dispatch", body="héllo 👋", attributes='{"a": 1}')
        assert (made.index, made.body, made.delivery["total"], made.delivery["sent"]) == (180, "héllo 👋", 10, "none")
        receipts = messages(made.sid).delivery_receipts.list()
        assert {receipt.status for receipt in receipts} == {None}
        assert messages(made.sid).update(body="changed").body == "changed"
        assert messages(made.sid).delete()
        with pytest.raises(TwilioRestException):
            messages(made.sid).fetch()

    await asyncio.to_thread(live)


async def test_creates_async(async_client: Client, sandbox: Sandbox) -> None:
    service = async_client.conversations.v1.services(sandbox.landmarks["service_sid"])
    made = await service.conversations.create_async(friendly_name="New", unique_name="a new/one")
    there = service.conversations(made.sid)
    await there.participants.create_async(identity="agent")
    phone = await there.participants.create_async(
        messaging_binding_address="+15550001111", messaging_binding_proxy_address="+15550002222"
    )
    message = await there.messages.create_async(author="agent", body="hi")
    receipts = await there.messages(message.sid).delivery_receipts.list_async()
    assert [receipt.participant_sid for receipt in receipts] == [phone.sid]
