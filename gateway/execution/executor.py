"""Executes requests: parse, validate, choose the operation, coerce variables, plan, and run (GraphQL specification, 6)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from hashlib import sha256
from inspect import isawaitable
from operator import attrgetter
from typing import Any, Protocol

import msgspec
from cachetools import LRUCache
from graphql import (
    ArgumentNode,
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    get_operation_ast,
    specified_rules,
    validate,
)
from graphql.execution import experimental_execute_incrementally
from graphql.execution.values import VariableValues
from strawberry import Schema

from gateway.errors import (
    BadRequest,
    BadUserInput,
    CostLimitExceeded,
    GatewayError,
    OperationUnresolved,
    ParseFailed,
    ValidationFailed,
)
from gateway.execution.bounds import Bounds, parse_within
from gateway.execution.context import Context, Event
from gateway.execution.descriptions import describe
from gateway.execution.documents import condition_variables, only_introspection, without_defer
from gateway.execution.engine import Run, up_to_date
from gateway.execution.error_behavior import ErrorBehavior
from gateway.execution.estimate import Estimate
from gateway.execution.events import SubscriptionPlan, event_json, prepare, variables_below, write_incomplete
from gateway.execution.expected import Expected, ExpectedReads
from gateway.execution.failures import Failure, as_graphql, failure_from, failure_of
from gateway.execution.inputs import variable_reader
from gateway.execution.outcome import Outcome, Subsequent
from gateway.execution.plan import Plan
from gateway.execution.prepared import CachedPlan, Prepared, ValidOperation
from gateway.execution.private import private_arguments, private_fields, without_values
from gateway.execution.reference import reference_executor
from gateway.execution.steps import Arguments, NeedsReference

__all__ = ["ExecutionRequest", "Executor"]

_CACHED_CHARACTERS = 2**19  # A parsed document takes about 80 bytes of memory for each character of its text.
_ERRORS_MAX = 20
_DEFERRED = "`@defer` has no meaning in a subscription: each event arrives whole. Remove it, or set its `if` to false."
_SUBSCRIPTION = (
    "The operation is a subscription, and the response to it a stream: send it over a WebSocket with the subprotocol "
    "`graphql-transport-ws`, or with `Accept: text/event-stream`, or with `Accept: multipart/mixed;subscriptionSpec=1.0`."
)
_CACHED_WEIGHT = 40_000  # In steps of plans, of up to 2 kilobytes each with code, and as much of their documents.


class ExecutionRequest(Protocol):
    """The part of an operation that the executor reads."""

    @property
    def document(self) -> str:
        """The document's text."""

    @property
    def variables(self) -> dict[str, Any] | None:
        """The variables, as JSON values."""

    @property
    def name(self) -> str | None:
        """The name of the operation to execute (`operationName`)."""

    @property
    def reference(self) -> bool:
        """Whether graphql-core executes it: the reference that the engine is compared with."""

    @property
    def dry_run(self) -> bool:
        """Whether nothing is read, and `extensions.plan` holds the estimate."""

    @property
    def defer(self) -> bool:
        """Whether fragments with `@defer` are left to `Outcome.subsequent`; otherwise `@defer` has no effect."""

    @property
    def on_error(self) -> ErrorBehavior:
        """What an error in a field does to the rest of the answer. `@defer` has an effect with `PROPAGATE` only."""

    @property
    def mark_outside_text(self) -> bool:
        """Whether text that people outside wrote is marked (see `outside_text`)."""


class Executor:
    """Executes operations on one schema. Valid documents and their plans are cached."""

    def __init__(
        self,
        schema: Schema,
        bounds: Bounds | None = None,
        *,
        introspection: bool = True,
        generate_at: int = 2,
    ) -> None:
        """Create an executor; documents larger than `bounds` are rejected.

        Without `introspection` the schema can neither be queried nor guessed from the suggestions in error messages. A plan
        is executed by generated code from its run number `generate_at` on: generating code takes longer than running once.
        """
        self._schema = schema._schema
        self._converter = schema.schema_converter
        self._bounds = bounds or Bounds()
        self._rules = specified_rules if introspection else (*specified_rules, NoSchemaIntrospectionCustomRule)
        self._hide_suggestions = not introspection
        self._private_fields = private_fields(self._schema)
        self._operations: LRUCache[tuple[str, str | None], ValidOperation] = LRUCache(
            _CACHED_CHARACTERS, getsizeof=lambda operation: operation.characters
        )
        self._generate_at = generate_at
        self._plans: LRUCache[tuple[tuple[str, str | None], bool, bool, tuple[Any, ...]], CachedPlan] = LRUCache(
            _CACHED_WEIGHT, getsizeof=attrgetter("weight")
        )
        """Plans, by operation, `may_defer`, `mark_outside_text`, and the values of the condition variables."""

    def prepare(self, request: ExecutionRequest) -> Prepared | Outcome:
        """Parse, validate and plan an operation; return the outcome with its errors if it is not valid."""
        operation: ValidOperation | None = None
        try:
            operation = self._operation(request.document, request.name)
            values = self._coerce(operation, request.variables or {})
            may_defer = request.defer and request.on_error == "PROPAGATE"
            planned = self._plan(operation, values, may_defer, mark_outside_text=request.mark_outside_text)
        except _Invalid as invalid:
            name = operation.name if operation is not None else invalid.operation
            fingerprint = _fingerprint(request.document)
            return Outcome(None, invalid.failures, executed=False, operation=name, document=fingerprint)
        return Prepared(operation, values, planned)

    async def run(
        self, request: ExecutionRequest, context: Context, prepared: Prepared | Outcome | None = None
    ) -> Outcome:
        """Execute an operation that is `prepared`, by default here.

        Its failures are in the outcome; raises what `context.reserve` raises.
        """
        if prepared is None:
            prepared = self.prepare(request)
        if isinstance(prepared, Outcome):
            return prepared
        operation, values, planned = prepared.operation, prepared.values, prepared.planned
        if isinstance(planned, str):
            context.runs[planned] += 1
            return await self._up_to_date_reference(operation, context, request)
        plan = planned.plan
        if plan.events is not None:
            return self._not_executed(request, operation, plan, values, context)
        expected = planned.expected_reads.of(context, values)
        requested = expected.requested
        if request.dry_run or requested > context.limits.cost_max:
            estimate = Estimate(plan, context, Arguments(values))
            if requested > context.limits.cost_max:
                return self._rejected(operation, estimate, context.limits.cost_max)
            described = next(each for each in describe(operation.document) if each.name == operation.name)
            plan_json = estimate.as_json() | {"operation": described.as_json()}
            return operation.outcome(None, requested=requested, extensions={"plan": plan_json})
        context.reserve(requested)
        run = Run(plan, context, values, expected, halts=request.on_error == "HALT")
        reason = "not asked"
        if not request.reference:
            try:
                data, failures = await run.answer(planned.code(self._generate_at))
            except NeedsReference as needs_reference:
                reason = str(needs_reference)
                context.reset_counts()
            else:
                context.runs["engine"] += 1
                if plan.has_introspection:
                    context.runs["introspection"] += 1
                    about_schema, more = self._introspect(operation, request.variables or {})
                    data = (msgspec.json.decode(data) if isinstance(data, bytes) else data) | about_schema
                    failures += more
                if isinstance(data, bytes):
                    return operation.outcome(None, requested=requested, data_json=data)
                if context.left_out:
                    failures = _with_cost(failures, Estimate(plan, context, run.arguments), context)
                if failures and request.on_error == "HALT":
                    return operation.outcome(None, failures[:1], requested=requested)
                outcome = operation.outcome(data, failures, requested=requested)
                outcome.pending = run.pending
                if outcome.pending:
                    outcome.subsequent = Subsequent(run.subsequent())
                return outcome
        context.runs[reason] += 1
        outcome = await self._up_to_date_reference(operation, context, request)
        failures = outcome.failures
        if context.left_out:
            failures = _with_cost(failures, Estimate(plan, context, run.arguments), context)
        outcome.failures, outcome.requested = failures, requested
        return outcome

    def requested(self, request: ExecutionRequest, context: Context) -> int:
        """Return the upstream calls that an operation takes in the worst case, as `run` would estimate them.

        0 for an operation that is not valid, or that only graphql-core can execute: `run` has its errors.
        """
        try:
            operation = self._operation(request.document, request.name)
            values = self._coerce(operation, request.variables or {})
            planned = self._plan(operation, values, False)
        except _Invalid:
            return 0
        return 0 if isinstance(planned, str) else planned.expected_reads.of(context, values).requested

    def is_private(self, text: str, name: str | None) -> bool:
        """Whether a document has arguments that identify a person; false for one that cannot be executed."""
        try:
            return bool(self._operation(text, name).private)
        except _Invalid:
            return False

    def is_subscription(self, document: str, name: str | None) -> bool:
        """Return whether an operation is a subscription; false for one that is not valid, whose errors `run` returns."""
        try:
            return self._operation(document, name).node.operation is OperationType.SUBSCRIPTION
        except _Invalid:
            return False

    def subscription(self, request: ExecutionRequest, context: Context) -> SubscriptionPlan | Outcome:
        """Plan a subscription, to be executed for events with `run_event`.

        `context` supplies the caller's rights and the limits. Returns an outcome with failures and without data if the
        subscription is refused: it is no subscription, it is not valid, its caller may not read that service, or one event
        could take more than `cost_max` upstream calls.
        """
        text, variables = request.document, request.variables or {}
        operation: ValidOperation | None = None
        try:
            operation = self._operation(text, request.name)
            values = self._coerce(operation, variables)
            planned = self._planned_events(operation, values)
        except _Invalid as invalid:
            name = operation.name if operation is not None else invalid.operation
            return Outcome(None, invalid.failures, executed=False, operation=name, document=_fingerprint(text))
        events = planned.plan.events
        assert events is not None
        try:
            source = events.source(values)
            context.authorize(source.owner)
        except (GatewayError, GraphQLError) as error:
            return operation.outcome(None, (failure_from(error, (events.key,), events.nodes),), executed=False)
        estimate = Estimate(planned.plan, context, Arguments(values))
        requested = estimate.requested
        if requested > context.limits.cost_max:
            return self._rejected(operation, estimate, context.limits.cost_max)
        key = (*operation.key, variables_below(operation, events.nodes, values), request.reference)
        return SubscriptionPlan(
            key, events.nodes[0].name.value, source.arguments, requested, operation, planned, variables, values
        )

    async def run_event(self, subscription: SubscriptionPlan, event: Event, context: Context) -> Outcome:
        """Execute a subscription for an event: an instance of a type of its field's union.

        The outcome has no failures: what failed is null in its data, and `incomplete` has their code. If the
        caller's budget is spent, that is all that would have to be read.
        """
        operation, events = subscription.operation, subscription.planned.plan.events
        assert events is not None
        planned = subscription.planned.of_event(type(event).__name__)
        try:
            context.reserve(subscription.cost)
        except CostLimitExceeded as error:
            context.refuse_charges(error)
        event, unread = await prepare(event, planned.plan.root, context)
        outcome = operation.outcome(None, requested=subscription.cost)
        reason, failures = "not asked", tuple[Failure, ...]()
        data: dict[str, Any] | bytes | None = None
        if not subscription.is_reference:
            run = Run(planned.plan, context, subscription.values, Expected(subscription.cost, (), ()), event)
            try:
                data, failures = await run.answer(planned.code(self._generate_at))
            except NeedsReference as needs_reference:
                reason = str(needs_reference)
                context.reset_counts()
            else:
                reason = "engine"
        context.runs[reason] += 1
        if reason != "engine":
            whole = await self._reference(operation, context, subscription.variables, event=event)
            data, failures = (whole.data or {}).get(events.key), whole.failures
        if unread is not None:
            failures = (failure_from(unread, (events.key,), events.nodes), *failures)
            data = msgspec.json.decode(data) if isinstance(data, bytes) else data
        if isinstance(data, bytes):
            outcome.data_json = event_json(events.key, data)
        else:
            outcome.incomplete = write_incomplete(data, planned.plan.root, failures)
            outcome._data = {events.key: data}
        return outcome

    def _planned_events(self, operation: ValidOperation, values: VariableValues) -> CachedPlan:
        """Return the plan of a subscription; raises `_Invalid`."""
        if operation.node.operation is not OperationType.SUBSCRIPTION:
            raise _Invalid((Failure(BadRequest("The operation is not a subscription: execute it as a query.")),))
        planned = self._plan(operation, values, True)
        if isinstance(planned, str):
            raise RuntimeError(f"A subscription cannot be planned: {planned}.")
        if planned.plan.has_defer:  # Validation lets those pass whose `if` is a variable.
            raise _Invalid((Failure(ValidationFailed(_DEFERRED)),))
        return planned

    def _not_executed(
        self, request: ExecutionRequest, operation: ValidOperation, plan: Plan, values: VariableValues, context: Context
    ) -> Outcome:
        """Return the outcome of a subscription that was sent as a query: its estimate in a dry run, and otherwise an error."""
        if not request.dry_run:
            return operation.outcome(None, (Failure(BadRequest(_SUBSCRIPTION, status=406)),), executed=False)
        estimate = Estimate(plan, context, Arguments(values))
        if estimate.requested > context.limits.cost_max:
            return self._rejected(operation, estimate, context.limits.cost_max)
        return operation.outcome(None, requested=estimate.requested, extensions={"plan": estimate.as_json()})

    def check(self, text: str) -> tuple[Failure, ...]:
        """Return why the operations of a document can never be executed, whatever their variables; empty if they can."""
        try:
            document = self._document(text)
        except _Invalid as invalid:
            return invalid.failures
        if not any(isinstance(part, OperationDefinitionNode) for part in document.definitions):
            return (Failure(_unresolved(document, None)),)
        return ()

    def _introspect(
        self, operation: ValidOperation, variables: dict[str, Any]
    ) -> tuple[dict[str, Any], tuple[Failure, ...]]:
        """Execute the introspection fields of an operation, and nothing else of it."""
        if operation.introspection is None:
            operation.introspection = only_introspection(self._schema, without_defer(operation.document))
        result = experimental_execute_incrementally(
            self._schema, operation.introspection, variable_values=variables, operation_name=operation.name
        )
        assert isinstance(result, ExecutionResult)
        return result.data or {}, tuple(failure_of(error) for error in result.errors or ())

    def _rejected(self, operation: ValidOperation, estimate: Estimate, limit: int) -> Outcome:
        details = estimate.refusal(limit)
        hint = f" What would fit: {details['suggestion']}." if details["suggestion"] else ""
        is_subscription = operation.node.operation is OperationType.SUBSCRIPTION
        what = "An event of the subscription" if is_subscription else "The operation"
        error = CostLimitExceeded(
            f"{what} could take {details['requested']} upstream calls or more; {limit} are allowed.{hint}",
            details=details,
        )
        return operation.outcome(None, (Failure(error),), executed=False, requested=details["requested"])

    async def _up_to_date_reference(
        self, operation: ValidOperation, context: Context, request: ExecutionRequest
    ) -> Outcome:
        execute = partial(
            self._reference,
            operation,
            context,
            request.variables or {},
            on_error=request.on_error,
            mark_outside_text=request.mark_outside_text,
        )
        return await up_to_date(context, execute, context.reset_counts)

    async def _reference(
        self,
        operation: ValidOperation,
        context: Context,
        variables: dict[str, Any],
        event: object = None,
        *,
        on_error: ErrorBehavior = "PROPAGATE",
        mark_outside_text: bool = False,
    ) -> Outcome:
        if operation.undeferred is None:
            operation.undeferred = without_defer(operation.document)
        result = experimental_execute_incrementally(
            self._schema,
            operation.undeferred,
            root_value=event,
            context_value=context,
            variable_values=variables,
            operation_name=operation.name,
            executor_class=reference_executor(on_error, mark_outside_text=mark_outside_text),
            hide_suggestions=self._hide_suggestions,
        )
        if isawaitable(result):
            result = await result
        assert isinstance(result, ExecutionResult)  # graphql-core demands this executor for a schema with `@defer`.
        failures = (*(failure_of(error) for error in result.errors or ()), *context.failures)
        if failures and on_error == "HALT":
            return operation.outcome(None, failures[:1])
        return operation.outcome(result.data, failures)

    def _operation(self, text: str, name: str | None) -> ValidOperation:
        try:
            return self._operations[text, name]
        except KeyError:
            operation = self._read(text, name)
            if operation.characters <= _CACHED_CHARACTERS // 8:
                self._operations[text, name] = operation
            return operation

    def _document(self, text: str, name: str | None = None) -> DocumentNode:
        """Parse and validate a document; raises `_Invalid`, with the operation's name if it is known."""
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
            errors = without_values(errors, self._private_arguments(text, document))
            node = get_operation_ast(document, name)
            raise _Invalid(_failures(errors, ValidationFailed), node.name.value if node and node.name else None)
        return document

    def _private_arguments(self, text: str, document: DocumentNode) -> list[ArgumentNode]:
        has_some = any(name in text for name in self._private_fields)
        return private_arguments(self._schema, document) if has_some else []

    def _read(self, text: str, name: str | None) -> ValidOperation:
        document = self._document(text, name)
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
        private = self._private_arguments(text, document)
        return ValidOperation(
            (text, name),
            node.name.value if node.name is not None else None,
            document,
            node,
            fragments,
            conditions,
            private,
            len(text),
            read_variables,
            fingerprint,
        )

    def _coerce(self, operation: ValidOperation, variables: dict[str, Any]) -> VariableValues:
        values = operation.read_variables(variables)
        if isinstance(values, list):
            raise _Invalid(_failures(without_values(values, operation.private), BadUserInput))
        return values

    def _plan(
        self, operation: ValidOperation, values: VariableValues, defer: bool, *, mark_outside_text: bool = False
    ) -> CachedPlan | str:
        """Return the plan for these values of the condition variables, or the reason of `NeedsReference`."""
        conditions: dict[str, Any] = {}
        for name, absent in operation.conditions.items():
            value = conditions[name] = values.coerced.get(name, absent)
            if not isinstance(value, bool):
                error = BadUserInput(
                    f"The variable ${name}, on which @skip, @include or @defer depends, must be true or false."
                )
                raise _Invalid((Failure(error),))
        key = operation.key, defer, mark_outside_text, tuple(conditions.values())
        try:
            return self._plans[key]
        except KeyError:
            planned = self._new_plan(operation, conditions, defer, mark_outside_text=mark_outside_text)
            if isinstance(planned, CachedPlan) and planned.weight <= _CACHED_WEIGHT // 8:
                self._plans[key] = planned
            return planned

    def _new_plan(
        self, operation: ValidOperation, conditions: dict[str, Any], defer: bool, *, mark_outside_text: bool
    ) -> CachedPlan | str:
        try:
            parts = self._schema, self._converter, operation.node, operation.fragments, conditions
            plan = Plan(*parts, may_defer=defer, mark_outside_text=mark_outside_text)
            if defer and plan.has_introspection:  # graphql-core executes it, in one payload.
                plan = Plan(*parts, mark_outside_text=mark_outside_text)
        except NeedsReference as reason:
            return str(reason)
        return CachedPlan(plan, plan.steps + operation.characters // 16, ExpectedReads(plan))


class _Invalid(Exception):
    """A request that cannot be executed, with its failures."""

    def __init__(self, failures: tuple[Failure, ...], operation: str | None = None) -> None:
        super().__init__()
        self.failures = failures
        self.operation = operation
        """The name of the operation, if it is known and has one."""


def _with_cost(failures: tuple[Failure, ...], estimate: Estimate, context: Context) -> tuple[Failure, ...]:
    """Return the failures; the first one of a field that was left out has the number of calls, and a change that would fit."""
    limit = context.limits.cost_limit
    for index, failure in enumerate(failures):
        if failure.error is context.limit_error:
            suggestion = estimate.refusal(limit)["suggestion"]
            cost = {"limit": limit, "leftOut": len(context.left_out), "suggestion": suggestion}
            error = CostLimitExceeded(failure.error.message, details={"cost": cost})
            return (*failures[:index], replace(failure, error=error), *failures[index + 1 :])
    return failures


def _fingerprint(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _failures(errors: list[GraphQLError], kind: type[GatewayError]) -> tuple[Failure, ...]:
    return tuple(
        Failure(kind(as_graphql(error.message)), locations=tuple((at.line, at.column) for at in error.locations or ()))
        for error in errors
    )


def _unresolved(document: DocumentNode, name: str | None) -> OperationUnresolved:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if not operations:
        return OperationUnresolved("The document has no operation, only fragments.")
    if name is None:
        return OperationUnresolved("The document has several operations: say which in `operationName`.")
    return OperationUnresolved("No operation of the document has the name in `operationName`.")
