"""The pytest plugin as its users have it: in projects of their own, run by a pytest of their own, and beside these tests."""

import asyncio
import json
import re
import subprocess
import sys
import threading
import urllib.request
import zipfile
from pathlib import Path

import pytest

from gateway.pytest_plugin import Gateway
from gateway.sandbox import Sandbox

pytest_plugins = ["pytester"]

SERVICE = "query Q($serviceSid: ID!) { service(sid: $serviceSid) { friendlyName } }"
RECEIPTS = """query Q($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!, $first: Int) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
    receipts(first: $first) { edges { node { status } } }
  } } }
}"""

# A project's own tests, whatever runs them.
USES = '''
import socket, sys, threading, urllib.request
import pytest

SERVICE = """%s"""
HEAVY = {"aiohttp", "graphql", "starlette", "strawberry", "uvicorn"}
urls = []

def test_what_is_not_used_is_not_loaded():
    assert not HEAVY & set(sys.modules)

def test_sync(receipts_gateway, receipts_sandbox):
    answer = receipts_gateway.query_sync(SERVICE)
    assert answer.data["service"]["friendlyName"] and not answer.errors
    assert answer.upstream_calls == receipts_gateway.upstream_calls == receipts_sandbox.paths

def test_http(receipts_gateway_url, receipts_sandbox):
    urls.extend([receipts_gateway_url, receipts_sandbox.url])
    with urllib.request.urlopen(receipts_gateway_url + "/graphql?query={__typename}") as response:
        assert response.read() == b'{"data":{"__typename":"Query"}}'

def test_nothing_is_left():
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    assert not [thread for thread in others if not thread.name.startswith("Trio")]  # Trio keeps its own for later.
    for url in urls:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
''' % (SERVICE,)
USES_ASYNC = '''
import asyncio
import pytest
from gateway.pytest_plugin import Gateway

SERVICE = """%s"""

%s
async def test_async(receipts_gateway: Gateway):
    answer = await receipts_gateway.query(SERVICE)
    assert answer.data["service"]["friendlyName"] and len(answer.upstream_calls) == 1
'''


LEFT_OUT = ("-p", "no:hypothesispytest")  # Half a second each time, of no use here.


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A pytest of its own, in a project of its own, that takes warnings for errors."""
    options = ("-W", "error", "--strict-markers", "-p", "no:cacheprovider", *LEFT_OUT)
    return pytester.runpytest_subprocess(*options, *arguments)


def test_a_project_without_any_async_plugin(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(USES)
    run(pytester, "-p", "no:asyncio", "-p", "no:anyio").assert_outcomes(passed=4)


@pytest.mark.parametrize(
    ("mode", "mark"),
    [
        ("strict", "@pytest.mark.asyncio"),
        ("auto", ""),
        ("strict", "@pytest.mark.anyio\n@pytest.mark.parametrize('anyio_backend', ['asyncio', 'trio'])"),
    ],
    ids=["asyncio-strict", "asyncio-auto", "anyio"],
)
def test_a_project_with_async_tests(pytester: pytest.Pytester, mode: str, mark: str) -> None:
    pytester.makeini(f"[pytest]\nasyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(test_async=USES_ASYNC % (SERVICE, mark), test_uses=USES.replace("test_what_is_not", "_"))
    run(pytester).assert_outcomes(passed=5 if "trio" in mark else 4)


def test_faults_apply_in_the_order_in_which_they_are_read(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        '''
        import pytest

        pytestmark = [pytest.mark.receipts_faults("*", "status", status=401), pytest.mark.receipts_faults("*", "hang")]
        SERVICE = """%s"""

        def statuses(gateway):
            return [call["status"] for call in gateway.query_sync(SERVICE).extensions["upstream"]["calls"]]

        @pytest.mark.receipts_faults("*", "status", status=403, times=1)
        class TestOrder:
            @pytest.mark.receipts_faults("*", "status", status=429, times=1)
            @pytest.mark.receipts_faults("*", "status", status=400, times=1)
            def test_from_top_to_bottom_and_outwards(self, receipts_gateway):
                assert [status for _ in range(4) for status in statuses(receipts_gateway)] == [429, 400, 403, 401, 401]

        @pytest.mark.receipts_switches(pending_status="queued")
        class TestSwitches:
            @pytest.mark.receipts_switches(error_code="zero")
            def test_both_hold(self, receipts_sandbox):
                assert receipts_sandbox.switches.pending_status == "queued"
                assert receipts_sandbox.switches.error_code == "zero"

            @pytest.mark.receipts_switches(pending_status="null")
            def test_the_nearest_holds(self, receipts_sandbox):
                assert receipts_sandbox.switches.pending_status == "null"
        '''
        % SERVICE
    )
    run(pytester, "-p", "no:asyncio", "-o", "receipts_unmet=ignore").assert_outcomes(passed=3)


WRONG = {
    'receipts_faults("*", "explode")': "kind is 'explode'; it is one of latency, status,*",
    'receipts_faults("*")': 'it takes a pattern and a kind, such as ("**/Receipts**", "status", status=429)',
    'receipts_faults(1, "hang")': "it takes a pattern and a kind*",
    'receipts_faults("re:(", "hang")': "pattern is not a regular expression*",
    'receipts_faults("*", "status", status="429")': "Expected `int | null`, got `str` - at `$.status`",
    'receipts_faults("*", "status", colour=1)': "unknown: colour; known are kind,*",
    'receipts_faults("*", "redirect")': "redirect needs a url",
    'receipts_switches("pending_status")': "it takes switches by name*",
    'receipts_switches(pending="null")': "unknown: pending; known are oversize_page,*",
    'receipts_switches(pending_status="none")': "pending_status must be one of null, queued",
}


def test_a_wrong_marker_is_an_error_that_names_it(pytester: pytest.Pytester) -> None:
    tests = [f"@pytest.mark.{mark}\ndef test_{number}(receipts_sandbox): pass\n" for number, mark in enumerate(WRONG)]
    pytester.makepyfile("import pytest\n" + "\n".join(tests))
    result = run(pytester, "-p", "no:asyncio")
    result.assert_outcomes(errors=len(WRONG))
    names = [mark.partition("(")[0] for mark in WRONG]
    result.stdout.fnmatch_lines(
        [f"@pytest.mark.{name}: {words}" for name, words in zip(names, WRONG.values(), strict=True)]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*During handling*")


UNMET = (
    """
    import pytest

    pytestmark = pytest.mark.receipts_faults("*/Nothing*", "status", status=401)  # Of the module: its tests may differ.
    SERVICE = '''%s'''

    @pytest.mark.receipts_faults("*/Reciepts*", "status", status=500)
    def test_misspelt(receipts_gateway):
        receipts_gateway.query_sync(SERVICE)

    @pytest.mark.receipts_faults("*", "status", status=500, after=5)
    def test_too_late(receipts_gateway):
        receipts_gateway.query_sync(SERVICE)

    @pytest.mark.receipts_switches(chat_only_delivery="zero", not_found_code="specific")
    def test_switches(receipts_gateway):
        receipts_gateway.query_sync(SERVICE)

    @pytest.mark.receipts_faults("*/Reciepts*", "status")
    def test_failed_anyway(receipts_gateway):
        assert False, "its own"

    @pytest.mark.receipts_faults("Services/*", "status", status=429, times=1)
    @pytest.mark.receipts_switches(retry_after="sent", not_found_code="specific")
    def test_met(receipts_gateway):
        receipts_gateway.query_sync(SERVICE)
        receipts_gateway.query_sync("query Q($x: ID!) { service(sid: $x) { friendlyName } }", x="IS" + "0" * 32)
    """
    % SERVICE
)
UNMET_LINES = (
    "@pytest.mark.receipts_faults('**/Reciepts**', 'status', …) hit no call: no call matched.",
    "@pytest.mark.receipts_faults('**', 'status', …) hit no call: 1 calls matched.",
    "@pytest.mark.receipts_switches(chat_only_delivery='zero') changed no response.",
    "@pytest.mark.receipts_switches(not_found_code='specific') changed no response.",
)


def test_a_marker_without_effect_fails_its_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(UNMET)
    result = run(pytester, "-p", "no:asyncio")
    result.assert_outcomes(passed=1, failed=4)
    result.stdout.fnmatch_lines_random([line.replace("**", "[*]") for line in UNMET_LINES])
    reasons = [line for line in result.outlines if line.startswith("@pytest.mark.receipts_faults('*/Reciepts*'")]
    assert len(reasons) == 1  # Not of the test that fails anyway.
    result.stdout.fnmatch_lines(["To be warned instead: receipts_unmet = warn"])


def test_a_marker_without_effect_is_a_warning_on_request(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(UNMET)
    options = ("-p", "no:cacheprovider", *LEFT_OUT, "-p", "no:asyncio", "-o", "receipts_unmet=warn")
    result = pytester.runpytest_subprocess(*options)
    result.assert_outcomes(passed=4, failed=1, warnings=4)
    result.stdout.fnmatch_lines_random([f"*{line.replace('**', '[*]')}" for line in UNMET_LINES])


def test_a_wrong_option_is_reported(pytester: pytest.Pytester) -> None:
    wrong = run(pytester, "-p", "no:asyncio", "-o", "receipts_unmet=maybe")
    wrong.stderr.fnmatch_lines(["*receipts_unmet must be one of fail, warn, ignore."])


def test_markers_are_listed(pytester: pytest.Pytester) -> None:
    words = run(pytester, "--markers", "-p", "no:asyncio").stdout.str()
    assert re.findall(r"^@pytest\.mark\.(receipts_\w+)\(", words, re.MULTILINE) == [
        "receipts_faults",
        "receipts_switches",
    ]


def test_runs_at_one_time_do_not_meet(pytester: pytest.Pytester) -> None:
    """As pytest-xdist has them: processes of their own, with sandboxes and ports of their own."""
    pytester.makepyfile(USES)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", "-p", "no:cacheprovider", *LEFT_OUT]
    runs = [subprocess.Popen(command, cwd=pytester.path, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for each in runs:
        output, _ = each.communicate()
        assert each.returncode == 0, output


def test_the_wheel_brings_it_and_needs_no_extra(
    pytester: pytest.Pytester, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What users install, not the checkout. That nothing else is needed is told by what has been loaded in the end."""
    unpacked = pytester.mkdir("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    extras = {"hypothesis", "jsonschema", "jwt", "opentelemetry", "playwright", "redis", "trio", "trustme", "twilio"}
    pytester.makepyfile(
        f"{USES}\ndef test_where_it_is():\n    import gateway.pytest_plugin as plugin\n"
        f"    assert plugin.__file__.startswith({str(unpacked)!r})\n    assert not {extras!r} & set(sys.modules)\n"
    )
    others = ("asyncio", "anyio", "timeout", "pytest_cov")
    monkeypatch.setenv("PYTHONPATH", str(unpacked))
    run(pytester, *(word for name in others for word in ("-p", f"no:{name}"))).assert_outcomes(passed=5)


# Beside these tests


async def test_landmarks_need_no_value_and_variables_are_given_either_way(receipts_gateway: Gateway) -> None:
    one = await receipts_gateway.query(RECEIPTS, first=1)
    two = await receipts_gateway.query(RECEIPTS, {"first": 2})
    both = await receipts_gateway.query(RECEIPTS, {"first": 2}, first=3)
    lists = [each.data["service"]["conversation"]["message"]["receipts"]["edges"] for each in (one, two, both)]
    assert [len(edges) for edges in lists] == [1, 2, 3]
    assert receipts_gateway.upstream_calls == one.upstream_calls * 3
    assert one.extensions["cost"]["actual"] == 1
    assert one.extensions["upstream"]["count"] == 1


async def test_a_name_that_is_not_a_variable_is_reported(receipts_gateway: Gateway) -> None:
    with pytest.raises(TypeError, match=r"query\(\) got fersh, frist: neither options nor variables"):
        await receipts_gateway.query(SERVICE, frist=1, fersh=True)
    answer = await receipts_gateway.query("query {", first=1)
    assert (answer.codes, answer.data) == (["GRAPHQL_PARSE_FAILED"], None)


async def test_options_are_those_of_a_request(receipts_gateway: Gateway, receipts_sandbox: Sandbox) -> None:
    two = "query A($serviceSid: ID!) { service(sid: $serviceSid) { sid } } query B { __typename }"
    assert (await receipts_gateway.query(two)).codes == ["OPERATION_RESOLUTION_FAILURE"]
    assert (await receipts_gateway.query(two, operation_name="A")).upstream_calls == []
    for no_cache in ("no_cache", "fresh"):  # The second is an alias.
        answer = await receipts_gateway.query(two, {}, operation_name="A", **{no_cache: True})
        assert answer.upstream_calls == [f"Services/{receipts_sandbox.landmarks['service_sid']}"]


@pytest.mark.receipts_faults("*", "hang")
async def test_a_query_ends_with_its_time(receipts_gateway: Gateway) -> None:
    answer = await receipts_gateway.query(SERVICE, seconds=0.5)
    assert (answer.codes, len(answer.upstream_calls)) == (["UPSTREAM_TIMEOUT"], 1)


@pytest.mark.receipts_faults("*", "hang")
async def test_a_query_that_is_left_ends(receipts_gateway: Gateway, receipts_sandbox: Sandbox) -> None:
    asking = asyncio.create_task(receipts_gateway.query(SERVICE))
    await receipts_sandbox.until(lambda: len(receipts_sandbox.calls) == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await receipts_sandbox.until(lambda: receipts_sandbox.calls[0].client_left)


@pytest.mark.receipts_faults("re:^Services/IS[0-9a-f]+$", "status", status=429, times=1)
@pytest.mark.receipts_faults("*", "latency", latency=0.01)
async def test_queries_at_one_time_know_their_own_calls(receipts_gateway: Gateway, receipts_sandbox: Sandbox) -> None:
    service, receipts = await asyncio.gather(receipts_gateway.query(SERVICE), receipts_gateway.query(RECEIPTS))
    sid = receipts_sandbox.landmarks["service_sid"]
    assert service.upstream_calls == [f"Services/{sid}"] * 2
    assert [path.rpartition("/")[2] for path in receipts.upstream_calls] == ["Receipts?PageSize=50"]
    assert sorted(receipts_gateway.upstream_calls) == sorted(service.upstream_calls + receipts.upstream_calls)


def test_the_address_and_the_gateway_share_a_sandbox(
    receipts_gateway: Gateway, receipts_gateway_url: str, receipts_sandbox: Sandbox
) -> None:
    in_process = receipts_gateway.query_sync(SERVICE)
    body = {"query": SERVICE, "variables": {"serviceSid": receipts_sandbox.landmarks["service_sid"]}}
    request = urllib.request.Request(
        f"{receipts_gateway_url}/graphql", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        assert json.load(response) == {"data": in_process.data}
    assert receipts_gateway.upstream_calls == in_process.upstream_calls * 2
    assert len([thread for thread in threading.enumerate() if thread.name == "receipts-gateway"]) == 1
