"""The trusted documents that GraphiQL lists: to callers only, and to each those that it may send."""

from dataclasses import replace

import aiohttp

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.demo import settings_for
from gateway.graph.ids import encode_id
from gateway.graph.types import RESOURCES
from gateway.sandbox import Sandbox

from ..conftest import serving

THREAD = """query Q($sid: ID!) { service(sid: $sid) { conversations(first: 2) {
  edges { node { messages { edges { node { body } } } } } } } }"""
TWO = "query A { services { edges { cursor } } } query B { ...F } fragment F on Query { __typename }"
OF_SERVICE = '{ service(sid: "%s") { friendlyName } }'
OF_ID = '{ node(id: "%s") { ... on Service { friendlyName } } }'
REFUSED = '{ service(sid: "IS1") { friendlyName } }'


async def test_each_caller_sees_the_documents_that_it_may_send(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    own, other = sandbox.landmarks["service_sid"], sandbox.landmarks["other_service_sid"]
    service = next(each for each in RESOURCES.values() if each.prefix == "IS")
    tokens = {"ann": Token("ann-has-a-long-token"), "bob": Token("bob-has-a-long-token", services=frozenset({own}))}
    documents = {
        "thread": THREAD,
        "two": TWO,
        "own": OF_SERVICE % own,
        "other": OF_SERVICE % other,
        "other-by-id": OF_ID % encode_id(service, f"Services/{other}"),
        "refused": REFUSED,
        "invalid": "{ nothing }",
    }
    app = create_app(replace(settings_for(sandbox), tokens=tokens), documents=documents)
    async with serving(app) as url:
        async with http.get(f"{url}/graphiql/documents") as response:
            assert response.status == 401
        found = {}
        for name in tokens:
            headers = {"Authorization": f"Bearer {name}-has-a-long-token"}
            async with http.get(f"{url}/graphiql/documents", headers=headers) as response:
                assert response.headers["Cache-Control"] == "no-store"
                found[name] = {each.pop("id"): each for each in (await response.json())["documents"]}
        assert list(found["ann"]) == list(documents)[:-1]
        assert list(found["bob"]) == ["thread", "two", "own", "refused"]
        assert found["ann"]["thread"] == {
            "document": THREAD,
            "operations": [{"name": "Q", "per": "operation", "calls": 3, "roundTrips": 2, "assumed": {}}],
        }
        assert [(each["name"], each["calls"]) for each in found["ann"]["two"]["operations"]] == [("A", 1), ("B", 0)]
        assert found["ann"]["refused"]["operations"] == [{"name": ""}]
        app.state.documents.trust({"another": TWO})
        async with http.get(f"{url}/graphiql/documents", headers=headers) as response:
            assert [each["id"] for each in (await response.json())["documents"]] == ["another"]
    assert sandbox.paths == []


async def test_without_trusted_documents_the_list_is_empty(base_url: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{base_url}/graphiql/documents") as response:
        assert await response.json() == {"documents": []}
