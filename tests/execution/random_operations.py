"""Random operations, and the comparison of their outcomes: for tests, and for `fuzz`."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any, TypeVar
from urllib.parse import quote

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    get_named_type,
    is_leaf_type,
)
from hypothesis import strategies as st

from gateway.accounts.operation import Operation
from gateway.execution.bounds import Bounds
from gateway.execution.error_behavior import ErrorBehavior
from gateway.execution.executor import Executor
from gateway.execution.outcome import Outcome
from gateway.graph.context import OperationContext
from gateway.graph.ids import encode_id
from gateway.graph.types import RESOURCES
from gateway.twilio.responses import Response

from ..conftest import Answers
from .conftest import MARKS, context_over, run_in_loop, sandbox_answer
from .conftest import SCHEMA as STRAWBERRY

T = TypeVar("T")
SCHEMA = STRAWBERRY._schema


@dataclass
class Upstream(Answers):
    """Twilio without a network: responses from the sandbox's data, with faults for some targets."""

    trouble: int = 0
    """How many of 8 targets fail. The fault depends on the target alone, so that both executors see the same."""
    calls: list[str] = field(default_factory=list)
    together: int = 0
    """The number of calls made before the first response."""

    async def answer(self, target: str) -> Response:
        self.calls.append(target)
        await asyncio.sleep(0)
        self.together = self.together or len(self.calls)
        chance = sha256(target.encode()).digest()
        if chance[0] % 8 < self.trouble:
            return FAULTS[chance[1] % len(FAULTS)]
        return sandbox_answer(target)


FAULTS = [
    Response(503, {}, b""),
    Response(429, {"retry-after": "3"}, b'{"code": 20429}'),
    Response(404, {}, b'{"code": 20404}'),
    Response(403, {}, b'{"code": 20403}'),
    Response(200, {}, b"{"),
    Response(200, {}, b'{"sid": "IS0", "meta": {}}'),
]


# Random operations


def path_of(*marks: str) -> str:
    collections = ("Services", "Conversations", "Messages", "Receipts")
    return "/".join(f"{collection}/{MARKS[mark]}" for collection, mark in zip(collections, marks, strict=False))


IDS = [
    encode_id(RESOURCES["Services"], path_of("service_sid")),
    encode_id(RESOURCES["Conversations"], path_of("service_sid", "conversation_sid")),
    encode_id(RESOURCES["Messages"], path_of("service_sid", "conversation_sid", "message_sid")),
    encode_id(RESOURCES["Receipts"], path_of("service_sid", "conversation_sid", "message_sid", "receipt_sid")),
    encode_id(RESOURCES["Services"], f"Services/IS{'0' * 32}"),
    "nonsense",
]
SIDS = {
    "service": [
        MARKS["service_sid"],
        MARKS["other_service_sid"],
        MARKS["service_sid"],
        MARKS["service_sid"],
        "IS" + "0" * 32,
        "nonsense",
    ],
    "conversation": [MARKS[f"{name}conversation_sid"] for name in ("", "", "crowded_", "empty_")] + ["CH" + "0" * 32],
    "message": [MARKS[name] for name in ("message_sid", "chat_only_message_sid", "failed_receipt_message_sid")]
    + ["IM" + "0" * 32, "CH" + "0" * 32],
    "receipt": [MARKS["receipt_sid"], MARKS["departed_participant_receipt_sid"], "DY" + "0" * 32],
    "participant": [MARKS["participant_sid"], "MB" + "0" * 32],
}
VALUES: dict[str, list[Any]] = {
    "id": IDS,
    "ids": [IDS, IDS[:2], [], [IDS[0], "nonsense", IDS[3]]],
    "url": [
        MARKS["message_url"],
        f"{MARKS['message_url']}/Receipts?PageSize=50",
        f"https://conversations.twilio.com/v1/{path_of('service_sid')}/Conversations/{quote(MARKS['unique_name'], safe='')}",
        "https://example.com/",
    ],
    "by": [{"identity": MARKS["identity"]}, {"address": MARKS["address"]}, {"identity": "nobody"}, {"address": ""}],
    "codes": [[], [30003], [63016, 99999, 30003], None, [0, -1]],
    "uniqueName": [MARKS["unique_name"]] * 4 + ["nobody", ""],
    "identity": [MARKS["identity"]] * 4 + ["nobody", ".."],
    "first": [1, 2, 3, 4, 5, 6, 3, 4, 5, 0, 60, 101, -1],
    "scan": [0, 3, 60, 200, None, 1001],
    "last": [0, 1, 7, 120, None, 1001],
    "sentFrom": [None, "2025-10-01T00:00:00Z"],
    "sentTo": [None, "2025-10-20T00:00:00Z"],
    "from": [None, "2025-10-01T00:00:00Z"],
    "to": [None, "2025-10-20T00:00:00Z"],
    "conversationsFrom": [None, "2025-11-01T10:00:00Z"],
    "channels": [None, ["sms", "unknown"], []],
    "exact": [None, True, False],
    "after": [None, None, None, "nonsense"],
    "createdFrom": [None, "2025-09-01T00:00:00Z"],
    "createdTo": [None, "2026-01-01T00:00:00Z"],
}


@dataclass
class Writer:
    """Writes one random operation."""

    choose: Callable[[int, int], int]
    """Chooses a number from the first to the second."""
    variables: dict[str, tuple[str, Any]] = field(default_factory=dict)
    fragments: list[str] = field(default_factory=list)
    names: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))
    may_defer: bool = True

    def subscription(self) -> tuple[str, dict[str, Any]]:
        """Write a subscription: a selection of each type of event."""
        self.may_defer = False
        name = str(self.pick(["deliveryUpdated", "deliveryUpdated", "messageChanged"]))
        union = get_named_type(SCHEMA.subscription_type.fields[name].type)  # type: ignore[union-attr]
        parts = [f"... on {each.name} {self.selection(each, 4)}" for each in SCHEMA.get_possible_types(union)]  # type: ignore[arg-type]
        alias = "changed: " if self.chance(3) else ""
        body = f'{{ {alias}{name}(serviceSid: "{MARKS["service_sid"]}") {{ {" ".join(parts)} }} }}'
        declared = ", ".join(f"${name}: {kind}" for name, (kind, _) in self.variables.items())
        head = f"subscription S({declared}) " if declared else "subscription "
        values = {name: value for name, (_, value) in self.variables.items()}
        return " ".join([head + body, *self.fragments]), values

    def document(self) -> tuple[str, dict[str, Any]]:
        body = str(self.pick([self.anywhere, self.in_the_thread, self.in_the_thread])())
        declared = ", ".join(f"${name}: {kind}" for name, (kind, _) in self.variables.items())
        head = f"query Q({declared}) " if declared else ""
        values = {name: value for name, (_, value) in self.variables.items()}
        return " ".join([head + body, *self.fragments]), values

    def anywhere(self) -> str:
        return self.selection(SCHEMA.type_map["Query"], 4)

    def in_the_thread(self) -> str:
        """A selection below a conversation that exists, where most of the graph is."""
        kind, names = self.pick(
            [("Conversation", []), ("Message", ["message_sid"]), ("Message", ["chat_only_message_sid"])]
        )
        body = self.selection(SCHEMA.type_map[kind], 4)
        for name in names:
            body = f'{{ sid message(sid: "{MARKS[name]}") {body} }}'
        thread = self.pick([MARKS["conversation_sid"]] * 3 + [MARKS["crowded_conversation_sid"]])
        return f'{{ service(sid: "{MARKS["service_sid"]}") {{ conversation(sid: "{thread}") {body} }} }}'

    def pick(self, choices: list[T]) -> T:
        return choices[self.choose(0, len(choices) - 1)]

    def chance(self, of: int) -> bool:
        return self.choose(0, of - 1) == of - 1

    def selection(self, of_type: Any, depth: int) -> str:
        count = self.choose(1, 4)
        return "{ " + " ".join(self.part(of_type, depth) for _ in range(count)) + " }"

    def part(self, of_type: GraphQLObjectType | GraphQLInterfaceType, depth: int) -> str:
        if self.chance(6):
            return self.fragment(of_type, depth)
        if of_type is SCHEMA.query_type and self.chance(8):
            return f'__type(name: "Query"){self.directive()} {{ name }}'
        fields = of_type.fields
        if depth <= 0:
            leaves = {name: each for name, each in fields.items() if is_leaf_type(get_named_type(each.type))}
            if not leaves:  # A connection, or the query itself.
                below = {"edges": "{ node { __typename } }", "pageInfo": "{ hasNextPage }"}
                known = [f"{name} {selection}" for name, selection in below.items() if name in fields]
                return str(self.pick([*known, "__typename"]))
            fields = leaves
        name = str(self.pick([*fields, "__typename"]))
        alias = f"a{next(self.names)}: " if self.chance(4) else ""
        if name == "__typename":
            return alias + name + self.directive()
        return self.field(name, fields[name], alias, depth)

    def field(self, name: str, of: GraphQLField, alias: str, depth: int) -> str:
        below = get_named_type(of.type)
        arguments = [f"{key}: {text}" for key, each in of.args.items() if (text := self.argument(name, key, each))]
        if arguments and not alias:
            alias = f"b{next(self.names)}: "
        listed = f"({', '.join(arguments)})" if arguments else ""
        if is_leaf_type(below):
            return f"{alias}{name}{listed}{self.directive()}"
        costs = 0 if below.name.endswith(("Edge", "PageInfo", "Connection")) else 1
        return f"{alias}{name}{listed}{self.directive()} {self.selection(below, depth - costs)}"

    def argument(self, field_name: str, key: str, of: GraphQLArgument) -> str:
        is_required = str(of.type).endswith("!")
        if not is_required and key != "first" and not self.chance(3):
            return ""
        named = get_named_type(of.type)
        if key == "sid":
            value: Any = self.pick(SIDS[field_name])
        elif isinstance(named, GraphQLEnumType):
            words = list(named.values)
            value = (
                self.pick([None, [], words[:1], words[2:4]])
                if str(of.type).startswith("[")
                else self.pick([None, *words])
            )
        else:
            value = self.pick(VALUES[key])
        if self.chance(3):
            variable = f"v{next(self.names)}"
            self.variables[variable] = (str(of.type), value)
            return f"${variable}"
        if isinstance(named, GraphQLInputObjectType):
            return f"{{{', '.join(f'{name}: {json.dumps(each)}' for name, each in value.items())}}}"
        text: str = json.dumps(value)
        return text.replace('"', "") if isinstance(named, GraphQLEnumType) else text

    def directive(self) -> str:
        if not self.chance(8):
            return ""
        name, value = self.pick(["skip", "include"]), self.pick([True, False])
        if self.chance(2):
            variable = f"c{next(self.names)}"
            self.variables[variable] = ("Boolean!", value)
            return f" @{name}(if: ${variable})"
        return f" @{name}(if: {json.dumps(value)})"

    def fragment(self, of_type: GraphQLObjectType | GraphQLInterfaceType, depth: int) -> str:
        if isinstance(of_type, GraphQLInterfaceType):
            of_type = self.pick(list(SCHEMA.get_possible_types(of_type)))
        is_node = any(each.name == "Node" for each in of_type.interfaces)
        on = SCHEMA.type_map["Node"] if is_node and self.chance(3) else of_type
        body = self.selection(on, depth - 1)
        if self.chance(2):
            condition = "" if on is of_type and self.chance(2) and not is_node else f" on {on.name}"
            return f"...{condition}{self.directive()}{self.defer()} {body}"
        name = f"F{next(self.names)}"
        self.fragments.append(f"fragment {name} on {on.name} {body}")
        spreads = [f"...{name}{self.directive()}{self.defer()}" for _ in range(2 if self.chance(4) else 1)]
        return " ".join(spreads)

    def defer(self) -> str:
        if not self.may_defer or not self.chance(2):
            return ""
        arguments = [f'label: "l{next(self.names)}"'] if self.chance(2) else []
        if self.chance(4):
            variable = f"d{next(self.names)}"
            self.variables[variable] = self.pick([("Boolean!", True), ("Boolean = false", True), ("Boolean!", False)])
            arguments.append(f"if: ${variable}")
        return f" @defer({', '.join(arguments)})" if arguments else " @defer"


@cache
def _numbers(least: int, most: int) -> st.SearchStrategy[int]:
    """The numbers from the first to the second. Made once: an operation takes a hundred."""
    return st.integers(least, most)


def drawn(draw: Callable[[st.SearchStrategy[int]], int]) -> Callable[[int, int], int]:
    """How a `Writer` chooses where hypothesis draws."""
    return lambda least, most: draw(_numbers(least, most))


def seen(outcome: Outcome) -> tuple[Any, Any]:
    """What must be equal: the data as text, including its order, and the errors in any order."""
    errors = Counter(
        json.dumps([entry["message"], entry.get("path"), entry["extensions"], entry.get("locations")], sort_keys=True)
        for entry in (failure.as_json() for failure in outcome.failures)
    )
    return json.dumps(outcome.data), errors


BOUNDS = Bounds(root_fields=1000, aliases=1000, directives=1000)
"""Wider than the gateway's: few random operations are that large, and each should be valid."""
REFERENCE = Executor(STRAWBERRY, BOUNDS)
INTERPRETER = Executor(STRAWBERRY, BOUNDS, generate_at=10**9)
GENERATOR = Executor(STRAWBERRY, BOUNDS, generate_at=1)
# Most of a run's time is the validation of its document: it is validated once for all three.
REFERENCE._operations = INTERPRETER._operations = GENERATOR._operations


def run(
    document: str,
    variables: dict[str, Any],
    executor: Executor,
    *,
    trouble: int = 0,
    no_cache: bool = False,
    on_error: ErrorBehavior = "PROPAGATE",
    mark: bool = False,
) -> tuple[Outcome, Upstream, OperationContext]:
    """Run an operation; `REFERENCE` has graphql-core execute it."""
    upstream = Upstream(trouble)

    async def once() -> tuple[Outcome, OperationContext]:
        async with context_over(upstream, no_cache=no_cache) as context:
            operation = Operation(
                document,
                variables=variables,
                reference=executor is REFERENCE,
                on_error=on_error,
                mark_outside_text=mark,
            )
            return await executor.run(operation, context), context

    outcome, context = run_in_loop(once())
    return outcome, upstream, context
