"""Calls of tools over MCP beside the same operation over GraphQL: requests per second of one gateway.

    python -m tests.bench.tools                    with the upstream 20 ms away
    python -m tests.bench.tools --latency 0 --seconds 10

The gateway has the benchmark's queries as trusted documents. Each is asked for by its id at `/graphql`, and called as a tool at
`/mcp` in the newest version of the protocol, in turns. Each request is about a thread that no request was about before.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop
from mcp_types import CLIENT_CAPABILITIES_META_KEY, PROTOCOL_VERSION_META_KEY
from mcp_types.version import LATEST_MODERN_VERSION

from .load import run_load
from .processes import SERVE, TOKEN, UPSTREAM, WARM_UP, Processes, cpu_seconds, environment
from .queries import QUERIES, variables

ASKED = ("Q1", "Q2", "Q3")
_numbers = count(1)


def post(url: str, path: str, body: dict[str, Any], headers: str = "") -> bytes:
    """The bytes of a request with a JSON body."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Type: application/json\r\n{headers}"
        f"Accept: application/json\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def operation(url: str, name: str, copy: int) -> bytes:
    """A query by its id, over GraphQL."""
    return post(url, "/graphql", {"documentId": name, "variables": variables(name, copy)})


def tool_call(url: str, name: str, copy: int) -> bytes:
    """The same query as a tool."""
    meta = {PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION, CLIENT_CAPABILITIES_META_KEY: {}}
    body = {
        "jsonrpc": "2.0",
        "id": copy,
        "method": "tools/call",
        "params": {"name": name, "arguments": variables(name, copy), "_meta": meta},
    }
    headers = f"MCP-Protocol-Version: {LATEST_MODERN_VERSION}\r\nMcp-Method: tools/call\r\nMcp-Name: {name}\r\n"
    return post(url, "/mcp", body, headers)


def measure(
    address: str, pid: int, make: Callable[[str, str, int], bytes], name: str, connections: int, seconds: float
) -> tuple[float, float]:
    """Return the requests per second, and the milliseconds of CPU for each."""

    def requests() -> Iterator[bytes]:
        return (make(address, name, next(_numbers)) for _ in count())

    uvloop.run(run_load(address, [requests() for _ in range(connections)], WARM_UP / 2))
    before, began = cpu_seconds(pid), time.perf_counter()
    took = uvloop.run(run_load(address, [requests() for _ in range(connections)], seconds))
    elapsed = time.perf_counter() - began
    return len(took) / elapsed, 1000 * (cpu_seconds(pid) - before) / len(took)


def main() -> None:
    """Measure what is asked for, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=20.0, help="milliseconds to the upstream")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each is asked in each round")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        manifest = Path(directory) / "documents.json"
        manifest.write_text(json.dumps({name: QUERIES[name] for name in ASKED}), encoding="utf-8")
        processes = Processes(Path(directory))
        upstream = (*UPSTREAM, "--latency-ms", str(given.latency))
        with processes.start(upstream, is_contender=False) as (_, url):
            environ = environment(url) | {
                "GATEWAY_TRUSTED_DOCUMENTS": str(manifest),
                "GATEWAY_MCP": "trusted",
                "GATEWAY_MCP_BUDGET": "1000000",
                "GATEWAY_LOG_LEVEL": "error",
            }
            with processes.start(SERVE, environ, is_contender=True) as (pid, address):
                print(f"Upstream {given.latency:g} ms away; {given.rounds} rounds of {given.seconds:g} s\n")
                print("| query | connections | GraphQL requests/s | CPU ms | tool calls/s | CPU ms | ratio |")
                print(f"|{'---|' * 7}")
                for name in ASKED:
                    for connections in (1, 16):
                        found: dict[str, list[tuple[float, float]]] = {"graphql": [], "tool": []}
                        for _ in range(given.rounds):
                            for kind, make in (("graphql", operation), ("tool", tool_call)):
                                found[kind].append(measure(address, pid, make, name, connections, given.seconds))
                        graphql, tool = (
                            [statistics.median(each) for each in zip(*rows, strict=True)] for rows in found.values()
                        )
                        print(
                            f"| {name} | {connections} | {graphql[0]:,.0f} | {graphql[1]:.2f} | {tool[0]:,.0f} "
                            f"| {tool[1]:.2f} | {tool[0] / graphql[0]:.2f} |",
                            flush=True,
                        )


if __name__ == "__main__":
    main()
