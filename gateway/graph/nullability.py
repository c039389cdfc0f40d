"""The fields that are null only on error (https://github.com/graphql/graphql-wg/blob/main/rfcs/SemanticNullability.md).

Every field that costs an upstream call is nullable, so that one failure leaves the rest of an answer. Of most of them null has
another meaning too: a record may not exist, or have left. What remains are values that are made of what was read, such as
statistics: there always is one, unless something could not be read. Connections are left out: that null there means an error
is a part of their description, which clients test for.
"""

from __future__ import annotations

from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema

from gateway.execution.fields import EdgeField
from gateway.execution.price import Upstream

__all__ = ["SEMANTIC_NON_NULL", "null_only_on_error"]

SEMANTIC_NON_NULL = '''
"""The field is null only if there is an error at its path, for clients that handle errors themselves."""
directive @semanticNonNull("The depth of the list whose items are meant; 0 is the field itself." levels: [Int!]! = [0]) on
  FIELD_DEFINITION
'''
"""The definition of the directive that marks these fields, in SDL."""


def null_only_on_error(schema: GraphQLSchema) -> set[tuple[str, str]]:
    """Return the fields that are null only on error, as type and field names."""
    return {
        (of_type.name, name)
        for of_type in schema.type_map.values()
        if isinstance(of_type, GraphQLObjectType)
        for name, field in of_type.fields.items()
        if _is_always_made(field)
    }


def _is_always_made(field: GraphQLField) -> bool:
    """Whether a field's value is made of what its edge reads, at a price, and is neither a record nor a connection."""
    edge, output = field.extensions.get("strawberry-definition"), field.type
    if not isinstance(edge, EdgeField) or not any(isinstance(each, Upstream) for each in edge.directives):
        return False
    return isinstance(output, GraphQLObjectType) and not output.interfaces and "pageInfo" not in output.fields
