"""Generates Python code that writes the answer of a plan, from the records and rows that `levels` reads.

The code is one function, with a comprehension for each edge, the deepest edges first:

    # participant: Participant
    ...
    by_4 = children[4].by_list(written_4)
    # receipts: ReceiptConnection
    rows_3 = children[3].rows
    written_3 = [
        ReceiptConnection_5([
            ReceiptEdge_6(
                Receipt_7(
                    row.sid,  # sid
                    the_4[row.participant_sid],  # participant
                )
            )
            for row in rows
        ])
        for rows, the_4 in zip(rows_3, by_4)
    ]
    next_3 = children[3].each(written_3)

A value that is not in the row, such as an id or a cursor, is computed for all rows of a list together (`PropertyField.column`).
The objects are structs, which take less memory than dictionaries and are encoded faster. The text is made of the schema's names
alone: response keys, which clients choose, are the names of the structs' fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count as count_from
from operator import attrgetter
from typing import Any, NamedTuple, NoReturn

import msgspec

from gateway.execution.context import Context
from gateway.execution.fields import Mapped, PropertyField
from gateway.execution.levels import EdgePlace, NamedRecords, Unusual, read_levels, read_records
from gateway.execution.outside_text import OutsideText
from gateway.execution.plan import Plan
from gateway.execution.steps import Arguments, EdgeStep, Leaf, Lookup, Nested, Selection, edge_steps

__all__ = ["GeneratedPlan", "explain"]

_encode = msgspec.json.Encoder().encode
_UNUSUAL_VALUE = "raise Unusual('value')"
_STEPS_MAX = 500  # Each takes about 30 microseconds to generate.


class GeneratedPlan:
    """A plan as code."""

    def __init__(self, plan: Plan) -> None:
        """Generate the code of a plan; raises `Unusual` when the plan has something that code is not generated for."""
        if plan.steps > _STEPS_MAX:
            raise Unusual("size")
        self._levels: list[list[EdgePlace]] = []
        count = 0
        above: list[tuple[EdgePlace | None, Selection]] = [(None, plan.root)]
        while above:
            edges = [(parent, *edge) for parent, selection in above for edge in _edges_of(selection)]
            level = [
                EdgePlace.of(number, step, below, parent, through)
                for number, (parent, step, through, below) in enumerate(
                    ((*edge, below) for edge in edges for below in _selections(edge[1])), count
                )
            ]
            count += len(level)
            above = [(place, place.selection) for place in level]
            if level:
                self._levels.append(level)
        places = [place for level in self._levels for place in level]
        self._has_lists = any(place.is_list for place in places)
        writer = _Writer(places, has_lists=self._has_lists, is_of_event=plan.is_of_event)
        self.source = writer.source(plan.root)
        """The text of the function."""
        self.named: NamedRecords | None = None
        """The records of a plan that names them all."""
        with suppress(Unusual):
            self.named = NamedRecords(places, list(edge_steps(plan.root)), writer.rows_alone)
        self._is_of_event = plan.is_of_event
        self._lookups = list(writer.lookups.values())
        exec(compile(self.source, "<plan>", "exec"), writer.constants)  # noqa: S102 - made of the schema's names
        self._write: Callable[..., msgspec.Struct] = writer.constants["write"]

    async def answer(
        self, context: Context, arguments: Arguments, event: object = None, paths: Sequence[str] = ()
    ) -> bytes:
        """Return the data as JSON. Raises `Unusual`, or the error of a read or value, when `fill` must execute the plan.

        `paths` are those of all records, where the query names them (see `Expected`).
        """
        looked_up = [step.read(None, **arguments.of(step)) for step in self._lookups]  # An error comes before any read.
        children: list[Any]
        if self._has_lists:
            children = await read_levels(self._levels, context, arguments, event)
        elif paths and self.named is not None and not context.no_cache:
            children = await self.named.read(context, paths)
        else:
            children = await read_records(self._levels, context, arguments, event)
        return _encode(self._write(children, *([event] if self._is_of_event else ()), *looked_up))

    @property
    def of_one_row(self) -> NamedRecords | None:
        """The records, if the data is a function of the row of one of them (see `answer_from`)."""
        return self.named if self.named is not None and self.named.row is not None and not self._lookups else None

    def answer_from(self, paths: Mapping[int, str], row: Any) -> bytes:
        """Return the data as JSON from the one row that is needed; raises as `answer` does.

        `paths` are those of the records of which something is `selected`.
        """
        assert self.named is not None
        return _encode(self._write(self.named.of_row(paths, row)))


def explain(plan: Plan) -> str:
    """Return the code that is generated for a plan, or one line that says why there is none.

    That of a subscription is the code for each type of event.
    """
    if plan.events is not None:
        types = [name for name, selection in plan.events.selections.items() if selection.blank]
        return "\n".join(f"# {name}\n{explain(plan.of_event(name))}" for name in types)
    try:
        return GeneratedPlan(plan).source
    except Unusual as reason:
        return f"No code is generated: {reason}."


def _edges_of(selection: Selection, through: tuple[Nested, ...] = ()) -> Iterator[tuple[EdgeStep, tuple[Nested, ...]]]:
    """Yield the edges of a selection and of its nested objects, each with those objects, in the order of `fill`."""
    if selection.deferred:
        raise Unusual("defer")
    for step in selection.steps:
        if isinstance(step, EdgeStep):
            if step.edge.is_combined:
                raise Unusual("several lists")
            yield step, through
        elif isinstance(step, Nested):
            yield from _edges_of(step.selection, (*through, step))


def _selections(step: EdgeStep) -> Iterable[Selection]:
    """Return the selections of an edge's children, one for each type that a child can have."""
    if step.is_list:
        raise Unusual("list of reads")
    return step.selections.values()


def _field_name(step: Leaf | Nested | EdgeStep) -> str:
    return step.nodes[0].name.value


@dataclass(slots=True)
class _Scope:
    """The variables from which the fields of one object are read."""

    value: str
    """The object: a record, a slice, an edge, or an object inside a record."""
    row: str | None = None
    """The row of a record that has one."""
    is_record: bool = True
    """Whether the object is a record, whose properties are read from its row where they can."""
    uses_value: bool = False
    """Whether a field is read from the object."""
    checks: list[tuple[Callable[[list[Any]], bool], str]] | None = field(default_factory=list)
    """Properties of the row that are written as they are if the function confirms it of all rows; None where it cannot."""
    columns: dict[str, str] | None = None
    """Of the records of lists: the variables of values that are computed for all rows of a list, each with the name of its
    function."""

    def values_by_check(self) -> list[tuple[Callable[[list[Any]], bool], list[str]]]:
        """Return the expressions of the values that each function checks."""
        by_check: dict[Callable[[list[Any]], bool], dict[str, None]] = {}
        for check, attribute in self.checks or ():
            by_check.setdefault(check, {})[f"{self.row}.{attribute}"] = None
        return [(check, list(values)) for check, values in by_check.items()]


class _Field(NamedTuple):
    """One field of an object."""

    name: str
    key: str
    """Its key in the answer."""
    value: str
    """The expression of its value."""


class _Writer:
    """Writes the text of the function."""

    def __init__(self, places: list[EdgePlace], *, has_lists: bool, is_of_event: bool) -> None:
        self._places = places
        self._is_of_event = is_of_event
        self._has_lists = has_lists
        self._by_step: dict[int, list[EdgePlace]] = {}
        """The places of each step, by its id: one for each type of child."""
        for place in places:
            self._by_step.setdefault(id(place.step), []).append(place)
        self.constants: dict[str, Any] = {"Unusual": Unusual, "null": _null, "the_one": _the_one}
        self.lookups: dict[str, Lookup] = {}
        """The lookups, by the names of the parameters that take their objects."""
        self.rows_alone: set[int] = set()
        """The numbers of places where nothing but the record's row is used."""
        self._numbers = count_from(1)

    def source(self, root: Selection) -> str:
        lines = [""]
        for place in reversed(self._places):
            lines.append(f"# {_field_name(place.step)}: {place.selection.type_name}")
            if self._has_lists:
                lines += self._list(place) if place.is_list else self._single(place)
                lines.append(_below(place))
            else:
                lines += self._record(place)
        lines.append(f"return {self._object(root, _Scope('event', is_record=False))}")
        parameters = ["children" if self._has_lists else "records", *(["event"] if self._is_of_event else ())]
        lines[0] = f"def write({', '.join([*parameters, *self.lookups])}):"
        return _indented(lines)

    def _record(self, place: EdgePlace) -> Iterator[str]:
        """Yield the lines that write the one record at a place."""
        record, row, written = f"record_{place.number}", f"row_{place.number}", f"written_{place.number}"
        if place.selection.is_value:
            yield f"{written} = records[{place.number}]"
            return
        yield f"{record} = records[{place.number}]"
        if not place.selection.needs_row:
            yield f"{written} = None if {record} is None else {self._object(place.selection, _Scope(record))}"
            return
        scope = _Scope(record, row)
        fields = self._object(place.selection, scope)
        if not scope.uses_value:
            self.rows_alone.add(place.number)
        yield f"{row} = None if {record} is None else {record}.row"
        for check, values in scope.values_by_check():
            yield f"if {row} is not None and not {self._constant('check', check)}([{', '.join(values)}]): {_UNUSUAL_VALUE}"
        yield f"{written} = None if {row} is None else {fields}"

    def _single(self, place: EdgePlace) -> Iterator[str]:
        """Yield the lines that write the records at a place."""
        if place.selection.is_value:
            yield f"written_{place.number} = children[{place.number}].found"
            return
        scope = _Scope("record", "row" if place.selection.needs_row else None)
        written = self._object(place.selection, scope)
        number = place.number
        yield f"found_{number} = children[{number}].found"
        if scope.row is None:
            yield f"written_{number} = [None if record is None else {written} for record in found_{number}]"
            return
        yield f"rows_{number} = [None if record is None else record.row for record in found_{number}]"
        yield from self._checks(scope, f"for row in rows_{number} if row is not None")
        loop = f"for row in rows_{number}"
        if scope.uses_value:
            loop = f"for record, row in zip(found_{number}, rows_{number})"
        yield f"written_{number} = [None if row is None else {written} {loop}]"

    def _list(self, place: EdgePlace) -> Iterator[str]:
        """Yield the lines that write the slices at a place."""
        scope, rows = _Scope("piece", is_record=False), list[_Scope]()
        written = self._object(place.selection, scope, rows)
        number = place.number
        yield f"rows_{number} = children[{number}].rows"
        for each in rows:
            yield from self._checks(each, f"for rows in rows_{number} for row in rows")
        loops = {"rows": f"rows_{number}"}
        if scope.uses_value:
            loops["piece"] = f"children[{number}].slices"
        for each in rows:
            for name, column in (each.columns or {}).items():
                loops[f"all_{name}"] = f"map({column}, children[{number}].paths, rows_{number})"
        for below in self._places:
            if below.parent is place and below.distinct is not None:
                loops[f"the_{below.number}"] = f"by_{below.number}"
        values = ", ".join(loops.values())
        yield f"written_{number} = [{written} for {', '.join(loops)} in {f'zip({values})' if len(loops) > 1 else values}]"

    def _checks(self, scope: _Scope, loops: str) -> Iterator[str]:
        """Yield the lines that check the values of all rows at a place."""
        for check, values in scope.values_by_check():
            loop = f"{loops} for value in ({', '.join(values)})" if len(values) > 1 else loops
            value = "value" if len(values) > 1 else values[0]
            yield f"if not {self._constant('check', check)}([{value} {loop}]): {_UNUSUAL_VALUE}"

    def _object(self, selection: Selection, scope: _Scope, rows: list[_Scope] | None = None) -> str:
        """Return the expression of an object. In a slice, the scopes of its rows are added to `rows`."""
        steps = {step.key: step for step in selection.steps}
        fields: list[_Field] = []
        for key, blank in selection.blank.items():
            step = steps.get(key)
            if step is None:
                fields.append(_Field("__typename", key, self._constant("typename", blank)))
                continue
            if isinstance(step, EdgeStep):
                children = [self._child(place) for place in self._by_step[id(step)]]
                value = children[0] if len(children) == 1 else f"the_one({', '.join(children)})"
            elif isinstance(step, Leaf):
                value = self._leaf(step, scope)
                value = self._marked(value) if step.is_marked else value
            elif rows is not None and step.is_list:
                value = self._edges(step, scope, rows)
            else:
                value = self._nested(step, scope)
            fields.append(_Field(_field_name(step), key, value))
        return self._struct(selection.type_name, fields)

    def _edges(self, edges: Nested, scope: _Scope, rows: list[_Scope]) -> str:
        """Return the expression of the edges of a slice."""
        steps = {step.key: step for step in edges.selection.steps}
        fields, nodes, columns = list[_Field](), list[_Scope](), {"row": "rows"}
        for key, blank in edges.selection.blank.items():
            step = steps.get(key)
            if isinstance(step, Nested):
                node = _Scope("record", "row", columns={})
                nodes.append(node)
                fields.append(_Field(_field_name(step), key, self._object(step.selection, node)))
                columns |= {name: f"all_{name}" for name in node.columns or ()}
            elif isinstance(step, Leaf):
                if step.prop.column is None:
                    raise Unusual("edge field")
                name = self._new_name("value")
                columns[name] = f"{self._constant('column', step.prop.column)}(piece)"
                scope.uses_value = True
                fields.append(_Field(_field_name(step), key, name))
            else:
                fields.append(_Field("__typename", key, self._constant("typename", blank)))
        rows += nodes
        values = ", ".join(columns.values())
        loops = f"for {', '.join(columns)} in {f'zip({values})' if len(columns) > 1 else values}"
        if any(node.uses_value for node in nodes):
            loops += " for record in [piece.node(row)]"
            scope.uses_value = True
        return f"[{self._struct(edges.selection.type_name, fields)} {loops}]"

    def _struct(self, type_name: str, fields: list[_Field]) -> str:
        """Return the expression of an object with these fields."""
        struct = self._constant(type_name, _struct_type(tuple([field.key for field in fields])))
        if len(fields) == 1:
            return f"{struct}({fields[0].value})"
        return "\n".join([f"{struct}(", *(f"{field.value},  # {field.name}" for field in fields), ")"])

    def _leaf(self, step: Leaf, scope: _Scope) -> str:
        prop = step.prop
        if prop.attribute is not None and (scope.row is not None or not scope.is_record):
            if prop.are_plain is None:
                return self._value(step, scope)
            if scope.row is not None and scope.checks is not None:
                scope.checks.append((prop.are_plain, prop.attribute))
                return f"{scope.row}.{prop.attribute}"
        if prop.column is not None and scope.columns is not None:
            name = self._new_name("value")
            scope.columns[name] = self._constant("column", prop.column)
            return name
        if prop.mapped is not None and (scope.row is not None or not scope.is_record):
            return self._mapped(step, prop.mapped, scope)
        if prop.non_zero is not None and scope.row is not None and step.is_nullable:
            return f"{scope.row}.{prop.non_zero} or None"
        value, name = self._value(step, scope), self._new_name("value")
        if isinstance(step.write, attrgetter):  # The name of an enum's member; None has no name.
            if not step.is_nullable:
                return f"{value}._name_"
            return f"(None if ({name} := {value}) is None else {name}._name_)"
        is_plain = f"type({name}) is {self._constant('type', step.plain)}"
        null = name if step.is_nullable else "null()"
        written = f"{self._constant('write', step.write)}({name})"
        return f"({null} if ({name} := {value}) is None else {name} if {is_plain} else {written})"

    def _marked(self, value: str) -> str:
        """Return the expression of a text that is marked as one from outside."""
        name = self._new_name("value")
        return f"(None if ({name} := {value}) is None else {self._constant('marked', OutsideText)}({name}))"

    def _mapped(self, step: Leaf, mapped: Mapped, scope: _Scope) -> str:
        """Return the expression of a value that is looked up in a table, which has the values as they are written."""
        table = {given: step.write(value) if value is not None else None for given, value in mapped.values.items()}
        default = self._constant("default", step.write(mapped.default))
        attribute = f"{scope.row or scope.value}.{mapped.attribute}"
        return f"{self._constant('table', table.get)}({attribute}, {default})"

    def _nested(self, step: Nested, scope: _Scope) -> str:
        name = self._new_name("value")
        if step.is_list:
            item = self._new_name("item")
            written = f"[{self._object(step.selection, _Scope(item, is_record=False))} for {item} in {name}]"
        elif step.is_record:
            written = self._object(step.selection, _Scope(name, f"{name}.row", checks=None))
        else:
            written = self._object(step.selection, _Scope(name, is_record=False))
        null = "None" if step.is_nullable else "null()"
        return f"({null} if ({name} := {self._value(step, scope)}) is None else {written})"

    def _value(self, step: Leaf | Nested, scope: _Scope) -> str:
        """Return the expression that reads a property or a lookup."""
        if isinstance(step, Lookup):
            name = self._new_name(_field_name(step))
            self.lookups[name] = step
            return name
        prop, row = step.prop, scope.row
        assert isinstance(prop, PropertyField)
        if row is not None and prop.attribute is not None and prop.are_plain is None:
            return f"{row}.{prop.attribute}"
        if row is not None and prop.read_row is not None:
            return f"{self._constant('read', prop.read_row)}({row})"
        scope.uses_value = True
        if not scope.is_record and prop.attribute is not None and prop.are_plain is None:
            return f"{scope.value}.{prop.attribute}"
        return f"{self._constant('read', prop.read)}({scope.value})"

    def _child(self, place: EdgePlace) -> str:
        """Return the expression of what was written of a record's child."""
        if not self._has_lists:
            return f"written_{place.number}"
        if place.distinct is None:
            return f"next_{place.number}()"
        attribute = place.distinct.attribute
        return f"the_{place.number}" if attribute is None else f"the_{place.number}[row.{attribute}]"

    def _constant(self, prefix: str, value: Any) -> str:
        name = self._new_name(prefix)
        self.constants[name] = value
        return name

    def _new_name(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers)}"


def _below(place: EdgePlace) -> str:
    """Return the line that assigns what was written at a place to the records above."""
    number = place.number
    if place.distinct is None:
        return f"next_{number} = children[{number}].each(written_{number})"
    return f"by_{number} = children[{number}].by_list(written_{number})"


@lru_cache(maxsize=1024)  # Most connections and edges have the same fields.
def _struct_type(keys: tuple[str, ...]) -> type[msgspec.Struct]:
    """Return a type whose instances are encoded as objects with these keys, in their order."""
    names = {f"field_{number}": key for number, key in enumerate(keys)}
    return msgspec.defstruct("Object", [(name, Any) for name in names], rename=names, gc=False)


def _indented(lines: list[str]) -> str:
    """Return the text of a function, whose first line is `def`; inside brackets, lines are indented by one step more."""
    indented, open_brackets = [lines[0]], list[int]()
    for line in "\n".join(lines[1:]).splitlines():
        steps = len(open_brackets) + (0 if line[0] in "}])" else 1)
        indented.append("    " * steps + line)
        opened = sum(map(line.count, "{[(")) - sum(map(line.count, "}])"))
        while opened < 0 and open_brackets:
            opened += open_brackets.pop()
        if opened > 0:
            open_brackets.append(opened)
    return "\n".join(indented) + "\n"


def _the_one(*objects: msgspec.Struct | None) -> msgspec.Struct | None:
    """Return the only object that is not null, if there is one."""
    return next((each for each in objects if each is not None), None)


def _null() -> NoReturn:
    raise Unusual("null where none may be")
