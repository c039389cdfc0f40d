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

__all__ = ["Expected", "ExpectedReads", "KeptReads"]

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
    """A key in which the names of records can be replaced by others."""

    def __init__(self, key: str, names: tuple[str, ...]) -> None:
        """Create it from a key, with the names that are in it."""
        path, mark, query = key.partition("?")
        segments = path.split("/")
        order = [names.index(segment) for segment in segments if segment in names]
        self._pick = itemgetter(*order) if order else None
        opened = "/".join(["%s" if segment in names else segment.replace("%", "%%") for segment in segments])
        self._key = opened + (mark + query).replace("%", "%%") if order else key

    def of(self, names: tuple[str, ...]) -> str:
        """Return the key with other names."""
        return self._key % self._pick(names) if self._pick is not None else self._key


class KeptReads:
    """Expected reads, with the places of the names left open."""

    def __init__(self, expected: Expected, names: tuple[str, ...]) -> None:
        """Create them from expected reads, with the names that are in their keys."""
        self.requested = expected.requested
        self.paths = [_Template(path, names) for path in expected.paths]
        self._prefetch = [_Template(key, names) for key in expected.prefetch]
        self._deferred_prefetch = [_Template(key, names) for key in expected.deferred_prefetch]
        self._paths = expected.paths
        self._distinct: dict[tuple[int, ...], int] = {}

    def of(self, names: tuple[str, ...]) -> Expected:
        """Return the expected reads with other names."""
        prefetch, deferred_prefetch, paths = (
            tuple([template.of(names) for template in templates])
            for templates in (self._prefetch, self._deferred_prefetch, self.paths)
        )
        return Expected(self.requested, prefetch, deferred_prefetch, paths)

    def distinct(self, indices: tuple[int, ...]) -> int:
        """Return how many of the paths with these indices differ, whatever the names are."""
        number = self._distinct.get(indices)
        if number is None:
            number = self._distinct[indices] = len({self._paths[index] for index in indices})
        return number


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
        self._kept: dict[Any, KeptReads] = {}
        """By the other variables' values."""
        steps = list(edge_steps(plan.root))
        for step in steps:
            self._add_arguments(step)
        self._named = steps if all(step.edge.named_by is not None for step in steps) else []
        """All edges, if each names its record."""
        for name in self._others:
            self._names.pop(name, None)
        self._may_repeat = bool(self._literal_names) or len(set(self._names.values())) < len(self._names)
        """Whether two names may be equal."""
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
            self._kept[key] = KeptReads(expected, names)
        return expected

    def kept(self, variables: VariableValues) -> tuple[KeptReads, tuple[str, ...]] | None:
        """Return what is kept for the values of all variables, and the names in them; None without an earlier estimate.

        It holds for a caller that may read everything, and be served what is cached.
        """
        key, names = self._key(variables, no_cache=False)
        kept = self._kept.get(key) if key is not None else None
        return (kept, names) if kept is not None else None

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
        if self._may_repeat and len({*self._literal_names, *names}) < len(self._literal_names) + len(names):
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
