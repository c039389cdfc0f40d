"""The trusted documents with their costs, for GraphiQL's panel of saved operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from anyio import to_thread
from graphql import DocumentNode, StringValueNode, Visitor, parse, visit
from graphql.utilities import separate_operations
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.callers.callers import Caller
from gateway.errors import BadUserInput, GatewayError
from gateway.graph.ids import decode_id
from gateway.graph.schema import make_schema, shared_executor
from gateway.graph.types import RESOURCES
from gateway.twilio.paths import is_sid, sids_of
from gateway.web.admission import Admission
from gateway.web.browsers import SECURITY_HEADERS
from gateway.web.documents import Documents
from gateway.web.responses import error_response

if TYPE_CHECKING:
    from strawberry import Schema

__all__ = ["TrustedPage"]


class TrustedPage:
    """The route `/graphiql/documents`, for every caller that may send operations.

    A document that names a service which the caller may not read, by its sid or in an id, is left out, and so is one that
    can never be executed.
    """

    def __init__(self, documents: Documents, admission: Admission) -> None:
        """Create the route."""
        self._documents = documents
        self._admission = admission
        self._entries: dict[str, _Entry] = {}
        """What is known of each document, by its text."""

    @property
    def routes(self) -> list[Route]:
        """The route."""
        return [Route("/graphiql/documents", self.answer)]

    async def answer(self, request: Request) -> Response:
        """Reply with the documents that the caller may send, as JSON; or with 401 or 403."""
        try:
            caller = await self._admission.caller(request.headers)
        except GatewayError as error:
            return error_response(error, "")
        shown = await to_thread.run_sync(self._shown, self._documents.trusted, caller)
        body = msgspec.json.encode({"documents": shown})
        return Response(body, headers=SECURITY_HEADERS, media_type="application/json")

    @cached_property
    def _schema(self) -> Schema:
        return make_schema()

    def _shown(self, documents: Mapping[str, str], caller: Caller) -> list[dict[str, Any]]:
        self._entries = {text: self._entries.get(text) or _Entry(self._schema, text) for text in documents.values()}
        entries = [(id, text, self._entries[text]) for id, text in documents.items()]
        return [
            {"id": id, "document": text, "operations": entry.operations}
            for id, text, entry in entries
            if entry.operations and (caller.services is None or entry.services <= caller.services)
        ]


class _Entry:
    """What is known of one document: the services that it names, and the cost of each operation."""

    def __init__(self, schema: Schema, text: str) -> None:
        self.services: set[str] = set()
        self.operations: list[dict[str, Any]] = []
        if shared_executor().check(text):
            return  # The application gave it to `create_app`, which does not check documents.
        document = parse(text)
        visit(document, _Literals(self.services))
        operations = separate_operations(document)
        self.operations = [{"name": name, **dict(_cost(schema, each))} for name, each in operations.items()]


class _Literals(Visitor):
    """Collects the services that the strings of a document name."""

    def __init__(self, services: set[str]) -> None:
        super().__init__()
        self.services = services

    def enter_string_value(self, node: StringValueNode, *_: Any) -> None:
        if is_sid(node.value, "IS"):
            self.services.add(node.value)
            return
        try:
            path = decode_id(RESOURCES.values(), node.value)[1]
        except BadUserInput:
            return
        self.services.add(sids_of(path)[0])


def _cost(schema: Schema, document: DocumentNode) -> Iterator[tuple[str, Any]]:
    """Yield the members of an operation's cost; none if it fails before any call."""
    from gateway.contract.operations.worst_case import OperationCost, operation_cost  # Few processes need it.

    cost = operation_cost(schema, document, {})
    if isinstance(cost, OperationCost):
        yield "per", cost.per
        yield from {"calls": cost.calls, "roundTrips": cost.round_trips, "assumed": cost.assumed}.items()
