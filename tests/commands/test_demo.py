"""`receipts-gateway demo`: both servers, their ready file, and a clean end."""

import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ask, run, start


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
        (("--host", "0.0.0.0"), "listens on this machine only"),
        (("--host", "no.such.host.test"), "listens on this machine only"),
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
