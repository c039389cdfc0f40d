"""`receipts-gateway query`: one operation, sent to a gateway, or executed here over a sandbox."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from gateway.commands.options import TOKEN, VARIABLES, fail, read_document

__all__ = ["query"]


@click.command()
@click.argument("source", metavar="FILE|NAME")
@VARIABLES
@click.option("--operation", help="Name of the operation to run, if the document has several.")
@click.option("--url", help="Send the operation to the gateway at this address, instead of one over the sandbox.")
@TOKEN
def query(source: str, variables: dict[str, Any], operation: str | None, url: str | None, token: str | None) -> None:
    """Run one operation and print its answer.

    FILE is a GraphQL document, "-" for standard input; NAME is an example of this package. Over the sandbox, variables such
    as $serviceSid and $conversationSid have default values.
    """
    import asyncio

    from gateway.execution.inputs import undeclared

    document = read_document(source)
    if unknown := undeclared(document, variables):
        fail(f"--var: the document declares no variable {', '.join(f'${name}' for name in unknown)}.")
    answer = asyncio.run(
        _query_url(url, document, variables, operation, token)
        if url is not None
        else _query_sandbox(document, variables, operation)
    )
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    if answer.get("errors"):
        sys.exit(1)


async def _query_sandbox(document: str, variables: dict[str, Any], operation_name: str | None) -> dict[str, Any]:
    """Return the answer of a gateway over a small sandbox."""
    from gateway.accounts.operation import Operation
    from gateway.app import open_account
    from gateway.demo import landmark_variables, settings_for
    from gateway.sandbox import Sandbox

    async with Sandbox() as sandbox, open_account(settings_for(sandbox)) as account:
        variables = landmark_variables(document, sandbox.landmarks) | variables
        outcome = await account.run(Operation(document, variables=variables, name=operation_name))
    answer: dict[str, Any] = {"data": outcome.data} if outcome.executed else {}
    if outcome.failures:
        answer["errors"] = [failure.as_json() for failure in outcome.failures]
    return answer


async def _query_url(
    url: str, document: str, variables: dict[str, Any], operation_name: str | None, token: str | None
) -> dict[str, Any]:
    """Return the answer of the gateway at `url`, or fail."""
    import aiohttp

    body = {"query": document, "variables": variables, "operationName": operation_name}
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
