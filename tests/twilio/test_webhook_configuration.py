"""Configured webhooks: which reach the gateway, as a table, and what is said of those that do not."""

import pytest

from gateway.twilio.events import EVENT_TYPES
from gateway.twilio.webhook_configuration import (
    ConfiguredHook,
    ConfiguredHooks,
    HookConfiguration,
    conversation_command,
    review,
    review_conversation,
    service_command,
)

URL = "https://hooks.example.com/webhooks/twilio"
ALL = list(EVENT_TYPES)
NOTHING, RIGHT = ConfiguredHooks(), ConfiguredHooks(URL, None, ALL, "POST")
OTHER = ConfiguredHooks("https://me:pw@crm.example.com/secret?key=1", None, ALL, "POST")


def hooks(url: str) -> ConfiguredHooks:
    return ConfiguredHooks(url, None, ALL, "POST")


@pytest.mark.parametrize(
    ("service", "account", "problem", "note"),
    [
        (RIGHT, NOTHING, None, None),
        (RIGHT, None, None, None),
        (RIGHT, OTHER, None, None),
        (NOTHING, RIGHT, None, "come from the account-wide configuration"),
        (hooks("https://hooks.example.com:443/webhooks/twilio"), NOTHING, None, None),
        (hooks(f"{URL}?tenant=a"), NOTHING, None, None),
        (NOTHING, NOTHING, "No PostWebhookUrl is set", None),
        (NOTHING, None, "No PostWebhookUrl is set", None),
        (NOTHING, ConfiguredHooks(URL, None, ALL, "POST", "flex"), "target flex", None),
        (ConfiguredHooks(None, None, ALL), RIGHT, "No PostWebhookUrl is set", "the service's own silences it"),
        (OTHER, RIGHT, "PostWebhookUrl is https://crm.example.com/…, and not", "the service's own silences it"),
        (
            OTHER,
            NOTHING,
            "PostWebhookUrl is https://crm.example.com/…, and not",
            "takes the events from the address above",
        ),
        (NOTHING, OTHER, "PostWebhookUrl is https://crm.example.com/…, and not", None),
        (hooks(f"{URL}/"), NOTHING, "the two must be equal", None),
        (hooks("https://Hooks.example.com/webhooks/twilio"), NOTHING, "the two must be equal", None),
        (hooks("http://hooks.example.com/webhooks/twilio"), NOTHING, "the two must be equal", None),
        (hooks("https://[half"), NOTHING, "PostWebhookUrl is another text", None),
        (ConfiguredHooks(URL, None, ALL, "GET"), NOTHING, None, "Method is GET"),
        (ConfiguredHooks(URL, URL, ALL), NOTHING, None, "PreWebhookUrl is the gateway"),
        (
            ConfiguredHooks(URL, None, [*ALL, "onUserAdded", "onMessageAdd"]),
            NOTHING,
            None,
            "does not read onUserAdded,",
        ),
        (
            ConfiguredHooks(URL, None, ALL[:-1]),
            NOTHING,
            "Without onConversationStateUpdated in Filters, a closed",
            None,
        ),
        (ConfiguredHooks(URL, None, None), NOTHING, "Without onDeliveryUpdated in Filters", None),
    ],
)
def test_a_service_is_reviewed(
    service: ConfiguredHooks, account: ConfiguredHooks | None, problem: str | None, note: str | None
) -> None:
    found = review(URL, service, account)
    assert bool(found.problems) is (problem is not None)
    assert (problem or "") in " ".join(found.problems)
    assert (note or "") in " ".join(found.notes)
    assert "secret" not in str(found)
    assert "pw" not in str(found)


def test_each_missing_filter_is_named_with_what_it_costs() -> None:
    problems = review(URL, ConfiguredHooks(URL), None).problems
    assert [problem.split()[1] for problem in problems] == ALL


@pytest.mark.parametrize(
    ("configured", "is_service_right", "problem", "note"),
    [
        ([], True, False, "It has no webhooks of its own."),
        ([], False, True, "It has no webhooks of its own."),
        ([("webhook", URL, ALL)], True, False, "arrive twice"),
        ([("webhook", URL, ALL)], False, False, "for this conversation alone"),
        ([("webhook", URL, ALL[1:])], False, False, "Without onDeliveryUpdated"),
        ([("webhook", "https://crm.example.com/x", ["onMessageAdded"])], True, False, "in addition"),
        (
            [("webhook", "https://crm.example.com/x", ["onMessageAdded"])],
            False,
            True,
            "calls https://crm.example.com/… for",
        ),
        ([("studio", None, [])], True, False, "has the target studio, and calls no URL"),
    ],
)
def test_a_conversation_is_reviewed(
    configured: list[tuple[str, str | None, list[str]]], is_service_right: bool, problem: bool, note: str
) -> None:
    given = [
        ConfiguredHook("WH" + "0" * 32, target, HookConfiguration(url, "POST", filters))
        for target, url, filters in configured
    ]
    found = review_conversation(URL, given, is_service_right=is_service_right)
    assert bool(found.problems) is problem
    assert note in " ".join(found.notes)


def test_commands_have_placeholders_for_credentials_and_keep_other_filters() -> None:
    command = service_command(
        "https://conversations.twilio.com", "Services/IS1", f"{URL}?a='b'", ["onUserAdded", ALL[0]]
    )
    assert command.startswith("curl -X POST https://conversations.twilio.com/v1/Services/IS1/Configuration/Webhooks ")
    assert '-u "$TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN"' in command
    assert (command.count("Filters="), command.count("Filters=onUserAdded")) == (9, 1)
    assert """'"'"'b'"'"'""" in command
    assert "/Conversations/CH1/Webhooks" in conversation_command("https://a", "Services/IS1/Conversations/CH1", URL)
