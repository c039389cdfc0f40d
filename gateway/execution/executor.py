"""From a document's text to the answer's data and errors: parsed, validated, chosen, planned, run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from inspect import isawaitable
from operator import itemgetter
from typing import Any, Protocol

from cachetools import LRUCache
from graphql import (
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    get_operation_ast,
    specified_rules,
    validate,
)
from graphql.execution import experimental_execute_incrementally
from graphql.execution.values import VariableValues
from strawberry import Schema

from gateway.errors import (
    BadUserInput,
    CostLimitExceeded,
    GatewayError,
    OperationUnresolved,
    ParseFailed,
    ValidationFailed,
)
from gateway.execution.bounds import Bounds, parse_within
from gateway.execution.engine import Run
from gateway.execution.estimate import Estimate
from gateway.execution.failures import Failure, failure_of
from gateway.execution.inputs import variable_reader
from gateway.execution.outcome import Outcome, Subsequent
from gateway.execution.plan import NeedsReference, Plan, condition_variables, only_introspection, without_defer

__all__ = ["Executor", "Request"]

_CACHED_CHARACTERS = 2**19  # A parsed document takes about 80 bytes of memory for each character of its text.
_ERRORS_MAX = 20
_CACHED_WEIGHT = 40_000  # In steps of plans, of about a kilobyte each, and as much of their documents.


@dataclass(slots=True)
class _Operation:
    """An operation of a valid document."""

    key: tuple[str, str | None]
    """Its document's text, and the name it was asked for by."""
    document: DocumentNode
    node: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]
    conditions: dict[str, bool | None]
    characters: int
    read_variables: Callable[[dict[str, Any]], VariableValues | list[GraphQLError]]
    fingerprint: str
    introspection: DocumentNode | None = None
    """The document with what it asks about the schema, and nothing else."""
    whole: DocumentNode | None = None
    """The document without `@defer`."""

    @property
    def name(self) -> str | None:
        return self.node.name.value if self.node.name is not None else None

    def outcome(self, data: dict[str, Any] | None, failures: tuple[Failure, ...] = (), **more: Any) -> Outcome:
        """What came of carrying it out."""
        return Outcome(data, failures, operation=self.name, document=self.fingerprint, **more)


class Executor:
    """Carries out operations on one schema. A document that was valid once is not parsed, validated and planned again."""

    def __init__(self, schema: Schema, bounds: Bounds | None = None, *, introspection: bool = True) -> None:
        """Take the schema, how large documents may be, and whether the schema may be asked for, or guessed at."""
        self._schema = schema._schema
        self._converter = schema.schema_converter
        self._bounds = bounds or Bounds()
        self._rules = specified_rules if introspection else (*specified_rules, NoSchemaIntrospectionCustomRule)
        self._hide_suggestions = not introspection
        self._operations: LRUCache[tuple[str, str | None], _Operation] = LRUCache(
            _CACHED_CHARACTERS, getsizeof=lambda operation: operation.characters
        )
        self._plans: LRUCache[tuple[tuple[str, str | None], bool, tuple[Any, ...]], tuple[Plan, int]] = LRUCache(
            _CACHED_WEIGHT, getsizeof=itemgetter(1)
        )
        """Plans and what they weigh, by the operation and the values of the variables that its conditions depend on."""

    async def run(self, request: Request, context: Any) -> Outcome:
        """Execute an operation. Every failure is in the outcome; nothing is raised for one.

        With `request.reference`, graphql-core executes it: the reference that the engine is compared with. With
        `request.dry_run` nothing is read; `extensions.plan` holds what would be read. With `request.defer`, what stands in
        fragments with `@defer` is left to the outcome's `subsequent`; else `@defer` has no effect.
        """
        text, variables = request.document, request.variables or {}
        try:
            operation = self._operation(text, request.name)
            values = self._coerce(operation, variables)
            plan = self._plan(operation, values, request.defer)
        except _Invalid as invalid:
            return Outcome(None, invalid.failures, executed=False, document=_fingerprint(text))
        if isinstance(plan, str):
            context.runs[plan] += 1
            return await self._reference(operation, context, variables)
        run = Run(plan, context, values)
        requested = run.estimate.requested
        if requested > context.cost_max:
            return self._too_dear(operation, run.estimate, context.cost_max)
        if request.dry_run:
            return operation.outcome(None, requested=requested, extensions={"plan": run.estimate.as_json()})
        context.reserve(requested)
        reason = "not asked"
        if not request.reference:
            try:
                data, failures = await run.answer()
            except NeedsReference as unplannable:
                reason = str(unplannable)
                context.start_again()
            else:
                context.runs["engine"] += 1
                if plan.asks_for_schema:
                    context.runs["introspection"] += 1
                    about_schema, more = self._introspect(operation, variables)
                    data, failures = data | about_schema, failures + more
                outcome = operation.outcome(data, failures, requested=requested)
                if run.deferred:
                    outcome.pending = run.deferred
                    outcome.subsequent = Subsequent(run.rest())
                return outcome
        context.runs[reason] += 1
        return replace(await self._reference(operation, context, variables), requested=requested)

    def check(self, text: str) -> tuple[Failure, ...]:
        """What keeps the operations of a document from being carried out, whatever their variables; nothing for most."""
        try:
            document = self._document(text)
        except _Invalid as invalid:
            return invalid.failures
        if not any(isinstance(part, OperationDefinitionNode) for part in document.definitions):
            return (Failure(_unresolved(document, None)),)
        return ()

    def _introspect(
        self, operation: _Operation, variables: dict[str, Any]
    ) -> tuple[dict[str, Any], tuple[Failure, ...]]:
        """What the operation asks about the schema, and nothing else of it: no record is read, or written, for it."""
        if operation.introspection is None:
            operation.introspection = only_introspection(self._schema, without_defer(operation.document))
        result = experimental_execute_incrementally(
            self._schema, operation.introspection, variable_values=variables, operation_name=operation.name
        )
        assert isinstance(result, ExecutionResult)
        return result.data or {}, tuple(failure_of(error) for error in result.errors or ())

    def _too_dear(self, operation: _Operation, estimate: Estimate, limit: int) -> Outcome:
        details = estimate.refusal(limit)
        hint = f" What would fit: {details['suggestion']}." if details["suggestion"] else ""
        error = CostLimitExceeded(
            f"The operation could take {details['requested']} upstream calls or more; {limit} are allowed.{hint}",
            details=details,
        )
        return operation.outcome(None, (Failure(error),), executed=False, requested=details["requested"])

    async def _reference(self, operation: _Operation, context: Any, variables: dict[str, Any]) -> Outcome:
        if operation.whole is None:
            operation.whole = without_defer(operation.document)
        result = experimental_execute_incrementally(
            self._schema,
            operation.whole,
            context_value=context,
            variable_values=variables,
            operation_name=operation.name,
            hide_suggestions=self._hide_suggestions,
        )
        if isawaitable(result):
            result = await result
        assert isinstance(result, ExecutionResult)  # A schema with `@defer` is executed so; nothing is deferred here.
        return operation.outcome(result.data, tuple(failure_of(error) for error in result.errors or ()))

    def _operation(self, text: str, name: str | None) -> _Operation:
        operation = self._operations.get((text, name))
        if operation is None:
            operation = self._read(text, name)
            if operation.characters <= _CACHED_CHARACTERS // 8:
                self._operations[text, name] = operation
        return operation

    def _document(self, text: str) -> DocumentNode:
        """A valid document."""
        try:
            document = parse_within(text, self._bounds)
        except GraphQLSyntaxError as error:
            raise _Invalid(_failures([error], ParseFailed)) from None
        except (ParseFailed, ValidationFailed) as error:
            raise _Invalid((Failure(error),)) from None
        errors = validate(
            self._schema, document, self._rules, max_errors=_ERRORS_MAX, hide_suggestions=self._hide_suggestions
        )
        if errors:
            raise _Invalid(_failures(errors, ValidationFailed))
        return document

    def _read(self, text: str, name: str | None) -> _Operation:
        document = self._document(text)
        node = get_operation_ast(document, name)
        if node is None:
            raise _Invalid((Failure(_unresolved(document, name)),))
        fragments = {part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)}
        conditions = condition_variables(node, fragments)
        read_variables = variable_reader(
            self._schema,
            node.variable_definitions or (),
            max_errors=_ERRORS_MAX,
            hide_suggestions=self._hide_suggestions,
        )
        fingerprint = _fingerprint(text)
        return _Operation((text, name), document, node, fragments, conditions, len(text), read_variables, fingerprint)

    def _coerce(self, operation: _Operation, variables: dict[str, Any]) -> VariableValues:
        values = operation.read_variables(variables)
        if isinstance(values, list):
            raise _Invalid(_failures(values, BadUserInput))
        return values

    def _plan(self, operation: _Operation, values: VariableValues, defer: bool) -> Plan | str:
        """The plan for these values of the operation's conditions, or why there is none."""
        conditions = {name: values.coerced.get(name, absent) for name, absent in operation.conditions.items()}
        for name, value in conditions.items():
            if not isinstance(value, bool):
                error = BadUserInput(
                    f"The variable ${name}, on which @skip, @include or @defer depends, must be true or false."
                )
                raise _Invalid((Failure(error),))
        key = operation.key, defer, tuple(conditions.values())
        kept = self._plans.get(key)
        if kept is not None:
            return kept[0]
        try:
            plan = Plan(self._schema, self._converter, operation.node, operation.fragments, conditions, may_defer=defer)
            if defer and plan.asks_for_schema:  # Which graphql-core answers, all at once.
                plan = Plan(self._schema, self._converter, operation.node, operation.fragments, conditions)
        except NeedsReference as reason:
            return str(reason)
        weight = plan.steps + operation.characters // 16
        if weight <= _CACHED_WEIGHT // 8:
            self._plans[key] = plan, weight
        return plan


class Request(Protocol):
    """What the executor reads of an operation."""

    @property
    def document(self) -> str:
        """The document's text."""

    @property
    def variables(self) -> dict[str, Any] | None:
        """The variables, as JSON values."""

    @property
    def name(self) -> str | None:
        """The name of the operation to execute."""

    @property
    def reference(self) -> bool:
        """Whether graphql-core executes it."""

    @property
    def dry_run(self) -> bool:
        """Whether nothing is read."""

    @property
    def defer(self) -> bool:
        """Whether what stands in `@defer` may come later."""


class _Invalid(Exception):
    """A document that cannot be executed, with all that is wrong with it."""

    def __init__(self, failures: tuple[Failure, ...]) -> None:
        super().__init__()
        self.failures = failures


def _fingerprint(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _failures(errors: list[GraphQLError], kind: type[GatewayError]) -> tuple[Failure, ...]:
    return tuple(
        Failure(kind(error.message), locations=tuple((at.line, at.column) for at in error.locations or ()))
        for error in errors
    )


def _unresolved(document: DocumentNode, name: str | None) -> OperationUnresolved:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if not operations:
        return OperationUnresolved("The document has no operation, only fragments.")
    if name is None:
        return OperationUnresolved("The document has several operations: say which in `operationName`.")
    return OperationUnresolved("No operation of the document has the name that `operationName` gives.")
