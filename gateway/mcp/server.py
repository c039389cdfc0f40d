"""The protocol: the official SDK's server over the tools, on standard input and output, and over streamable HTTP.

https://modelcontextprotocol.io/specification; the SDK speaks each of its versions. A request over HTTP stands for itself: there
is no session, and nothing is kept between two requests.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import mcp_types
import orjson
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from starlette.types import Message, Receive, Scope, Send

from gateway.callers.callers import ANONYMOUS, Caller
from gateway.mcp.calls import CALLER, NOTICE, ToolCalls, ToolResult
from gateway.mcp.tools import Tool, read_tools, shipped_documents
from gateway.version import __version__

__all__ = ["ToolServer"]

_RESULT = "gateway.result"
"""The key of the result of a call in the scope of its request."""
_PLACE = uuid4().hex
"""What stands in a response in place of the result."""

_INSTRUCTIONS = (
    "Tools to find out who received a message in Twilio Conversations, who did not, and why. All are read-only. Each call "
    "costs upstream calls, of which a client has so many a minute: a refusal says what would fit. Ask for little first, and "
    f"continue with `endCursor`. A record that is null, without an error at its path, does not exist. {NOTICE}"
)
_ANNOTATIONS = mcp_types.ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True
)


class ToolServer:
    """Serves tools to assistants."""

    def __init__(self, calls: ToolCalls, documents: Mapping[str, str], *, sets: Collection[str], body_max: int) -> None:
        """Create the server.

        `documents` are the trusted ones; `sets` says whether there are tools of these (`trusted`), of the shipped ones
        (`shipped`), or of both. Requests over HTTP have at most `body_max` bytes.
        """
        # Its lines hold what peers have sent, such as host names.
        logging.getLogger("mcp").setLevel(logging.CRITICAL)
        self._calls = calls
        self._sets = sets
        self._body_max = body_max
        self._tools: dict[str, Tool] = {}
        self._listed: list[mcp_types.Tool] = []
        self._manager: StreamableHTTPSessionManager | None = None
        self._server: Server[Any] = Server(
            "receipts-gateway",
            version=__version__,
            title="Receipts gateway",
            instructions=_INSTRUCTIONS,
            on_list_tools=self._list,
            on_call_tool=self._call,
            get_tool_input_schema=_no_headers,
        )
        self._server.middleware.clear()  # OpenTelemetry's: the gateway has its own spans.
        self.replace(documents)

    def replace(self, documents: Mapping[str, str]) -> None:
        """Serve the tools of these trusted documents, in place of the earlier ones."""
        shipped = shipped_documents() if "shipped" in self._sets else {}
        tools = read_tools(({**documents} if "trusted" in self._sets else {}) | shipped)
        self._tools = {tool.name: tool for tool in tools}
        self._listed = [_as_listed(tool) for tool in tools]

    async def run_stdio(self) -> None:
        """Serve one assistant on standard input and output, until it closes the input."""
        async with stdio_server() as (received, sent):
            await self._server.run(received, sent, self._server.create_initialization_options())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve requests over HTTP until the end of the block."""
        manager = StreamableHTTPSessionManager(
            self._server, json_response=True, stateless=True, max_request_body_size=self._body_max
        )
        async with manager.run():
            self._manager = manager
            try:
                yield
            finally:
                self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request through ASGI."""
        assert self._manager is not None
        await self._manager.asgi_app(scope, receive, _Splice(scope, send))

    async def _list(self, context: Any, params: Any) -> mcp_types.ListToolsResult:
        return mcp_types.ListToolsResult(tools=self._listed)

    async def _call(self, context: Any, params: mcp_types.CallToolRequestParams) -> mcp_types.CallToolResult:
        tool = self._tools.get(params.name)
        if tool is None:
            raise MCPError(mcp_types.INVALID_PARAMS, "There is no tool with that name: list the tools.")
        caller: Caller = context.request.scope[CALLER] if context.request is not None else ANONYMOUS
        result = await self._calls.call(tool, params.arguments or {}, caller)
        if context.request is None:
            text, structured = result.text, orjson.loads(result.encoded)
        else:
            context.request.scope[_RESULT] = result
            text, structured = _PLACE, {_PLACE: True}
        return mcp_types.CallToolResult(
            content=[mcp_types.TextContent(type="text", text=text)],
            structured_content=structured,
            is_error=result.is_error,
        )


class _Splice:
    """ASGI's `send`, which puts the result of a call into the response in place of the two marks of it.

    A result of 100 KB is encoded once, in C. The SDK would copy it object by object, four times.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message  # Its length is not known yet.
            return
        result: ToolResult | None = self._scope.get(_RESULT)
        if self._start is not None:
            start, self._start = self._start, None
            if result is not None:
                body = message["body"].replace(b'{"%b":true}' % _PLACE.encode(), result.encoded, 1)
                body = body.replace(b'"%b"' % _PLACE.encode(), orjson.dumps(result.text), 1)
                message = {**message, "body": body}
                headers = [header for header in start["headers"] if header[0].lower() != b"content-length"]
                start = {**start, "headers": [*headers, (b"content-length", b"%d" % len(body))]}
            await self._send(start)
        await self._send(message)


def _no_headers(name: str) -> None:
    """Return no schema to compare headers with: no argument of a tool is sent in a header as well (`x-mcp-header`)."""


def _as_listed(tool: Tool) -> mcp_types.Tool:
    return mcp_types.Tool(
        name=tool.name,
        description=tool.description,
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        annotations=_ANNOTATIONS,
        _meta={"receipts-gateway/calls": tool.calls},
    )
