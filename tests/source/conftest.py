"""What the tests of this folder share: two queries, and a redis-server (Debian's package of that name)."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

THREAD = """query Q($serviceSid: ID!, $conversationSid: ID!) {
  service(sid: $serviceSid) { friendlyName conversation(sid: $conversationSid) { friendlyName
    messages(first: 50) { edges { node { body receipts { edges { node { status participant { channel } } } } } } }
  } }
}"""
RECEIPTS = """query Q($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
    receipts { edges { node { sid status participantSid } } }
  } } }
}"""


class Server:
    """A redis-server that can be stopped, started and frozen."""

    def __init__(self, directory: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._directory = directory
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--save", "", "--dir", self._directory]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if b"eady to accept connections" in line:
                return

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture
def server(tmp_path: Any) -> Iterator[Server]:
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server: install Debian's package redis-server")
    server = Server(str(tmp_path))
    server.start()
    yield server
    server.stop()
