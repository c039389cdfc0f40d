"""Values of `--var`, by the declared types of variables."""

from typing import Any

import pytest
from graphql import OperationDefinitionNode, build_schema, parse

from gateway.contract.operations.variable_values import read_variables, variable_value

SCHEMA = build_schema(
    """
    scalar Time
    enum Status { FAILED READ }
    input Range { from: Time, size: Int, ids: [ID!], status: Status, inner: Range, share: Float }
    type Query { a: Int }
    """
)

NOT_JSON = "The value is not valid JSON, in which strings, enum values and keys have double quotes."


def read(declared: str, text: str) -> tuple[Any, list[str]]:
    operation = parse(f"query Q($x: {declared}) {{ a }}").definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    values, errors = read_variables(SCHEMA, operation.variable_definitions or (), {"x": text})
    return values.get("x"), [error.message for error in errors]


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [
        ("String!", "15551234567", "15551234567"),
        ("String", "1.50", "1.50"),
        ("String", "true", "true"),
        ("String", "null", None),
        ("String!", "null", "null"),
        ("String", '"null"', "null"),
        ("String", "[1]", "[1]"),
        ("String", '{"a": 1}', '{"a": 1}'),
        ("String", "", ""),
        ("ID!", "123", "123"),
        ("ID", "00123", "00123"),
        ("ID", "1e5", "1e5"),
        ("ID", "NaN", "NaN"),
        ("Time", "2026", "2026"),
        ("Status", "FAILED", "FAILED"),
        ("Status", '"FAILED"', "FAILED"),
        ("[Status!]", '["FAILED", "READ"]', ["FAILED", "READ"]),
        ("[Status!]", "FAILED", "FAILED"),
        ("[ID!]!", "[1, 2.50]", ["1", "2.50"]),
        ("[ID!]!", "7", "7"),
        ("[[Int]]", "[[1], [null]]", [[1], [None]]),
        ("[Int]", "3", 3),
        ("Int", "5", 5),
        ("Float", "5", 5),
        ("Float", "1.5", 1.5),
        ("Boolean", "false", False),
        ("Range", '{"from": 2026, "size": 1, "ids": [1], "status": "READ", "share": 0.5, "inner": {"ids": 2}}',
         {"from": "2026", "size": 1, "ids": ["1"], "status": "READ", "share": 0.5, "inner": {"ids": "2"}}),
        ("Range", "null", None),
    ],
)  # fmt: skip
def test_a_text_has_the_value_that_its_type_gives_it(declared: str, text: str, value: Any) -> None:
    assert read(declared, text) == (value, [])


@pytest.mark.parametrize(
    ("declared", "text", "problem"),
    [
        ("Int", "ten", "$x has the type Int. Int cannot represent non-integer value: 'ten'"),
        ("Int!", "null", "$x has the type Int!. Expected value of non-null type 'Int!' not to be null."),
        ("Int", "1" * 5000, "$x has the type Int. Int cannot represent non-integer value: "),
        ("Boolean", "yes", "$x has the type Boolean. Boolean cannot represent a non boolean value: 'yes'"),
        ("Status", "FAILD", "$x has the type Status. Value 'FAILD' does not exist in 'Status' enum. Did you mean the enum "
         "value 'FAILED'?"),
        ("[Status!]", "[FAILED]", f"$x has the type [Status!]. {NOT_JSON}"),
        ("[Status!]", '["FAILED", "NEW"]', "$x has the type [Status!]. Value 'NEW' does not exist in 'Status' enum."),
        ("[ID!]!", "[1, 02.50]", f"$x has the type [ID!]!. {NOT_JSON}"),
        ("Range", "{size: 1}", f"$x has the type Range. {NOT_JSON}"),
        ("Range", '{"length": 1}', "$x has the type Range. Expected value of type 'Range' not to include unknown field "
         "'length', found: "),
    ],
)  # fmt: skip
def test_a_text_that_does_not_fit_is_an_error_with_variable_and_type(declared: str, text: str, problem: str) -> None:
    (error,) = read(declared, text)[1]
    assert error.startswith(f"--var x: {problem}")


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [("Range", '{"size": 1}', {"size": 1}), ("Custom", "5", "5"), ("[Custom]", "[5]", ["5"]), (None, "5", 5)],
)
def test_without_a_schema_an_object_is_read_as_json(declared: str | None, text: str, value: Any) -> None:
    operation = parse(f"query Q($x: {declared or 'Int'}) {{ a }}").definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    assert operation.variable_definitions
    assert variable_value(text, operation.variable_definitions[0].type if declared else None) == value
