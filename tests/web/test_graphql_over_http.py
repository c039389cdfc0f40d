"""GraphQL over HTTP: tables of requests, and of the media types of their responses."""

import json
from codecs import BOM_UTF8
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.web.graphql_over_http import (
    GRAPHQL,
    JSON,
    GraphQLRequest,
    check_post_head,
    prefers_html,
    read_get,
    read_post,
    response_type,
)
from gateway.web.json_text import check_json


def posted(content_type: str | None, encoding: str | None, body: bytes) -> GraphQLRequest:
    """The request in a POST, head and body."""
    check_post_head(content_type, encoding)
    return read_post(body)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        ("application/graphql-response+json", GRAPHQL),
        ("APPLICATION/GraphQL-Response+JSON", GRAPHQL),
        ("application/graphql-response+json; charset=utf-8", GRAPHQL),
        ('application/graphql-response+json; charset="UTF-8"', GRAPHQL),
        ("application/graphql-response+json, application/json;q=0.9", GRAPHQL),
        ("application/json;q=0.8, application/graphql-response+json;q=0.9", GRAPHQL),
        ("application/json, application/graphql-response+json;q=0.9", JSON),
        ("application/graphql-response+json;q=0, application/json", JSON),
        ("text/html, application/json;q=0.001", JSON),
        ("text/event-stream, */*;q=0.1", JSON),
        ("application/json;q=0, */*", GRAPHQL),
        ("application/graphql-response+json;q=0.5, */*", JSON),
        ("*/*;q=0.5, application/graphql-response+json;q=0.4", JSON),
        ("application/json;q=nonsense, application/graphql-response+json;q=0.1", GRAPHQL),
        (" , application/graphql-response+json,", GRAPHQL),
        (",", JSON),
        ('text/html;a="b, application/graphql-response+json", application/json', JSON),
        ('application/graphql-response+json;a="b;q=0"', GRAPHQL),
        ('application/json;a=";q=0.1";q=0.9, application/graphql-response+json;q=0.5;', JSON),
    ],
)
def test_the_media_type_of_the_answer(accept: str | None, chosen: str) -> None:
    assert response_type(accept) == chosen


@pytest.mark.parametrize(
    ("client", "accept", "chosen"),
    [
        ("Apollo Client 4", "application/graphql-response+json,application/json;q=0.9", GRAPHQL),
        (
            "Apollo Client 4, a document with @defer",
            "multipart/mixed;deferSpec=20220824,application/graphql-response+json,application/json;q=0.9",
            GRAPHQL,
        ),
        (
            "Apollo Client 4, the same in the newer form",
            "multipart/mixed;incrementalSpec=v0.2,application/graphql-response+json,application/json;q=0.9",
            GRAPHQL,
        ),
        ("Apollo Client 3", "*/*", JSON),
        (
            "Apollo Kotlin",
            "multipart/mixed;deferSpec=20220824, application/graphql-response+json, application/json",
            GRAPHQL,
        ),
        (
            "urql",
            "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed",
            GRAPHQL,
        ),
        ("graphql-request", "application/graphql-response+json, application/json", GRAPHQL),
        (
            "Relay's quick start",
            "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8",
            GRAPHQL,
        ),
        ("GraphiQL's own fetcher", "application/json, multipart/mixed", JSON),
        ("a client that would rather have events", "text/event-stream, application/json;q=0.5", JSON),
        ("curl, fetch", "*/*", JSON),
    ],
)
def test_clients_that_also_accept_streams_get_json(client: str, accept: str, chosen: str) -> None:
    """A stream is for a document that has something to come later; any other is answered as JSON, however a stream is liked."""
    assert response_type(accept) == chosen


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/json;q=0",
        "*/*;q=0",
        "application/json;charset=latin1",
        "application/xml",
        ";",
        "q=1",
        "text/event-stream, multipart/mixed",  # What urql sends for a subscription.
    ],
)
def test_nothing_acceptable_is_refused(accept: str) -> None:
    with pytest.raises(BadRequest) as caught:
        response_type(accept)
    assert caught.value.http_status == 406


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", True),
        ("text/html", True),
        ("text/html, */*", True),
        ("text/html, application/json", True),
        ("text/html;q=0.9, application/json;q=0.8, */*;q=0.1", True),
        ("application/json;q=0, text/html;q=0.1", True),
        (None, False),
        ("", False),
        ("*/*", False),
        ("text/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("application/json, text/html;q=0.0", False),
        ("application/json, text/html;q=0.1", False),
        ("application/graphql-response+json, application/json;q=0.9, text/html;q=0.5, */*;q=0.1", False),
        ("application/graphql-response+json, text/html;q=0.9", False),
        ("*/*, text/html;q=0.9", False),
        ("application/*, text/html;q=0.9", False),
        ("multipart/mixed, text/html;q=0.9", False),
        ("text/event-stream, text/html;q=0.9", False),
    ],
)
def test_the_page_is_for_those_who_prefer_it(accept: str | None, wanted: bool) -> None:
    assert prefers_html(accept) is wanted


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"query": "{a}"}, GraphQLRequest("{a}")),
        ({"query": ""}, GraphQLRequest("")),
        (
            {"query": "{a}", "variables": {"x": [1, None, "ü"]}, "operationName": "A", "extensions": {"e": {}}},
            GraphQLRequest("{a}", {"x": [1, None, "ü"]}, "A", {"e": {}}),
        ),
        ({"query": "{a}", "variables": None, "operationName": None, "extensions": None}, GraphQLRequest("{a}")),
        ({"query": "{a}", "operationName": ""}, GraphQLRequest("{a}")),
        ({"query": "{a}", "id": "of some client"}, GraphQLRequest("{a}")),
        ({"query": "{a}", "variables": {"x": "cut \ud83d"}}, GraphQLRequest("{a}", {"x": "cut \ufffd"})),
        ({"query": "{a}", "variables": {"x": "\U0001f600\\ud83d"}}, GraphQLRequest("{a}", {"x": "\U0001f600\\ud83d"})),
        ({"documentId": "sha256:ab", "variables": {}}, GraphQLRequest(variables={}, document_id="sha256:ab")),
        ({}, GraphQLRequest()),
    ],
)
def test_a_post_is_read(body: Any, wanted: GraphQLRequest) -> None:
    for content_type in ("application/json", "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'):
        for encoding in (None, "", "identity", "identity, Identity"):
            for start in (b"", BOM_UTF8):
                assert posted(content_type, encoding, start + json.dumps(body).encode()) == wanted


@pytest.mark.parametrize(
    ("content_type", "encoding", "status"),
    [
        (None, None, 415),
        ("", None, 415),
        ("text/plain", None, 415),
        ("application/jsonx", None, 415),
        ("application/graphql", None, 415),
        ("application/json; charset=utf-16", None, 415),
        ("application/json", "gzip", 415),
        ("application/json", "deflate, gzip", 415),
    ],
)
def test_a_post_with_another_content_type_is_refused(
    content_type: str | None, encoding: str | None, status: int
) -> None:
    with pytest.raises(BadRequest) as caught:
        posted(content_type, encoding, b'{"query": "{a}"}')
    assert caught.value.http_status == status


def test_a_get_is_read() -> None:
    address = urlencode({"query": "query A($x: Int) {a}", "variables": '{"x": 1}', "operationName": "A", "other": ""})
    assert read_get(address.encode()) == GraphQLRequest("query A($x: Int) {a}", {"x": 1}, "A")
    assert read_get(b"query=%7Ba%7D&variables=&operationName=&extensions=null") == GraphQLRequest("{a}")
    assert read_get(b"query=%7Ba%7D%C3%BC") == GraphQLRequest("{a}ü")
    assert read_get(b"query={a}&variables=%EF%BB%BF{}") == GraphQLRequest("{a}", {})
    assert read_get(b"query={a}&variables=" + quote('{"x": "\\udc00"}').encode()) == GraphQLRequest(
        "{a}", {"x": "\ufffd"}
    )
    assert read_get(b"documentId=sha256:ab") == GraphQLRequest(document_id="sha256:ab")
    assert read_get(b"") == GraphQLRequest()


@pytest.mark.parametrize(
    "address",
    [
        b"query={a}&query={b}",
        b"documentId=a&documentId=b",
        b"query=%ff",
        b"query=\xc3\xbc",
        b"query={a}&variables=[1]",
        b"query={a}&variables=1",
        b"query={a}&variables={",
        b"query={a}&extensions=%22x%22",
        b"query={a}&variables=" + quote("[" * 5000).encode(),
        b"query={a}" + b"&x=1" * 100,
    ],
)
def test_a_get_that_cannot_be_read_is_refused(address: bytes) -> None:
    with pytest.raises(BadRequest):
        read_get(address)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 33 + b"]" * 33,
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b" " * 2000 + b"1" * 101,
        b" " * 2000 + b"[" + b"1," * 10_001 + b"1]",
        b'{"x": "' + b"[" * 2000 + b'", "y": ' + b"[" * 40,
    ],
)
def test_json_beyond_the_limits_is_refused(text: bytes) -> None:
    with pytest.raises(BadRequest):
        check_json(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[" * 32 + b"]" * 32,
        b'{"query": "' + b"[{" * 5000 + b'"}',
        b'{"query": "' + b"9" * 5000 + b'"}',
        b'{"query": "' + b"a, b: c " * 5000 + b'"}',
        b'{"query": "\\\\\\"' + b"[" * 2000 + b'"}',
        b"1" * 100 + b" " * 2000,
        b"[]" * 600,
        b'"never closed',
    ],
)
def test_ordinary_json_passes(text: bytes) -> None:
    check_json(text)


@given(st.binary(max_size=3000))
def test_no_bytes_crash_a_post(body: bytes) -> None:
    with suppress(BadRequest):
        posted("application/json", None, body)
