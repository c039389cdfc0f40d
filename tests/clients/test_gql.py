"""Python's gql over a WebSocket, as its documentation has it."""

from dataclasses import replace

from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.demo import settings_for
from gateway.sandbox import Sandbox

from ..conftest import serving

SECRET = "a-secret-of-16-characters"
SUBSCRIPTION = """
subscription ($sid: ID!) { deliveryUpdated(serviceSid: $sid) { __typename ... on DeliveriesReady { refetch } } }
"""


async def test_it_subscribes_and_queries_with_a_token(sandbox: Sandbox) -> None:
    async with serving(create_app(replace(settings_for(sandbox), tokens={"script": Token(SECRET)}))) as url:
        transport = WebsocketsTransport(
            url=url.replace("http", "ws") + "/graphql", init_payload={"Authorization": f"Bearer {SECRET}"}
        )
        subscription = gql(SUBSCRIPTION)
        subscription.variable_values = {"sid": sandbox.landmarks["service_sid"]}
        async with Client(transport=transport) as session:
            events = session.subscribe(subscription)
            assert await anext(events) == {"deliveryUpdated": {"__typename": "DeliveriesReady", "refetch": True}}
            found = await session.execute(gql("{ services(first: 1) { edges { node { sid } } } }"))
            assert found["services"]["edges"][0]["node"]["sid"].startswith("IS")
            await events.aclose()
