"""Persisted documents: by hash once they were executed, by id when they are trusted, over GET and POST."""

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from gateway.app import create_app
from gateway.demo import settings_for
from gateway.errors import BadRequest, Forbidden, GatewayError, PersistedQueryNotFound, PersistedQueryUnsupported
from gateway.sandbox import Sandbox
from gateway.web.documents import Documents
from gateway.web.graphql_over_http import GraphQLRequest

from ..conftest import serving

TEXT, OTHER = "{ __typename }", "{ t: __typename }"
GRAPHQL = "application/graphql-response+json"


def digest_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def automatic(digest: Any, version: Any = 1) -> dict[str, Any]:
    """The extension that Apollo's protocol names a document in."""
    return {"persistedQuery": {"version": version, "sha256Hash": digest}}


def test_a_text_without_a_hash_is_returned() -> None:
    documents = Documents()
    assert documents.find(GraphQLRequest(TEXT)) == (TEXT, None)
    assert documents.find(GraphQLRequest(TEXT, extensions={"clientLibrary": {}})) == (TEXT, None)
    assert documents.find(GraphQLRequest(TEXT, extensions={"persistedQuery": None})) == (TEXT, None)
    assert documents.find(GraphQLRequest(TEXT, document_id="an-id-of-the-client-s-own")) == (TEXT, None)


@pytest.mark.parametrize(
    "name",
    [{"extensions": automatic(digest_of(TEXT))}, {"document_id": f"sha256:{digest_of(TEXT)}"}],
    ids=["persistedQuery", "documentId"],
)
def test_a_remembered_document_is_found_by_its_hash(name: dict[str, Any]) -> None:
    documents = Documents()
    for _ in range(2):  # Sent, it is not yet known.
        with pytest.raises(PersistedQueryNotFound):
            documents.find(GraphQLRequest(**name))
        assert documents.find(GraphQLRequest(TEXT, **name)) == (TEXT, digest_of(TEXT))
    documents.remember(digest_of(TEXT), TEXT)
    assert documents.find(GraphQLRequest(**name)) == (TEXT, None)
    assert documents.find(GraphQLRequest("", **name)) == (TEXT, None)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (GraphQLRequest(), BadRequest),
        (GraphQLRequest(extensions={"clientLibrary": {}}), BadRequest),
        (GraphQLRequest(OTHER, extensions=automatic(digest_of(TEXT))), BadRequest),
        (GraphQLRequest(OTHER, document_id=f"sha256:{digest_of(TEXT)}"), BadRequest),
        (GraphQLRequest(TEXT, extensions=automatic(digest_of(TEXT).upper())), BadRequest),
        (GraphQLRequest(TEXT, extensions={"persistedQuery": "x"}), BadRequest),
        (GraphQLRequest(TEXT, extensions=automatic(None)), BadRequest),
        (GraphQLRequest(TEXT, extensions=automatic(1)), BadRequest),
        (GraphQLRequest(TEXT, extensions=automatic(digest_of(TEXT), version=2)), PersistedQueryUnsupported),
        (GraphQLRequest(extensions={"persistedQuery": {}}), PersistedQueryUnsupported),
        (GraphQLRequest(extensions=automatic("nope")), PersistedQueryNotFound),
        (GraphQLRequest(document_id=digest_of(TEXT)), PersistedQueryNotFound),
        (GraphQLRequest(document_id="sha256:"), PersistedQueryNotFound),
        (GraphQLRequest(document_id=""), PersistedQueryNotFound),
        (GraphQLRequest("", extensions=automatic("nope")), PersistedQueryNotFound),
        (GraphQLRequest("", document_id=digest_of(OTHER)), PersistedQueryNotFound),
    ],
)
def test_a_request_without_text_and_hash(asked: GraphQLRequest, error: type[GatewayError]) -> None:
    documents = Documents()
    documents.remember(digest_of(TEXT), TEXT)
    with pytest.raises(error):
        documents.find(asked)


def test_the_least_recently_used_document_is_evicted() -> None:
    documents = Documents(remembered_bytes=100_000)
    texts = [f"{{ a{number}: __typename }} #{'x' * 10_000}" for number in range(20)]
    for text in texts:
        documents.remember(digest_of(text), text)
        documents.find(GraphQLRequest(extensions=automatic(digest_of(texts[0]))))

    def is_known(text: str) -> bool:
        try:
            documents.find(GraphQLRequest(extensions=automatic(digest_of(text))))
        except PersistedQueryNotFound:
            return False
        return True

    known = [number for number, text in enumerate(texts) if is_known(text)]
    assert known == [0, *range(12, 20)]


def test_short_documents_are_larger_than_their_text() -> None:
    documents = Documents(remembered_bytes=10_000)
    names = [GraphQLRequest(extensions=automatic(digest_of(f"{{ a{number}: __typename }}"))) for number in range(100)]
    for number in range(100):
        text = f"{{ a{number}: __typename }}"
        documents.remember(digest_of(text), text)
    for asked in names[:80]:
        with pytest.raises(PersistedQueryNotFound):
            documents.find(asked)
    assert documents.find(names[-1]) == ("{ a99: __typename }", None)


async def ask(
    http: aiohttp.ClientSession, url: str, asked: dict[str, Any], *, get: bool = False, accept: str = "application/json"
) -> tuple[int, Any]:
    """Status and body of the answer, by POST or GET."""
    headers = {"Accept": accept}
    if get:
        given = {name: each if isinstance(each, str) else json.dumps(each) for name, each in asked.items()}
        address = "&".join(f"{name}={quote(each)}" for name, each in given.items())
        sent = http.get(f"{url}/graphql?{address}", headers=headers)
    else:
        sent = http.post(f"{url}/graphql", json=asked, headers=headers)
    async with sent as response:
        return response.status, await response.json()


@pytest.mark.parametrize("get", [False, True], ids=["POST", "GET"])
async def test_automatic_persisted_queries(http: aiohttp.ClientSession, base_url: str, get: bool) -> None:
    """As Apollo's and urql's clients speak it: the hash, then hash and text, then the hash."""
    text = "query Q($id: ID!) { service(sid: $id) { sid } }"
    asked: dict[str, Any] = {
        "variables": {"id": "IS" + "0" * 32},
        "operationName": "Q",
        "extensions": automatic(digest_of(text)),
    }
    wanted = {"data": {"service": {"sid": "IS" + "0" * 32}}}

    status, body = await ask(http, base_url, asked, get=get)
    assert status == 200  # Apollo Client reads no other status of plain JSON.
    (error,) = body["errors"]
    assert error["message"] == "PersistedQueryNotFound"  # urql goes by this text alone.
    assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    assert "data" not in body
    assert (await ask(http, base_url, asked, get=get, accept=GRAPHQL))[0] == 400

    asked["extensions"]["persistedQuery"]["miss"] = True  # So urql marks its second attempt.
    assert await ask(http, base_url, asked | {"query": text}, get=get) == (200, wanted)
    del asked["extensions"]["persistedQuery"]["miss"]
    assert await ask(http, base_url, asked, get=get) == (200, wanted)
    assert await ask(http, base_url, asked, get=not get) == (200, wanted)
    del asked["extensions"]
    assert await ask(http, base_url, asked | {"documentId": f"sha256:{digest_of(text)}"}, get=get) == (200, wanted)


@pytest.mark.parametrize("accept", ["application/json", GRAPHQL])
async def test_a_hash_of_another_document_is_refused(http: aiohttp.ClientSession, base_url: str, accept: str) -> None:
    asked = {"query": OTHER, "extensions": automatic(digest_of(TEXT))}
    status, body = await ask(http, base_url, asked, accept=accept)
    assert (status, body["errors"][0]["message"]) == (400, "provided sha does not match query")
    assert body["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    del asked["query"]
    assert (await ask(http, base_url, asked))[1]["errors"][0]["message"] == "PersistedQueryNotFound"


async def test_another_version_is_not_supported(http: aiohttp.ClientSession, base_url: str) -> None:
    asked = {"query": TEXT, "extensions": automatic(digest_of(TEXT), version=2)}
    status, body = await ask(http, base_url, asked)
    assert (status, body["errors"][0]["message"]) == (200, "PersistedQueryNotSupported")
    assert body["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_SUPPORTED"
    assert (await ask(http, base_url, asked, accept=GRAPHQL))[0] == 400


@pytest.mark.parametrize("text", ["{", "{ nope }", "query A { __typename } query B { __typename }"])
async def test_an_invalid_document_is_not_remembered(http: aiohttp.ClientSession, base_url: str, text: str) -> None:
    asked = {"extensions": automatic(digest_of(text))}
    assert "errors" in (await ask(http, base_url, asked | {"query": text}))[1]
    assert (await ask(http, base_url, asked))[1]["errors"][0]["message"] == "PersistedQueryNotFound"


async def test_a_request_without_a_document_is_refused(http: aiohttp.ClientSession, base_url: str) -> None:
    nothing: list[dict[str, Any]] = [{}, {"variables": {}}, {"extensions": {"clientLibrary": {"name": "x"}}}]
    for get in (False, True):
        for asked in nothing:
            status, body = await ask(http, base_url, asked, get=get)
            assert (status, body["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")
            assert "documentId" in body["errors"][0]["message"]


NAMES = [
    {"document_id": "an-id"},
    {"document_id": digest_of(TEXT)},
    {"document_id": f"sha256:{digest_of(TEXT)}"},
    {"extensions": automatic("an-id")},
    {"extensions": automatic(digest_of(TEXT))},
]
"""All that a trusted document with an id may be called."""


@pytest.mark.parametrize("trusted_only", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_trusted_document_is_found_by_its_id_and_its_hash(name: dict[str, Any], trusted_only: bool) -> None:
    documents = Documents({"an-id": TEXT}, trusted_only=trusted_only)
    assert documents.find(GraphQLRequest(**name)) == (TEXT, None)
    assert documents.find(GraphQLRequest(TEXT, **name)) == (TEXT, None)
    assert documents.find(GraphQLRequest(TEXT)) == (TEXT, None)
    with pytest.raises(BadRequest):
        documents.find(GraphQLRequest(OTHER, **name))
    documents.trust({"another-id": OTHER})
    with pytest.raises(PersistedQueryNotFound):
        documents.find(GraphQLRequest(**name))


def test_documents_that_are_not_trusted_are_refused() -> None:
    documents = Documents({"an-id": TEXT}, trusted_only=True)
    for asked in (
        GraphQLRequest(OTHER),
        GraphQLRequest(TEXT + " "),
        GraphQLRequest("{"),  # It is not even read.
        GraphQLRequest(OTHER, extensions=automatic(digest_of(OTHER))),
        GraphQLRequest(OTHER, document_id="some-id"),
    ):
        with pytest.raises(Forbidden):
            documents.find(asked)
    # Not `PersistedQueryNotSupported`: one document that is missing must not make a client send all of them as texts.
    for asked in (GraphQLRequest(extensions=automatic(digest_of(OTHER))), GraphQLRequest(document_id="some-id")):
        with pytest.raises(PersistedQueryNotFound):
            documents.find(asked)


async def test_trusted_documents_over_http(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    text = "query Q($id: ID!) { service(sid: $id) { sid } }"
    settings = replace(settings_for(sandbox), trusted_only=True)
    asked: dict[str, Any] = {"variables": {"id": "IS" + "0" * 32}}
    wanted = {"data": {"service": {"sid": "IS" + "0" * 32}}}
    async with serving(create_app(settings, documents={"q-1": text})) as url:
        for get in (False, True):
            assert await ask(http, url, {"documentId": "q-1"} | asked, get=get) == (200, wanted)
            assert await ask(http, url, {"extensions": automatic("q-1")} | asked, get=get) == (200, wanted)
            assert await ask(http, url, {"query": text} | asked, get=get) == (200, wanted)
            status, body = await ask(http, url, {"documentId": "q-2"} | asked, get=get)
            assert (status, body["errors"][0]["extensions"]["code"]) == (200, "PERSISTED_QUERY_NOT_FOUND")
            for refused in ("{ __schema { queryType { name } } }", "{ __typename }", "nonsense"):
                status, body = await ask(http, url, {"query": refused}, get=get)
                assert (status, body["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")


async def test_a_persisted_document_may_defer(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    text = "query Q($id: ID!) { service(sid: $id) { sid ... @defer { friendlyName } } }"
    settings = replace(settings_for(sandbox), trusted_only=True)
    parameters = {"documentId": "q-1", "variables": json.dumps({"id": sandbox.landmarks["service_sid"]})}
    accept = "multipart/mixed;deferSpec=20220824,application/graphql-response+json,application/json;q=0.9"
    async with serving(create_app(settings, documents={"q-1": text})) as url:
        async with http.get(f"{url}/graphql", params=parameters, headers={"Accept": accept}) as response:
            assert response.content_type == "multipart/mixed"
            assert response.headers["Cache-Control"] == "no-store"
            assert b'"friendlyName"' in await response.read()
        async with http.get(f"{url}/graphql", params=parameters) as response:
            assert response.content_type == "application/json"
            assert response.headers["Cache-Control"].startswith("private, max-age=")
            assert list((await response.json())["data"]["service"]) == ["sid", "friendlyName"]
