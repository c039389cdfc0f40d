"""What a plan is expected to read, kept for the next operation whose arguments differ only in the records that they name.

`service(sid: $service)` costs the same whatever the sid is: it appears in the keys, and in nothing else. An edge states such an
argument (`fields.NamedBy`). So the estimate of a plan is made once for the values of all other variables, with the places of
the sids in its keys left open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from gateway.execution.steps import Arguments, EdgeStep, Nested, Selection

__all__ = ["Expected", "ExpectedReads"]

_KEPT_MAX = 64  # Per plan: most vary in few arguments besides the sids.
_ABSENT = object()
_WITHOUT_TEXT = (BooleanValueNode, EnumValueNode, FloatValueNode, IntValueNode, NullValueNode)


class Expected(NamedTuple):
    """What an operation reads in the worst case, as far as it is needed to run it (see `Estimate`)."""

    requested: int
    prefetch: tuple[str, ...]
    deferred_prefetch: tuple[str, ...]
    paths: Mapping[int, str] = {}
    """The paths of all records, by the ids of the steps that lead to them, where the query names each of them."""

    @classmethod
    def of(cls, estimate: Estimate, named: Sequence[int]) -> Expected:
        """Return that part of an estimate. `named` are the ids of all steps, if each of them names its record."""
        paths = {step: estimate.paths[step] for step in named if step in estimate.paths}
        is_whole = len(paths) == len(named)
        return cls(
            estimate.requested,
            tuple(estimate.prefetch),
            tuple(estimate.deferred_prefetch),
            paths if is_whole else {},
        )


class _Template:
    """Keys in which the names of records can be replaced by others."""

    def __init__(self, keys: Iterable[str], names: tuple[str, ...]) -> None:
        """Create it from keys, with the names in them."""
        fields = {name: f"{{{position}}}" for position, name in enumerate(names)}
        opened = []
        for key in keys:
            path, mark, query = key.replace("{", "{{").replace("}", "}}").partition("?")
            opened.append("/".join([fields.get(segment, segment) for segment in path.split("/")]) + mark + query)
        self._format = " ".join(opened).format  # Keys are percent-encoded: none has a space.

    def of(self, names: tuple[str, ...]) -> list[str]:
        """Return the keys with other names."""
        return self._format(*names).split()


class _Kept(NamedTuple):
    """Expected reads, with the places of the names left open."""

    requested: int
    prefetch: _Template
    deferred_prefetch: _Template
    paths: _Template


class ExpectedReads:
    """The expected reads of one plan, by the values of its variables."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._names: dict[str, Callable[[str], object]] = {}
        """The variables that name records and have no other use, each with the check of its values."""
        self._others: set[str] = set()
        """The variables that edges use in another way."""
        self._literal_names: set[str] = set()
        """The names of records in the document."""
        self._has_text = False
        """Whether the document has other texts, such as cursors, which may be valid for some records only."""
        self._kept: dict[Any, _Kept] = {}
        """By the other variables' values."""
        steps = list(_edge_steps(plan.root))
        for step in steps:
            self._add_arguments(step)
        self._named = [id(step) for step in steps] if all(step.edge.named_by is not None for step in steps) else []
        """The ids of all edges, in their order, if each names its record."""
        for name in self._others:
            self._names.pop(name, None)

    def of(self, context: Context, variables: VariableValues) -> Expected:
        """Return the expected reads for the values of all variables, from an earlier estimate if there is one for them."""
        if context.is_restricted:  # The caller may not read every record that can be named.
            return self._estimated(context, variables)
        values = variables.coerced
        others = tuple([values.get(name, _ABSENT) for name in self._others])
        names = tuple([values.get(name, _ABSENT) for name in self._names])
        if self._has_text or any(type(value) in {str, list} for value in others):
            key: Any = (context.no_cache, others, names)
            names = ()
        else:
            for name, is_valid in zip(names, self._names.values(), strict=True):
                if type(name) is not str or not is_valid(name):
                    return self._estimated(context, variables)
            if len(self._literal_names.union(names)) < len(self._literal_names) + len(names):
                return self._estimated(context, variables)  # A record that is named twice is read once.
            key = (context.no_cache, others)
        try:
            kept = self._kept.get(key)
        except TypeError:  # A list or an object.
            return self._estimated(context, variables)
        if kept is None:
            expected = self._estimated(context, variables)
            if expected.requested <= context.limits.cost_max:  # Otherwise the estimate may be incomplete.
                if len(self._kept) >= _KEPT_MAX:
                    self._kept.clear()
                self._kept[key] = _Kept(
                    expected.requested,
                    _Template(expected.prefetch, names),
                    _Template(expected.deferred_prefetch, names),
                    _Template(expected.paths.values(), names),
                )
            return expected
        paths = kept.paths.of(names)
        return Expected(
            kept.requested,
            tuple(kept.prefetch.of(names)),
            tuple(kept.deferred_prefetch.of(names)),
            dict(zip(self._named, paths, strict=True)) if paths else {},
        )

    def _estimated(self, context: Context, variables: VariableValues) -> Expected:
        return Expected.of(Estimate(self._plan, context, Arguments(variables)), self._named)

    def _add_arguments(self, step: EdgeStep) -> None:
        named_by = step.edge.named_by
        for argument in step.nodes[0].arguments or ():
            value = argument.value
            is_name = named_by is not None and argument.name.value == named_by.argument
            if isinstance(value, VariableNode):
                name = value.name.value
                if is_name and named_by is not None and self._names.get(name, named_by.is_valid) is named_by.is_valid:
                    self._names[name] = named_by.is_valid
                else:
                    self._others.add(name)
            elif is_name and isinstance(value, StringValueNode):
                self._literal_names.add(value.value)
            elif not _is_without_text(value):
                self._has_text = True
                self._others.update(_variables_in(value))


def _edge_steps(selection: Selection) -> Iterator[EdgeStep]:
    """Yield all edges of a selection, at any depth."""
    for step in selection.steps:
        if isinstance(step, EdgeStep):
            yield step
            for below in step.selections.values():
                yield from _edge_steps(below)
        elif isinstance(step, Nested):
            yield from _edge_steps(step.selection)
    for deferred in selection.deferred:
        yield from _edge_steps(deferred.selection)


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
