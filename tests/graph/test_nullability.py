"""The fields that are null only on error, as `schema --semantic-nullability` marks them."""

from random import Random
from typing import Any

from graphql import build_schema, parse, print_ast

from gateway.graph.nullability import null_only_on_error
from gateway.graph.schema import make_schema, print_schema

from ..execution.random_operations import GENERATOR, Writer, run

SCHEMA = make_schema()._schema
MARKED = null_only_on_error(SCHEMA)


def test_the_fields() -> None:
    """Not connections, whose descriptions say what null means; not records, which may not exist."""
    assert {"Conversation.deliveryStatistics", "Service.deliveryStatistics"} == {".".join(each) for each in MARKED}


def test_the_variant_differs_in_the_directive_alone() -> None:
    plain, variant = print_schema(), print_schema(semantic_nullability=True)
    build_schema(variant)
    assert variant.count(" @semanticNonNull\n") == len(MARKED)
    definitions = [print_ast(each) for each in parse(variant).definitions if each.name.value != "semanticNonNull"]  # type: ignore[attr-defined]
    assert [each.replace(" @semanticNonNull", "") for each in definitions] == list(
        map(print_ast, parse(plain).definitions)
    )


def test_null_means_an_error() -> None:
    """Random operations over an upstream that fails: wherever a marked field is null, an error has its path."""
    checked = 0
    for seed in range(60):
        writer = Writer(Random(seed).randint)
        body = writer.selection(SCHEMA.type_map["DeliveryStatistics"], 2)
        exact = seed % 2 == 0
        sid, service = f'"CH{seed % 3:032x}"', '"IS%032x"' % (seed % 2)
        below = f"conversation(sid: {sid}) {{ sid deliveryStatistics(exact: {str(exact).lower()}) {body} }}"
        document = f"{{ service(sid: {service}) {{ sid deliveryStatistics {body} {below} }} }}"
        declared = ", ".join(f"${name}: {kind}" for name, (kind, _) in writer.variables.items())
        values = {name: value for name, (_, value) in writer.variables.items()}
        document = " ".join([f"query Q({declared}) {document}" if declared else document, *writer.fragments])
        outcome, _, _ = run(document, values, GENERATOR, trouble=4)
        failed = {failure.path for failure in outcome.failures}
        service_: Any = (outcome.data or {}).get("service")
        if service_ is None:
            continue
        places = [(service_, ("service",)), (service_["conversation"], ("service", "conversation"))]
        for record, path in places:
            if record is not None and record["deliveryStatistics"] is None:
                checked += 1
                assert (*path, "deliveryStatistics") in failed
    assert checked > 10
