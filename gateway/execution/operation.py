"""From a document's text to the answer's data and errors: parsed, validated, chosen, executed by graphql-core."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from cachetools import LRUCache
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    execute,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)

from gateway.errors import BadUserInput, GatewayError, OperationUnresolved, ParseFailed, ValidationFailed
from gateway.execution.bounds import Bounds, check_document
from gateway.execution.failures import Failure, failure_of

__all__ = ["Executor", "Outcome"]

_CACHED_CHARACTERS = 2**19  # A parsed document takes about 80 bytes of memory for each character of its text.
_ERRORS_MAX = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request: data and failures, or, when it failed before execution, failures alone."""

    data: dict[str, Any] | None
    failures: tuple[Failure, ...] = ()
    executed: bool = True
    """Whether execution began; if not there is no `data` in the answer, not even null."""
    operation: str | None = None
    """The operation's name, where it has one."""
    calls: int = 0
    """The upstream reads it took."""


class Executor:
    """Carries out operations on one schema. Documents that were valid once are not parsed and validated again."""

    def __init__(self, schema: GraphQLSchema, bounds: Bounds | None = None, *, introspection: bool = True) -> None:
        """Take the schema, how large documents may be, and whether the schema may be asked for, or guessed at."""
        self._schema = schema
        self._rules = specified_rules if introspection else (*specified_rules, NoSchemaIntrospectionCustomRule)
        self._hide_suggestions = not introspection
        self._bounds = bounds or Bounds()
        self._documents: LRUCache[str, DocumentNode] = LRUCache(_CACHED_CHARACTERS, getsizeof=_length)

    async def run(
        self, text: str, context: object, *, variables: dict[str, Any] | None = None, operation_name: str | None = None
    ) -> Outcome:
        """Carry out one operation of the document `text`. Every failure is in the outcome; nothing is raised for one."""
        try:
            document = self._document(text)
        except _Invalid as invalid:
            return Outcome(None, invalid.failures, executed=False)
        operation = get_operation_ast(document, operation_name)
        if operation is None:
            return Outcome(None, (Failure(_unresolved(document, operation_name)),), executed=False)
        name = operation.name.value if operation.name is not None else None
        result = execute(
            self._schema,
            document,
            context_value=context,
            variable_values=variables or {},
            operation_name=operation_name,
            max_coercion_errors=_ERRORS_MAX,
            hide_suggestions=self._hide_suggestions,
        )
        if isawaitable(result):
            result = await result
        errors = result.errors or []
        if result.data is None and errors and all(error.path is None for error in errors):
            return Outcome(None, _failures(errors, BadUserInput), executed=False, operation=name)
        return Outcome(result.data, tuple(failure_of(error) for error in errors), operation=name)

    def _document(self, text: str) -> DocumentNode:
        document = self._documents.get(text)
        if document is None:
            document = self._read(text)
            if len(text) <= _CACHED_CHARACTERS // 8:
                self._documents[text] = document
        return document

    def _read(self, text: str) -> DocumentNode:
        if len(text) > self._bounds.characters:
            raise _Invalid((Failure(ParseFailed(f"The document has more than {self._bounds.characters} characters.")),))
        try:
            document = parse(text, max_tokens=self._bounds.tokens)
            check_document(document, self._bounds)
        except GraphQLSyntaxError as error:
            raise _Invalid(_failures([error], ParseFailed)) from None
        except ValidationFailed as error:
            raise _Invalid((Failure(error),)) from None
        except RecursionError:
            raise _Invalid((Failure(ParseFailed("The document is nested too deeply.")),)) from None
        errors = validate(
            self._schema, document, self._rules, max_errors=_ERRORS_MAX, hide_suggestions=self._hide_suggestions
        )
        if errors:
            raise _Invalid(_failures(errors, ValidationFailed))
        return document


def _length(document: DocumentNode) -> int:
    return document.loc.end - document.loc.start if document.loc is not None else 1


class _Invalid(Exception):
    """A document that cannot be executed, with all that is wrong with it."""

    def __init__(self, failures: tuple[Failure, ...]) -> None:
        super().__init__()
        self.failures = failures


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
