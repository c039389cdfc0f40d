"""The schema as a contract: its text is in the repository, everything has a description, and types follow the rules."""

import re
from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLScalarType,
    build_schema,
    is_nullable_type,
    is_specified_scalar_type,
)

from gateway import errors
from gateway.errors import GatewayError
from gateway.execution.fields import EdgeField, EventField, LookupField, PropertyField
from gateway.execution.price import Upstream
from gateway.graph.schema import make_schema, print_schema
from gateway.graph.types import RESOURCES

ROOT = Path(__file__).parents[2]
SCHEMA = make_schema()._schema
OWN = {name: kind for name, kind in SCHEMA.type_map.items() if not name.startswith("__")}


def test_schema_graphql_is_what_the_code_prints() -> None:
    text = (ROOT / "schema.graphql").read_text(encoding="utf-8")
    assert text == print_schema(), "Update it with: receipts-gateway schema > schema.graphql"


def test_error_codes_are_those_of_the_error_tree() -> None:
    def leaves(kind: type[GatewayError]) -> list[type[GatewayError]]:
        below = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
        return [leaf for child in below for leaf in leaves(child)] if below else [kind]

    tree = {leaf.code: leaf for leaf in leaves(GatewayError)}
    assert tree == errors.CODES
    drawn = re.findall(r"── (\w+) +([A-Z_]+) ", errors.__doc__ or "")
    assert sorted(drawn) == sorted((leaf.__name__, leaf.code) for leaf in tree.values())
    words = SCHEMA.type_map["ErrorCode"]
    assert isinstance(words, GraphQLEnumType)
    assert {code: value.description for code, value in words.values.items()} == {
        code: " ".join((leaf.__doc__ or "").split()) for code, leaf in tree.items()
    }
    assert "`errors[].extensions.code`" in (words.description or "")


def test_the_printed_schema_is_a_schema() -> None:
    built = build_schema(print_schema())
    assert set(built.type_map) == set(SCHEMA.type_map)


def test_everything_has_a_sentence() -> None:
    missing = []
    for name, kind in OWN.items():
        if isinstance(kind, GraphQLScalarType) and is_specified_scalar_type(kind):
            continue
        parts = {name: kind.description}
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for field_name, field in kind.fields.items():
                parts[f"{name}.{field_name}"] = field.description
                parts |= {f"{name}.{field_name}({arg_name}:)": arg.description for arg_name, arg in field.args.items()}
        elif isinstance(kind, GraphQLEnumType):
            parts |= {f"{name}.{value_name}": value.description for value_name, value in kind.values.items()}
        missing += [where for where, text in parts.items() if not text or not text.rstrip().endswith((".", "`"))]
    assert missing == []


def test_what_costs_a_call_is_nullable() -> None:
    for name, kind in OWN.items():
        if not isinstance(kind, GraphQLObjectType):
            continue
        for field_name, field in kind.fields.items():
            definition = field.extensions["strawberry-definition"]
            is_stated = isinstance(definition, EdgeField | EventField | LookupField | PropertyField)
            assert is_stated, f"{name}.{field_name} is neither"
            if isinstance(definition, EventField):
                assert is_nullable_type(field.type), f"{name}.{field_name} ends the subscription when it fails"
            if isinstance(definition, EdgeField) and field_name != "nodes":
                assert is_nullable_type(field.type), f"{name}.{field_name} erases its siblings when it fails"
            if isinstance(definition, EdgeField):
                (price,) = definition.directives
                assert isinstance(price, Upstream), f"{name}.{field_name} has no price"
                assert "call" in (field.description or ""), f"{name}.{field_name} does not say what it costs"


def test_prices_name_the_pages_that_are_read() -> None:
    largest = {f"{resource.type_name}Connection": resource.page_max for resource in RESOURCES.values()}
    for kind in OWN.values():
        if not isinstance(kind, GraphQLObjectType):
            continue
        for name, field in kind.fields.items():
            definition = field.extensions["strawberry-definition"]
            if isinstance(definition, EdgeField) and str(field.type) in largest:
                (price,) = definition.directives
                assert isinstance(price, Upstream)
                assert price.page_size == largest[str(field.type)], f"{kind.name}.{name}"


def test_arguments_are_such_as_relay_takes() -> None:
    connections = [
        field
        for kind in OWN.values()
        if isinstance(kind, GraphQLObjectType)
        for field in kind.fields.values()
        if str(field.type).endswith("Connection")
    ]
    assert connections
    for field in connections:
        assert {"first", "after"} <= set(field.args)
        assert str(field.args["first"].type) == "Int"
        assert str(field.args["after"].type) == "String"
    for line in print_schema().splitlines():
        assert "= null" not in line


def test_scalars_are_specified() -> None:
    own = [kind for kind in OWN.values() if isinstance(kind, GraphQLScalarType) and not is_specified_scalar_type(kind)]
    assert sorted(kind.name for kind in own) == ["DateTime", "URL"]
    assert all(kind.specified_by_url for kind in own)


def test_the_receipt_has_all_properties_of_twilios_page() -> None:
    receipt = SCHEMA.type_map["Receipt"]
    assert isinstance(receipt, GraphQLObjectType)
    page = (
        "accountSid chatServiceSid conversationSid messageSid sid channelMessageSid participantSid status errorCode "
        "dateCreated dateUpdated url"
    )
    assert set(page.split()) < set(receipt.fields)
