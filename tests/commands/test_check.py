"""`receipts-gateway check`: a report on the credentials, or what is wrong with them."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.sandbox import Fault, Sandbox

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
