"""From a person to conversations: the search by identity or address, and the conversations of a user."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from twilio.rest import Client

from gateway.sandbox import Sandbox

if TYPE_CHECKING:
    from .conftest import Caller


async def test_an_address_leads_to_its_participant(twilio: Client, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    service = twilio.conversations.v1.services(marks["service_sid"])
    (found,) = await asyncio.to_thread(service.participant_conversations.list, address=marks["address"])
    assert (found.participant_sid, found.conversation_sid) == (marks["participant_sid"], marks["conversation_sid"])
    assert found.participant_messaging_binding["address"] == marks["address"]
    assert await asyncio.to_thread(service.participant_conversations.list, address="+15550000") == []


async def test_an_identity_leads_to_all_its_conversations_over_pages(twilio: Client, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    service = twilio.conversations.v1.services(marks["service_sid"])
    found = await asyncio.to_thread(
        lambda: list(service.participant_conversations.stream(identity=marks["identity"], page_size=5))
    )
    assert len(found) == len({row.conversation_sid for row in found}) > 5
    assert found[0].participant_sid == marks["identity_participant_sid"]
    assert {row.participant_identity for row in found} == {marks["identity"]}
    assert len(sandbox.calls) == -(-len(found) // 5)


async def test_a_user_s_conversation_counts_the_messages_after_the_horizon(twilio: Client, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    service = twilio.conversations.v1.services(marks["service_sid"])
    conversation = service.conversations(marks["conversation_sid"])

    def unread(name: str) -> int | None:
        participant = conversation.participants(marks[name]).fetch()
        membership = (
            service.users(quote(participant.identity, safe="")).user_conversations(marks["conversation_sid"]).fetch()
        )
        assert membership.last_read_message_index == participant.last_read_message_index
        by_sid = service.users(membership.user_sid).user_conversations.list()
        assert marks["conversation_sid"] in {each.conversation_sid for each in by_sid}
        count: int | None = membership.unread_messages_count
        return count

    names = ("first_read_participant_sid", "read_participant_sid", "identity_participant_sid")
    assert await asyncio.to_thread(lambda: [unread(name) for name in names]) == [179, 74, None]


async def test_a_horizon_is_moved_by_the_user_and_by_the_participant(twilio: Client, sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    service = twilio.conversations.v1.services(marks["service_sid"])
    participant = service.conversations(marks["conversation_sid"]).participants(marks["identity_participant_sid"])
    membership = service.users(quote(marks["identity"], safe="")).user_conversations(marks["conversation_sid"])

    def moved() -> list[int | None]:
        participant.update(last_read_message_index=3, last_read_timestamp="2026-03-01T12:00:00Z")
        counts = [membership.fetch().unread_messages_count]
        membership.update(last_read_message_index=179)
        return [*counts, membership.fetch().unread_messages_count, participant.fetch().last_read_message_index]

    assert await asyncio.to_thread(moved) == [176, 0, 179]


async def test_a_user_without_the_conversation_is_not_found(caller: Caller) -> None:
    marks = caller.sandbox.landmarks
    for path in (
        f"Users/nobody/Conversations/{marks['conversation_sid']}",
        "Users/nobody/Conversations",
        f"Users/ada-2/Conversations/{marks['empty_conversation_sid']}",
    ):
        assert (await caller.get(f"{caller.service}/{path}")).status == 404


@pytest.mark.parametrize("query", ["", "?Identity=a&Address=b", "?Identity="])
async def test_a_search_is_for_one_of_identity_and_address(caller: Caller, query: str) -> None:
    reply = await caller.get(f"{caller.service}/ParticipantConversations{query}")
    assert (reply.status, reply.json["code"]) == (400, 50451)
