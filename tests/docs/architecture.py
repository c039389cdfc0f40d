"""The picture of the house, drawn from the imports: rooms as boxes on floors, and arrows down to the rooms they import.

A room is what stands directly below `gateway/`. Its floor is one above the highest room that it imports. To keep the picture
readable, an import is left out where a path of other arrows leads to the same room.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ..conftest import ROOT

__all__ = ["PICTURE", "House", "draw", "read_house"]

PICTURE = ROOT / "gateway" / "docs" / "architecture.svg"

_BOX_HEIGHT, _FLOOR_HEIGHT, _GAP, _LETTER = 30, 74, 26, 8.1
_STYLE = """
rect { fill: #f3f6fa; stroke: #5f7186; }
text { fill: #16202c; font: 14px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; text-anchor: middle; }
.floor { fill: #6b7785; font-size: 12px; text-anchor: start; }
path { fill: none; stroke: #7d8fa3; stroke-width: 1.4; }
marker path { fill: #7d8fa3; stroke: none; }
@media (prefers-color-scheme: dark) {
  rect { fill: #222a34; stroke: #8a9bb0; }
  text { fill: #e6edf5; }
  .floor { fill: #98a5b4; }
  path { stroke: #75879c; }
  marker path { fill: #75879c; }
}
"""


@dataclass(frozen=True)
class House:
    """The rooms and what they import."""

    imports: dict[str, frozenset[str]]
    """The rooms that each room imports."""

    @property
    def arrows(self) -> list[tuple[str, str]]:
        """Every import of one room by another, once."""
        return [(room, below) for room in sorted(self.imports) for below in sorted(self.imports[room])]

    @property
    def circles(self) -> list[str]:
        """The rooms that import themselves by way of others."""
        return sorted(room for room in self.imports if room in self._below(room))

    @property
    def floors(self) -> list[list[str]]:
        """The rooms on each floor, the lowest floor first; raises ValueError if rooms import each other in a circle."""
        if self.circles:
            raise ValueError(f"These rooms import each other in a circle: {', '.join(self.circles)}.")
        height: dict[str, int] = {}
        while len(height) < len(self.imports):
            for room, below in self.imports.items():
                if below <= height.keys():
                    height[room] = max((height[each] + 1 for each in below), default=0)
        return [sorted(room for room in height if height[room] == floor) for floor in range(max(height.values()) + 1)]

    @property
    def drawn(self) -> list[tuple[str, str]]:
        """The arrows that no path of other arrows implies."""
        return [
            (room, below)
            for room, below in self.arrows
            if not any(below in self._below(other) for other in self.imports[room] - {below})
        ]

    def _below(self, room: str) -> set[str]:
        found: set[str] = set()
        ahead = set(self.imports[room])
        while ahead:
            found |= ahead
            ahead = {below for each in ahead for below in self.imports[each]} - found
        return found


def read_house(package: Path = ROOT / "gateway") -> House:
    """Return the rooms of a package, by the imports in all of its files."""
    rooms = {
        path.stem: [path] if path.is_file() else sorted(path.rglob("*.py"))
        for path in sorted(package.iterdir())
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").is_file()
    }
    return House(
        {
            room: frozenset(
                below for path in files for below in _imported(path, package) if below in rooms and below != room
            )
            for room, files in rooms.items()
        }
    )


def _imported(path: Path, package: Path) -> set[str]:
    """The rooms that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = path.relative_to(package.parent).parts[: -node.level]
            names = [".".join([*above, *([node.module] if node.module else []), alias.name]) for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith(f"{package.name}.")}
    return found


def draw(house: House) -> str:
    """Return the picture as SVG. The same imports give the same bytes."""
    layers, links = _layers(house)
    widths = [sum(_width(node) + _GAP for node in layer) - _GAP for layer in layers]
    left, total = 76.0, max(widths)
    place: dict[str, tuple[float, float]] = {}
    for floor, (layer, width) in enumerate(zip(layers, widths, strict=True)):
        x, y = left + (total - width) / 2, 16 + (len(layers) - 1 - floor) * _FLOOR_HEIGHT
        for node in layer:
            place[node] = x + _width(node) / 2, y
            x += _width(node) + _GAP
    arrows = [_arrow([place[node] for node in link]) for link in links]
    boxes = [
        f'<rect x="{x - _width(room) / 2:.1f}" y="{y}" width="{_width(room):.1f}" height="{_BOX_HEIGHT}" rx="5"/>'
        f'<text x="{x:.1f}" y="{y + 20}">{room}</text>'
        for room, (x, y) in place.items()
        if room in house.imports
    ]
    floors = [
        f'<text class="floor" x="8" y="{16 + (len(layers) - 1 - floor) * _FLOOR_HEIGHT + 20}">floor {floor}</text>'
        for floor in range(len(layers))
    ]
    width, height = left + total + 16, len(layers) * _FLOOR_HEIGHT - _FLOOR_HEIGHT + _BOX_HEIGHT + 32
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" role="img">
<title>The rooms of the gateway by floor</title>
<desc>{len(house.imports)} rooms on {len(layers)} floors, {len(house.arrows)} imports. An import is drawn unless a path of \
other arrows implies it.</desc>
<style>{_STYLE}</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">\
<path d="M0 0L8 4L0 8z"/></marker></defs>
{chr(10).join(arrows + boxes + floors)}
</svg>
"""


def _layers(house: House) -> tuple[list[list[str]], list[list[str]]]:
    """The nodes of each floor in order, and each arrow as the nodes that it runs through.

    An arrow past a floor has a node without a box there, so that boxes make room for it. Floors are ordered by the mean
    position of their neighbours, downwards and upwards in turn (Sugiyama's method).
    """
    layers = [list(floor) for floor in house.floors]
    height = {room: floor for floor, rooms in enumerate(layers) for room in rooms}
    links = []
    for room, below in house.drawn:
        link = [room]
        for floor in range(height[room] - 1, height[below], -1):
            link.append(f"{room}>{below}@{floor}")
            layers[floor].append(link[-1])
        links.append([*link, below])
    pairs = [pair for link in links for pair in pairwise(link)]
    for turn in range(24):
        downwards = turn % 2 == 0
        for layer in reversed(layers) if downwards else layers:
            order = {node: number / max(len(each) - 1, 1) for each in layers for number, node in enumerate(each)}
            layer.sort(
                key=lambda node: (_mean([order[other] for other in _beside(node, pairs, downwards)], order[node]), node)
            )
    return layers, links


def _beside(node: str, pairs: list[tuple[str, str]], above: bool) -> list[str]:
    return (
        [upper for upper, lower in pairs if lower == node]
        if above
        else [lower for upper, lower in pairs if upper == node]
    )


def _mean(positions: list[float], otherwise: float) -> float:
    return sum(positions) / len(positions) if positions else otherwise


def _width(node: str) -> float:
    return 10.0 if "@" in node else len(node) * _LETTER + 22


def _arrow(points: list[tuple[float, float]]) -> str:
    """A line from the lower edge of the first box to the upper edge of the last, straight past the floors between."""
    (x, y), *others = points
    y += _BOX_HEIGHT
    steps = [f"M{x:.1f} {y}"]
    for number, (to_x, to_y) in enumerate(others):
        is_last = number == len(others) - 1
        middle = (y + to_y) / 2
        steps.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y}")
        x, y = to_x, to_y + _BOX_HEIGHT
        if not is_last:
            steps.append(f"L{x:.1f} {y}")
    return f'<path d="{"".join(steps)}" marker-end="url(#head)"/>'
