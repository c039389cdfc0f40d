"""Events: what a webhook's parameters prove, as a table, and which parameters are no event."""

from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.twilio import events
from gateway.twilio.events import EVENT_TYPES, Change, Event, InvalidEvent, read_event, whole_seconds

IS, CH, IM, DY = "IS" + "1" * 32, "CH" + "2" * 32, "IM" + "3" * 32, "DY" + "4" * 32
MB, SM, RL = "MB" + "5" * 32, "SM" + "6" * 32, "RL" + "7" * 32
AC = "AC" + "0" * 32
OWNERS = {"AccountSid": AC, "ChatServiceSid": IS, "ConversationSid": CH}
CONVERSATION = f"Services/{IS}/Conversations/{CH}"
CREATED, UPDATED = "2026-03-24T20:37:56.001Z", "2026-03-24T20:37:57.999Z"
DATES = {"DateCreated": CREATED, "DateUpdated": UPDATED}

# As captured from a live account: no Source, no ErrorCode where nothing failed, dates with milliseconds, RetryCount.
DELIVERY = {
    "EventType": "onDeliveryUpdated",
    **OWNERS,
    "MessageSid": IM,
    "DeliveryReceiptSid": DY,
    "ChannelMessageSid": SM,
    "ParticipantSid": MB,
    "Status": "delivered",
    **DATES,
    "RetryCount": "0",
}
MESSAGE = {
    "EventType": "onMessageAdded",
    **OWNERS,
    "MessageSid": IM,
    "Index": "7",
    "DateCreated": CREATED,
    "Body": "",
    "Author": "system",
    "Attributes": "{}",
    "Source": "API",
}
PARTICIPANT = {
    "EventType": "onParticipantAdded",
    **OWNERS,
    "ParticipantSid": MB,
    "DateCreated": CREATED,
    "RoleSid": RL,
    "Attributes": "{}",
    "MessagingBinding.Address": "+15550001",
    "MessagingBinding.ProxyAddress": "+15550002",
    "MessagingBinding.Type": "sms",
}
STATE = {
    "EventType": "onConversationStateUpdated",
    **OWNERS,
    "StateFrom": "active",
    "StateTo": "closed",
    "StateUpdated": UPDATED,
    "Reason": "TIMER",
}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"DeliveryStatus": "read"}, "read"),
        ({"Status": "sent", "DeliveryStatus": "read"}, "sent"),
        ({"DeliveryStatus": "read", "Status": ""}, None),
        ({}, None),
    ],
)
def test_a_status_has_one_of_two_names(status: dict[str, str], expected: str | None) -> None:
    parameters = {name: text for name, text in DELIVERY.items() if name != "Status"} | status
    assert read_event(parameters).properties["status"] == expected


@pytest.mark.parametrize(
    ("parameters", "change", "path", "properties", "date"),
    [
        (
            DELIVERY,
            Change.UPDATED,
            f"{CONVERSATION}/Messages/{IM}/Receipts/{DY}",
            {
                "account_sid": AC,
                "status": "delivered",
                "error_code": None,
                "channel_message_sid": SM,
                "participant_sid": MB,
                "date_created": "2026-03-24T20:37:56Z",
                "date_updated": "2026-03-24T20:37:57Z",
            },
            "2026-03-24T20:37:57Z",
        ),
        (
            MESSAGE,
            Change.ADDED,
            f"{CONVERSATION}/Messages/{IM}",
            {
                "account_sid": AC,
                "index": 7,
                "author": "system",
                "body": "",
                "attributes": "{}",
                "date_created": "2026-03-24T20:37:56Z",
            },
            "2026-03-24T20:37:56Z",
        ),
        (
            {**MESSAGE, "EventType": "onMessageRemoved", "DateRemoved": UPDATED},
            Change.REMOVED,
            f"{CONVERSATION}/Messages/{IM}",
            {},
            "2026-03-24T20:37:57Z",
        ),
        (
            PARTICIPANT,
            Change.ADDED,
            f"{CONVERSATION}/Participants/{MB}",
            {
                "account_sid": AC,
                "role_sid": RL,
                "attributes": "{}",
                "messaging_binding": {"address": "+15550001", "proxy_address": "+15550002", "type": "sms"},
                "date_created": "2026-03-24T20:37:56Z",
            },
            "2026-03-24T20:37:56Z",
        ),
        (
            {**PARTICIPANT, "EventType": "onParticipantUpdated", "LastReadMessageIndex": "12", "DateUpdated": UPDATED},
            Change.UPDATED,
            f"{CONVERSATION}/Participants/{MB}",
            {
                "account_sid": AC,
                "role_sid": RL,
                "attributes": "{}",
                "messaging_binding": {"address": "+15550001", "proxy_address": "+15550002", "type": "sms"},
                "last_read_message_index": 12,
                "date_created": "2026-03-24T20:37:56Z",
                "date_updated": "2026-03-24T20:37:57Z",
            },
            "2026-03-24T20:37:57Z",
        ),
        (
            STATE,
            Change.UPDATED,
            CONVERSATION,
            {"state": "closed", "date_updated": "2026-03-24T20:37:57Z"},
            "2026-03-24T20:37:57Z",
        ),
    ],
)
def test_an_event_proves_the_properties_that_it_carries(
    parameters: dict[str, str], change: Change, path: str, properties: dict[str, Any], date: str
) -> None:
    assert read_event(parameters) == Event(change, path, properties, date)


@pytest.mark.parametrize(
    ("parameters", "properties"),
    [
        ({"Status": "failed", "ErrorCode": "30003"}, {"status": "failed", "error_code": 30003}),
        ({"Status": "failed"}, {"status": "failed"}),  # That there is no code is not proved.
        ({"Status": "failed", "ErrorCode": "unknown"}, {"status": "failed"}),
        ({"Status": "failed", "ErrorCode": str(2**31)}, {"status": "failed"}),
        ({"Status": "", "DateUpdated": ""}, {"status": None, "error_code": None, "date_updated": None}),
        ({"Status": "queued"}, {"status": "queued", "error_code": None}),
        ({"ChannelMessageSid": "../x"}, {"status": "delivered"}),
    ],
)
def test_a_delivery_without_an_error_code_has_none_unless_it_failed(
    parameters: dict[str, str], properties: dict[str, Any]
) -> None:
    found = read_event(DELIVERY | parameters).properties
    assert {name: found.get(name) for name in properties} == properties
    assert ("error_code" in found) is ("error_code" in properties or found["status"] == "delivered")
    assert ("channel_message_sid" in found) is ("ChannelMessageSid" not in parameters)


def test_a_participant_in_chat_has_no_binding_that_is_proved() -> None:
    in_chat = {name: text for name, text in PARTICIPANT.items() if "Address" not in name} | {"Identity": "alice"}
    found = read_event(in_chat).properties
    assert found["identity"] == "alice"
    assert "messaging_binding" not in found


@pytest.mark.parametrize(
    "change",
    [
        {"EventType": "onUserAdded"},
        {"EventType": ""},
        {"ChatServiceSid": ""},
        {"ChatServiceSid": CH},
        {"ConversationSid": f"{CH}/Messages"},
        {"ConversationSid": "my-unique-name"},
        {"MessageSid": "IM../../"},
        {"DeliveryReceiptSid": "DY" + "٣" * 32},
        {"Status": "delivered; DROP"},
        {"Status": "x" * 41},
        {"DateUpdated": "yesterday"},
        {"DateUpdated": "2026-03-24T20:37:57+02:00"},
        {"DateUpdated": "", "DateCreated": ""},
    ],
)
def test_what_is_no_event_is_refused_without_its_values(change: dict[str, str]) -> None:
    with pytest.raises(InvalidEvent) as raised:
        read_event(DELIVERY | change)
    for text in change.values():
        assert not text or text not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-24T20:37:57Z", "2026-03-24T20:37:57Z"),
        ("2026-03-24T20:37:57.123Z", "2026-03-24T20:37:57Z"),
        ("2026-03-24T20:37:57.999999999+00:00", "2026-03-24T20:37:57Z"),
        ("2026-03-24T20:37:57-0000", "2026-03-24T20:37:57Z"),
    ],
)
def test_dates_are_cut_to_whole_seconds(text: str, expected: str) -> None:
    assert whole_seconds(text) == expected


def test_the_table_of_the_docstring_names_the_types() -> None:
    head = (events.__doc__ or "").split("An absent parameter")[0]
    assert [line.split()[0] for line in head.splitlines() if line.startswith("    on")] == list(EVENT_TYPES)


def test_an_event_survives_encoding_and_shows_no_property() -> None:
    event = read_event(MESSAGE | {"Body": "a secret"})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=Event) == event
    assert "secret" not in repr(event)


@given(st.dictionaries(st.sampled_from([*DELIVERY, *PARTICIPANT, *STATE, "ErrorCode"]), st.text(max_size=40)))
def test_any_parameters_are_an_event_or_refused(parameters: dict[str, str]) -> None:
    try:
        event = read_event(DELIVERY | parameters)
    except InvalidEvent:
        return
    assert event.path.startswith("Services/IS")


def test_a_captured_form_is_read() -> None:
    body = (
        f"ChannelMessageSid={SM}&Status=read&DateUpdated=2026-03-24T20%3A37%3A57.123Z&RetryCount=0&AccountSid=AC{'0' * 32}"
        f"&MessageSid={IM}&ConversationSid={CH}&EventType=onDeliveryUpdated&DeliveryReceiptSid={DY}&ChatServiceSid={IS}"
        f"&DateCreated=2026-03-24T20%3A37%3A50.000Z&ParticipantSid={MB}"
    )
    event = read_event(dict(parse_qsl(body)))
    assert (event.properties["status"], event.date) == ("read", "2026-03-24T20:37:57Z")
