"""Sending a response, whole or with the faults that concern the connection itself."""

import asyncio
import socket
import struct
import zlib
from collections.abc import Mapping

from aiohttp import web

from .faults import Fault
from .responses import SandboxResponse

BOMB_BYTES = 16 * 1024 * 1024
CHUNK = b" " * 65_536


async def send(
    request: web.BaseRequest, response: SandboxResponse, headers: Mapping[str, str], fault: Fault | None
) -> web.StreamResponse:
    """Send a response with these complete `headers`, as the fault demands; return the response that aiohttp finishes."""
    match fault.kind if fault else None:
        case "hang":
            return await _hang()
        case "reset":
            return _reset(request)
        case "raw" if fault:
            return _cut(request, fault.body)
        case "half_body":
            return _cut(request, _bytes(response, headers, len(response.body))[: -len(response.body) // 2])
        case "wrong_length" if fault:
            return await _misdeclare(request, response, headers, 10 if fault.size is None else fault.size)
        case "drip" if fault:
            return await _drip(request, response, headers, fault.size or 16, fault.pause)
        case "gzip_bomb" if fault:
            return await _inflate(request, response, headers, fault.size or BOMB_BYTES, is_gzipped=True)
        case "big_body" if fault:
            return await _inflate(request, response, headers, fault.size or BOMB_BYTES, is_gzipped=False)
        case "surplus" if fault:
            surplus = fault.body or _bytes(response, headers, len(response.body))
            return await _follow(request, _whole(response, headers), surplus)
    return _whole(response, headers)


def _whole(response: SandboxResponse, headers: Mapping[str, str]) -> web.Response:
    return web.Response(status=response.status, body=response.body, headers=dict(headers))


def _bytes(response: SandboxResponse, headers: Mapping[str, str], length: int) -> bytes:
    """Encode a response, with `length` as its Content-Length."""
    lines = [f"HTTP/1.1 {response.status} Response", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode() + response.body


async def _hang() -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("nothing sets this event; only cancellation ends the wait")


def _reset(request: web.BaseRequest) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        # A linger time of zero makes the kernel send RST instead of FIN.
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    return _closing()


def _cut(request: web.BaseRequest, sent: bytes) -> web.StreamResponse:
    """Write bytes to the bare connection, then close it."""
    if request.transport is not None:
        request.transport.write(sent)
        request.transport.close()
    return _closing()


def _closing() -> web.StreamResponse:
    """Return a response for a closing connection, to which aiohttp cannot write it."""
    return web.Response()


async def _follow(request: web.BaseRequest, response: web.Response, surplus: bytes) -> web.StreamResponse:
    """Send a whole response, and unrequested bytes right after it; the connection stays open."""
    await response.prepare(request)
    await response.write_eof()
    if request.transport is not None:
        request.transport.write(surplus)
    return response


async def _misdeclare(
    request: web.BaseRequest, response: SandboxResponse, headers: Mapping[str, str], short: int
) -> web.StreamResponse:
    length = len(response.body) - short
    if short < 0:
        return _cut(request, _bytes(response, headers, length))
    length = max(0, length)
    head = SandboxResponse(response.status, response.body[:length])
    return await _follow(request, _whole(head, headers), response.body[length:])


async def _drip(
    request: web.BaseRequest, response: SandboxResponse, headers: Mapping[str, str], size: int, pause: float
) -> web.StreamResponse:
    stream = web.StreamResponse(status=response.status, headers=dict(headers))
    stream.content_length = len(response.body)
    await stream.prepare(request)
    for start in range(0, len(response.body), size):
        await stream.write(response.body[start : start + size])
        await asyncio.sleep(pause)
    await stream.write_eof()
    return stream


async def _inflate(
    request: web.BaseRequest, response: SandboxResponse, headers: Mapping[str, str], size: int, *, is_gzipped: bool
) -> web.StreamResponse:
    """Send the response with spaces before its last brace: valid JSON, and far too large."""
    stream = web.StreamResponse(status=response.status, headers=dict(headers))
    compressor = zlib.compressobj(9, wbits=31) if is_gzipped else None
    if compressor:
        stream.headers["Content-Encoding"] = "gzip"
    else:
        stream.content_length = len(response.body) + size
    await stream.prepare(request)

    async def write(piece: bytes) -> None:
        compressed = compressor.compress(piece) if compressor else piece
        if compressed:
            await stream.write(compressed)

    await write(response.body[:-1])
    for start in range(0, size, len(CHUNK)):
        await write(CHUNK[: size - start])
        # Compressed spaces are few bytes, so that writing them never yields to other calls.
        await asyncio.sleep(0)
    await write(response.body[-1:])
    if compressor:
        await stream.write(compressor.flush())
    await stream.write_eof()
    return stream
