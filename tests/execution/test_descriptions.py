"""Descriptions of operations, fragments and variables (GraphQL, September 2025)."""

from graphql import parse

from gateway.accounts.operation import Operation
from gateway.execution.descriptions import describe

from .conftest import context_over
from .random_operations import GENERATOR

DOCUMENT = '''
"""
What codes mean.
"""
query Legend("The codes." $codes: [Int!], $other: Int) { deliveryErrors(codes: $codes) { ...Code } }
query Other { deliveryErrors { code } }
"The code alone."
fragment Code on DeliveryError { code }
'''
WITHOUT_OTHER = DOCUMENT.replace(", $other: Int", "")


def test_each_operation_is_described() -> None:
    legend, other = (each.as_json() for each in describe(parse(DOCUMENT)))
    fragments = {"Code": "The code alone."}
    assert legend == {
        "name": "Legend",
        "description": "What codes mean.",
        "variables": {"codes": "The codes."},
        "fragments": fragments,
    }
    assert other == {"name": "Other", "fragments": fragments}


async def test_a_described_operation_is_executed_as_without() -> None:
    async with context_over() as context:
        operation = Operation(WITHOUT_OTHER, {"codes": [30003]}, "Legend")
        outcome = await GENERATOR.run(operation, context)
    assert not outcome.failures
    assert outcome.data == {"deliveryErrors": [{"code": 30003}]}


async def test_the_plan_of_a_dry_run_has_the_description() -> None:
    async with context_over() as context:
        outcome = await GENERATOR.run(Operation(WITHOUT_OTHER, {"codes": []}, "Legend", dry_run=True), context)
    assert outcome.extensions["plan"]["operation"]["description"] == "What codes mean."
