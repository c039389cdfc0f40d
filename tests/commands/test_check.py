"""`receipts-gateway check`: a report on the credentials, or what is wrong with them."""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.sandbox import Fault, Sandbox
from gateway.sandbox.webhook_settings import WebhookConfiguration
from gateway.twilio.events import EVENT_TYPES

from ..conftest import RedisServer
from .conftest import ACCOUNT, environ_for, run


async def check(sandbox: Sandbox, **environ: str) -> tuple[int, str]:
    """Return the exit code and the report."""
    result = await asyncio.to_thread(run, "check", **environ_for(sandbox) | environ)
    return result.returncode, result.stdout + result.stderr


async def test_the_report_lists_the_services_that_can_be_read(sandbox: Sandbox) -> None:
    status, report = await check(sandbox)
    assert status == 0
    assert "accepts these credentials" in report
    assert sandbox.landmarks["service_sid"] in report
    assert " ms " in report
    assert sandbox.auth_token not in report


async def test_the_report_says_what_is_wrong(sandbox: Sandbox) -> None:
    status, report = await check(sandbox, TWILIO_AUTH_TOKEN="wrong")
    assert (status, "401" in report, "TWILIO_AUTH_TOKEN" in report) == (1, True, True)
    sandbox.faults.add("*", Fault("status", status=403, code=20403))
    status, report = await check(sandbox)
    assert (status, "403" in report, "permissions" in report) == (1, True, True)
    status, report = await check(sandbox, GATEWAY_UPSTREAM_URL="http://127.0.0.1:1")
    assert (status, "cannot be reached" in report) == (1, True)
    assert "Traceback" not in report


async def test_a_proxy_that_the_transport_does_not_use_is_named(sandbox: Sandbox) -> None:
    proxies = {"HTTPS_PROXY": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
    status, report = await check(sandbox, GATEWAY_UPSTREAM_URL="http://127.0.0.1:1", **proxies, NO_PROXY="")
    assert (status, report) == (
        1,
        "http://127.0.0.1:1 cannot be reached: GATEWAY_TRANSPORT=httptools does not use the proxy in HTTP_PROXY. "
        "Set GATEWAY_TRANSPORT=aiohttp.\n",
    )
    for others in ({"GATEWAY_TRANSPORT": "aiohttp"}, {"NO_PROXY": "127.0.0.1"}):
        environ = {"GATEWAY_UPSTREAM_URL": "http://127.0.0.1:1", **proxies, **others}
        _, report = await check(sandbox, **environ)
        assert report == "http://127.0.0.1:1 cannot be reached: check the network, the proxy and the firewall.\n"


async def test_redis_is_tried(sandbox: Sandbox, redis_server: RedisServer) -> None:
    status, report = await check(sandbox, GATEWAY_CACHE_URL=redis_server.url)
    assert (status, "Redis can be used" in report) == (0, True)
    redis_server.stop()
    redis_server.start("--requirepass", "another")
    url = f"redis://:a-password@127.0.0.1:{redis_server.port}"
    status, report = await check(sandbox, GATEWAY_CACHE_URL=url)
    assert (status, "Redis cannot be used (authentication failed): check GATEWAY_CACHE_URL." in report) == (1, True)
    redis_server.stop()
    status, report = await check(sandbox, GATEWAY_CACHE_URL=url)
    assert (status, "Redis cannot be used (connection refused)" in report) == (1, True)
    assert "accepts these credentials" in report
    assert "a-password" not in report


async def test_the_jwk_set_is_tried(sandbox: Sandbox) -> None:
    key = {"kty": "EC", "crv": "P-256", "kid": "one"}  # RFC 7515, A.3.1
    key |= {"x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}

    async def keys(request: web.Request) -> web.Response:
        return web.json_response({"keys": [key]})

    server = TestServer(web.Application())
    server.app.router.add_get("/keys", keys)
    async with server:
        jwt = {"GATEWAY_JWT_ISSUER": "issuer", "GATEWAY_JWT_AUDIENCE": "audience"}
        for path, status, words in (
            ("/keys", 0, "The JWK set at GATEWAY_JWKS_URL has 1 usable key."),
            ("/nothing", 1, "The JWK set cannot be fetched (status 404): check GATEWAY_JWKS_URL."),
        ):
            found, report = await check(sandbox, GATEWAY_JWKS_URL=str(server.make_url(path)), **jwt)
            assert (found, words in report) == (status, True)
    found, report = await check(sandbox, GATEWAY_JWKS_URL="http://127.0.0.1:1/keys", **jwt)
    assert (found, "cannot be fetched (connection refused)" in report) == (1, True)


async def test_settings_and_documents_are_checked_too(sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "persisted-documents.json"
    file.write_text(json.dumps({"a1": "query Old { servcies { id } }"}))
    status, report = await check(sandbox, GATEWAY_TRUSTED_DOCUMENTS=str(file))
    assert (status, report.count("\n")) == (2, 1)
    assert report.startswith(f"GATEWAY_TRUSTED_DOCUMENTS: {file}: Old (id a1): line 1, column 13: ")
    result = run("check")
    assert result.returncode == 2
    assert "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN" in result.stderr
    assert "Traceback" not in result.stderr
    assert run("check", **ACCOUNT, GATEWAY_DEADLINE="never").returncode == 2


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"TWILIO_REGION": "ie1"}, "TWILIO_REGION. Set GATEWAY_UPSTREAM_URL=https://conversations.ie1.twilio.com"),
        (
            {"TWILIO_EDGE": "sydney"},
            "TWILIO_EDGE. Set GATEWAY_UPSTREAM_URL=https://conversations.sydney.us1.twilio.com",
        ),
        (
            {"TWILIO_REGION": "ie1", "TWILIO_EDGE": "dublin"},
            "TWILIO_REGION and TWILIO_EDGE. Set GATEWAY_UPSTREAM_URL=https://conversations.dublin.ie1.twilio.com",
        ),
        ({"TWILIO_REGION": ""}, None),
        ({"TWILIO_REGION": "ie1", "GATEWAY_UPSTREAM_URL": "https://conversations.ie1.twilio.com"}, None),
    ],
)
def test_a_region_that_has_no_effect_is_reported(environ: dict[str, str], said: str | None) -> None:
    lines = run("check", **environ).stderr.splitlines()
    assert [line for line in lines if line.startswith("No effect: ")] == (
        [f"No effect: {said} instead."] if said else []
    )


def test_a_misspelt_setting_is_reported() -> None:
    environ = {"GATEWAY_TRUSTED_ONY": "1", "TWILIO_AUTH_TOKEN_FILES": "x", "GATEWAY_SERVICE_HOST": "10.0.0.1"}
    said = run("check", **environ).stderr.splitlines()
    assert said[:2] == [
        "GATEWAY_TRUSTED_ONY is not a setting, and has no effect. Did you mean GATEWAY_TRUSTED_ONLY?",
        "TWILIO_AUTH_TOKEN_FILES is not a setting, and has no effect. Did you mean TWILIO_AUTH_TOKEN_FILE?",
    ]
    assert "SERVICE_HOST" not in "".join(said)


# Webhooks

URL = "https://receipts.example.com/webhooks/twilio"


async def check_webhooks(sandbox: Sandbox, *arguments: str, **environ: str) -> tuple[int, str]:
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
    status, report = await check_webhooks(sandbox, "--service", service)
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
    status, report = await check_webhooks(sandbox, "--service", service)
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
    status, report = await check_webhooks(sandbox, "--conversation", chosen)
    assert (status, "PostWebhookUrl is https://crm.example.com/…, and not" in report) == (1, True)
    assert "hidden" not in report
    assert "/token" not in report
    assert "It has no webhooks of its own." in report
    await run_printed(sandbox, report[report.index("  Conversation CH") :])
    _, report = await check_webhooks(sandbox, "--conversation", chosen)
    assert "calls the gateway for this conversation alone, for onDeliveryUpdated, onMessageAdded" in report
    assert report.count("curl") == 1  # That of the service.
    assert len(hooks.conversations[conversation]) == 1
    assert hooks.services[service].filters == ("onMessageAdded",)


async def test_all_services_that_callers_may_read_are_checked(sandbox: Sandbox) -> None:
    first, other = sandbox.landmarks["service_sid"], sandbox.landmarks["other_service_sid"]
    sandbox.world.webhooks.account = WebhookConfiguration(post_url=URL, filters=EVENT_TYPES)
    sandbox.world.webhooks.services[other] = WebhookConfiguration(post_url=URL, filters=EVENT_TYPES[1:])
    status, report = await check_webhooks(sandbox)
    assert (status, report.count("every event reaches the gateway."), report.count("not right.")) == (1, 3, 1)
    assert "A configuration of the service would silence that." in report
    assert (
        "Without onDeliveryUpdated in Filters, a new status of a receipt appears only when cached values expire"
        in report
    )
    status, report = await check_webhooks(sandbox, GATEWAY_TOKENS=f"a:{'x' * 20}:{first}")
    assert (status, report.count("Webhooks of ")) == (0, 1)


async def test_what_the_credentials_may_read_is_said(sandbox: Sandbox) -> None:
    service = sandbox.landmarks["service_sid"]
    sandbox.world.webhooks.account = WebhookConfiguration(post_url=URL, filters=EVENT_TYPES)
    status, report = await check_webhooks(sandbox, "--service", service)
    assert status == 0
    assert "may read services, conversations, participants, messages, receipts, the account's webhooks." in report
    assert "which may also change and delete everything" in report
    assert "a restricted API key" in report
    sandbox.faults.add("*Receipts*", Fault("status", status=403, code=20403))
    sandbox.faults.add("*Configuration*", Fault("status", status=403, code=20403))
    status, report = await check_webhooks(sandbox, "--service", service)
    assert status == 1
    assert "It may not read receipts: the gateway needs these." in report
    assert f"Webhooks of {service}" in report
    assert "cannot be checked: the credentials may not read it (403)" in report
    assert "curl" in report


async def test_without_its_settings_webhooks_are_not_checked(sandbox: Sandbox) -> None:
    status, report = await check_webhooks(sandbox, GATEWAY_WEBHOOK_URL="")
    assert (status, "GATEWAY_WEBHOOK_URL is not set" in report) == (1, True)
    for arguments, said in (
        (("--webhooks", "--service", "IS1"), "--service takes a sid of the form IS…; got 'IS1'."),
        (("--webhooks", "--conversation", "CH1"), "--conversation takes the sids of a service and a conversation"),
        (("--service", sandbox.landmarks["service_sid"]), "go with --webhooks"),
    ):
        result = await asyncio.to_thread(run, "check", *arguments, **environ_for(sandbox))
        assert (result.returncode, said in result.stderr) == (2, True)
