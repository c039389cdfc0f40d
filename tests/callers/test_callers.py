"""Callers and what each may read: tokens, their limits, and JWTs."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.accounts.account import Account
from gateway.accounts.operation import Operation
from gateway.callers.callers import ANONYMOUS, Caller, Callers, Token
from gateway.callers.jwt import JwtVerifier, KeySet, KeySetUnavailable
from gateway.errors import Overloaded, Unauthenticated
from gateway.sandbox import Sandbox
from gateway.twilio.client import Client

IS = "IS" + "0" * 32
TOKENS = {"ann": Token("ann-has-a-long-token"), "bob": Token("bob-has-a-long-token", frozenset({IS}))}


async def identified(callers: Callers, authorization: str | None) -> Caller:
    caller = callers.identify(authorization)
    return caller if isinstance(caller, Caller) else await caller


async def verified(verifier: JwtVerifier, token: str) -> Caller | None:
    caller = verifier.verify(token)
    return await caller if isinstance(caller, Awaitable) else caller


async def test_tokens_identify_callers() -> None:
    callers = Callers(TOKENS)
    assert await identified(callers, "Bearer ann-has-a-long-token") == Caller("ann")
    assert await identified(callers, "bearer  bob-has-a-long-token ") == Caller("bob", frozenset({IS}))
    assert await identified(Callers({}), None) == ANONYMOUS


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer x", "Basic ann-has-a-long-token", "ann-has-a-long-token", "Bearer \udcff"],
)
async def test_anything_else_is_unauthenticated(authorization: str | None) -> None:
    with pytest.raises(Unauthenticated):
        await identified(Callers(TOKENS), authorization)


async def test_tokens_can_be_replaced() -> None:
    callers = Callers(TOKENS)
    callers.replace({"cy": Token("cy-has-a-long-token!")})
    assert (await identified(callers, "Bearer cy-has-a-long-token!")).name == "cy"
    with pytest.raises(Unauthenticated):
        await identified(callers, "Bearer ann-has-a-long-token")


def test_tokens_have_no_repr() -> None:
    assert "long-token" not in repr(TOKENS) + repr(Callers(TOKENS))


# What a limited caller may read


async def codes(operations: Account, query: str, services: frozenset[str] | None) -> tuple[Any, list[str]]:
    outcome = await operations.run(Operation(query, services=services))
    return outcome.data, [failure.error.code for failure in outcome.failures]


async def test_a_foreign_service_is_refused_like_an_unknown_one(sandbox: Sandbox, client: Client) -> None:
    operations, marks = Account(client), sandbox.landmarks
    mine, foreign, unknown = marks["service_sid"], marks["other_service_sid"], "IS" + "0" * 32
    query = '{ service(sid: "%s") { friendlyName } }'
    rights = frozenset({mine})
    assert (await codes(operations, query % mine, rights))[1] == []
    sandbox.reset()
    refused = [await operations.run(Operation(query % sid, services=rights)) for sid in (foreign, unknown)]
    assert [str(outcome.failures[0].as_json()) for outcome in refused] == [str(refused[0].failures[0].as_json())] * 2
    assert refused[0].failures[0].error.code == "FORBIDDEN"
    assert sandbox.calls == []


async def test_no_field_leads_to_a_foreign_service(sandbox: Sandbox, client: Client) -> None:
    operations, marks = Account(client), sandbox.landmarks
    every, _ = await codes(operations, "{ services { edges { node { id sid } } } }", None)
    ids = {edge["node"]["sid"]: edge["node"]["id"] for edge in every["services"]["edges"]}
    mine, rights = marks["service_sid"], frozenset({marks["service_sid"]})
    foreign = ids[marks["other_service_sid"]]
    own, _ = await codes(operations, "{ services { edges { node { sid } } } }", rights)
    assert own == {"services": {"edges": [{"node": {"sid": mine}}]}}
    sandbox.reset()
    assert await codes(operations, '{ node(id: "%s") { id } }' % foreign, rights) == ({"node": None}, ["FORBIDDEN"])
    got = await codes(operations, '{ nodes(ids: ["%s", "%s"]) { id } }' % (foreign, ids[mine]), rights)
    assert got == ({"nodes": [None, {"id": ids[mine]}]}, ["FORBIDDEN"])
    # Not even what sids alone would tell.
    got = await codes(operations, '{ service(sid: "%s") { sid } }' % marks["other_service_sid"], rights)
    assert got == ({"service": None}, ["FORBIDDEN"])
    assert sandbox.calls == []
    assert await codes(operations, "{ services { edges { node { sid } } } }", frozenset()) == (
        {"services": {"edges": []}},
        [],
    )


async def test_two_callers_at_once_see_only_their_own(sandbox: Sandbox, client: Client) -> None:
    operations, marks = Account(client), sandbox.landmarks
    rights = [frozenset({marks["service_sid"]}), frozenset({marks["other_service_sid"]})]
    query = "{ services { edges { node { sid conversations(first: 3) { edges { node { chatServiceSid } } } } } } }"
    answers = await asyncio.gather(*(codes(operations, query, rights[turn % 2]) for turn in range(20)))
    for turn, (data, errors) in enumerate(answers):
        (edge,) = data["services"]["edges"]
        seen = {edge["node"]["sid"], *(row["node"]["chatServiceSid"] for row in edge["node"]["conversations"]["edges"])}
        assert (seen, errors) == (set(rights[turn % 2]), [])


# JWTs

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
SECRET = "a-shared-secret-of-more-than-32-characters"


def token(key: Any = RSA, algorithm: str = "RS256", kid: str | None = "one", **claims: Any) -> str:
    body = {"sub": "ann", "iss": "issuer", "aud": "audience", "exp": time.time() + 60} | claims
    return jwt.encode(
        {name: value for name, value in body.items() if value is not None},
        key,
        algorithm=algorithm,
        headers={"kid": kid} if kid else None,
    )


def public_key(key_id: str = "one") -> dict[str, Any]:
    key: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key()))
    return key | {"kid": key_id, "use": "sig", "alg": "RS256"}


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def key_server(handle: Handler) -> AsyncIterator[tuple[str, list[str]]]:
    """A server of keys, and the requests it got."""
    got: list[str] = []

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        got.append(request.path)
        return await handle(request)

    runner = web.ServerRunner(web.Server(note))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site.port}/keys", got
    finally:
        await runner.cleanup()


def answering(body: Callable[[], Any]) -> Handler:
    """Answers with bytes as they are, and with anything else as JSON."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        content = body()
        return web.Response(body=content) if isinstance(content, bytes) else web.json_response(content)

    return handle


@asynccontextmanager
async def verifying(**options: Any) -> AsyncIterator[Callable[[str], Awaitable[Caller | None]]]:
    async with key_server(answering(lambda: {"keys": [public_key()]})) as (url, _):
        verifier = JwtVerifier(KeySet(url), issuer="issuer", audience="audience", algorithms=["RS256"], **options)
        yield partial(verified, verifier)


async def test_a_valid_jwt_names_its_caller() -> None:
    async with verifying() as caller:
        assert await caller(token()) == Caller("ann")
    async with verifying(services_claim="services") as caller:
        assert await caller(token(services=[IS, "x", 5])) == Caller("ann", frozenset({IS}))
        assert await caller(token(services=f"{IS} nonsense")) == Caller("ann", frozenset({IS}))
        nothing: list[Any] = [None, [], "", {"a": 1}, 7]
        for value in nothing:
            assert await caller(token(services=value)) == Caller("ann", frozenset())


@pytest.mark.parametrize(
    "make",
    [
        lambda: token(exp=time.time() - 60),
        lambda: token(nbf=time.time() + 600),
        lambda: token(iss="another"),
        lambda: token(aud="another"),
        lambda: token(exp=None),
        lambda: token(exp=10**400),
        lambda: token(sub=None),
        lambda: token(iss=None),
        lambda: token(kid="unknown"),
        lambda: token(kid=None),
        lambda: token(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        lambda: token(EC, "ES256"),
        lambda: token("a-shared-secret-of-more-than-32-characters", "HS256"),
        lambda: token(None, "none"),
        lambda: token()[:-5] + "AAAAA",
        lambda: token() + "x" * 9000,
        lambda: "a.b.c",
        lambda: "..",
        lambda: "é.é.é",
    ],
)
async def test_any_other_jwt_is_invalid(make: Callable[[], str]) -> None:
    async with verifying() as caller:
        assert await caller(make()) is None


async def test_a_public_key_does_not_pass_for_a_shared_secret() -> None:
    verifier = JwtVerifier(SECRET, issuer="issuer", audience="audience", algorithms=["HS256"])
    assert await verified(verifier, token(SECRET, "HS256")) == Caller("ann")
    assert await verified(verifier, token(RSA)) is None


async def test_keys_are_fetched_for_a_new_id_and_no_more_often_than_allowed() -> None:
    keys = {"keys": [public_key()]}
    async with key_server(answering(lambda: keys)) as (url, got):
        often = KeySet(url, seconds_between_fetches=0)
        assert await often.find("one") is not None
        assert await often.find("one") is not None
        assert len(got) == 1
        keys["keys"] = [public_key("two")]
        assert await often.find("two") is not None
        assert await often.find("one") is None  # It is not among the keys any more.
        assert len(got) == 3
        got.clear()
        rarely = KeySet(url)
        found = await asyncio.gather(*(rarely.find(f"nonsense {number}") for number in range(50)))
        assert (found, len(got)) == ([None] * 50, 1)


async def test_a_token_is_verified_without_waiting_once_its_key_is_cached() -> None:
    async with key_server(answering(lambda: {"keys": [public_key()]})) as (url, got):
        callers = Callers({}, JwtVerifier(KeySet(url), issuer="issuer", audience="audience", algorithms=["RS256"]))
        first = callers.identify(f"Bearer {token()}")
        assert isinstance(first, Awaitable)
        assert await first == callers.identify(f"Bearer {token()}") == Caller("ann")
        with pytest.raises(Unauthenticated):
            callers.identify(f"Bearer {token(aud='another')}")
        assert len(got) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"keys": 5}', b'{"keys": []}', b"\xff", b" " * 300_000])
async def test_without_keys_no_token_is_verified_and_none_is_called_invalid(body: bytes) -> None:
    """The next one may be: a client that is told that its token is invalid asks its user for another."""
    async with key_server(answering(lambda: body)) as (url, _):
        verifier = JwtVerifier(KeySet(url), issuer="issuer", audience="audience", algorithms=["RS256"])
        for _ in range(2):
            with pytest.raises(Overloaded, match="cannot be verified now"):
                await verified(verifier, token())
    verifier = JwtVerifier(KeySet(url), issuer="issuer", audience="audience", algorithms=["RS256"])
    with pytest.raises(Overloaded):
        await verified(verifier, token())


async def test_keys_that_were_fetched_are_used_when_they_cannot_be_fetched_again() -> None:
    bodies = iter([{"keys": [public_key()]}])
    async with key_server(answering(lambda: next(bodies, b""))) as (url, got):
        keys = KeySet(url, seconds_between_fetches=0)
        verifier = JwtVerifier(keys, issuer="issuer", audience="audience", algorithms=["RS256"])
        assert await verified(verifier, token()) == Caller("ann")
        assert await verified(verifier, token(kid="unknown")) is None
        assert await verified(verifier, token()) == Caller("ann")
        assert len(got) == 2


@pytest.mark.parametrize(("status", "is_found"), [(200, True), (500, False)])
async def test_a_key_set_may_come_in_pieces_and_must_come_with_200(status: int, is_found: bool) -> None:
    body = json.dumps({"keys": [public_key()]}).encode()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        for start in range(0, len(body), 100):
            await response.write(body[start : start + 100])
            await asyncio.sleep(0.01)  # So that each piece is a packet of its own.
        return response

    async with key_server(handle) as (url, _):
        with nullcontext() if is_found else pytest.raises(KeySetUnavailable):
            assert await KeySet(url).find("one") is not None


async def test_callers_ask_the_verifier_about_unknown_tokens() -> None:
    verifier = JwtVerifier(SECRET, issuer="issuer", audience="audience", algorithms=["HS256"])
    callers = Callers({}, verifier)
    assert callers.require_token
    assert (await identified(callers, f"Bearer {token(SECRET, 'HS256')}")).name == "ann"
    with pytest.raises(Unauthenticated):
        await identified(callers, "Bearer a.b.c")
