"""One operation from the command line: sent to a gateway, or carried out here over a sandbox of its own."""

from typing import Any

import aiohttp

from gateway.demo import known_variables, settings_for
from gateway.execution.inputs import declared_variables
from gateway.sandbox import Sandbox

__all__ = ["ask_sandbox", "ask_url", "landmark_variables"]


async def ask_sandbox(document: str, variables: dict[str, Any], operation_name: str | None) -> dict[str, Any]:
    """The answer of a gateway over a small sandbox. Variables named like its landmarks need not be given."""
    from gateway.accounts.account import Account
    from gateway.accounts.operation import Operation
    from gateway.app import create_client

    async with Sandbox() as sandbox, create_client(settings_for(sandbox)) as client:
        given = landmark_variables(document, sandbox.landmarks) | variables
        outcome = await Account(client).run(Operation(document, variables=given, name=operation_name))
    answer: dict[str, Any] = {"data": outcome.data} if outcome.executed else {}
    if outcome.failures:
        answer["errors"] = [failure.as_json() for failure in outcome.failures]
    return answer


async def ask_url(
    url: str, document: str, variables: dict[str, Any], operation_name: str | None, token: str | None
) -> dict[str, Any] | str:
    """The answer of the gateway at `url`, or in words why there is none."""
    body = {"query": document, "variables": variables, "operationName": operation_name}
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
            session.post(url, json=body, headers=headers, allow_redirects=False) as response,
        ):
            answer = await response.json(content_type=None)
    except aiohttp.InvalidURL:
        return f"--url: {url} is not an address."
    except ValueError:
        return f"{url} answered with something that is not JSON: is it a GraphQL endpoint?"
    except (aiohttp.ClientError, OSError):
        return f"{url} cannot be reached. Is the gateway running?"
    return answer if isinstance(answer, dict) else f"{url} answered with JSON that is no GraphQL answer."


def landmark_variables(document: str, landmarks: dict[str, str]) -> dict[str, str]:
    """The document's variables that the sandbox has values for: `$serviceSid` is its `service_sid`."""
    values = known_variables(landmarks)
    return {name: values[name] for name in declared_variables(document) if name in values}
