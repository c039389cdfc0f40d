"""Executes a subscription: planned once, and executed anew for each event (GraphQL specification, 6.2.3).

An event never has `errors`, since clients take them for the subscription's end, or keep them for all later events. What
failed is null in the data, and the event's `IncompleteField` has the code of the failure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any

import msgspec
from graphql import (
    FieldNode,
    Node,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.values import VariableValues

from gateway.errors import CODES, GatewayError
from gateway.execution.context import Context, Event, MissingKey
from gateway.execution.failures import Failure
from gateway.execution.fields import IncompleteField
from gateway.execution.prepared import CachedPlan, ValidOperation
from gateway.execution.properties import selected_properties
from gateway.execution.steps import Leaf, Selection

__all__ = ["SubscriptionPlan", "event_json", "prepare", "variables_below", "write_incomplete"]


@dataclass(frozen=True, slots=True)
class SubscriptionPlan:
    """A subscription that is ready to be executed for events.

    The arguments of its field only choose events. So those that differ in nothing else are equal, and have equal payloads.
    """

    key: tuple[str, str | None, bytes, bool]
    """The document, the requested operation name, `variables_below`, and `is_reference`."""
    field: str = attribute(compare=False)
    """The field of the subscription type."""
    arguments: Mapping[str, Any] = attribute(compare=False)
    """The arguments by their GraphQL names, checked: `serviceSid`, `conversationSids`, `messageSids`, `after`."""
    cost: int = attribute(compare=False)
    """Upstream calls for one event, in the worst case."""
    operation: ValidOperation = attribute(compare=False, repr=False)
    planned: CachedPlan = attribute(compare=False, repr=False)
    variables: dict[str, Any] = attribute(compare=False, repr=False)
    """The variables as they were sent."""
    values: VariableValues = attribute(compare=False, repr=False)
    """The coerced variables."""

    @property
    def is_reference(self) -> bool:
        """Whether graphql-core executes it."""
        return self.key[3]


def variables_below(operation: ValidOperation, nodes: Collection[FieldNode], values: VariableValues) -> bytes:
    """Return the variables that a subscription uses elsewhere than in the arguments of its field, as JSON.

    `nodes` are those of its field.
    """
    found: set[str] = set()
    own = {id(argument) for node in nodes for argument in node.arguments or ()}

    class Uses(Visitor):
        def enter_variable_definition(self, node: Node, *_: Any) -> bool:
            return False

        def enter_argument(self, node: Node, *_: Any) -> bool | None:
            return False if id(node) in own else None

        def enter_variable(self, node: VariableNode, *_: Any) -> None:
            found.add(node.name.value)

    for part in (operation.node, *operation.fragments.values()):
        visit(part, Uses())
    return msgspec.json.encode({name: values.coerced[name] for name in sorted(found & values.coerced.keys())})


async def prepare(event: Event, selection: Selection, context: Context) -> tuple[Event, Exception | None]:
    """Return the event for a selection of its type, once the record that is missing has been read; or the error of that."""
    event, read = event.select(selected_properties(selection))
    if read is None:
        return event, None
    try:
        record = context.look_up(read, True)
        while isinstance(record, MissingKey):
            context.charge([record])
            await context.fetch([record])
            record = context.look_up(read, True)
    except GatewayError as error:
        return event, error
    return event.with_record(record) if record is not None else event, None


def event_json(key: str, event: bytes) -> bytes:
    """Return the data of a payload as JSON, from the response key of the field and the event."""
    return b"{" + msgspec.json.encode(key) + b":" + event + b"}"


def write_incomplete(event: dict[str, Any] | None, selection: Selection, failures: Collection[Failure]) -> str | None:
    """Write the code of the failures into an event, and return it; None without a failure.

    Of several codes it is the first one in the tree of errors: executors find failures in different orders.
    """
    codes = {failure.error.code for failure in failures}
    code = next((code for code in CODES if code in codes), None)
    if code is not None and event is not None:
        for step in selection.steps:
            if isinstance(step, Leaf) and isinstance(step.prop, IncompleteField):
                event[step.key] = code
    return code
