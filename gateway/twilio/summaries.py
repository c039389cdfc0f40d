"""What the statuses of a message's receipts prove about its delivery summary. Pure functions over amounts.

Positive amounts are cumulative: a read receipt was also delivered and sent
(https://www.twilio.com/docs/conversations/delivery-receipts). Whether a failed receipt counts as sent is undocumented.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gateway.twilio.merge import FAILURES

__all__ = ["amounts_of", "at_least"]

_REACHED = {"sent": ("sent",), "delivered": ("sent", "delivered"), "read": ("sent", "delivered", "read")}
_KNOWN = {None, *_REACHED, *FAILURES}


def amounts_of(statuses: Collection[str | None]) -> dict[str, str] | None:
    """Return the amounts of a summary over the statuses of all receipts of a message.

    None if they are not proved: a status is unknown, or `sent` depends on whether failed receipts count.
    """
    if not set(statuses) <= _KNOWN:
        return None
    counts, total = _counts(statuses), len(statuses)
    amounts = {name: _amount(count, total) for name, count in counts.items()}
    sent_or_failed = counts["sent"] + counts["failed"] + counts["undelivered"]
    return amounts if amounts["sent"] == _amount(sent_or_failed, total) else None


def at_least(known: Mapping[str, str | None], total: int, statuses: Collection[str | None]) -> dict[str, str]:
    """Return the amounts in `known` that are too low, raised, given the statuses of some of the receipts.

    A summary that was read before these statuses were reached may have missed them. No amount is lowered.
    """
    raised = {}
    for name, count in _counts(statuses).items():
        if count >= total > 0 and known.get(name) in {"none", "some"}:
            raised[name] = "all"
        elif count and known.get(name) == "none":
            raised[name] = "some"
    return raised


def _counts(statuses: Collection[str | None]) -> dict[str, int]:
    counts = dict.fromkeys(("sent", "delivered", "read", "failed", "undelivered"), 0)
    for status in statuses:
        if status in FAILURES:
            counts[status or ""] += 1
        for name in _REACHED.get(status or "", ()):
            counts[name] += 1
    return counts


def _amount(count: int, total: int) -> str:
    return "none" if count == 0 else "all" if count == total else "some"
