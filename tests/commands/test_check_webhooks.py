"""`receipts-gateway check --webhooks`: a report on the configuration of each service."""

import asyncio
import re
from typing import Any

import aiohttp
import pytest

from gateway.sandbox import Fault, Sandbox
from gateway.twilio.events import EVENT_TYPES

from .conftest import environ_for, run

URL = "https://hooks.example.com/webhooks/twilio?tenant=a"


async def check(sandbox: Sandbox, **environ: str) -> tuple[int, str]:
    settings = environ_for(sandbox) | {"GATEWAY_WEBHOOK_URL": URL} | environ
    result = await asyncio.to_thread(run, "check", "--webhooks", **settings)
    assert "Traceback" not in result.stderr
    return result.returncode, result.stdout + result.stderr


async def configure(sandbox: Sandbox, target: str, **form: Any) -> None:
    headers = {"Authorization": aiohttp.encode_basic_auth(sandbox.account_sid, sandbox.auth_token)}
    data = [(name, text) for name, value in form.items() for text in ([value] if isinstance(value, str) else value)]
    data = [(name.replace("__", "."), text) for name, text in data]
    async with aiohttp.request("POST", f"{sandbox.url}/v1/{target}", data=data, headers=headers) as response:
        assert response.status in (200, 201)


async def configure_all(sandbox: Sandbox, **form: Any) -> None:
    given = {"PostWebhookUrl": URL, "Method": "POST", "Filters": EVENT_TYPES} | form
    for service in sandbox.world.services:
        await configure(sandbox, f"Services/{service.sid}/Configuration/Webhooks", **given)


async def test_configured_services_are_right(sandbox: Sandbox) -> None:
    await configure_all(sandbox)
    sandbox.reset()
    status, report = await check(sandbox)
    assert status == 0, report
    assert report.count("its webhooks are sent here.") == len(sandbox.world.services)
    assert "may read services, webhook configurations, conversations, webhooks of conversations." in report
    assert "a restricted API key with read permissions" in report
    assert "tenant=a" not in report
    assert all(call.method == "GET" for call in sandbox.calls)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"PostWebhookUrl": ""}, "it has no PostWebhookUrl."),
        (
            {"PostWebhookUrl": "https://me:secret@old.example.com/hook?x=1"},
            "its PostWebhookUrl is https://old.example.com/hook,",
        ),
        ({"Filters": ["onMessageAdded"]}, "its Filters lack onDeliveryUpdated."),
    ],
)
async def test_what_is_wrong_is_named_with_the_command_that_sets_it_right(
    sandbox: Sandbox, form: dict[str, Any], message: str
) -> None:
    await configure_all(sandbox, **form)
    status, report = await check(sandbox)
    assert (status, message in report) == (1, True), report
    assert "secret@" not in report
    commands = re.findall(r"To configure it: (curl .*)", report)
    assert len(commands) == len(sandbox.world.services)
    environ = environ_for(sandbox)
    for command in commands:
        process = await asyncio.create_subprocess_shell(
            f"{command} -s -o /dev/null", env=environ | {"PATH": "/usr/bin:/bin"}
        )
        assert await process.wait() == 0
    assert (await check(sandbox))[0] == 0


async def test_filters_that_are_absent_are_noted(sandbox: Sandbox) -> None:
    await configure_all(sandbox, Filters=["onDeliveryUpdated"])
    status, report = await check(sandbox)
    assert status == 0
    assert "Its Filters lack onMessageAdded, onMessageUpdated" in report


async def test_other_webhooks_are_noted(sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    scoped = f"Services/{marks['service_sid']}/Conversations/{marks['conversation_sid']}/Webhooks"
    form = {"Target": "webhook", "Configuration__Filters": "onDeliveryUpdated"}
    await configure(sandbox, scoped, **form, Configuration__Url=URL)
    await configure(sandbox, scoped, **form, Configuration__Url="https://other.example.com/hook")
    await configure(sandbox, "Configuration/Webhooks", PostWebhookUrl=URL, Filters="onDeliveryUpdated")
    status, report = await check(sandbox)
    assert (status, report.count("By the account's configuration")) == (0, len(sandbox.world.services))
    await configure_all(sandbox)
    status, report = await check(sandbox)
    assert status == 0
    assert "The account's configuration is not used for this service." in report
    assert f"{marks['conversation_sid']} has a webhook to the same URL, too: its events arrive twice." in report
    assert "has another webhook, to https://other.example.com/hook, in addition." in report


async def test_what_an_api_key_may_not_read_is_named(sandbox: Sandbox) -> None:
    await configure_all(sandbox)
    sandbox.faults.add("*Webhooks*", Fault("status", status=403, code=20403))
    key = {"TWILIO_API_KEY": sandbox.api_key, "TWILIO_API_SECRET": sandbox.api_secret}
    status, report = await check(sandbox, **key)
    assert (status, "its configuration cannot be read with these credentials." in report) == (1, True)
    assert "may read services, conversations, but not webhook configurations, webhooks of conversations." in report
    assert "Reads do not show whether this API key may also write" in report


async def test_without_the_url_nothing_is_accepted(sandbox: Sandbox) -> None:
    status, report = await check(sandbox, GATEWAY_WEBHOOK_URL="")
    assert (status, "GATEWAY_WEBHOOK_URL is not set" in report) == (1, True)
