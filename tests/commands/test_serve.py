"""`receipts-gateway serve`: real processes and signals, settings that are read again, and what stops the start."""

import asyncio
import json
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox import Fault, Sandbox
from gateway.version import __version__

from .conftest import ACCOUNT, ask, environ_for, run, start, worker_pids


def test_serving_openly_needs_tokens() -> None:
    result = run("serve", "--host", "0.0.0.0", **ACCOUNT)
    assert result.returncode == 2
    assert "GATEWAY_TOKENS" in result.stderr


@pytest.mark.parametrize("conversation", ["CH" + "0" * 32, f"IS{'0' * 32}/name", "/", ""])
def test_only_conversations_are_watched(conversation: str) -> None:
    result = run("serve", "--watch", conversation, **ACCOUNT)
    assert result.returncode == 2
    assert "--watch takes the sids of a service and a conversation" in result.stderr


def test_serve_serves_and_stops() -> None:
    server = start("serve", "--port", "0", **ACCOUNT)
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
    started, operation, stopping, stopped = map(json.loads, errors.splitlines())
    assert operation["event"] == "operation"
    about = {"version": __version__, "workers": 1, "address": url.removesuffix("/graphql")}
    for line, event in ((started, "started"), (stopping, "stopping"), (stopped, "stopped")):
        assert line["event"] == event
        assert about.items() <= line.items()


def test_workers_share_a_port_and_shut_down_together() -> None:
    server = start("serve", "--port", "0", "--workers", "2", **ACCOUNT)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[2].rstrip(",")
        workers = worker_pids(server)
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
    sandbox.faults.add("*", Fault(latency=0.8))
    server = start("serve", "--port", "0", **environ_for(sandbox))
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


def status(url: str) -> int:
    """The status that `/readyz` is answered with on a new connection."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("workers", [1, 2])
async def test_connections_are_accepted_while_it_drains(workers: int) -> None:
    """It takes some seconds: they are what is tested."""
    drain = {"GATEWAY_DRAIN_SECONDS": "3"}
    server = start("serve", "--port", "0", "--workers", str(workers), **ACCOUNT, **drain)
    try:
        assert server.stdout is not None
        line = await asyncio.to_thread(server.stdout.readline)
        url = line.split()[2].rstrip(",").removesuffix("/graphql")
        assert await asyncio.to_thread(status, url) == 200
        server.send_signal(signal.SIGTERM)
        signalled_at = time.monotonic()
        async with asyncio.timeout(10):
            while await asyncio.to_thread(status, url) == 200:  # Until each process has seen the signal.
                pass
            while await asyncio.to_thread(status, url) == 200:
                pass
        assert await asyncio.to_thread(post, url) == 200
        _, errors = await asyncio.to_thread(server.communicate, timeout=20)
        assert time.monotonic() - signalled_at >= 3
    finally:
        server.kill()
    assert server.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    events = [line["event"] for line in lines if line["event"] != "operation"]
    assert events == ["started", "stopping", "stopped"]
    assert {line["drain_seconds"] for line in lines if line["event"] == "stopping"} == {3.0}
    with pytest.raises(urllib.error.URLError):
        status(url)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_drain_ends_at_once_on_a_second_signal(number: signal.Signals) -> None:
    server = start("serve", "--port", "0", **ACCOUNT, GATEWAY_DRAIN_SECONDS="600")
    try:
        assert server.stdout is not None
        assert server.stderr is not None
        server.stdout.readline()
        server.stderr.readline()
        server.send_signal(signal.SIGTERM)
        assert json.loads(server.stderr.readline())["event"] == "stopping"
        server.send_signal(number)
        server.communicate(timeout=10)
    finally:
        server.kill()
    assert server.returncode == 0


def test_there_is_no_drain_on_ctrl_c() -> None:
    server = start("serve", "--port", "0", **ACCOUNT, GATEWAY_DRAIN_SECONDS="600")
    try:
        assert server.stdout is not None
        server.stdout.readline()
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=10)
    finally:
        server.kill()
    assert server.returncode == 0


def test_tokens_are_read_again_on_sighup(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("ann:ann-has-a-long-token\n")
    server = start("serve", "--host", "0.0.0.0", "--port", "0", GATEWAY_TOKENS_FILE=str(file), **ACCOUNT)
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
    server = start("serve", "--port", "0", GATEWAY_TRUSTED_DOCUMENTS=str(file), **ACCOUNT)
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
    """Each has its line, as the problems of other settings have."""
    file = tmp_path / "persisted-documents.json"
    file.write_text(json.dumps({"a1": "query Old { servcies { id } }", "b2": "query Good { __typename }", "c3": "{"}))
    environ = ACCOUNT | {"GATEWAY_DEADLINE": "never", "GATEWAY_TRUSTED_DOCUMENTS": str(file)}
    for workers in ("1", "2"):
        result = run("serve", "--port", "0", "--workers", workers, **environ)
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


def test_serving_openly_must_be_asked_for() -> None:
    server = start("serve", "--host", "0.0.0.0", "--port", "0", "--insecure-no-auth", **ACCOUNT)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split()[2].rstrip(",").removesuffix("/graphql").rpartition(":")[2]
        assert post(f"http://127.0.0.1:{port}", Host="gateway.test") == 200
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=10)
        server.kill()
