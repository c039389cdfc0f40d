"""The request member `onError`, over HTTP."""

from typing import Any

import aiohttp
import pytest

from gateway.graph.limits import IDS_MAX

QUERY = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } deliveryErrors(codes: [30003]) { code } }"
BODY = {"query": QUERY, "variables": {"ids": ["x"] * (IDS_MAX + 1)}}
WITH_NULL = {"nodes": None, "deliveryErrors": [{"code": 30003}]}


@pytest.mark.parametrize(
    ("given", "data"),
    [
        ({}, None),
        ({"onError": None}, None),
        ({"onError": "PROPAGATE"}, None),
        ({"onError": "HALT"}, None),
        ({"onError": "NULL"}, WITH_NULL),
    ],
)
async def test_an_answer_has_what_was_asked_for(
    base_url: str, http: aiohttp.ClientSession, given: dict[str, Any], data: Any
) -> None:
    async with http.post(f"{base_url}/graphql", json=BODY | given) as response:
        answer = await response.json()
    assert response.status == 200
    assert answer["data"] == data
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]


async def test_a_get_has_it_as_a_parameter(base_url: str, http: aiohttp.ClientSession) -> None:
    params = {"query": "{ deliveryErrors(codes: [30003]) { code } }", "onError": "HALT"}
    async with http.get(f"{base_url}/graphql", params=params) as response:
        assert (await response.json())["data"] == {"deliveryErrors": [{"code": 30003}]}
    async with http.get(f"{base_url}/graphql", params=params | {"onError": "halt"}) as response:
        assert response.status == 400


@pytest.mark.parametrize("value", ["null", "ABORT", "", 1, True, [], {}, ["NULL"]])
async def test_any_other_value_is_refused(base_url: str, http: aiohttp.ClientSession, value: Any) -> None:
    async with http.post(f"{base_url}/graphql", json=BODY | {"onError": value}) as response:
        answer = await response.json()
    assert response.status == 400
    assert "data" not in answer
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert error["message"] == "`onError` must be NULL, PROPAGATE or HALT."
