"""Schemas from files, URLs, git revisions, and this package.

Imports no server; the HTTP client is imported only for a URL.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphql import (
    DirectiveDefinitionNode,
    DirectiveNode,
    ExecutableDefinitionNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_ast_schema,
    build_client_schema,
    parse,
    specified_directives,
    validate_schema,
)
from graphql.validation.validate import validate_sdl

from gateway.contract import CheckError
from gateway.contract.schema.field_price import field_price

__all__ = ["SchemaSource", "read_source"]

_GIT_PATH = "schema.graphql"
_ERRORS_SHOWN = 10
_HOST = re.compile(r"(?://)?+(?:[\w.-]++|\[[\da-fA-F:]++\])")
_PORT_AND_PATH = re.compile(r":\d++(?:/.*+)?+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SchemaSource:
    """A schema and its origin."""

    name: str
    """The origin, to show to people."""
    schema: GraphQLSchema
    not_compared: frozenset[str] = frozenset()
    """Prefixes of the kinds of change that it cannot show."""

    @property
    def is_priced(self) -> bool:
        """Whether any field has `@upstream`; tools that copy a schema often omit the directives that are applied in it."""
        return any(
            field_price(field.ast_node) is not None
            for type_ in self.schema.type_map.values()
            if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
            for field in type_.fields.values()
        )


def _may_be_address(where: str) -> bool:
    """Whether a name that is not a file may be a URL without its scheme."""
    host = _HOST.match(where)
    rest = where[host.end() :] if host is not None else ""
    return rest.endswith("/graphql") or _PORT_AND_PATH.fullmatch(rest) is not None


def read_source(where: str | None, token: str | None) -> SchemaSource:
    """Read the schema in a file, from standard input (`-`), at a URL, or at `git:REV[:PATH]`; None is this package's own.

    A file holds SDL, or an introspection result as JSON; `token` is the bearer token for a URL.
    Raises `CheckError` if there is no readable and valid schema.
    """
    if where is None:
        from gateway.graph.schema import print_schema

        return _from_text("this package's schema", print_schema())
    if not where:
        raise CheckError("The name of a schema is empty: is a variable not set?")
    if where.lower().startswith(("http://", "https://")):
        return _from_url(where, token)
    if where == "-":
        return _from_text("standard input", _decoded("standard input", sys.stdin.buffer.read()))
    if where.startswith("git:"):
        return _from_text(where, _decoded(where, _in_git(where)))
    try:
        content = Path(where).read_bytes()
    except FileNotFoundError:
        if _may_be_address(where):
            raise CheckError(
                f"{where} does not exist. If it is an address, write http:// or https:// before it."
            ) from None
        raise CheckError(
            f"{where} does not exist. A schema is a file, the address of a gateway with http:// or https://, or git:REV "
            "such as git:HEAD~1."
        ) from None
    except (OSError, ValueError) as error:
        raise CheckError(f"{where} cannot be read ({getattr(error, 'strerror', error)}).") from None
    return _from_text(where, _decoded(where, content))


def _decoded(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CheckError(f"{name} is not UTF-8 text (byte {error.start}).") from None


def _in_git(where: str) -> bytes:
    """Return the content of `git:REV:PATH`, or of the staged file `git::PATH`; paths begin at the repository's root."""
    revision, colon, path = where.removeprefix("git:").partition(":")
    path = path or _GIT_PATH
    if colon and not revision:
        return _blob(f":{path}", f"The index has no file {path}. Name another with git::PATH, from the top.")
    if not revision or revision.startswith("-"):
        raise CheckError(f"{where} names no revision. Write git:HEAD~1, git:main or git:v1.2:path/to/schema.graphql.")
    commit = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit.returncode == 1:
        raise CheckError(
            f"{revision} is not a revision of this repository. A shallow clone, as CI makes, has only the last one: fetch "
            "more of them (git fetch --deepen=1; fetch-depth: 2 for actions/checkout)."
        )
    if commit.returncode != 0:
        raise CheckError(f"{where}: git says: {_first_line(commit.stderr)}")
    return _blob(
        f"{commit.stdout.decode().strip()}:{path}",
        f"{revision} has no file {path}. Name another with git:{revision}:PATH, from the top.",
    )


def _blob(name: str, absent: str) -> bytes:
    """Return the content of a git object; raise `CheckError` with the message `absent` if it does not exist."""
    content = _git("cat-file", "blob", name)
    if content.returncode != 0:
        outside = content.stderr if b"not a git repository" in content.stderr else b""
        raise CheckError(f"git says: {_first_line(outside)}" if outside else absent)
    return content.stdout


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise CheckError("git is not installed here, so that no revision can be read.") from None
    except ValueError as error:
        raise CheckError(f"git cannot run with these arguments ({error}).") from None


def _first_line(output: bytes) -> str:
    return (output.decode(errors="replace").strip().splitlines() or ["nothing"])[0]


def _from_url(url: str, token: str | None) -> SchemaSource:
    from gateway.contract.schema.introspection import introspect, redacted_url

    result = introspect(url, token)
    return _from_introspection(redacted_url(url), result)


def _from_text(name: str, text: str) -> SchemaSource:
    """Read SDL, or an introspection result as JSON."""
    stripped = text.strip()
    if not stripped:
        raise CheckError(f"{name} is empty.")
    try:
        if not stripped.startswith("{"):
            return SchemaSource(name, _from_sdl(name, text))
        result = json.loads(text)
    except RecursionError:
        raise CheckError(f"{name} is nested too deeply to be a schema.") from None
    except ValueError:
        raise CheckError(f"{name} is neither SDL nor JSON: a schema is expected, not an operation.") from None
    return _from_introspection(name, result)


def _from_introspection(name: str, result: dict[str, Any]) -> SchemaSource:
    """Build a schema from the response to an introspection query, or from its `data`."""
    from gateway.contract.schema.introspection import not_compared

    introspection: Any = result.get("data", result)
    try:
        return SchemaSource(name, build_client_schema(introspection, assume_valid=True), not_compared(introspection))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, GraphQLError):
        raise CheckError(f"{name} is JSON, but not the complete result of an introspection query.") from None


def _from_sdl(name: str, text: str) -> GraphQLSchema:
    try:
        document = parse(text)
    except GraphQLError as error:
        raise CheckError(_located(name, error)) from None
    for definition in document.definitions:
        if isinstance(definition, ExecutableDefinitionNode):
            wrong = GraphQLError("This is an operation or a fragment; a schema is expected.", definition)
            raise CheckError(_located(name, wrong))
    declared = {directive.name for directive in specified_directives} | {
        definition.name.value for definition in document.definitions if isinstance(definition, DirectiveDefinitionNode)
    }
    errors = [error for error in validate_sdl(document) if not _is_undeclared_directive(error, declared)]
    if not errors:
        schema = build_ast_schema(document, assume_valid_sdl=True)
        errors = validate_schema(schema)
    if errors:
        more = [f"{name}: and {len(errors) - _ERRORS_SHOWN} more."] if len(errors) > _ERRORS_SHOWN else []
        raise CheckError("\n".join([*(_located(name, error) for error in errors[:_ERRORS_SHOWN]), *more]))
    return schema


def _is_undeclared_directive(error: GraphQLError, declared: set[str]) -> bool:
    """Whether the error concerns a directive that the SDL applies and does not declare, as in a federation's subgraph."""
    node = error.nodes[0] if error.nodes else None
    return isinstance(node, DirectiveNode) and node.name.value not in declared


def _located(name: str, error: GraphQLError) -> str:
    position = "".join(f":{each.line}:{each.column}" for each in (error.locations or [])[:1])
    return f"{name}{position}: {' '.join(error.message.split())}"
