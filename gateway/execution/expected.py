"""What a plan is expected to read, kept for the next operation whose arguments differ only in the records that they name.

`service(sid: $service)` costs the same whatever the sid is: it appears in the keys, and in nothing else. An edge states such an
argument (`fields.NamedBy`). So the estimate of a plan is made once for the values of all other variables, with the places of
the sids in its keys left open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from graphql import (
    BooleanValueNode,
    EnumValueNode,
    FloatValueNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    VariableNode,
)
from graphql.execution.values import VariableValues

from gateway.execution.context import Context
from gateway.execution.estimate import Estimate
from gateway.execution.plan import Plan
from gateway.execution.steps import Arguments, EdgeStep, edge_steps

__all__ = ["Expected", "ExpectedReads"]

_KEPT_MAX = 64  # Per plan: most vary in few arguments besides the sids.
_ABSENT = object()
_WITHOUT_TEXT = (BooleanValueNode, EnumValueNode, FloatValueNode, IntValueNode, NullValueNode)


class Expected(NamedTuple):
    """What an operation reads in the worst case, as far as it is needed to run it (see `Estimate`)."""

    requested: int
    prefetch: tuple[str, ...]
    deferred_prefetch: tuple[str, ...]
    paths: tuple[str, ...] = ()
    """The path of the record that each edge leads to, in the order of `edge_steps`, where the query names all of them."""

    @classmethod
    def of(cls, estimate: Estimate, named: Sequence[EdgeStep]) -> Expected:
        """Return that part of an estimate. `named` are all edges of the plan, if each of them names its record."""
        paths = tuple([estimate.paths[id(step)] for step in named if id(step) in estimate.paths])
        return cls(
            estimate.requested,
            tuple(estimate.prefetch),
            tuple(estimate.deferred_prefetch),
            paths if len(paths) == len(named) else (),
        )


class _Template:
    """Expected reads in which the names of records can be replaced by others."""

    def __init__(self, expected: Expected, names: tuple[str, ...]) -> None:
        """Create it from expected reads, with the names in their keys."""
        self._requested = expected.requested
        self._ends = len(expected.prefetch), len(expected.prefetch) + len(expected.deferred_prefetch)
        positions = {name: position for position, name in enumerate(names)}
        parts: list[str | int] = []
        for key in (*expected.prefetch, *expected.deferred_prefetch, *expected.paths):
            path, mark, query = key.partition("?")
            for segment in path.split("/"):
                parts += [positions.get(segment, segment), "/"]
            parts[-1] = f"{mark}{query} "  # Keys are percent-encoded: none has a space.
        if parts:
            parts[-1] = str(parts[-1])[:-1]
        self._constants = tuple(dict.fromkeys([part for part in parts if isinstance(part, str)]))
        positions |= {constant: len(names) + position for position, constant in enumerate(self._constants)}
        order = [positions[part] if isinstance(part, str) else part for part in parts]
        self._parts = itemgetter(*order) if order else None
        """Returns the parts of the keys, from the names and the constants; None where there are no keys."""

    def of(self, names: tuple[str, ...]) -> Expected:
        """Return the expected reads with other names."""
        if self._parts is None:
            return Expected(self._requested, (), ())
        keys = tuple("".join(self._parts(names + self._constants)).split(" "))
        first, second = self._ends
        return Expected(self._requested, keys[:first], keys[first:second], keys[second:])


class ExpectedReads:
    """The expected reads of one plan, by the values of its variables."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._names: dict[str, str] = {}
        """The variables that name records and have no other use, each with the pattern of its values."""
        self._others: set[str] = set()
        """The variables that edges use in another way."""
        self._literal_names: set[str] = set()
        """The names of records in the document."""
        self._has_text = False
        """Whether the document has other texts, such as cursors, which may be valid for some records only."""
        self._kept: dict[Any, _Template] = {}
        """By the other variables' values."""
        steps = list(edge_steps(plan.root))
        for step in steps:
            self._add_arguments(step)
        self._named = steps if all(step.edge.named_by is not None for step in steps) else []
        """All edges, if each names its record."""
        for name in self._others:
            self._names.pop(name, None)
        self._are_names = re.compile(" ".join(self._names.values())).fullmatch
        """Returns whether values, joined with spaces, are names of records."""

    def of(self, context: Context, variables: VariableValues) -> Expected:
        """Return the expected reads for the values of all variables, from an earlier estimate if there is one for them."""
        if context.is_restricted:  # The caller may not read every record that can be named.
            return self._estimated(context, variables)
        key, names = self._key(variables, no_cache=context.no_cache)
        if key is None:
            return self._estimated(context, variables)
        kept = self._kept.get(key)
        if kept is not None:
            return kept.of(names)
        expected = self._estimated(context, variables)
        if expected.requested <= context.limits.cost_max:  # Otherwise the estimate may be incomplete.
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            self._kept[key] = _Template(expected, names)
        return expected

    def kept(self, variables: VariableValues) -> Expected | None:
        """Return what `of` returns for a caller that may read everything, from the cache; None without an earlier estimate."""
        key, names = self._key(variables, no_cache=False)
        kept = self._kept.get(key) if key is not None else None
        return kept.of(names) if kept is not None else None

    def _key(self, variables: VariableValues, *, no_cache: bool) -> tuple[Any, tuple[str, ...]]:
        """Return the key of the estimate in `_kept`, None if there can be none, and the names to put in its places."""
        values = variables.coerced
        others = tuple([values.get(name, _ABSENT) for name in self._others]) if self._others else ()
        names: tuple[Any, ...] = tuple(map(values.get, self._names))
        try:
            hash(others)
            if self._has_text or (others and any(type(value) is str for value in others)):
                return (no_cache, others, names), ()
            if self._are_names(" ".join(names)) is None:
                return None, ()
        except TypeError:  # A list or an object; or a name is null or absent.
            return None, ()
        if len({*self._literal_names, *names}) < len(self._literal_names) + len(names):
            return None, ()  # A record that is named twice is read once.
        return (no_cache, others), names

    def _estimated(self, context: Context, variables: VariableValues) -> Expected:
        return Expected.of(Estimate(self._plan, context, Arguments(variables)), self._named)

    def _add_arguments(self, step: EdgeStep) -> None:
        named_by = step.edge.named_by
        for argument in step.nodes[0].arguments or ():
            value = argument.value
            is_name = named_by is not None and argument.name.value == named_by.argument
            if isinstance(value, VariableNode):
                name = value.name.value
                if is_name and named_by is not None and self._names.get(name, named_by.pattern) == named_by.pattern:
                    self._names[name] = named_by.pattern
                else:
                    self._others.add(name)
            elif is_name and isinstance(value, StringValueNode):
                self._literal_names.add(value.value)
            elif not _is_without_text(value):
                self._has_text = True
                self._others.update(_variables_in(value))


def _is_without_text(value: ValueNode) -> bool:
    """Whether a literal has neither texts nor variables."""
    if isinstance(value, ListValueNode):
        return all(map(_is_without_text, value.values))
    return isinstance(value, _WITHOUT_TEXT)


def _variables_in(value: ValueNode) -> Iterator[str]:
    """Yield the names of the variables in a literal."""
    if isinstance(value, VariableNode):
        yield value.name.value
    elif isinstance(value, ListValueNode):
        for each in value.values:
            yield from _variables_in(each)
    elif isinstance(value, ObjectValueNode):
        for field in value.fields:
            yield from _variables_in(field.value)
