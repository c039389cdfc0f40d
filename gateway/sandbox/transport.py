"""How an answer reaches the caller: whole, or with the faults that only the connection itself can have."""

import asyncio
import socket
import struct
import zlib
from collections.abc import Mapping

from aiohttp import web

from .answers import Answer
from .faults import Fault

BOMB_BYTES = 16 * 1024 * 1024
CHUNK = b" " * 65_536


async def send(
    request: web.BaseRequest, answer: Answer, headers: Mapping[str, str], fault: Fault | None
) -> web.StreamResponse:
    """Send `answer`, its `headers` complete, as `fault` has it; returns what aiohttp is to finish."""
    match fault.kind if fault else None:
        case "hang":
            return await _hang()
        case "reset":
            return _reset(request)
        case "raw" if fault:
            return _cut(request, fault.body)
        case "half_body":
            return _cut(request, _bytes(answer, headers, len(answer.body))[: -len(answer.body) // 2])
        case "wrong_length" if fault:
            return await _misdeclare(request, answer, headers, 10 if fault.size is None else fault.size)
        case "drip" if fault:
            return await _drip(request, answer, headers, fault.size or 16, fault.pause)
        case "gzip_bomb" if fault:
            return await _inflate(request, answer, headers, fault.size or BOMB_BYTES, is_gzipped=True)
        case "big_body" if fault:
            return await _inflate(request, answer, headers, fault.size or BOMB_BYTES, is_gzipped=False)
        case "surplus" if fault:
            surplus = fault.body or _bytes(answer, headers, len(answer.body))
            return await _follow(request, _whole(answer, headers), surplus)
    return _whole(answer, headers)


def _whole(answer: Answer, headers: Mapping[str, str]) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=dict(headers))


def _bytes(answer: Answer, headers: Mapping[str, str], length: int) -> bytes:
    """The answer as it stands on the wire, declared `length` bytes long."""
    lines = [f"HTTP/1.1 {answer.status} Answer", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode() + answer.body


async def _hang() -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("nothing sets this event; only cancellation ends the wait")


def _reset(request: web.BaseRequest) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        # Lingering for zero seconds makes the kernel send RST in place of FIN.
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    return _nothing()


def _cut(request: web.BaseRequest, sent: bytes) -> web.StreamResponse:
    """Write bytes onto the bare connection and close it behind them."""
    if request.transport is not None:
        request.transport.write(sent)
        request.transport.close()
    return _nothing()


def _nothing() -> web.StreamResponse:
    """For a connection that is closing: aiohttp finds that it cannot write this answer, and lets it be."""
    return web.Response()


async def _follow(request: web.BaseRequest, response: web.Response, surplus: bytes) -> web.StreamResponse:
    """A whole answer, and right behind it bytes that nobody asked for, on a connection that stays open."""
    await response.prepare(request)
    await response.write_eof()
    if request.transport is not None:
        request.transport.write(surplus)
    return response


async def _misdeclare(
    request: web.BaseRequest, answer: Answer, headers: Mapping[str, str], short: int
) -> web.StreamResponse:
    length = len(answer.body) - short
    if short < 0:
        return _cut(request, _bytes(answer, headers, length))
    length = max(0, length)
    head = Answer(answer.status, answer.body[:length])
    return await _follow(request, _whole(head, headers), answer.body[length:])


async def _drip(
    request: web.BaseRequest, answer: Answer, headers: Mapping[str, str], size: int, pause: float
) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=dict(headers))
    response.content_length = len(answer.body)
    await response.prepare(request)
    for start in range(0, len(answer.body), size):
        await response.write(answer.body[start : start + size])
        await asyncio.sleep(pause)
    await response.write_eof()
    return response


async def _inflate(
    request: web.BaseRequest, answer: Answer, headers: Mapping[str, str], size: int, *, is_gzipped: bool
) -> web.StreamResponse:
    """The answer with spaces before its last brace: valid JSON, and far too much of it."""
    response = web.StreamResponse(status=answer.status, headers=dict(headers))
    squeeze = zlib.compressobj(9, wbits=31) if is_gzipped else None
    if squeeze:
        response.headers["Content-Encoding"] = "gzip"
    else:
        response.content_length = len(answer.body) + size
    await response.prepare(request)

    async def write(piece: bytes) -> None:
        squeezed = squeeze.compress(piece) if squeeze else piece
        if squeezed:
            await response.write(squeezed)

    await write(answer.body[:-1])
    for start in range(0, size, len(CHUNK)):
        await write(CHUNK[: size - start])
        # Squeezing spaces writes little, so nothing else would let other calls have their turn.
        await asyncio.sleep(0)
    await write(answer.body[-1:])
    if squeeze:
        await response.write(squeeze.flush())
    await response.write_eof()
    return response
