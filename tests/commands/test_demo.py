"""`receipts-gateway demo`: both servers, their ready file, and a clean end."""

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

import pytest

from .conftest import ENVIRON, ask, run, start


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
        lines = [demo.stdout.readline() for _ in range(12)]
        facts = json.loads(ready.read_text())
        assert ready.stat().st_mode & 0o777 == 0o600
        assert facts["graphql"] in lines[0]
        assert facts["graphql_ws"] == facts["graphql"].replace("http://", "ws://")
        assert facts["graphiql"] in lines[1]
        assert facts["sandbox"] in lines[2]
        assert facts["mcp"] in lines[3]
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
    assert json.loads(lines[-1]) == {"mcpServers": {"receipts": {"type": "http", "url": facts["mcp"]}}}
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
        (("--host", "0.0.0.0"), "Other machines can reach 0.0.0.0: set --token"),
        (("--host", "no.such.host.test"), "Other machines can reach no.such.host.test"),
        (("--host", "no.such.host.invalid", "--insecure-no-auth"), "is not an address of this machine"),
        (("--token", "short"), "--token must have 16 characters or more"),
        (("--token", "with a space of its own"), "--token must have 16 characters or more"),
        (("--ready-file", "/no/such/dir/x"), "cannot be written (No such file"),
        (("--ready-file", "/proc/x"), "cannot be written"),
        (("--port", "70000"), "not in the range"),
    ],
)
def test_wrong_use_is_reported_in_words(arguments: tuple[str, ...], words: str) -> None:
    result = run("demo", *arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_wrong_options_are_reported_before_the_server_is_imported() -> None:
    """The last of the checks; the import takes half a second."""
    code = "import sys, gateway.cli as c; print(c.main(sys.argv[1:], standalone_mode=False), *sys.modules)"
    command = [sys.executable, "-c", code, "demo", "--ready-file", "/no/such/dir/x"]
    status, *modules = subprocess.run(command, capture_output=True, text=True, env=ENVIRON, check=True).stdout.split()
    assert status == "2"
    assert not {"graphql", "starlette", "uvicorn"} & set(modules)


def post(url: str, **headers: str) -> int:
    request = urllib.request.Request(
        url, b'{"query": "{ __typename }"}', {"Content-Type": "application/json", "Host": "demo.test"} | headers
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("secured", [True, False])
def test_other_machines_are_served_with_a_token_or_insecurely(tmp_path: Path, secured: bool) -> None:
    ready, token = tmp_path / "ready.json", "a-token-of-some-length"
    options = ["--token", token] if secured else ["--insecure-no-auth"]
    demo = start("demo", "--host", "0.0.0.0", "--port", "0", "--ready-file", str(ready), *options)
    try:
        assert demo.stdout is not None
        greeting = "".join(demo.stdout.readline() for _ in range(8))
        facts = json.loads(ready.read_text())
        url = facts["graphql"]
        assert url.startswith("http://127.0.0.1:")
        if secured:
            assert facts["token"] == token
            assert token not in greeting
            assert (post(url), post(url, Authorization=f"Bearer {token}")) == (401, 200)
            command = next(line for line in greeting.splitlines() if line.strip().startswith("curl"))
            environ = os.environ | {"RECEIPTS_GATEWAY_TOKEN": token}
            answer = subprocess.run(["bash", "-c", command], env=environ, capture_output=True, check=True).stdout
            assert "errors" not in json.loads(answer)
        else:
            assert "token" not in facts
            assert post(url) == 200
        demo.send_signal(signal.SIGTERM)
        demo.communicate(timeout=10)
    finally:
        demo.kill()
    assert demo.returncode == 0


def test_settings_that_have_no_effect_are_reported() -> None:
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


def test_receipts_move_by_themselves_in_a_live_demo(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    demo = start("demo", "--port", "0", "--live", "--ready-file", str(ready))
    watch = None
    try:
        assert demo.stdout is not None
        greeting = [demo.stdout.readline() for _ in range(10)]
        (line,) = (line for line in greeting if "receipts-gateway watch" in line)
        watch = start(*line.split()[1:], "--format", "ndjson")
        assert watch.stdout is not None
        changes = [json.loads(watch.stdout.readline()) for _ in range(3)]
        assert [change["__typename"] for change in changes] == ["DeliveriesReady", "ReceiptChange", "ReceiptChange"]
        facts = json.loads(ready.read_text())
        assert {change["receipt"]["conversationSid"] for change in changes[1:]} == {facts["conversation_sid"]}
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=10)
    finally:
        demo.kill()
        if watch is not None:
            watch.kill()
            watch.communicate()
    assert (demo.returncode, errors) == (0, "")


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "and makes none by itself; with `demo --live` it does, each second."),
        (["--live"], "The sandbox makes a change each second, and sends a webhook for it."),
    ],
)
def test_graphiql_says_whether_receipts_move_by_themselves(options: list[str], said: str) -> None:
    demo = start("demo", "--port", "0", *options)
    try:
        assert demo.stdout is not None
        _, line = demo.stdout.readline(), demo.stdout.readline()
        with urllib.request.urlopen(line.split()[1], timeout=10) as response:
            assert said in response.read().decode()
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=10)
    finally:
        demo.kill()
