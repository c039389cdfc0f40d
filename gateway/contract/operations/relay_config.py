"""The configuration of Relay's compiler, as far as it is data: the files of `schemaExtensions`.

relay-compiler 21 reads `relay.config.json`, `relay` in `package.json`, and `relay.config.js`
(https://relay.dev/docs/getting-started/compiler-config). JavaScript is read here, never executed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.contract import CheckError
from gateway.contract.operations.javascript import parse_javascript

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["SchemaExtensions", "relay_schema_extensions"]

_COMPUTED: Final = object()
"""A value that only execution would give."""
_DEPTH_MAX = 50


@dataclass(frozen=True, slots=True)
class SchemaExtensions:
    """The SDL files that configurations name."""

    files: list[Path]
    notes: list[str]
    """What could not be read, for people."""


def relay_schema_extensions(files: Sequence[Path]) -> SchemaExtensions:
    """Return the files of `schemaExtensions` in Relay's configuration for these files, in a folder of one or above."""
    folders = {folder for path in files for folder in path.resolve().parents}
    found: dict[Path, None] = {}
    notes: list[str] = []
    for folder in sorted(folders):
        for config, value in _configs(folder, notes):
            for name in _extensions(value):
                if isinstance(name, str):
                    path = folder / name
                    found.update(dict.fromkeys(sorted(path.rglob("*.graphql")) if path.is_dir() else [path]))
                else:
                    notes.append(
                        f"{config}: schemaExtensions is computed there, and was not read. Name its files with --client-schema."
                    )
    return SchemaExtensions(list(found), list(dict.fromkeys(notes)))


def _configs(folder: Path, notes: list[str]) -> Iterator[tuple[Path, Any]]:
    """Yield the configurations in a folder, with their paths."""
    for name, key in (("relay.config.json", None), ("package.json", "relay")):
        try:
            content = json.loads((folder / name).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError):  # Relay's compiler reports a configuration that cannot be read.
            continue
        yield folder / name, content.get(key) if key is not None and isinstance(content, dict) else content
    script = folder / "relay.config.js"
    try:
        source = script.read_bytes()
    except OSError:
        return
    try:
        yield script, _exported(parse_javascript(source))
    except CheckError as error:
        notes.append(f"{script} was not read. {error}")


def _extensions(config: Any) -> Iterator[Any]:
    """Yield the paths in a configuration of one project or of several, and `_COMPUTED` for those that are computed."""
    if config is _COMPUTED:
        yield _COMPUTED
    if not isinstance(config, dict):
        return
    projects = config.get("projects")
    if projects is _COMPUTED or config.get("...") is _COMPUTED:
        yield _COMPUTED
    for project in (config, *(projects.values() if isinstance(projects, dict) else ())):
        paths = project.get("schemaExtensions") if isinstance(project, dict) else project
        yield from (
            each
            for each in (paths if isinstance(paths, list) else [paths])
            if isinstance(each, str) or each is _COMPUTED
        )


def _exported(root: Node) -> Any:
    """Return the value of `module.exports` or `export default`; None if nothing is exported."""
    constants: dict[str, Node] = {}
    exported: Node | None = None
    for statement in root.named_children:
        kind = statement.child_by_field_name("kind")
        if kind is not None and _text(kind) == "const":
            for each in statement.named_children:
                name, value = each.child_by_field_name("name"), each.child_by_field_name("value")
                if name is not None and value is not None:
                    constants[_text(name)] = value
        elif statement.type == "export_statement":
            exported = statement.child_by_field_name("value") or exported
        elif statement.type == "expression_statement":
            assignment = statement.named_children[0]
            left = assignment.child_by_field_name("left")
            if assignment.type == "assignment_expression" and left is not None and _text(left) == "module.exports":
                exported = assignment.child_by_field_name("right")
    return _value(exported, constants) if exported is not None else None


def _value(node: Node, constants: dict[str, Node], depth: int = 0) -> Any:
    """Return the value of an expression, `_COMPUTED` in place of whatever is no literal or constant."""
    if depth > _DEPTH_MAX:
        return _COMPUTED
    children = [each for each in node.named_children if each.type != "comment"]
    match node.type:
        case "string" | "template_string":
            is_literal = all(each.type == "string_fragment" for each in children)
            return "".join(map(_text, children)) if is_literal else _COMPUTED
        case "array":
            return [_value(each, constants, depth + 1) for each in children]
        case "parenthesized_expression":
            return _value(children[0], constants, depth + 1) if children else _COMPUTED
        case "identifier" if (name := _text(node)) in constants:
            return _value(constants[name], constants, depth + 1)
        case "object":
            return dict(_field(each, constants, depth) for each in children)
        case "true" | "false" | "null" | "undefined" | "number" | "regex":
            return None
    return _COMPUTED


def _field(node: Node, constants: dict[str, Node], depth: int) -> tuple[str, Any]:
    key, value = node.child_by_field_name("key"), node.child_by_field_name("value")
    if key is not None and value is not None and key.type != "computed_property_name":
        return _text(key).strip("\"'"), _value(value, constants, depth + 1)
    if node.type == "shorthand_property_identifier":
        name = _text(node)
        return name, _value(constants[name], constants, depth + 1) if name in constants else _COMPUTED
    return "...", _COMPUTED


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")
