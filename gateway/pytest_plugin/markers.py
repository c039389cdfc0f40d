"""The markers of a test: the faults and switches that they set, and whether the test met them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gateway.sandbox import Sandbox
    from gateway.sandbox.faults import FaultRule

__all__ = ["Markers", "marks_of", "naming"]


@dataclass
class Markers:
    """What the markers of a test itself have set, to see whether its calls met it."""

    sandbox: Sandbox
    faults: list[tuple[pytest.Mark, FaultRule]] = field(default_factory=list)
    switches: list[pytest.Mark] = field(default_factory=list)

    def unmet(self) -> list[str]:
        """Return a line for each fault that hit nothing, and for each switch that changed no response."""
        from gateway.sandbox.faults import subject_of

        lines = []
        for mark, rule in self.faults:
            if not rule.hits and (rule.fault.probability == 1 or not rule.seen):
                subject = subject_of(rule.fault.kind)
                matched = f"{rule.seen} {subject}s matched" if rule.seen else f"no {subject} matched"
                lines.append(
                    f"@pytest.mark.{mark.name}({mark.args[0]!r}, {mark.args[1]!r}, …) hit no {subject}: {matched}."
                )
        for mark in self.switches:
            lines += [
                f"@pytest.mark.{mark.name}({name}={value!r}) changed no response."
                for name, value in mark.kwargs.items()
                if not self.sandbox.is_default(name) and not self.sandbox.has_effect(name)
            ]
        return lines


def marks_of(item: pytest.Item, name: str) -> list[pytest.Mark]:
    """Return the markers of that name that apply to a test, in the order in which its file is read."""
    found: list[pytest.Mark] = []
    for node in reversed(item.listchain()):
        marks = [mark for mark in node.own_markers if mark.name == name]
        # Python applies decorators from the lowest to the highest.
        found += reversed(marks) if isinstance(node, pytest.Function | pytest.Class) else marks
    return found


@contextmanager
def naming(mark: pytest.Mark) -> Iterator[None]:
    """Fail the test with the message of a ValueError, and the marker that caused it."""
    try:
        yield
    except ValueError as error:
        raise pytest.fail.Exception(f"@pytest.mark.{mark.name}: {error}", pytrace=False) from None
