"""Introspection of a running server over HTTP: https://spec.graphql.org/draft/#sec-Introspection."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, cast
from urllib.parse import urlsplit

from graphql import get_introspection_query

from gateway.contract import CheckError

__all__ = ["introspect", "not_compared", "redacted_url"]

_TIMEOUT_SECONDS = 30
_MAX_BYTES = 64 * 1024 * 1024
_OPTIONS = ("specified_by_url", "directive_is_repeatable", "schema_description", "input_value_deprecation", "one_of")
"""Parts of the introspection query that the specification of June 2018 did not have, the oldest first."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, so that the token is sent to no other address."""

    def redirect_request(self, *_: object) -> None:
        return None


def introspect(url: str, token: str | None) -> dict[str, Any]:
    """Send the most detailed introspection query that the server supports, and return the response's `data`.

    `token` is the bearer token, if any. Raises `CheckError` if the server cannot be reached, or does not return its schema.
    """
    try:
        is_address = bool(urlsplit(url).hostname)
    except ValueError:
        is_address = False
    if not is_address:
        raise CheckError("The URL is not an address. Write it as https://gateway.example.com/graphql.")
    answer = _post(url, token, get_introspection_query(**dict.fromkeys(_OPTIONS, True)))
    if not _has_schema(answer):  # Servers lack what specifications later than theirs added, each another part of it.
        answer = _post(url, token, get_introspection_query())
        taken: dict[str, bool] = {}
        for option in _OPTIONS if _has_schema(answer) else ():
            detailed = _post(url, token, get_introspection_query(**taken, **{option: True}))
            if _has_schema(detailed):
                answer, taken[option] = detailed, True
    if _has_schema(answer):
        return cast(dict[str, Any], answer["data"])
    refusal = _first_message(answer)
    raise CheckError(
        f"{redacted_url(url)} does not return its schema: {refusal} Is introspection off there (GATEWAY_INTROSPECTION=0)? "
        "Then compare with the file or the revision of its schema."
    )


def _has_schema(answer: dict[str, Any]) -> bool:
    data = answer.get("data")
    return isinstance(data, dict) and bool(data.get("__schema"))


def not_compared(introspection: dict[str, Any]) -> frozenset[str]:
    """Return the prefixes of the kinds of change that this introspection result cannot show.

    It never has prices, and servers omit deprecated arguments unless the query includes them.
    """
    schema = introspection["__schema"]
    types, directives = schema["types"], schema["directives"]
    fields = [field for type_ in types for field in type_.get("fields") or ()]
    inputs = [each for owner in (*fields, *directives) for each in owner["args"]]
    inputs += [each for type_ in types for each in type_.get("inputFields") or ()]
    is_included = {
        "DEPRECATED_INPUT": not inputs or any("isDeprecated" in each for each in inputs),
        "DESCRIPTION": any("description" in each for each in types),
        "SCHEMA_DESCRIPTION": "description" in schema,
        "SPECIFIED_BY": any("specifiedByURL" in each for each in types),
        "ONE_OF": any("isOneOf" in each for each in types),
        "DIRECTIVE_REPEATABLE": any("isRepeatable" in each for each in directives),
        "UPSTREAM": False,
    }
    return frozenset(kind for kind, is_there in is_included.items() if not is_there)


def redacted_url(url: str) -> str:
    """Remove the user information, the query and the fragment from a URL, since they may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _post(url: str, token: str | None, query: str) -> dict[str, Any]:
    name = redacted_url(url)
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        request = urllib.request.Request(url, json.dumps({"query": query}).encode(), headers)
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=_TIMEOUT_SECONDS) as response:
            body = response.read(_MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            if error.code in {401, 403}:
                raise CheckError(
                    f"{name} rejects the caller ({error.code}): give its token with --token or RECEIPTS_GATEWAY_TOKEN."
                ) from None
            if error.code in {301, 302, 303, 307, 308}:
                raise CheckError(f"{name} redirects ({error.code}): give the address that it redirects to.") from None
            if error.code in {404, 405}:
                raise CheckError(
                    f"{name} is not a GraphQL endpoint ({error.code}). A gateway's address ends in /graphql."
                ) from None
            body = error.read(_MAX_BYTES + 1)  # GraphQL errors may have any status.
    except (OSError, HTTPException):
        raise CheckError(f"{name} cannot be reached. Is the gateway running?") from None
    except ValueError:
        raise CheckError(
            f"{name} cannot be requested: the address or the token has characters that cannot be sent."
        ) from None
    if len(body) > _MAX_BYTES:
        raise CheckError(f"{name} answers with more than {_MAX_BYTES} bytes: is it a GraphQL endpoint?")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise CheckError(f"{name} does not answer with a GraphQL response: is it a GraphQL endpoint?")
    return answer


def _first_message(answer: dict[str, Any]) -> str:
    match answer:
        case {"errors": [{"message": str(message)}, *_]}:
            words = " ".join("".join(each if each.isprintable() else " " for each in message).split())
            return f"“{words[:200]}”."
        case _:
            return "there is no `__schema` in the response."
