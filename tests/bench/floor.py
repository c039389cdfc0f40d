"""A floor for the gateway's CPU time: a script that answers Q1, Q2 and Q3 with as little work as CPython needs for it.

It knows the three operations by their names, so that it neither parses GraphQL nor validates anything. It has no limits, no
callers, no retries, no errors and no log, and trusts both its clients and the upstream.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
import orjson
import uvloop

from gateway.web.server import freeze_startup_objects

from .processes import CONNECTIONS_MAX

Call = tuple[str, Callable[[bytes], None]]
Dict = dict[str, Any]


class Record(msgspec.Struct, gc=False):
    """A service or a conversation."""

    sid: str
    friendly_name: str | None = None
    date_created: str | None = None
    state: str | None = None


class Message(msgspec.Struct, gc=False):
    """A message."""

    sid: str
    index: int
    author: str | None = None
    body: str | None = None
    date_created: str | None = None


class Receipt(msgspec.Struct, gc=False):
    """A receipt."""

    sid: str
    status: str | None = None
    error_code: int | None = None
    channel_message_sid: str | None = None
    participant_sid: str | None = None
    date_created: str | None = None
    date_updated: str | None = None


class Binding(msgspec.Struct, gc=False):
    """A participant's address."""

    type: str | None = None
    address: str | None = None


class Participant(msgspec.Struct, gc=False):
    """A participant."""

    sid: str
    messaging_binding: Binding | None = None


class Page(msgspec.Struct, gc=False):
    """A page of a list: one of the three."""

    messages: list[Message] = []
    delivery_receipts: list[Receipt] = []
    participants: list[Participant] = []


record = msgspec.json.Decoder(Record).decode
page = msgspec.json.Decoder(Page).decode
receipt = msgspec.json.Decoder(Receipt).decode


class Upstream:
    """Kept connections to the upstream; each carries one call at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        pair = f"{os.environ['TWILIO_ACCOUNT_SID']}:{os.environ['TWILIO_AUTH_TOKEN']}".encode()
        self._tail = (
            f" HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Basic {base64.b64encode(pair).decode()}\r\n\r\n"
        )
        self._count = 0
        self._connecting: set[asyncio.Future[None]] = set()
        self._idle: list[Connection] = []
        self._waiting: deque[Call] = deque()

    def get(self, path: str, on_body: Callable[[bytes], None]) -> None:
        """Call back with the body of the response."""
        if self._idle:
            self._idle.pop().send(path + self._tail, on_body)
            return
        self._waiting.append((path, on_body))
        if self._count < CONNECTIONS_MAX:
            self._count += 1
            connecting = asyncio.ensure_future(self._connect())
            self._connecting.add(connecting)
            connecting.add_done_callback(self._connecting.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self), self._host, self._port, ssl=self._tls)
        self.release(connection)

    def release(self, connection: Connection) -> None:
        """Use a connection for the next call."""
        if self._waiting:
            path, on_body = self._waiting.popleft()
            connection.send(path + self._tail, on_body)
        else:
            self._idle.append(connection)


class Connection(asyncio.Protocol):
    """One connection to the upstream, whose responses have a `Content-Length`."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._write = cast(asyncio.Transport, transport).write

    def send(self, head: str, on_body: Callable[[bytes], None]) -> None:
        """Send a request."""
        self._on_body = on_body
        self._write(b"GET /v1/" + head.encode())

    def data_received(self, data: bytes) -> None:
        """Call back once the response is complete."""
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if end and len(body) == content_length(head):
            self._data, on_body = b"", self._on_body
            self._upstream.release(self)
            on_body(body)


def content_length(head: bytes) -> int:
    """Return the value of `Content-Length`."""
    return int(head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])


class Server(asyncio.Protocol):
    """One connection of a client, which sends its next request after the response."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._write = cast(asyncio.Transport, transport).write

    def data_received(self, data: bytes) -> None:
        """Answer a request once it is complete."""
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if not end or len(body) < content_length(head):
            return
        self._data = b""
        request = orjson.loads(body)
        sids = request["variables"]
        if request["query"].startswith("query Q3"):
            path = "Services/{service}/Conversations/{conversation}/Messages/{message}/Receipts/{receipt}"
            self._upstream.get(path.format(**sids), self._answer_receipt)
        else:
            Thread(self._upstream, sids, 50 if request["query"].startswith("query Q1") else 10, self._answer)

    def _answer_receipt(self, body: bytes) -> None:
        self._answer({"conversation": {"message": {"receipt": receipt_json(receipt(body))}}})

    def _answer(self, service: Dict) -> None:
        body = orjson.dumps({"data": {"service": service}})
        self._write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )


class Thread:
    """The answer to Q1 or Q2 while it is read."""

    def __init__(self, upstream: Upstream, sids: dict[str, str], first: int, answer: Callable[[Dict], None]) -> None:
        self._upstream, self._answer = upstream, answer
        self._service = f"Services/{sids['service']}"
        self._path = f"{self._service}/Conversations/{sids['conversation']}"
        self._bodies: dict[str, bytes] = {}
        self._messages: list[Message] = []
        self._left = 0
        for path in (self._service, self._path, f"{self._path}/Participants?PageSize=100"):
            self._read(path)
        self._left += 1
        upstream.get(f"{self._path}/Messages?PageSize={first}", self._read_receipts)

    def _read(self, path: str) -> None:
        self._left += 1
        self._upstream.get(path, lambda body: self._keep(path, body))

    def _keep(self, path: str, body: bytes) -> None:
        self._bodies[path] = body
        self._left -= 1
        if not self._left:
            self._answer(self._json())

    def _read_receipts(self, body: bytes) -> None:
        self._messages = page(body).messages
        for message in self._messages:
            self._read(self._receipts(message))
        self._keep("", b"")

    def _receipts(self, message: Message) -> str:
        return f"{self._path}/Messages/{message.sid}/Receipts?PageSize=50"

    def _json(self) -> Dict:
        bodies = self._bodies
        service, conversation = record(bodies[self._service]), record(bodies[self._path])
        listed = page(bodies[f"{self._path}/Participants?PageSize=100"]).participants
        people = {each.sid: participant_json(each) for each in listed}
        messages = [
            {
                "node": {
                    "sid": each.sid,
                    "index": each.index,
                    "author": each.author,
                    "body": each.body,
                    "dateCreated": each.date_created,
                    "receipts": {
                        "edges": [
                            {
                                "node": {
                                    "sid": row.sid,
                                    "status": status(row),
                                    "errorCode": row.error_code or None,
                                    "dateUpdated": row.date_updated,
                                    "participant": people.get(row.participant_sid or ""),
                                }
                            }
                            for row in page(bodies[self._receipts(each)]).delivery_receipts
                        ]
                    },
                }
            }
            for each in self._messages
        ]
        return {
            "sid": service.sid,
            "friendlyName": service.friendly_name,
            "dateCreated": service.date_created,
            "conversation": {
                "sid": conversation.sid,
                "friendlyName": conversation.friendly_name,
                "state": (conversation.state or "").upper(),
                "messages": {"edges": messages},
            },
        }


def status(row: Receipt) -> str:
    """Return a value of the enum `DeliveryStatus`."""
    return row.status.upper() if row.status is not None else "PENDING"


def receipt_json(row: Receipt) -> Dict:
    """Return what Q3 selects."""
    return {
        "sid": row.sid,
        "status": status(row),
        "errorCode": row.error_code or None,
        "channelMessageSid": row.channel_message_sid,
        "dateCreated": row.date_created,
        "dateUpdated": row.date_updated,
    }


def participant_json(row: Participant) -> Dict:
    """Return what Q1 selects."""
    binding = row.messaging_binding
    return {
        "sid": row.sid,
        "channel": (binding.type if binding is not None else None) or "chat",
        "messagingBinding": {"type": binding.type, "address": binding.address} if binding is not None else None,
    }


async def serve() -> None:
    """Serve until the process ends."""
    upstream = Upstream(os.environ["UPSTREAM_URL"])
    server = await asyncio.get_running_loop().create_server(lambda: Server(upstream), "127.0.0.1", 0, backlog=1024)
    freeze_startup_objects()
    print(f"listening http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
