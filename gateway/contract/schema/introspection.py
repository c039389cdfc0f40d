"""A schema asked of a running server, by introspection over HTTP, and what such an answer does not tell."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from graphql import get_introspection_query

from gateway.contract import CheckError

__all__ = ["introspect", "shown", "untold_by"]

_SECONDS = 30
_LARGEST_BYTES = 64 * 1024 * 1024


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token is for the address that was given, and for no other."""

    def redirect_request(self, *_: object) -> None:
        return None


def introspect(url: str, token: str | None) -> dict[str, Any]:
    """The `data` of the server's answer to the fullest introspection query that it takes; raises `CheckError`."""
    try:
        is_address = bool(urlsplit(url).hostname)
    except ValueError:
        is_address = False
    if not is_address:
        raise CheckError("The URL is not an address. Write it as https://gateway.example.com/graphql.")
    newest = {
        "specified_by_url": True,
        "directive_is_repeatable": True,
        "schema_description": True,
        "input_value_deprecation": True,
    }
    refusal = ""
    for options in ({**newest, "one_of": True}, newest, {}):  # Older servers do not know what later versions added.
        answer = _ask(url, token, get_introspection_query(**options))
        data = answer.get("data")
        if isinstance(data, dict) and data.get("__schema"):
            return data
        refusal = _first_message(answer)
    raise CheckError(
        f"{shown(url)} does not tell its schema: {refusal} Is introspection off there (GATEWAY_INTROSPECTION=0)? "
        "Then compare with the file or the revision that it was made from."
    )


def untold_by(introspection: dict[str, Any]) -> frozenset[str]:
    """Beginnings of the kinds of change that cannot be told from this answer: of prices never, of others if not asked for.

    Servers leave out arguments that are deprecated, unless they are asked for them.
    """
    schema = introspection["__schema"]
    types, directives = schema["types"], schema["directives"]
    inputs = [each for type_ in types for field in type_.get("fields") or () for each in field["args"]]
    told = {
        "DEPRECATED_INPUT": not inputs or any("isDeprecated" in each for each in inputs),
        "DESCRIPTION": any("description" in each for each in types),
        "SCHEMA_DESCRIPTION": "description" in schema,
        "SPECIFIED_BY": any("specifiedByURL" in each for each in types),
        "ONE_OF": any("isOneOf" in each for each in types),
        "DIRECTIVE_REPEATABLE": any("isRepeatable" in each for each in directives),
        "UPSTREAM": False,
    }
    return frozenset(kind for kind, is_told in told.items() if not is_told)


def shown(url: str) -> str:
    """The address without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _ask(url: str, token: str | None, query: str) -> dict[str, Any]:
    name = shown(url)
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        request = urllib.request.Request(url, json.dumps({"query": query}).encode(), headers)
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=_SECONDS) as response:
            body = response.read(_LARGEST_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            if error.code in {401, 403}:
                raise CheckError(
                    f"{name} refuses the caller ({error.code}): give its token with --token or RECEIPTS_GATEWAY_TOKEN."
                ) from None
            if error.code in {301, 302, 303, 307, 308}:
                raise CheckError(f"{name} is elsewhere ({error.code}): give the address that it leads to.") from None
            if error.code in {404, 405}:
                raise CheckError(
                    f"{name} is no GraphQL endpoint ({error.code}). A gateway's address ends in /graphql."
                ) from None
            body = error.read(_LARGEST_BYTES + 1)  # An error of GraphQL may come with any status.
    except (OSError, HTTPException):
        raise CheckError(f"{name} cannot be reached. Is the gateway running?") from None
    except ValueError:
        raise CheckError(
            f"{name} cannot be asked: the address or the token has characters that cannot be sent."
        ) from None
    if len(body) > _LARGEST_BYTES:
        raise CheckError(f"{name} answers with more than {_LARGEST_BYTES} bytes: is it a GraphQL endpoint?")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise CheckError(f"{name} answers with something that is no GraphQL answer: is it a GraphQL endpoint?")
    return answer


def _first_message(answer: dict[str, Any]) -> str:
    match answer:
        case {"errors": [{"message": str(message)}, *_]}:
            words = " ".join("".join(each if each.isprintable() else " " for each in message).split())
            return f"“{words[:200]}”."
        case _:
            return "there is no `__schema` in the answer."
