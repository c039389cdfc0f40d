"""Text that people outside wrote: which fields have it, and that it is marked by whatever executes the operation."""

from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type

from gateway.accounts.operation import Operation
from gateway.execution.executor import Executor
from gateway.execution.fields import PropertyField
from gateway.execution.outside_text import FROM_OUTSIDE
from gateway.graph.schema import make_schema

from .conftest import context_over, thread
from .random_operations import GENERATOR, INTERPRETER, REFERENCE

FROM_OUTSIDE_FIELDS = {
    "Conversation.attributes",
    "Conversation.friendlyName",
    "Conversation.uniqueName",
    "Media.contentType",
    "Media.filename",
    "Message.attributes",
    "Message.author",
    "Message.body",
    "MessagingBinding.address",
    "MessagingBinding.projectedAddress",
    "MessagingBinding.proxyAddress",
    "Participant.attributes",
    "Participant.identity",
    "Service.friendlyName",
}
OTHER_TEXTS = {
    "DeliveryError.advice",
    "DeliveryError.title",
    "MessagingBinding.type",
    "PageInfo.endCursor",
    "PageInfo.startCursor",
    "Participant.channel",
    "Receipt.rawStatus",
}
"""The texts that Twilio and the gateway write, beside cursors."""
EVERY = thread(
    """
    its: friendlyName uniqueName attributes state
    messages(first: 50) { edges { node {
      sid author text: body attributes media { contentType filename size }
      receipts { edges { node { rawStatus participant {
        channel identity attributes messagingBinding { type address proxyAddress projectedAddress }
      } } } }
    } } }
    """
)
KEYS = {name.partition(".")[2] for name in FROM_OUTSIDE_FIELDS} - {"friendlyName", "body"} | {"its", "text"}


def test_every_text_of_the_schema_is_from_outside_or_not() -> None:
    """Whoever adds a text to the schema decides whether people outside write it."""
    fields = {
        f"{of_type.name}.{name}": field
        for of_type in make_schema()._schema.type_map.values()
        if isinstance(of_type, GraphQLObjectType) and not of_type.name.startswith("__")
        for name, field in of_type.fields.items()
    }
    texts = {name for name, field in fields.items() if get_named_type(field.type).name == "String"}
    assert {name for name in texts if not name.endswith(".cursor")} == FROM_OUTSIDE_FIELDS | OTHER_TEXTS
    definitions = {name: field.extensions.get("strawberry-definition") for name, field in fields.items()}
    declared = {name for name, each in definitions.items() if isinstance(each, PropertyField) and each.from_outside}
    assert declared == FROM_OUTSIDE_FIELDS


def marked(value: Any, key: str = "") -> Any:
    """The answer with every text marked that is the value of one of `KEYS`."""
    if isinstance(value, dict):
        return {key: marked(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [marked(inner) for inner in value]
    return {FROM_OUTSIDE: value} if key in KEYS and value is not None else value


async def run(executor: Executor, *, mark_outside_text: bool) -> Any:
    async with context_over() as context:
        is_reference = executor is REFERENCE
        operation = Operation(EVERY, mark_outside_text=mark_outside_text, reference=is_reference)
        outcome = await executor.run(operation, context)
    assert not outcome.failures
    return outcome.data


@pytest.mark.parametrize("executor", [GENERATOR, INTERPRETER, REFERENCE], ids=["generated", "interpreted", "reference"])
async def test_texts_are_marked_wherever_they_are(executor: Executor) -> None:
    plain = await run(executor, mark_outside_text=False)
    messages = [edge["node"] for edge in plain["service"]["conversation"]["messages"]["edges"]]
    assert {type(message["text"]) for message in messages} >= {str}
    assert await run(executor, mark_outside_text=True) == marked(plain)
    assert await run(executor, mark_outside_text=False) == plain, "the plan of one is not the plan of the other"


def test_an_operation_with_marks_is_not_equal_to_one_without() -> None:
    keys = {Operation("{ x }", mark_outside_text=each).key(per_caller=False) for each in (True, False)}
    assert len(keys) == 2
