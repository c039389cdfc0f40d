"""Hostile documents and bodies over real HTTP: refused before any call, quickly, as JSON, and never with a 5xx."""

import json
import random
from typing import Any

import aiohttp
import pytest

from gateway.graph.ids import encode_id
from gateway.graph.types import RESOURCES
from gateway.sandbox import Sandbox

CONVERSATIONS = RESOURCES["Conversations"]
CONVERSATION = "Services/IS" + "0" * 32 + "/Conversations/CH%032x"
SID = '"IS' + "0" * 32 + '"'
FIELD = f"service(sid: {SID}) {{ sid }}"

BOMBS = {
    "aliases": "{ " + " ".join(f"a{number}: __typename" for number in range(101)) + " }",
    "root fields": "{ " + " ".join([FIELD] * 60) + " }",
    "duplicate fields": "{ " + "__typename " * 500 + "}",
    "duplicate leaves": f"{{ service(sid: {SID}) {{ {'sid ' * 2000} }} }}",
    "duplicate trees": f"{{ service(sid: {SID}) {{ {'service: conversation(sid: %s) { sid id } ' % SID * 200} }} }}",
    "directives": "{ __typename " + "@aa" * 10 + " }",
    "many directives": "{ " + " ".join(["sid @skip(if: true)"] * 200) + " }",
    "depth": "{ " + "service { " * 100 + "sid" + " }" * 101,
    "fragments": "{ ...F0 } "
    + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(24))
    + " fragment F24 on Query { __typename }",
    "fragment cycle": "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
    "inline fragments": "{ " + "... { " * 60 + "__typename" + " }" * 61,
    "circular introspection": "{ __schema { " + "types { fields { type { " * 8 + "name" + " } } }" * 8 + " } }",
    "tokens": "{ " + "a " * 20_000 + "}",
    "strings": '{ service(sid: "' + "x" * 60_000 + '") { sid friendlyName } }',
    "unknown fields": "{ " + "nope " * 3_000 + "}",
    "unknown variables": "query (" + " ".join(f"$v{number}: ID" for number in range(900)) + ") { __typename }",
    "unused fragments": "{ __typename } fragment F on Service { " + "conversations { edges { cursor } } " * 360 + "}",
    "lists below nodes": "{ nodes(ids: ["
    + " ".join(f'"{encode_id(CONVERSATIONS, CONVERSATION % number)}"' for number in range(100))
    + "]) { ... on Conversation { "
    + " ".join(f"a{n}: messages(first: 1000) {{ edges {{ node {{ receipts {{ totalCount }} }} }} }}" for n in range(50))
    + " } } }",
    "operations": " ".join(f"query Q{number} {{ __typename }}" for number in range(800)),
    "lists": "{ nodes(ids: [" + '"x" ' * 1_500 + "]) { id } }",
    "objects": "{ services(first: " + "{a: " * 150 + "1" + "}" * 150 + ") { edges { cursor } } }",
    "block strings": "{ " + '"""x"""' * 500 + " }",
}

CODES = {
    "tokens": "GRAPHQL_PARSE_FAILED",
    "block strings": "GRAPHQL_PARSE_FAILED",
    "operations": "OPERATION_RESOLUTION_FAILURE",
    "lists below nodes": "COST_LIMIT_EXCEEDED",
    "strings": "BAD_USER_INPUT",
    "lists": "BAD_USER_INPUT",
}
"""Of the bombs that are valid, or that are not even documents; the others are `GRAPHQL_VALIDATION_FAILED`."""


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_refused_before_any_call(
    http: aiohttp.ClientSession, base_url: str, sandbox: Sandbox, name: str
) -> None:
    headers = {"Accept": "application/graphql-response+json"}
    async with http.post(f"{base_url}/graphql", json={"query": BOMBS[name]}, headers=headers) as response:
        answer = await response.json(content_type=None)
    code = CODES.get(name, "GRAPHQL_VALIDATION_FAILED")
    assert {error["extensions"]["code"] for error in answer["errors"]} == {code}
    assert len(answer["errors"]) <= 21
    assert response.status == (200 if code == "BAD_USER_INPUT" else 400)  # What is wrong with one field is beside data.
    assert not any((answer.get("data") or {}).values())
    assert sandbox.calls == []


async def test_no_garbage_gives_a_5xx_or_a_traceback(http: aiohttp.ClientSession, base_url: str) -> None:
    """A thousand requests, each a sound one with something changed; the seed is the example."""
    sound = json.dumps(
        {"query": "query A($f: Int) { services(first: $f) { edges { cursor } } }", "variables": {"f": 1}}
    )
    for seed in range(1000):
        chance = random.Random(seed)
        body = change(sound.encode(), chance)
        headers = {"Content-Type": "application/json"}
        if chance.random() < 0.2:
            name = chance.choice(["Accept", "Content-Type", "Cache-Control", "Authorization", "Sec-Fetch-Site"])
            headers[name] = "".join(chance.choices("aq/*+;=,. é0", k=chance.randrange(20))).strip()
        method = chance.choice(["POST"] * 8 + ["GET", "PUT"])
        async with http.request(method, f"{base_url}/graphql", data=body, headers=headers) as response:
            text = await response.text()
        assert response.status < 500, seed
        answer: dict[str, Any] = json.loads(text)
        assert set(answer) <= {"data", "errors"}, seed
        assert "Traceback" not in text, seed
        assert "INTERNAL_SERVER_ERROR" not in text, seed


def change(body: bytes, chance: random.Random) -> bytes:
    data = bytearray(body)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[at : at + chance.randrange(10)] = b""
            case 1:
                data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(5)))
            case 2:
                data[at:at] = chance.choice([b"{", b"}", b'"', b"[", b"\\", b"null", b"@", b"...", b"$", b"\x00", b"#"])
            case 3:
                data[at:at] = data[: chance.randrange(20)]
            case _:
                data[at:at] = chance.choice([b"-1", b"1e400", b"NaN", b"9" * 30, b"\\ud800", b"\xef\xbb\xbf"])
    return bytes(data)
