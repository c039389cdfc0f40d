"""Prices kept in a file beside the code, so that a review shows when a change makes an operation dearer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from gateway.contract import CheckError

__all__ = ["Price", "PriceChange", "compare_prices", "read_snapshot", "write_snapshot"]

_VERSION = 1
_EDGES_SHOWN = 5
_WAS_SNAPSHOT = re.compile(rb'"operations"|<<<<<<<|\A\s*\Z')
"""What a file has that may be overwritten: it was a snapshot, if perhaps a merge broke it, or it is empty."""


class Price(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What one operation costs at most."""

    calls: int
    """Upstream calls."""
    round_trips: int
    edges: dict[str, int]
    """The calls by the field that causes them."""


class _Version(msgspec.Struct):
    version: int


class _Snapshot(_Version, forbid_unknown_fields=True):
    operations: dict[str, Price]


@dataclass(frozen=True, slots=True)
class PriceChange:
    """One operation that costs something else than before, is new, or is gone."""

    name: str
    before: Price | None
    after: Price | None

    @property
    def kind(self) -> Literal["dearer", "cheaper", "new", "removed"]:
        """What happened; more round trips for as many calls are dearer."""
        if self.before is None:
            return "new"
        if self.after is None:
            return "removed"
        return "dearer" if _cost(self.after) > _cost(self.before) else "cheaper"

    @property
    def edges(self) -> dict[str, tuple[int, int]]:
        """The calls before and after of each field for which they changed, those that changed most first."""
        before, after = (price.edges if price is not None else {} for price in (self.before, self.after))
        both = {place: (before.get(place, 0), after.get(place, 0)) for place in {**before, **after}}
        changed = [(place, calls) for place, calls in both.items() if calls[0] != calls[1]]
        return dict(sorted(changed, key=lambda each: (-abs(each[1][1] - each[1][0]), each[0])))

    def __str__(self) -> str:
        if self.before is None or self.after is None:
            price = self.before or self.after
            assert price is not None
            return f"{self.name} is {'new' if self.before is None else 'gone'}: {price.calls} call{'s' * (price.calls != 1)}"
        parts = [
            f"{before} → {after} {what}"
            for before, after, what in zip(_cost(self.before), _cost(self.after), ("calls", "round trips"), strict=True)
            if before != after
        ]
        rises = self.kind == "dearer"
        edges = [f"{place} {low} → {high}" for place, (low, high) in self.edges.items() if (high > low) is rises]
        if len(edges) > _EDGES_SHOWN:
            edges[_EDGES_SHOWN:] = [f"and {len(edges) - _EDGES_SHOWN} more"]
        return f"{self.name} {', '.join(parts)}{': ' if edges else ''}{', '.join(edges)}"


def compare_prices(before: Mapping[str, Price], after: Mapping[str, Price]) -> list[PriceChange]:
    """The changes between two sets of prices, sorted by the operations' names."""
    return [
        PriceChange(name, before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if name not in before or name not in after or _cost(before[name]) != _cost(after[name])
    ]


def read_snapshot(path: Path) -> dict[str, Price] | None:
    """The prices in a file, by the operations' names; None when there is no such file. Raises `CheckError`."""
    try:
        text = path.read_bytes()
        version = msgspec.json.decode(text, type=_Version).version
        if version != _VERSION:
            raise CheckError(
                f"{path}: it is of version {version}, and this release knows {_VERSION}: write it anew with --update."
            )
        return msgspec.json.decode(text, type=_Snapshot).operations
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckError(f"{path}: it cannot be read ({error.strerror}).") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckError(
            f"{path}: it is not a snapshot of prices ({error}). Mend it, or write it anew with --update."
        ) from None


def write_snapshot(path: Path, prices: Mapping[str, Price]) -> None:
    """Write prices to a file: sorted, a line for each number. Raises `CheckError`, also for a file of another kind."""
    content = {"version": _VERSION, "operations": msgspec.to_builtins(dict(prices))}
    try:
        if path.exists() and not _WAS_SNAPSHOT.search(path.read_bytes()):
            raise CheckError(f"{path}: it is something else than a snapshot of prices, and is left as it is.")
        path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise CheckError(f"{path}: it cannot be written ({error.strerror}).") from None


def _cost(price: Price) -> tuple[int, int]:
    return price.calls, price.round_trips
