"""The schema of a client's own fields, which it resolves itself: they are valid in its operations, and not sent.

https://relay.dev/docs/guides/client-schema-extensions,
https://www.apollographql.com/docs/react/local-state/client-side-schema
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from graphql import (
    REMOVE,
    DefinitionNode,
    DirectiveDefinitionNode,
    DirectiveNode,
    DocumentNode,
    EnumTypeDefinitionNode,
    EnumTypeExtensionNode,
    ExecutableDefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    InputObjectTypeDefinitionNode,
    InputObjectTypeExtensionNode,
    InterfaceTypeDefinitionNode,
    InterfaceTypeExtensionNode,
    NameNode,
    ObjectTypeDefinitionNode,
    ObjectTypeExtensionNode,
    Source,
    TypeDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    TypeSystemDefinitionNode,
    TypeSystemExtensionNode,
    UnionTypeDefinitionNode,
    UnionTypeExtensionNode,
    Visitor,
    VisitorAction,
    extend_schema,
    parse,
    visit,
)
from graphql.validation.validate import validate_sdl

from gateway.contract import CheckError
from gateway.contract.operations.relay import fragment_arguments
from gateway.contract.operations.relay_resolvers import RelayResolver

__all__ = ["ClientSchema", "read_client_schema"]

_Definition = TypeVar("_Definition", bound=DefinitionNode)
_WithFields = ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode | InputObjectTypeDefinitionNode
_EXTENSIONS: dict[type[Any], type[Any]] = {
    ObjectTypeDefinitionNode: ObjectTypeExtensionNode,
    InterfaceTypeDefinitionNode: InterfaceTypeExtensionNode,
    InputObjectTypeDefinitionNode: InputObjectTypeExtensionNode,
    EnumTypeDefinitionNode: EnumTypeExtensionNode,
    UnionTypeDefinitionNode: UnionTypeExtensionNode,
}
_LOCAL = DirectiveNode(name=NameNode(value="client"), arguments=())


class ClientSchema:
    """The schema of a server with what a client adds to it."""

    def __init__(self, served: GraphQLSchema, client: DocumentNode, resolvers: Sequence[RelayResolver] = ()) -> None:
        """Extend `served` by the definitions of `client`, and by the fields of Relay's resolvers.

        Raises `CheckError` if the definitions do not fit.
        """
        resolvers = [*_on_implementations(resolvers, served)]
        client = DocumentNode(definitions=(*client.definitions, *map(_resolver_definition, resolvers)))
        self._root_fragments = {(each.type, each.field): each.root_fragment for each in resolvers}
        added = [
            each for each in (_new_part(definition, served) for definition in client.definitions) if each is not None
        ]
        added = [*_merged(added)]
        extension = DocumentNode(definitions=tuple(added))
        errors = [each for each in validate_sdl(extension, served) if not _is_about_a_directive(each)]
        if errors:
            raise CheckError("\n".join(map(_located, errors)))
        self.client_edges: list[FieldNode] = []
        """Fields of Relay's resolvers with selections, as far as definitions were marked: what is below them is not sent with
        their operation. If a resolver returns a type of the server, Relay's compiler generates a query for it."""
        self._schema = extend_schema(served, extension, assume_valid_sdl=True)
        self._served = served
        self._directives = {
            each.name.value
            for each in added
            if isinstance(each, DirectiveDefinitionNode) and served.get_directive(each.name.value) is None
        }

    def mark_all(self, definitions: Sequence[DefinitionNode]) -> list[DefinitionNode]:
        """Mark all operations and fragments of a client."""
        arguments = {
            each.name.value: {argument.name for argument in fragment_arguments(each)}
            for each in definitions
            if isinstance(each, FragmentDefinitionNode)
        }
        return [self.mark(each, arguments) for each in definitions]

    def mark(self, definition: _Definition, arguments: Mapping[str, Container[str]]) -> _Definition:
        """Return an operation or a fragment with `@client` on the fields, and on the fragments, that only the client has.

        Directives that only the client has are removed. A resolver's field becomes a spread of its root fragment, which Relay's
        compiler sends in its place; `arguments` are the names of the arguments of each fragment.
        """
        if not isinstance(definition, ExecutableDefinitionNode):
            return definition
        info = TypeInfo(self._schema)
        is_local, directives, root_fragments = self._is_local, self._directives, self._root_fragments
        client_edges = self.client_edges

        class Marking(Visitor):
            def enter_field(self, node: FieldNode, *_: Any) -> Any:
                parent = info.get_parent_type()
                if parent is None or not is_local(parent, node.name.value):
                    return None
                if (parent.name, node.name.value) in root_fragments and node.selection_set is not None:
                    client_edges.append(node)
                root_fragment = root_fragments.get((parent.name, node.name.value))
                return _marked(node) if root_fragment is None else _spread(root_fragment, node, arguments)

            def enter_inline_fragment(self, node: InlineFragmentNode, *_: Any) -> VisitorAction:
                type_ = info.get_type()
                return _marked(node) if isinstance(type_, GraphQLNamedType) and is_local(type_) else None

            def enter_fragment_definition(self, node: FragmentDefinitionNode, *_: Any) -> VisitorAction:
                type_ = info.get_type()
                return _marked(node) if isinstance(type_, GraphQLNamedType) and is_local(type_) else None

            def enter_directive(self, node: DirectiveNode, *_: Any) -> VisitorAction:
                return REMOVE if node.name.value in directives else None

        marked: _Definition = visit(definition, TypeInfoVisitor(info, Marking()))
        return marked

    def _is_local(self, type_: GraphQLNamedType, field: str | None = None) -> bool:
        """Whether only the client has a type, or a field of it."""
        its, ours = (getattr(schema.get_type(type_.name), "fields", {}) for schema in (self._schema, self._served))
        if self._served.get_type(type_.name) is None:
            return True
        return field is not None and field in its and field not in ours


def read_client_schema(files: Iterable[Path]) -> DocumentNode:
    """Read the type system definitions in SDL files; raises `CheckError` if one cannot be read."""
    definitions: list[DefinitionNode] = []
    for path in {each.resolve(): each for each in files}.values():
        try:
            document = parse(Source(path.read_text(encoding="utf-8-sig"), str(path)))
        except OSError as error:
            raise CheckError(f"{path}: it cannot be read ({error.strerror}).") from None
        except UnicodeDecodeError as error:
            raise CheckError(f"{path}: it is not UTF-8 text (byte {error.start}).") from None
        except GraphQLError as error:
            raise CheckError(_located(error)) from None
        definitions += (
            each
            for each in document.definitions
            if isinstance(each, TypeSystemDefinitionNode | TypeSystemExtensionNode)
        )
    return DocumentNode(definitions=tuple(definitions))


def _new_part(definition: DefinitionNode, served: GraphQLSchema) -> DefinitionNode | None:
    """Return what a definition adds to the server's schema; None if it adds nothing.

    A definition of a type that the server has counts as an extension of it, as code generators merge them.
    """
    if isinstance(definition, DirectiveDefinitionNode):
        return definition if served.get_directive(definition.name.value) is None else None
    if not isinstance(definition, TypeDefinitionNode | TypeSystemExtensionNode):
        return None
    type_ = served.get_type(getattr(getattr(definition, "name", None), "value", ""))
    if type_ is None:
        return definition
    own = getattr(type_, "fields", None)
    fields = getattr(definition, "fields", None)
    if own is None or fields is None:
        return definition if isinstance(definition, TypeSystemExtensionNode) else None
    new = tuple(each for each in fields if each.name.value not in own)
    if isinstance(definition, _WithFields):
        if isinstance(type_, GraphQLInterfaceType):
            return InterfaceTypeExtensionNode(name=definition.name, directives=(), fields=new, loc=definition.loc)
        return _EXTENSIONS[type(definition)](name=definition.name, directives=(), fields=new, loc=definition.loc)  # type: ignore[no-any-return]
    return replace(definition, fields=new)  # type: ignore[call-arg]


def _merged(definitions: Iterable[DefinitionNode]) -> Iterator[DefinitionNode]:
    """Leave out what another file defines too: several projects of one repository may have schemas of their own."""
    seen: dict[tuple[str, ...], Source | None] = {}

    def is_new(node: DefinitionNode, *key: str) -> bool:
        source = node.loc.source if node.loc is not None else None
        return seen.setdefault(key, source) is source

    for each in definitions:
        kind = "directive" if isinstance(each, DirectiveDefinitionNode) else "type"
        name = getattr(getattr(each, "name", None), "value", "")
        attribute = next((key for key in ("fields", "values", "types") if getattr(each, key, None)), None)
        is_defined = isinstance(each, TypeSystemExtensionNode) or is_new(each, kind, name)
        if attribute is None:
            if is_defined:
                yield each
            continue
        members = tuple(node for node in getattr(each, attribute) if is_new(node, kind, name, node.name.value))
        if is_defined and members:
            yield replace(each, **{attribute: members})  # type: ignore[arg-type]
        elif members:
            changed: Any = {attribute: members}
            yield _EXTENSIONS[type(each)](name=each.name, directives=(), loc=each.loc, **changed)  # type: ignore[attr-defined]


def _is_about_a_directive(error: GraphQLError) -> bool:
    """Whether an error concerns a directive applied in SDL: the client's tools define them, and they change no field."""
    return bool(error.nodes) and isinstance(error.nodes[0], DirectiveNode)  # type: ignore[index]


def _located(error: GraphQLError) -> str:
    name = error.source.name if error.source is not None else "The client's schema"
    place = "".join(f":{each.line}:{each.column}" for each in (error.locations or [])[:1])
    return f"{name}{place}: {' '.join(error.message.split())}"


def _on_implementations(resolvers: Sequence[RelayResolver], served: GraphQLSchema) -> Iterator[RelayResolver]:
    """Yield the resolvers, those of an interface for its implementations too, which may have their own."""
    yield from resolvers
    seen = {(each.type, each.field) for each in resolvers}
    for each in resolvers:
        type_ = served.get_type(each.type)
        if isinstance(type_, GraphQLInterfaceType):
            implementations = served.get_implementations(type_)
            for other in (*implementations.objects, *implementations.interfaces):
                if (other.name, each.field) not in seen:
                    seen.add((other.name, each.field))
                    yield replace(each, type=other.name)


def _resolver_definition(resolver: RelayResolver) -> DefinitionNode:
    """Return the definition of a resolver's field; its own type does not matter, since no part of it is sent."""
    return parse(f"type {resolver.type} {{ {resolver.field}: String }}", no_location=True).definitions[0]


def _spread(fragment: str, node: FieldNode, arguments: Mapping[str, Container[str]]) -> FragmentSpreadNode:
    """Spread a root fragment in place of a field, with those of the field's arguments that the fragment has."""
    directives = [each for each in node.directives or () if each.name.value in {"include", "skip"}]
    passed = tuple(each for each in node.arguments or () if each.name.value in arguments.get(fragment, ()))
    if passed:
        directives.append(DirectiveNode(name=NameNode(value="arguments"), arguments=passed, loc=node.loc))
    return FragmentSpreadNode(name=NameNode(value=fragment, loc=node.loc), directives=tuple(directives), loc=node.loc)


def _marked(node: Any) -> Any:
    return replace(node, directives=(*(node.directives or ()), _LOCAL))
