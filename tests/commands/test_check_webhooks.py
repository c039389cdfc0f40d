"""`receipts-gateway check --webhooks`: whether the webhooks that are configured at Twilio reach the gateway."""

import asyncio
import os
import shutil
import subprocess

import pytest

from gateway.sandbox import Fault, Sandbox
from gateway.sandbox.webhook_settings import WebhookConfiguration
from gateway.twilio.events import EVENT_TYPES

from .conftest import environ_for, run

URL = "https://receipts.example.com/webhooks/twilio"


async def check(sandbox: Sandbox, *arguments: str, **environ: str) -> tuple[int, str]:
    environ = environ_for(sandbox) | {"GATEWAY_WEBHOOK_URL": URL} | environ
    result = await asyncio.to_thread(run, "check", "--webhooks", *arguments, **environ)
    assert sandbox.auth_token not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.returncode, result.stdout + result.stderr


def printed_command(report: str) -> str:
    """Return the first curl command of a report, with what continues it."""
    lines = report[report.index("curl ") :].splitlines()
    last = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
    return "\n".join(lines[: last + 1])


async def run_printed(sandbox: Sandbox, report: str) -> None:
    environ = {"PATH": os.environ["PATH"], **environ_for(sandbox)}
    command = ["sh", "-c", f"set -e; {printed_command(report)} --fail --silent --noproxy '*'"]
    await asyncio.to_thread(subprocess.run, command, env=environ, check=True, capture_output=True, timeout=20)


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl: install Debian's package curl")


@needs_curl
async def test_the_printed_command_configures_a_service(sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    service = marks["service_sid"]
    status, report = await check(sandbox, "--service", service)
    assert (
        status,
        "No PostWebhookUrl is set" in report,
        marks["other_service_sid"] not in report.partition("What")[2],
    ) == (
        1,
        True,
        True,
    )
    await run_printed(sandbox, report)
    status, report = await check(sandbox, "--service", service)
    assert (status, f"Webhooks of {service}" in report, "every event reaches the gateway." in report) == (0, True, True)
    assert "curl" not in report
    fired = sandbox.world.webhooks.services[service]
    assert (fired.post_url, fired.method, len(fired.filters)) == (URL, "POST", 8)


@needs_curl
async def test_a_conversation_can_have_a_webhook_of_its_own(sandbox: Sandbox) -> None:
    service, conversation = sandbox.landmarks["service_sid"], sandbox.landmarks["conversation_sid"]
    hooks = sandbox.world.webhooks
    hooks.services[service] = WebhookConfiguration(
        post_url="https://me:hidden@crm.example.com/token", filters=("onMessageAdded",)
    )
    chosen = f"{service}/{conversation}"
    status, report = await check(sandbox, "--conversation", chosen)
    assert (status, "PostWebhookUrl is https://crm.example.com/…, and not" in report) == (1, True)
    assert "hidden" not in report
    assert "/token" not in report
    assert "It has no webhooks of its own." in report
    await run_printed(sandbox, report[report.index("  Conversation CH") :])
    _, report = await check(sandbox, "--conversation", chosen)
    assert "calls the gateway for this conversation alone, for onDeliveryUpdated, onMessageAdded" in report
    assert report.count("curl") == 1  # That of the service.
    assert len(hooks.conversations[conversation]) == 1
    assert hooks.services[service].filters == ("onMessageAdded",)


async def test_all_services_that_callers_may_read_are_checked(sandbox: Sandbox) -> None:
    first, other = sandbox.landmarks["service_sid"], sandbox.landmarks["other_service_sid"]
    sandbox.world.webhooks.account = WebhookConfiguration(post_url=URL, filters=EVENT_TYPES)
    sandbox.world.webhooks.services[other] = WebhookConfiguration(post_url=URL, filters=EVENT_TYPES[1:])
    status, report = await check(sandbox)
    assert (
        status,
        report.count(": every event reaches the gateway."),
        report.count("not every event reaches the gateway."),
    ) == (1, 3, 1)
    assert "A configuration of the service would silence that." in report
    assert (
        "Without onDeliveryUpdated in Filters, a new status of a receipt appears only when cached values expire"
        in report
    )
    status, report = await check(sandbox, GATEWAY_TOKENS=f"a:{'x' * 20}:{first}")
    assert (status, report.count("Webhooks of ")) == (0, 1)


async def test_what_the_credentials_may_read_is_said(sandbox: Sandbox) -> None:
    service = sandbox.landmarks["service_sid"]
    sandbox.world.webhooks.account = WebhookConfiguration(post_url=URL, filters=EVENT_TYPES)
    status, report = await check(sandbox, "--service", service)
    assert status == 0
    assert "may read services, conversations, participants, messages, receipts, the account's webhooks." in report
    assert "which may also change and delete everything" in report
    assert "a restricted API key" in report
    sandbox.faults.add("*Receipts*", Fault("status", status=403, code=20403))
    sandbox.faults.add("*Configuration*", Fault("status", status=403, code=20403))
    status, report = await check(sandbox, "--service", service)
    assert status == 1
    assert "It may not read receipts: the gateway needs these." in report
    assert f"Webhooks of {service}" in report
    assert "cannot be checked: the credentials may not read it (403)" in report
    assert "curl" in report


async def test_without_its_settings_webhooks_are_not_checked(sandbox: Sandbox) -> None:
    status, report = await check(sandbox, GATEWAY_WEBHOOK_URL="")
    assert (status, "GATEWAY_WEBHOOK_URL is not set" in report) == (1, True)
    for arguments, said in (
        (("--webhooks", "--service", "IS1"), "--service takes a sid of the form IS…; got 'IS1'."),
        (("--webhooks", "--conversation", "CH1"), "--conversation takes the sids of a service and a conversation"),
        (("--service", sandbox.landmarks["service_sid"]), "go with --webhooks"),
    ):
        result = await asyncio.to_thread(run, "check", *arguments, **environ_for(sandbox))
        assert (result.returncode, said in result.stderr) == (2, True)


async def test_an_api_key_may_have_more_rights_than_reads_show(sandbox: Sandbox) -> None:
    key = {"TWILIO_API_KEY": sandbox.api_key, "TWILIO_API_SECRET": sandbox.api_secret}
    _, report = await check(sandbox, "--service", sandbox.landmarks["service_sid"], **key)
    assert f"What {sandbox.api_key} may do" in report
    assert "Whether this API key may also write, reads do not show." in report
    assert sandbox.api_secret not in report
