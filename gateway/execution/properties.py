"""Which upstream properties a selection uses of records: those of an event are not read if all that is selected is proved."""

from __future__ import annotations

from gateway.execution.fields import PropertyField
from gateway.execution.steps import EdgeStep, Nested, Selection

__all__ = ["selected_properties"]


def selected_properties(selection: Selection) -> dict[str, frozenset[str] | None]:
    """Return the upstream properties that the selection of an event uses, by the type of the record; None for any.

    The records are those that are nested in the event, and those to which its own edges lead.
    """
    found: dict[str, frozenset[str] | None] = {}
    _add_properties(selection, found)
    return found


def _add_properties(selection: Selection, into: dict[str, frozenset[str] | None]) -> None:
    """Add the upstream properties of the records that are nested in an object, and of those to which its edges lead."""
    for step in selection.steps:
        if isinstance(step, EdgeStep):
            below = list(step.selections.values())
        elif isinstance(step, Nested) and step.is_record:
            below = [step.selection]
        else:
            if isinstance(step, Nested):
                _add_properties(step.selection, into)
            continue
        for each in below:
            known, more = into.get(each.type_name, frozenset()), _properties_of(each)
            into[each.type_name] = known | more if known is not None and more is not None else None


def _properties_of(selection: Selection) -> frozenset[str] | None:
    """Return the upstream properties that a selection uses of a record; None if they are not stated."""
    found: set[str] = set()
    for step in selection.steps:
        if isinstance(step, EdgeStep):
            attribute = step.edge.distinct.attribute if step.edge.distinct is not None else None
            if step.edge.may_be_skipped or (step.edge.needs_row and attribute is None):
                return None
            found.update([attribute] if attribute is not None else ())
        elif isinstance(step.prop, PropertyField) and step.prop.needs_row:
            if step.prop.uses is None:
                return None
            found |= step.prop.uses
    return frozenset(found)
