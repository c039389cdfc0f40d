"""Every kind of answer is held to Twilio's published OpenAPI; each deviation is named and sourced here."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from jsonschema import Draft202012Validator, FormatChecker

if TYPE_CHECKING:
    from tests.sandbox.conftest import Caller

# (property of a receipt, value) -> why the sandbox sends what the description does not allow.
DEVIATIONS = {
    ("status", None): "The receipts page of the documentation: null while the message is still inside Twilio."
    " The description says so too in words, and was nullable until March 2025.",
    ("error_code", None): "The sample on the receipts page of the documentation; the description was nullable until"
    " September 2024, and Twilio's Python library reads null and 0 alike.",
    ("status", "queued"): "One row of the landmark conversation, which stands for a word that Twilio may yet add.",
}
SERVICE = "/v1/Services/{ChatServiceSid}"
CONVERSATION = f"{SERVICE}/Conversations/{{ConversationSid}}"
MESSAGE = f"{CONVERSATION}/Messages/{{MessageSid}}"


def is_whole_second_utc(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value) is not None


def is_absolute(value: object) -> bool:
    return not isinstance(value, str) or (urlsplit(value).scheme == "http" and urlsplit(value).netloc != "")


FORMATS = FormatChecker(formats=())
FORMATS.checks("date-time")(is_whole_second_utc)
FORMATS.checks("uri")(is_absolute)


def converted(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: `nullable` as a type, all properties required, no others allowed."""
    if isinstance(schema, list):
        return [converted(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: converted(each) for name, each in schema.items() if name not in ("nullable", "example")}
    if schema.get("nullable") and isinstance(schema.get("type"), str):
        result["type"] = [schema["type"], "null"]
    if isinstance(schema.get("properties"), dict):
        result |= {"required": list(schema["properties"]), "additionalProperties": False}
    if schema.get("format") == "uri-map":
        result["additionalProperties"] = {"type": "string", "format": "uri"}
    return result


@cache
def description(path: Path) -> Any:
    return json.loads(path.read_text())


class Description:
    """Checks answers against the operations of the file, and keeps count of the deviations met."""

    def __init__(self, path: Path) -> None:
        self._file = description(path)
        self._components = converted(self._file["components"])
        self.met: set[tuple[str, Any]] = set()

    def check(self, template: str, method: str, status: int, answer: Any) -> None:
        response = self._file["paths"][template][method]["responses"][str(status)]
        schema = converted(response["content"]["application/json"]["schema"]) | {"components": self._components}
        for error in Draft202012Validator(schema, format_checker=FORMATS).iter_errors(answer):
            deviation = (str(error.absolute_path[-1]) if error.absolute_path else "", error.instance)
            is_named = deviation in DEVIATIONS if "Receipts" in template else False
            assert is_named, f"{method} {template}: {list(error.absolute_path)}: {error.message}"
            self.met.add(deviation)


async def test_every_list_is_as_described(caller: Caller, twilio_openapi: Path) -> None:
    described = Description(twilio_openapi)
    for page in await caller.pages("Services?PageSize=3"):
        described.check("/v1/Services", "get", 200, page)
    for service in await caller.rows("Services"):
        conversations = f"Services/{service['sid']}/Conversations"
        for page in await caller.pages(conversations):
            described.check(f"{SERVICE}/Conversations", "get", 200, page)
        for conversation in await caller.rows(conversations):
            for page in await caller.pages(f"{conversations}/{conversation['sid']}/Messages?PageSize=100"):
                described.check(f"{CONVERSATION}/Messages", "get", 200, page)
            for page in await caller.pages(f"{conversations}/{conversation['sid']}/Participants?PageSize=100"):
                described.check(f"{CONVERSATION}/Participants", "get", 200, page)


async def test_every_receipt_of_the_landmark_is_as_described(caller: Caller, twilio_openapi: Path) -> None:
    described = Description(twilio_openapi)
    for message in await caller.rows(f"{caller.conversation}/Messages?PageSize=100"):
        page = await caller.read(f"{caller.conversation}/Messages/{message['sid']}/Receipts")
        described.check(f"{MESSAGE}/Receipts", "get", 200, page)
    assert described.met == set(DEVIATIONS)


async def test_every_single_resource_is_as_described(caller: Caller, twilio_openapi: Path) -> None:
    described = Description(twilio_openapi)
    marks = caller.sandbox.landmarks
    participant = f"{caller.conversation}/Participants/{marks['participant_sid']}"
    for template, target in {
        "/v1/Services/{Sid}": caller.service,
        f"{SERVICE}/Conversations/{{Sid}}": caller.conversation,
        f"{CONVERSATION}/Messages/{{Sid}}": caller.message,
        f"{MESSAGE}/Receipts/{{Sid}}": f"{caller.receipts}/{marks['receipt_sid']}",
        f"{CONVERSATION}/Participants/{{Sid}}": participant,
    }.items():
        described.check(template, "get", 200, await caller.read(target))


async def test_every_change_is_as_described(caller: Caller, twilio_openapi: Path) -> None:
    described = Description(twilio_openapi)

    async def write(template: str, target: str, status: int, **form: str) -> str:
        reply = await caller.post(target, **form)
        assert reply.status == status
        described.check(template, "post", status, reply.json)
        return f"{target}/{reply.json['sid']}" if status == 201 else target

    conversation = await write(
        f"{SERVICE}/Conversations",
        f"{caller.service}/Conversations",
        201,
        FriendlyName="New",
        Timers__Inactive="PT1H",
        Timers__Closed="P1DT2H",
    )
    address = {"MessagingBinding__Address": "+15550001", "MessagingBinding__ProxyAddress": "+15550002"}
    participant = await write(f"{CONVERSATION}/Participants", f"{conversation}/Participants", 201, **address)
    message = await write(
        f"{CONVERSATION}/Messages", f"{conversation}/Messages", 201, Body="hi", MediaSid="ME" + "0" * 32
    )
    await write(f"{SERVICE}/Conversations/{{Sid}}", conversation, 200, State="inactive")
    await write(f"{CONVERSATION}/Participants/{{Sid}}", participant, 200, LastReadMessageIndex="0")
    await write(f"{CONVERSATION}/Messages/{{Sid}}", message, 200, Attributes='{"a": 1}')
    described.check(f"{MESSAGE}/Receipts", "get", 200, await caller.read(f"{message}/Receipts"))
    for target in (message, participant, conversation):
        reply = await caller.delete(target)
        assert (reply.status, reply.body) == (204, b"")


async def test_every_webhook_configuration_is_as_described(caller: Caller, twilio_openapi: Path) -> None:
    described = Description(twilio_openapi)
    url, events = "http://example.com/hook", ("onDeliveryUpdated", "onMessageAdded")
    for template, target in {
        "/v1/Configuration/Webhooks": "Configuration/Webhooks",
        f"{SERVICE}/Configuration/Webhooks": f"{caller.service}/Configuration/Webhooks",
    }.items():
        described.check(template, "get", 200, await caller.read(target))
        reply = await caller.post(target, PostWebhookUrl=url, PreWebhookUrl=url, Filters=events[0], Method="GET")
        described.check(template, "post", 200, reply.json)
    template, target = f"{CONVERSATION}/Webhooks", f"{caller.conversation}/Webhooks"
    for kind in ("webhook", "trigger", "studio"):
        form = {"Target": kind, "Configuration__Url": url, "Configuration__Filters": events[1]}
        created = await caller.post(
            target, **form, Configuration__Triggers="help", Configuration__FlowSid="FW" + "0" * 32
        )
        described.check(template, "post", 201, created.json)
        own = f"{target}/{created.json['sid']}"
        described.check(f"{template}/{{Sid}}", "get", 200, await caller.read(own))
        described.check(f"{template}/{{Sid}}", "post", 200, (await caller.post(own, Configuration__Url=url)).json)
    for page in await caller.pages(f"{target}?PageSize=2"):
        described.check(template, "get", 200, page)
    assert (await caller.delete(own)).status == 204


async def test_what_leads_to_conversations_is_as_described(caller: Caller, twilio_openapi: Path) -> None:
    described, marks = Description(twilio_openapi), caller.sandbox.landmarks
    people = f"{caller.service}/ParticipantConversations"
    for query in (f"Identity={quote(marks['identity'], safe='')}&PageSize=5", f"Address={quote(marks['address'])}"):
        for page in await caller.pages(f"{people}?{query}"):
            described.check(f"{SERVICE}/ParticipantConversations", "get", 200, page)
    user = f"{SERVICE}/Users/{{UserSid}}/Conversations"
    for page in await caller.pages(f"{caller.service}/Users/ada-2/Conversations?PageSize=1"):
        described.check(user, "get", 200, page)
    own = f"{caller.service}/Users/ada-2/Conversations/{marks['conversation_sid']}"
    described.check(f"{user}/{{ConversationSid}}", "get", 200, await caller.read(own))
    reply = await caller.post(own, LastReadMessageIndex="7")
    described.check(f"{user}/{{ConversationSid}}", "post", 200, reply.json)


def test_the_check_finds_what_is_wrong(twilio_openapi: Path) -> None:
    """A check that lets all pass would pass too."""
    schema = converted(description(twilio_openapi)["components"]["schemas"]["conversations.v1.service"])
    good = dict.fromkeys(schema["properties"])
    for bad in (
        {**good, "sid": "IS12"},
        {**good, "sid": 1},
        {**good, "surplus": 1},
        {**good, "date_created": "2026-03-01T12:00:00.000Z"},
        {**good, "url": "/v1/Services"},
        {**good, "links": {"roles": "/Roles"}},
        {"sid": None},
    ):
        assert Draft202012Validator(schema, format_checker=FORMATS).is_valid(good)
        assert not Draft202012Validator(schema, format_checker=FORMATS).is_valid(bad), bad
