"""The costs of operations as a Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html).

GraphiQL draws the same picture from a dry run: see `page/src/drawing.ts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.contract.operations.worst_case import OperationCost
from gateway.execution.estimate import FOR_EACH

__all__ = ["flowchart"]


@dataclass(slots=True)
class _Box:
    """One field: its calls, or the reason why it has none."""

    path: tuple[str, ...]
    round_trip: int | None
    calls: int = 0
    in_sequence: int = 1
    may_be_skipped: bool = False
    reason: str = ""

    @property
    def label(self) -> str:
        """The lines of the box."""
        lines = [self.path[-1]]
        if self.round_trip is None:
            lines.append(f"no call: {self.reason}")
            return "<br/>".join(lines)
        lines.append(_calls(self.calls))
        if self.in_sequence > 1:
            lines.append(f"up to {self.in_sequence} one after another")
        if self.may_be_skipped:
            lines.append("fewer where summaries show none")
        return "<br/>".join(lines)


def flowchart(costs: Iterable[tuple[str, OperationCost]]) -> Iterator[str]:
    """Yield the lines of one flowchart, in which each operation, given with its title, is a subgraph.

    A field that waits for the one above it has a solid arrow. Others leave earlier, or need no call.
    """
    yield "flowchart LR"
    for number, (title, cost) in enumerate(costs, 1):
        trips = f"{cost.round_trips} round trip{'' if cost.round_trips == 1 else 's'}"
        yield f'  subgraph o{number}["{_escaped(title)}: at most {_calls(cost.calls)}{FOR_EACH[cost.per]}, {trips}"]'
        yield from _operation(f"o{number}", list(_boxes(cost.estimate.as_json())))
        yield "  end"
    yield "  classDef skipped stroke-dasharray: 4 3"


def _operation(prefix: str, boxes: list[_Box]) -> Iterator[str]:
    names = {box.path: f"{prefix}f{number}" for number, box in enumerate(boxes, 1)}
    trips = {box.path: box.round_trip for box in boxes}
    for trip in sorted({box.round_trip for box in boxes if box.round_trip is not None}):
        yield f'    subgraph {prefix}t{trip}["Round trip {trip}"]'
        yield from (f'      {names[box.path]}["{box.label}"]' for box in boxes if box.round_trip == trip)
        yield "    end"
    yield from (f'    {names[box.path]}["{box.label}"]:::skipped' for box in boxes if box.round_trip is None)
    for box in boxes:
        above = next((box.path[:end] for end in range(len(box.path) - 1, 0, -1) if box.path[:end] in names), None)
        if above is not None:
            waits = (trips[above] or 0) < (box.round_trip or 0) and trips[above] is not None
            yield f"    {names[above]} {'-->' if waits else '-.->'} {names[box.path]}"


def _boxes(plan: dict[str, Any]) -> Iterator[_Box]:
    """Yield a box for each field of a plan, in the order of their paths; the reads of one field are added up."""
    boxes: dict[tuple[str, ...], _Box] = {}
    for edge in plan["edges"]:
        path = _path(edge["field"])
        box = boxes.setdefault(path, _Box(path, edge["roundTrip"]))
        assert box.round_trip is not None
        box.calls += edge["calls"]
        box.round_trip = min(box.round_trip, edge["roundTrip"])
        box.in_sequence = max(box.in_sequence, edge["inSequence"])
        box.may_be_skipped |= edge["mayBeSkipped"]
    for skipped in plan["skipped"]:
        path = _path(skipped["field"])
        boxes.setdefault(path, _Box(path, None, reason=skipped["reason"]))
    yield from boxes.values()


def _path(field: str) -> tuple[str, ...]:
    """Return a field's path in the answer without Relay's steps."""
    return tuple(part for part in field.split(".") if part not in {"edges", "node"})


def _calls(count: int) -> str:
    return f"{count} call{'' if count == 1 else 's'}"


def _escaped(text: str) -> str:
    return text.replace("#", "#35;").replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;")
