"""Each client of the field, as npm has it, against a demo: the code in `gateway/docs/clients.md` is built, typed and run.

One `npm ci` and one demo serve all. The checks are TypeScript, one file a client, to be read as examples.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.graph.schema import print_schema

from ..docs.blocks import all_blocks, read, rows
from .project import HERE, ROOT, install, run
from .world import served

CLIENTS = ("apollo", "urql", "relay", "request", "codegen", "mocks", "graphql17/mocks")
pytestmark = pytest.mark.timeout(300)  # npm fetches 300 MB when its cache is empty.


@contextmanager
def started(*arguments: str, cwd: Path, **settings: str) -> Iterator[str]:
    """The gateway's command, under way: the first line that it says, which it does once it serves."""
    with running(*arguments, cwd=cwd, **settings) as (_, line):
        yield line


@contextmanager
def running(*arguments: str, cwd: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The same, with its process."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("TWILIO_", "GATEWAY_"))}
    command = [sys.executable, "-m", "gateway", *arguments]
    with subprocess.Popen(command, cwd=cwd, env=environ | settings, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, installed, its code generated from `schema.graphql`."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("no npm: install Node.js 20.19 or later to try the clients")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(int(part) for part in version.lstrip("v").split(".")[:2]) < (20, 19):
        pytest.skip(f"Node.js {version.strip()} is too old to try the clients: install 20.19 or later")
    return install(tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module")
def built(project: Path) -> Path:
    """The project with its checks bundled, as a frontend's build would."""
    run("npm", "run", "build", cwd=project)
    return project


@pytest.fixture(scope="module")
def ready_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A demo under way: the file that tells its addresses and sids."""
    place = tmp_path_factory.mktemp("demo")
    with started("demo", "--port", "0", "--ready-file", "ready.json", cwd=place):
        yield place / "ready.json"


@pytest.fixture(scope="module")
def trusting(project: Path, ready_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A gateway over the demo's sandbox that takes what the manifests hold, and nothing else: a ready file with its address."""
    run("npm", "run", "trusted", cwd=project)
    facts = json.loads(ready_file.read_text(encoding="utf-8"))
    settings = {
        "TWILIO_ACCOUNT_SID": facts["account_sid"],
        "TWILIO_AUTH_TOKEN": facts["auth_token"],
        "GATEWAY_UPSTREAM_URL": facts["sandbox"],
        "GATEWAY_TRUSTED_DOCUMENTS": "gql/persisted-documents.json,trusted/apollo.json,trusted/relay.json",
        "GATEWAY_TRUSTED_ONLY": "1",
    }
    with started("serve", "--port", "0", cwd=project, **settings) as greeting:
        address = re.search(r"http\S+/graphql", greeting)
        assert address, "the gateway did not start"
        path = tmp_path_factory.mktemp("trusting") / "ready.json"
        path.write_text(json.dumps(facts | {"graphql": address[0]}), encoding="utf-8")
        yield path


def test_types_are_sound(project: Path) -> None:
    """Generated code and checks under `tsc --strict`; gql.tada's documents against the schema."""
    run("npm", "run", "types", cwd=project)


@pytest.mark.parametrize("client", CLIENTS)
def test_client_works(built: Path, ready_file: Path, client: str) -> None:
    run("node", "--enable-source-maps", "--test", f"build/{client}/check.cjs", cwd=built, READY_FILE=str(ready_file))


def test_clients_that_handle_errors_themselves(project: Path, ready_file: Path) -> None:
    """Relay's compiler and codegen read `@semanticNonNull`: what they generate is typed, bundled and run."""
    variant = project.parents[1] / "semantic.graphql"
    variant.write_text(print_schema(semantic_nullability=True), encoding="utf-8")
    run("npm", "run", "nullable", cwd=project)
    check = "build/nullable/check.cjs"
    run("node", "--enable-source-maps", "--test", check, cwd=project, READY_FILE=str(ready_file))


def test_trusted_documents_are_asked_for_by_their_ids(trusting: Path, project: Path) -> None:
    run("node", "--enable-source-maps", "--test", "build/trusted/check.cjs", cwd=project, READY_FILE=str(trusting))


def test_subscriptions_keep_caches_right(built: Path) -> None:
    """The recipes of the documentation in each client, over each transport, and a few random histories."""
    with served() as world:
        run("node", "--enable-source-maps", "--test", "build/caches/check.cjs", cwd=built, WORLD=world)


def test_clients_at_limits_on_streams(built: Path) -> None:
    """graphql-ws and graphql-sse with their own retry."""
    with served() as world:
        run("node", "--enable-source-maps", "--test", "build/limits/check.cjs", cwd=built, WORLD=world)


class Lines:
    """What a process prints, as it does."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._lines = process.stdout

    def until(self, *wanted: str) -> None:
        """Read until each of these has come once more."""
        missing, seen = set(wanted), list[str]()
        while missing:
            line = self._lines.readline()
            assert line, f"{missing} did not come: {seen}"
            seen.append(line.strip())
            missing.discard(line.strip())


def test_clients_come_back_after_a_restart_and_with_a_new_token(built: Path, ready_file: Path, tmp_path: Path) -> None:
    """Each client with its own retry, and those that have none with the code in the documentation."""
    facts = json.loads(ready_file.read_text(encoding="utf-8"))
    first, second, clients_token = "first-token-of-16", "second-token-of-16", tmp_path / "token"
    tokens = tmp_path / "tokens"
    tokens.write_text(f"web:{first}")
    clients_token.write_text(first)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    serve = ("serve", "--port", port)
    settings = {
        "TWILIO_ACCOUNT_SID": facts["account_sid"],
        "TWILIO_AUTH_TOKEN": facts["auth_token"],
        "GATEWAY_UPSTREAM_URL": facts["sandbox"],
        "GATEWAY_TOKENS_FILE": str(tokens),
    }
    names = ("graphql-ws", "graphql-sse", "urql", "apollo")
    ready = [f"{name} DeliveriesReady" for name in names]
    environ = {
        "GATEWAY": f"http://127.0.0.1:{port}/graphql",
        "TOKEN_FILE": str(clients_token),
        "SERVICE": facts["service_sid"],
    }
    command = ["node", "build/live/check.cjs"]
    with running(*serve, cwd=built, **settings):
        clients = subprocess.Popen(command, cwd=built, env=os.environ | environ, stdout=subprocess.PIPE, text=True)
        lines = Lines(clients)
        lines.until(*ready)
    try:
        with running(*serve, cwd=built, **settings) as (gateway, _):
            lines.until(*ready)
            clients_token.write_text(second)
            tokens.write_text(f"web:{second}")
            gateway.send_signal(signal.SIGHUP)
            lines.until(
                "graphql-ws DeliveriesReady",
                "graphql-sse UNAUTHENTICATED",
                "graphql-sse complete",
                "urql DeliveriesReady",
                "apollo DeliveriesReady",
            )
    finally:
        clients.kill()
        clients.communicate()


def test_the_documentation_shows_the_very_files() -> None:
    every = all_blocks("clients")
    assert {block.name for block in every} == {
        "codegen.ts",
        "apollo/client.ts",
        "apollo/persisted.ts",
        "urql/client.ts",
        "urql/graphql.ts",
        "urql/tsconfig.json",
        "mocks/schema.ts",
        "nullable/codegen.ts",
        "relay.config.json",
        "relay/environment.ts",
        "relay/parts.ts",
        "request/client.ts",
    }
    live = [block for block in all_blocks("live") if block.language == "ts"]
    assert {block.name for block in live} == {"live/client.ts", "live/again.ts"}
    caches = all_blocks("live-clients")
    assert {block.name for block in caches} == {
        "live/lists.ts",
        "live/order.ts",
        "apollo/live.ts",
        "urql/live.ts",
        "relay/live.ts",
    }
    for block in every + live + caches:
        assert block.name is not None
        assert (HERE / block.name).read_text(encoding="utf-8") == block.text, block.name


def test_graphiql_reads_parts_with_the_same_code() -> None:
    parts = ROOT / "gateway" / "web" / "graphiql" / "page" / "src" / "parts.ts"
    assert parts.read_bytes() == (HERE / "relay" / "parts.ts").read_bytes()


def test_the_documentation_has_the_ids_that_clients_send() -> None:
    check = (HERE / "trusted" / "check.ts").read_text(encoding="utf-8")
    ids = {
        name: id[: len(id) - 56]
        for name, id in re.findall(r'^    "?([\w ]+)"?: "((?:sha256:)?[0-9a-f]{64})",$', check, re.MULTILINE)
    }
    assert ids == {name: id.strip("`…") for name, id, _ in rows(read("clients"), "sender")}


def test_the_documentation_names_the_versions_tested() -> None:
    packages = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    versions = "".join(cells for _, cells in rows(read("clients"), "client"))
    build = {"@babel/core", "@types/node", "@types/ws", "esbuild", "graphql17"}
    assert dict(re.findall(r"`(\S+)` (\d[\d.]*\d)", versions)) == {
        name: version for name, version in packages.items() if name not in build
    }
