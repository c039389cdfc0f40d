"""Tools as values: names, descriptions, schemas and prices, from documents alone."""

import json

import pytest
from jsonschema import Draft202012Validator, ValidationError

from gateway.execution.outside_text import FROM_OUTSIDE
from gateway.mcp.tools import Tool, read_tools, shipped_documents

SHIPPED = {tool.name: tool for tool in read_tools(shipped_documents())}


def tool_of(document: str) -> Tool:
    (tool,) = read_tools({"it": document})
    return tool


def test_five_are_shipped() -> None:
    assert set(SHIPPED) == {"ExplainedReceipt", "Failures", "PersonMessages", "Statistics", "Thread"}
    for tool in SHIPPED.values():
        Draft202012Validator.check_schema(tool.input_schema)
        Draft202012Validator.check_schema(tool.output_schema)
        assert f"Costs at most {tool.calls} upstream call" in tool.description
        described = shipped_documents()
        assert any(tool.description.partition("\n\n")[0] in text for text in described.values())


def test_arguments_are_the_variables() -> None:
    tool = tool_of(
        """
        "How it stands."
        query Standing(
          "The service."
          $sid: ID!
          $status: [DeliveryStatus!] = [FAILED]
          $from: DateTime
          $first: Int = 3
        ) { service(sid: $sid) { failures(status: $status, sentFrom: $from, first: $first) { scan { unread } } } }
        """
    )
    assert tool.name == "Standing"
    assert tool.description.startswith("How it stands.\n")
    properties = tool.input_schema["properties"]
    assert tool.input_schema["required"] == ["sid"]
    assert properties["sid"] == {"type": "string", "description": "The service."}
    assert properties["first"]["default"] == 3
    assert properties["first"]["description"].startswith("The number of records to return")  # The schema's.
    assert properties["from"]["format"] == "date-time"
    assert properties["status"]["items"]["enum"][0] == "PENDING"
    validator = Draft202012Validator(tool.input_schema)
    validator.validate({"sid": "IS", "status": ["READ"], "from": "2026-01-01T00:00:00Z"})
    for wrong in (
        {},
        {"sid": 1},
        {"sid": "IS", "first": "2"},
        {"sid": "IS", "more": 1},
        {"sid": "IS", "status": ["?"]},
    ):
        with pytest.raises(ValidationError):
            validator.validate(wrong)


def test_an_input_object_with_one_of_several_has_exactly_one() -> None:
    person = SHIPPED["PersonMessages"].input_schema["properties"]["person"]
    validator = Draft202012Validator(person)
    validator.validate({"identity": "ada"})
    for wrong in ({}, {"identity": "ada", "address": "+15550100"}):
        with pytest.raises(ValidationError):
            validator.validate(wrong)


def test_a_result_has_what_is_selected_and_nothing_else() -> None:
    tool = tool_of(
        """
        query ($id: ID!, $all: Boolean!) {
          node(id: $id) { name: __typename ... on Message { body sid @include(if: $all) } ... on Receipt { status } }
        }
        """
    )
    node = tool.output_schema["properties"]["data"]["properties"]["node"]
    by_type = {each["properties"]["name"]["const"]: each for each in node["anyOf"] if each != {"type": "null"}}
    assert set(by_type["Message"]["properties"]) == {"name", "body", "sid"}
    assert set(by_type["Message"]["properties"]["body"]["properties"]) == {FROM_OUTSIDE}
    assert by_type["Receipt"]["properties"]["status"]["enum"][0] == "PENDING"
    assert "required" not in by_type["Message"], "a field may be left out by @include"


def test_a_name_is_given_once() -> None:
    one, two = "query A { deliveryErrors { code } }", "query A { deliveryErrors { code title } }"
    tools = read_tools({"1": one, "2": two, "1 again": one})
    assert [tool.name for tool in tools] == ["A", tools[1].name]
    assert tools[1].name.startswith("A_")
    assert tools[1].document == two


@pytest.mark.parametrize(
    "document", ["{ __schema { queryType { name } } }", 'query A { __type(name: "Query") { name } }']
)
def test_what_cannot_be_described_has_no_tool(document: str) -> None:
    assert read_tools({"it": document}) == []


def test_each_operation_of_a_document_has_a_tool() -> None:
    document = "query A { deliveryErrors { code } } query B { ...F } fragment F on Query { deliveryErrors { title } }"
    tools = read_tools({"it": document})
    assert [(tool.name, tool.operation, tool.calls) for tool in tools] == [("A", "A", 0), ("B", "B", 0)]
    assert "title" in json.dumps(tools[1].output_schema)
