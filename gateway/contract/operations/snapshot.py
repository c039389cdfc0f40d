"""Costs of operations in a file under version control, so that a review shows which change increased an operation's cost."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from gateway.contract import CheckError
from gateway.execution.estimate import FOR_EACH, Per

__all__ = ["CostChange", "RecordedCost", "compare_costs", "read_snapshot", "write_snapshot"]

_VERSION = 1
_EDGES_SHOWN = 5
_WAS_SNAPSHOT = re.compile(rb'"operations"|<<<<<<<|\A\s*\Z')
"""Content that may be overwritten: a snapshot, perhaps with merge conflicts, or nothing."""


class RecordedCost(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """The worst-case cost of one operation, as a snapshot stores it."""

    calls: int
    """Upstream calls."""
    round_trips: int
    """Sequential round trips."""
    edges: dict[str, int]
    """Upstream calls by the path of the field that causes them."""
    per: Per = "operation"
    """What it is the cost of."""


class _Version(msgspec.Struct):
    version: int


class _Snapshot(_Version, forbid_unknown_fields=True):
    operations: dict[str, RecordedCost]


@dataclass(frozen=True, slots=True)
class CostChange:
    """An operation whose cost changed, or that was added or removed."""

    name: str
    before: RecordedCost | None
    after: RecordedCost | None

    @property
    def kind(self) -> Literal["dearer", "cheaper", "new", "removed"]:
        """Compare calls first, then round trips."""
        if self.before is None:
            return "new"
        if self.after is None:
            return "removed"
        return "dearer" if _rank(self.after) > _rank(self.before) else "cheaper"

    @property
    def per(self) -> Per:
        """What the costs are of; the new one's, if there are two."""
        cost = self.after or self.before
        assert cost is not None
        return cost.per

    @property
    def edges(self) -> dict[str, tuple[int, int]]:
        """Calls before and after by field path, for fields whose calls changed; the largest difference first."""
        before, after = (cost.edges if cost is not None else {} for cost in (self.before, self.after))
        both = {path: (before.get(path, 0), after.get(path, 0)) for path in {**before, **after}}
        changed = [(path, calls) for path, calls in both.items() if calls[0] != calls[1]]
        return dict(sorted(changed, key=lambda each: (-abs(each[1][1] - each[1][0]), each[0])))

    def __str__(self) -> str:
        if self.before is None or self.after is None:
            cost = self.before or self.after
            assert cost is not None
            calls = f"{cost.calls} call{'s' * (cost.calls != 1)}{FOR_EACH[self.per]}"
            return f"{self.name} is {'new' if self.before is None else 'gone'}: {calls}"
        parts = [
            f"{before} → {after} {unit}"
            for before, after, unit in zip(_rank(self.before), _rank(self.after), ("calls", "round trips"), strict=True)
            if before != after
        ]
        is_dearer = self.kind == "dearer"
        edges = [f"{path} {old} → {new}" for path, (old, new) in self.edges.items() if (new > old) is is_dearer]
        if len(edges) > _EDGES_SHOWN:
            edges[_EDGES_SHOWN:] = [f"and {len(edges) - _EDGES_SHOWN} more"]
        costs = ", ".join(parts) + FOR_EACH[self.per]
        return f"{self.name} {costs}{': ' if edges else ''}{', '.join(edges)}"


def compare_costs(before: Mapping[str, RecordedCost], after: Mapping[str, RecordedCost]) -> list[CostChange]:
    """Return the changes between costs by operation name, sorted by name."""
    return [
        CostChange(name, before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if name not in before or name not in after or _rank(before[name]) != _rank(after[name])
    ]


def read_snapshot(path: Path) -> dict[str, RecordedCost] | None:
    """Read the costs in a file, by operation name; None if the file does not exist.

    Raises `CheckError` if it cannot be read, or is not a snapshot of this version.
    """
    try:
        text = path.read_bytes()
        version = msgspec.json.decode(text, type=_Version).version
        if version != _VERSION:
            raise CheckError(
                f"{path}: it has version {version}, and this release supports {_VERSION}: write it again with --update."
            )
        return msgspec.json.decode(text, type=_Snapshot).operations
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckError(f"{path}: it cannot be read ({error.strerror}).") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckError(
            f"{path}: it is not a snapshot of costs ({error}). Repair it, or write it again with --update."
        ) from None


def write_snapshot(path: Path, costs: Mapping[str, RecordedCost]) -> None:
    """Write costs by operation name to a file, sorted, with one number per line.

    Raises `CheckError` if the file cannot be written, or exists and is not a snapshot.
    """
    content = {"version": _VERSION, "operations": msgspec.to_builtins(dict(costs))}
    try:
        if path.exists() and not _WAS_SNAPSHOT.search(path.read_bytes()):
            raise CheckError(f"{path}: it is not a snapshot of costs, so it was not overwritten.")
        path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise CheckError(f"{path}: it cannot be written ({error.strerror}).") from None


def _rank(cost: RecordedCost) -> tuple[int, int]:
    return cost.calls, cost.round_trips
