"""Compression: for which clients, from which size on, and in a thread when it takes long."""

import asyncio
import gzip
import json
from collections.abc import Mapping

import aiohttp
import orjson
import pytest

from gateway.demo import landmark_variables
from gateway.sandbox import Sandbox
from gateway.web.compression import accepts_gzip, compress
from gateway.web.responses import Reply

LONG = """query Q($serviceSid: ID!, $conversationSid: ID!) { service(sid: $serviceSid) {
  conversation(sid: $conversationSid) { messages(first: 50) { edges { cursor node { id sid index body } } } } } }"""
SHORT = "query Q($serviceSid: ID!) { service(sid: $serviceSid) { friendlyName } }"


@pytest.mark.parametrize(
    ("accept_encoding", "taken"),
    [
        (None, False),
        ("", False),
        ("identity", False),
        ("br, zstd", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip, deflate, br, zstd", True),  # What browsers send.
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip;q=0.001", True),
        ("gzip; q=0.5, identity", False),
        ("gzip, identity;q=0.5", True),
        (", gzip ,", True),
        ("identity;q=0", False),
        ("gzip;q=nonsense", False),
        ("gzipped", False),
    ],
)
def test_which_clients_accept_gzip(accept_encoding: str | None, taken: bool) -> None:
    assert accepts_gzip(accept_encoding) is taken


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_long_answers_are_compressed(base_url: str, sandbox: Sandbox, method: str) -> None:
    async def answer(query: str, accept_encoding: str) -> tuple[bytes, Mapping[str, str]]:
        """The body as it came, and the headers."""
        variables = landmark_variables(query, sandbox.landmarks)
        body = {"query": query, "variables": variables} if method == "POST" else None
        parameters = {"query": query, "variables": json.dumps(variables)} if method == "GET" else None
        headers = {"Accept-Encoding": accept_encoding}
        async with http.request(
            method, f"{base_url}/graphql", json=body, params=parameters, headers=headers
        ) as response:
            assert response.status == 200
            content = await response.read()
            assert len(content) == int(response.headers["Content-Length"])
            assert "Accept-Encoding" in response.headers["Vary"]
            return content, response.headers

    async with aiohttp.ClientSession(auto_decompress=False) as http:
        plain, headers = await answer(LONG, "identity")
        assert "Content-Encoding" not in headers
        compressed, others = await answer(LONG, "gzip, deflate, br")
        assert others["Content-Encoding"] == "gzip"
        assert gzip.decompress(compressed) == plain
        assert len(compressed) < len(plain) / 2
        assert others.get("ETag") == headers.get("ETag")
        short, headers = await answer(SHORT, "gzip")
        assert "Content-Encoding" not in headers
        assert short.startswith(b'{"data"')


async def test_a_very_long_answer_is_compressed_in_a_thread() -> None:
    body = orjson.dumps([{"index": number, "body": "as in most answers"} for number in range(400_000)])
    reply, turns = Reply(200, [], body), 0
    started = compress(reply, "gzip")
    assert started is not None
    compressing = asyncio.ensure_future(started)
    while not compressing.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 10
    assert (b"content-encoding", b"gzip") in reply.headers
    assert gzip.decompress(reply.body) == body
