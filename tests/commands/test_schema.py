"""`receipts-gateway schema`: the schema on standard output."""

from gateway.graph.schema import print_schema

from .conftest import run


def test_the_schema_is_printed() -> None:
    assert run("schema").stdout == print_schema()
