"""Budgets: each caller has a number of upstream calls per minute, is charged for its operations, and sees its budget."""

from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from gateway.accounts.account import Account
from gateway.accounts.limits import Limits
from gateway.accounts.operation import Operation
from gateway.app import create_app
from gateway.callers.budgets import Budgets, BudgetStatus
from gateway.callers.callers import Token
from gateway.demo import settings_for
from gateway.errors import CostLimitExceeded
from gateway.sandbox import Sandbox
from gateway.settings import Settings
from gateway.source.memory import MemoryCache
from gateway.twilio.client import Client

from ..conftest import serving

QUERY = """query Q($sid: ID!, $n: Int) {
  service(sid: $sid) { friendlyName conversations(first: $n) { edges { node { state } } } }
}"""


def test_a_budget_is_refilled_within_a_minute() -> None:
    budgets = Budgets(60)
    assert budgets.reserve("ann", 50, 0.0) == 50
    budgets.refund("ann", 50, 40, 0.0)
    assert budgets.status("ann", 0.0) == BudgetStatus(60, 20, 40)
    with pytest.raises(CostLimitExceeded) as caught:
        budgets.reserve("ann", 30, 0.0)
    assert (caught.value.http_status, caught.value.retry_after) == (429, 10)
    assert budgets.reserve("bob", 60, 0.0) == 60
    assert budgets.reserve("ann", 30, 10.0) == 30
    assert budgets.status("ann", 1000.0) == BudgetStatus(60, 60, 0)


def test_an_operation_that_could_cost_more_than_a_budget_needs_all_of_it() -> None:
    budgets = Budgets(60)
    assert budgets.reserve("ann", 1000, 0.0) == 60
    budgets.refund("ann", 60, 500, 0.0)
    with pytest.raises(CostLimitExceeded):
        budgets.reserve("ann", 1, 60.0)
    assert budgets.reserve("ann", 1, 500.0) == 1


async def test_a_caller_beyond_its_budget_is_refused(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    base = settings_for(sandbox)
    tokens = {"ann": Token("ann-has-a-long-token"), "bob": Token("bob-has-a-long-token")}
    app = create_app(
        Settings(credentials=base.credentials, upstream_url=base.upstream_url, tokens=tokens, caller_budget=3)
    )
    body = {"query": QUERY, "variables": {"sid": sandbox.landmarks["service_sid"], "n": 50}}
    async with serving(app) as url:

        async def ask(caller: str, **headers: str) -> tuple[int, Mapping[str, str], Any]:
            headers["Authorization"] = f"Bearer {caller}-has-a-long-token"
            async with http.post(f"{url}/graphql", json=body, headers=headers) as response:
                return response.status, response.headers, await response.json()

        status, headers, _ = await ask("ann")
        assert (status, headers["Gateway-Budget"]) == (200, "limit=3, remaining=1, reset=40")
        status, headers, answer = await ask("ann", **{"Cache-Control": "no-cache"})
        assert status == 429
        assert 1 <= int(headers["Retry-After"]) <= 20
        assert answer["errors"][0]["extensions"]["code"] == "COST_LIMIT_EXCEEDED"
        status, _, answer = await ask("bob", **{"Cache-Control": "no-cache", "X-Gateway-Trace": "1"})
        assert status == 200
        assert answer["extensions"]["cost"]["budget"] == {"limit": 3, "remaining": 1, "reset": 40}


async def test_a_cached_answer_needs_the_budget_to_execute_it(sandbox: Sandbox, client: Client) -> None:
    """It costs nothing; but whether one is refused does not depend on whether others have asked before."""
    operations = Account(client, Limits(caller_budget=3), cache=MemoryCache(2**24))
    dear, cheap = QUERY, "query Q($sid: ID!) { service(sid: $sid) { friendlyName } }"
    sid = sandbox.landmarks["service_sid"]
    for _ in range(3):
        outcome = await operations.run(Operation(cheap, variables={"sid": sid}, caller="ann"))
        assert outcome.budget == {"limit": 3, "remaining": 2, "reset": 20}
    assert operations.lookups["answer"] == 1
    await operations.run(Operation(dear, variables={"sid": sid, "n": 50}, caller="ann", no_cache=True))
    with pytest.raises(CostLimitExceeded):
        await operations.run(Operation(cheap, variables={"sid": sid}, caller="ann"))
