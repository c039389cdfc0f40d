"""The command as its user sees it: real processes, real signals, plain words."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.graph.schema import print_schema
from gateway.sandbox import Fault, Sandbox
from gateway.settings import SETTINGS

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("TWILIO_", "GATEWAY_"))}


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments], capture_output=True, text=True, env=ENVIRON | environ, timeout=30
    )


def start(*arguments: str, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRON | environ,
    )


def ask(url: str, query: str) -> Any:
    request = urllib.request.Request(url, json.dumps({"query": query}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_runs_answers_and_stops(tmp_path: Path, number: signal.Signals) -> None:
    ready = tmp_path / "ready.json"
    demo = start("demo", "--port", "0", "--ready-file", str(ready))
    try:
        assert demo.stdout is not None
        lines = [demo.stdout.readline() for _ in range(8)]
        facts = json.loads(ready.read_text())
        assert ready.stat().st_mode & 0o777 == 0o600
        assert facts["graphql"] in lines[0]
        assert facts["graphiql"] in lines[1]
        assert facts["sandbox"] in lines[2]
        for name in ("failed", "pending", "unknown_status", "departed_participant"):
            assert {f"{name}_receipt_sid", f"{name}_receipt_message_sid"} <= set(facts)
        for kind in ("service", "conversation", "message", "receipt", "participant"):
            answer = ask(facts["graphql"], '{ node(id: "%s") { id __typename } }' % facts[f"{kind}_id"])
            assert answer["data"]["node"] == {"id": facts[f"{kind}_id"], "__typename": kind.capitalize()}
        # The ready-made query, as the demo prints it, is answered.
        command = next(line for line in lines if line.strip().startswith("curl"))
        body = json.loads(command.partition("-d '")[2].rstrip().removesuffix("'"))
        answer = ask(facts["graphql"], body["query"])
        assert "errors" not in answer
        assert len(answer["data"]["service"]["conversation"]["messages"]["edges"]) == 5
        demo.send_signal(number)
        _, errors = demo.communicate(timeout=10)
    finally:
        demo.kill()
    assert (demo.returncode, errors) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--port", "--sandbox-port"])
def test_a_taken_port_is_said_in_one_line(taken: int, option: str) -> None:
    result = run("demo", "--port", "0", option, str(taken))
    assert result.returncode == 2
    assert (
        result.stderr == f"Port {taken} on 127.0.0.1 is taken. Choose another with {option}, or 0 for any free one.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("demo", "--host", "0.0.0.0"), "serves this machine only"),
        (("demo", "--host", "no.such.host.test"), "serves this machine only"),
        (("demo", "--ready-file", "/no/such/dir/x"), "cannot be written (No such file"),
        (("demo", "--ready-file", "/proc/x"), "cannot be written"),
        (("demo", "--port", "70000"), "not in the range"),
        (("serve",), "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"),
        (("check",), "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"),
        (("query", "no-such"), "Examples: conversations, failures"),
        (("query", "thread", "--var", "first"), "NAME=VALUE"),
        (("query", "thread", "--var", "frist=3"), "no variable $frist"),
        (("query", "thread", "--url", "http://127.0.0.1:1/graphql"), "cannot be reached"),
        (("query", "thread", "--url", "nonsense"), "not an address"),
    ],
)
def test_wrong_use_is_said_in_words(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_help_has_the_settings() -> None:
    for command in ("serve", "check"):
        words = run(command, "--help").stdout
        assert all(setting.env in words for setting in SETTINGS)


def test_serving_openly_needs_tokens() -> None:
    environ = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "secret"}
    result = run("serve", "--host", "0.0.0.0", **environ)
    assert result.returncode == 2
    assert "GATEWAY_TOKENS" in result.stderr


def test_serve_serves_and_stops() -> None:
    environ = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "secret"}
    server = start("serve", "--port", "0", **environ)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[2].rstrip(",")
        assert ask(url, "{ __typename }") == {"data": {"__typename": "Query"}}
        assert "/uvloop/" in Path(f"/proc/{server.pid}/maps").read_text()
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=10)
    finally:
        server.kill()
    assert server.returncode == 0
    (line,) = errors.splitlines()
    assert json.loads(line)["event"] == "operation"


def test_workers_share_a_port_and_shut_down_together() -> None:
    environ = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "secret"}
    server = start("serve", "--port", "0", "--workers", "2", **environ)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[2].rstrip(",")
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        workers = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
        assert len(workers) == 2
        for _ in range(4):
            assert ask(url, "{ __typename }") == {"data": {"__typename": "Query"}}
        server.send_signal(signal.SIGHUP)  # Each is replaced when its successor answers: someone always does.
        for _ in range(4):
            assert ask(url, "{ __typename }") == {"data": {"__typename": "Query"}}
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)
    finally:
        server.kill()
    assert server.returncode == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


async def test_what_is_under_way_is_finished_before_the_end(sandbox: Sandbox) -> None:
    import asyncio

    sandbox.faults.add("*", Fault(latency=0.8))
    environ = {
        "TWILIO_ACCOUNT_SID": sandbox.account_sid,
        "TWILIO_AUTH_TOKEN": sandbox.auth_token,
        "GATEWAY_UPSTREAM_URL": sandbox.url,
    }
    server = start("serve", "--port", "0", **environ)
    try:
        assert server.stdout is not None
        line = await asyncio.to_thread(server.stdout.readline)
        query = '{ service(sid: "%s") { friendlyName } }' % sandbox.landmarks["service_sid"]
        asking = asyncio.create_task(asyncio.to_thread(ask, line.split()[2].rstrip(","), query))
        await sandbox.until(lambda: len(sandbox.calls) == 1)
        server.send_signal(signal.SIGTERM)
        assert (await asking)["data"]["service"]["friendlyName"]
        await asyncio.to_thread(server.communicate, timeout=20)
    finally:
        server.kill()
    assert server.returncode == 0


async def check(sandbox: Sandbox, **environ: str) -> tuple[int, str]:
    import asyncio

    settings = {
        "TWILIO_ACCOUNT_SID": sandbox.account_sid,
        "TWILIO_AUTH_TOKEN": sandbox.auth_token,
        "GATEWAY_UPSTREAM_URL": sandbox.url,
    }
    result = await asyncio.to_thread(run, "check", **settings | environ)
    return result.returncode, result.stdout + result.stderr


async def test_check_tells_what_the_credentials_see(sandbox: Sandbox) -> None:
    status, report = await check(sandbox)
    assert status == 0
    assert "accepts these credentials" in report
    assert sandbox.landmarks["service_sid"] in report
    assert " ms " in report
    assert sandbox.auth_token not in report


async def test_check_has_words_for_what_goes_wrong(sandbox: Sandbox) -> None:
    status, report = await check(sandbox, TWILIO_AUTH_TOKEN="wrong")
    assert (status, "401" in report, "TWILIO_AUTH_TOKEN" in report) == (1, True, True)
    sandbox.faults.add("*", Fault("status", status=403, code=20403))
    status, report = await check(sandbox)
    assert (status, "403" in report, "permissions" in report) == (1, True, True)
    status, report = await check(sandbox, GATEWAY_UPSTREAM_URL="http://127.0.0.1:1")
    assert (status, "cannot be reached" in report) == (1, True)
    assert "Traceback" not in report


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sandbox_runs_alone_and_stops(number: signal.Signals) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # As a shell has it for what it starts in the background.
    try:
        sandbox = start("sandbox", "--port", "0", "--seed", "7")
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        assert sandbox.stdout is not None
        url = sandbox.stdout.readline().split()[1]
        with urllib.request.urlopen(url, timeout=10) as response:
            assert response.status == 200
        sandbox.send_signal(number)
        _, errors = sandbox.communicate(timeout=10)
    finally:
        sandbox.kill()
        sandbox.communicate()
    assert (sandbox.returncode, errors) == (0, "")


def test_schema_prints_the_schema_without_the_server() -> None:
    result = run("schema")
    assert result.stdout == print_schema()
    code = "import sys, gateway.cli as c; c.main(sys.argv[1:], standalone_mode=False); print(*sys.modules, file=sys.stderr)"
    for argument in ("schema", "--help"):
        loaded = subprocess.run(
            [sys.executable, "-c", code, argument], capture_output=True, text=True, env=ENVIRON
        ).stderr.split()
        assert "gateway.cli" in loaded
        assert "uvicorn" not in loaded
        assert "gateway.web" not in loaded


EXAMPLES = sorted(path.stem for path in (Path(__file__).parents[1] / "gateway" / "examples").glob("*.graphql"))


def test_what_the_terminal_has_no_letter_for_is_written_otherwise() -> None:
    result = run("operations", "cost", "--help", PYTHONIOENCODING="latin-1")
    assert (result.returncode, result.stderr) == (0, "")
    assert r"[OPTIONS] FILE\u2026" in result.stdout


def test_who_has_read_enough_ends_it_quietly() -> None:
    with start("schema") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("schema", "check", "-"), "standard input is empty.\n"),
        (("operations", "cost", "-"), "-:1:1: Syntax Error: Unexpected <EOF>.\n"),
    ],
)
def test_a_closed_standard_input_is_an_empty_one(arguments: tuple[str, ...], words: str) -> None:
    command = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "gateway", *arguments]
    assert subprocess.run(command, capture_output=True, text=True, env=ENVIRON).stderr == words


def test_a_value_nested_too_deeply_for_json_is_text(tmp_path: Path) -> None:
    document = tmp_path / "a.graphql"
    document.write_text("query A($n: Int) { services(first: $n) { edges { cursor } } }")
    result = run("operations", "cost", str(document), "--var", "n=" + "[" * 50_000)
    assert result.returncode == 1
    assert "Variable '$n' has invalid value: Int cannot represent non-integer value" in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="There is no /dev/full here, which is as a full disk is.")
def test_a_full_disk_is_said_in_one_line() -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "gateway", "schema"], stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRON
        )
    assert (result.returncode, result.stderr) == (2, "The system refuses: No space left on device.\n")


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_runs_over_the_sandbox(name: str) -> None:
    result = CliRunner().invoke(main, ["query", name])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.output)
    assert list(answer) == ["data"]
    assert "null" not in json.dumps(next(iter(answer["data"].values())))[:40]


def test_a_document_and_its_variables_from_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "q.graphql"
    file.write_text(
        "query Q($serviceSid: ID!, $n: Int) { service(sid: $serviceSid) { conversations(first: $n) { edges { cursor } } } }"
    )
    result = CliRunner().invoke(main, ["query", str(file), "--var", "n=2"])
    assert len(json.loads(result.output)["data"]["service"]["conversations"]["edges"]) == 2
    result = CliRunner().invoke(main, ["query", str(file), "--var", "serviceSid=IS1"])
    assert result.exit_code == 1
    assert json.loads(result.output)["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    result = CliRunner().invoke(main, ["query", "-"], input="{ nope }")
    assert result.exit_code == 1
    assert "data" not in json.loads(result.output)


async def test_a_query_can_go_to_a_running_gateway(base_url: str, sandbox: Sandbox) -> None:
    import asyncio

    variables = [
        f"--var={name}={sandbox.landmarks[key]}"
        for name, key in (("serviceSid", "service_sid"), ("conversationSid", "conversation_sid"))
    ]
    result = await asyncio.to_thread(run, "query", "summary", "--url", f"{base_url}/graphql", *variables)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["data"]["service"]["conversation"]["messages"]["edges"]
    result = await asyncio.to_thread(run, "query", "summary", "--url", f"{base_url}/graphiql", *variables)
    assert result.returncode == 1
    assert json.loads(result.stdout)["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


def post(url: str, **headers: str) -> int:
    """The status that the gateway answers a plain query with."""
    request = urllib.request.Request(
        f"{url}/graphql", b'{"query": "{ __typename }"}', {"Content-Type": "application/json"} | headers
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_tokens_are_read_again_on_sighup(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("ann:ann-has-a-long-token\n")
    environ = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "secret", "GATEWAY_TOKENS_FILE": str(file)}
    server = start("serve", "--host", "0.0.0.0", "--port", "0", **environ)
    try:
        assert server.stdout is not None
        assert server.stderr is not None
        port = server.stdout.readline().split()[2].rstrip(",").removesuffix("/graphql").rpartition(":")[2]
        url = f"http://127.0.0.1:{port}"

        def reload(text: str) -> dict[str, Any]:
            """Set the file, send the signal, and wait for the line that says what came of it."""
            file.write_text(text)
            server.send_signal(signal.SIGHUP)
            assert server.stderr is not None
            for line in server.stderr:
                entry: dict[str, Any] = json.loads(line)
                if "reloaded" in entry["event"]:
                    return entry
            raise AssertionError("the server has ended")

        ann, bob = ({"Authorization": f"Bearer {name}-has-a-long-token"} for name in ("ann", "bob"))
        assert (post(url, **ann), post(url, **bob), post(url)) == (200, 401, 401)
        assert reload("bob:bob-has-a-long-token\n")["callers"] == ["bob"]
        assert (post(url, **ann), post(url, **bob), post(url)) == (401, 200, 401)
        for unusable in ("", "nonsense"):
            assert reload(unusable)["event"] == "not reloaded"
            assert (post(url, **ann), post(url, **bob), post(url)) == (401, 200, 401)
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=10)
    finally:
        server.kill()
    assert server.returncode == 0


def named(url: str, name: str) -> Any:
    """The answer to a document that is named by its id."""
    body = json.dumps({"documentId": name}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def test_trusted_documents_are_read_again_on_sighup(tmp_path: Path) -> None:
    file = tmp_path / "persisted-documents.json"
    file.write_text('{"one": "{ __typename }"}')
    environ = {
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "secret",
        "GATEWAY_TRUSTED_DOCUMENTS": str(file),
    }
    server = start("serve", "--port", "0", **environ)
    try:
        assert server.stdout is not None
        assert server.stderr is not None
        url = server.stdout.readline().split()[2].rstrip(",").removesuffix("/graphql")
        known, unknown = {"data": {"__typename": "Query"}}, "PersistedQueryNotFound"
        assert named(url, "one") == known
        assert named(url, "two")["errors"][0]["message"] == unknown
        file.write_text('{"two": "{ __typename }"}')
        server.send_signal(signal.SIGHUP)
        assert next(entry for entry in map(json.loads, server.stderr) if "reloaded" in entry["event"])["documents"] == 1
        assert named(url, "one")["errors"][0]["message"] == unknown
        assert named(url, "two") == known
        file.write_text('{"three": "{ nope }"}')
        server.send_signal(signal.SIGHUP)
        entry = next(entry for entry in map(json.loads, server.stderr) if "reloaded" in entry["event"])
        assert entry["event"] == "not reloaded"
        assert "three" in entry["problems"][0]
        assert named(url, "two") == known
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=10)
    finally:
        server.kill()
    assert server.returncode == 0


def test_documents_that_do_not_fit_the_schema_stop_the_start(tmp_path: Path) -> None:
    """Each has its line; so have the other settings' problems."""
    file = tmp_path / "persisted-documents.json"
    file.write_text(json.dumps({"a1": "query Old { servcies { id } }", "b2": "query Good { __typename }", "c3": "{"}))
    environ = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "secret", "GATEWAY_DEADLINE": "never"}
    for workers in ("1", "2"):
        result = run("serve", "--port", "0", "--workers", workers, GATEWAY_TRUSTED_DOCUMENTS=str(file), **environ)
        assert result.returncode == 2
        deadline, old, unreadable = result.stderr.splitlines()
        assert deadline.startswith("GATEWAY_DEADLINE: ")
        assert old == (
            f"GATEWAY_TRUSTED_DOCUMENTS: {file}: Old (id a1): line 1, column 13: "
            "Cannot query field 'servcies' on type 'Query'. Did you mean 'services' or 'service'?"
        )
        assert unreadable.startswith(
            f"GATEWAY_TRUSTED_DOCUMENTS: {file}: operation without a name (id c3): line 1, column 2: "
        )


def test_serving_openly_must_be_said() -> None:
    environ = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "secret"}
    server = start("serve", "--host", "0.0.0.0", "--port", "0", "--insecure-no-auth", **environ)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split()[2].rstrip(",").removesuffix("/graphql").rpartition(":")[2]
        assert post(f"http://127.0.0.1:{port}", Host="gateway.test") == 200
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=10)
        server.kill()


def test_operations_cost_is_told_offline() -> None:
    result = CliRunner().invoke(main, ["operations", "cost", *EXAMPLES])
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if "at most" in line]
    assert len(lines) == len(EXAMPLES)
    assert "thread Thread: at most 22 upstream calls, 2 round trips" in result.output
    result = CliRunner().invoke(main, ["operations", "cost", "thread", "--var", "first=50"])
    assert "at most 62 upstream calls" in result.output


def test_operations_cost_says_what_is_wrong_with_a_document(tmp_path: Path) -> None:
    file = tmp_path / "q.graphql"
    file.write_text("query A {\n  nope\n}\nquery B { services { edges { cursor } } }")
    result = CliRunner().invoke(main, ["operations", "cost", str(file)])
    assert result.exit_code == 1
    assert f"{file}:2:3: Cannot query field" in result.output


def test_a_mistyped_setting_is_told() -> None:
    environ = {"GATEWAY_TRUSTED_ONY": "1", "TWILIO_AUTH_TOKEN_FILES": "x", "GATEWAY_SERVICE_HOST": "10.0.0.1"}
    said = run("check", **environ).stderr.splitlines()
    assert said[:2] == [
        "GATEWAY_TRUSTED_ONY is no setting, and has no effect. Is GATEWAY_TRUSTED_ONLY meant?",
        "TWILIO_AUTH_TOKEN_FILES is no setting, and has no effect. Is TWILIO_AUTH_TOKEN_FILE meant?",
    ]
    assert "SERVICE_HOST" not in "".join(said)


def test_the_demo_tells_of_settings_that_it_does_not_read() -> None:
    demo = start("demo", "--port", "0", GATEWAY_TRUSTED_ONLY="1")
    try:
        assert demo.stdout is not None
        lines = [demo.stdout.readline() for _ in range(12)]
        demo.send_signal(signal.SIGTERM)
        demo.communicate(timeout=10)
    finally:
        demo.kill()
    assert any("GATEWAY_TRUSTED_ONLY has no effect here" in line for line in lines)
    assert any(re.search(r"TWILIO_ACCOUNT_SID=AC\w+ .* receipts-gateway serve", line) for line in lines)
