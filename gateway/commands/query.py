"""`receipts-gateway query`: one operation, sent to a gateway, or executed here over a sandbox."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from gateway.commands.options import TOKEN, VARIABLES, check_url, complete_document, fail, read_document

if TYPE_CHECKING:
    from graphql import OperationDefinitionNode

    from gateway.accounts.operation import Operation

__all__ = ["query"]


@click.command()
@click.argument("source", metavar="FILE|NAME", shell_complete=complete_document)
@VARIABLES
@click.option("--operation", "name", help="Name of the operation to run, if the document has several.")
@click.option("--url", help="Send the operation to the gateway at this address, instead of one over the sandbox.")
@TOKEN
def query(source: str, variables: dict[str, str], name: str | None, url: str | None, token: str | None) -> None:
    """Run one operation and print its answer.

    FILE is a GraphQL document, "-" for standard input; NAME is an example of this package. Over the sandbox, variables such
    as $serviceSid and $conversationSid have default values.
    """
    import asyncio

    from gateway.accounts.operation import Operation
    from gateway.execution.inputs import undeclared

    if url is not None:
        check_url("--url", url)
    document = read_document(source)
    if unknown := undeclared(document, variables):
        fail(f"--var: the document declares no variable {', '.join(f'${each}' for each in unknown)}.")
    definitions = _operations(document)
    _check_operation(definitions, name)
    operation = Operation(document, variables=_values(definitions, variables), name=name)
    answer = asyncio.run(_query_url(url, operation, token) if url is not None else _query_sandbox(operation))
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    if answer.get("errors"):
        sys.exit(1)


def _operations(document: str) -> list[OperationDefinitionNode]:
    """Return the operations of a document; none if it cannot be parsed, which its execution reports."""
    from graphql import GraphQLError, OperationDefinitionNode, parse

    try:
        definitions = parse(document, no_location=True).definitions
    except (GraphQLError, RecursionError):
        return []
    return [node for node in definitions if isinstance(node, OperationDefinitionNode)]


def _check_operation(definitions: list[OperationDefinitionNode], operation: str | None) -> None:
    """Fail if the document has several operations and none is chosen, or if it does not have the chosen one."""
    names = [node.name.value for node in definitions if node.name is not None]
    if operation is None and len(definitions) > 1:
        fail(f"The document has several operations. Choose one with --operation: {', '.join(names)}.")
    if operation is not None and definitions and operation not in names:
        fail(
            f"--operation: the document has no operation {operation}. It has {', '.join(names) or 'one without a name'}."
        )


def _values(definitions: list[OperationDefinitionNode], texts: dict[str, str]) -> dict[str, Any]:
    """Return the variables' values, by their declared types."""
    from gateway.contract.operations.variable_values import variable_value

    types = {each.variable.name.value: each.type for node in definitions for each in node.variable_definitions or ()}
    return {name: variable_value(text, types.get(name)) for name, text in texts.items()}


async def _query_sandbox(operation: Operation) -> dict[str, Any]:
    """Return the answer of a gateway over a small sandbox."""
    from msgspec.structs import replace

    from gateway.app import open_account
    from gateway.demo import landmark_variables, settings_for
    from gateway.sandbox import Sandbox
    from gateway.web.responses import response_map

    async with Sandbox() as sandbox, open_account(settings_for(sandbox)) as account:
        variables = landmark_variables(operation.document, sandbox.landmarks) | (operation.variables or {})
        return response_map(await account.run(replace(operation, variables=variables)))


async def _query_url(url: str, operation: Operation, token: str | None) -> dict[str, Any]:
    """Return the answer of the gateway at `url`, or fail."""
    import aiohttp

    body = {"query": operation.document, "variables": operation.variables, "operationName": operation.name}
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
            session.post(url, json=body, headers=headers, allow_redirects=False) as response,
        ):
            answer = await response.json(content_type=None)
    except aiohttp.InvalidURL:
        fail(f"--url: {url} is not an address.")
    except ValueError:
        fail(f"{url} did not answer with JSON: is it a GraphQL endpoint?")
    except (aiohttp.ClientError, OSError):
        fail(f"{url} cannot be reached. Is the gateway running?")
    if not isinstance(answer, dict):
        fail(f"{url} answered with JSON that is not a GraphQL response.")
    return answer
