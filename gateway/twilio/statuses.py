"""The statuses of a delivery receipt (https://www.twilio.com/docs/conversations/delivery-receipts)."""

from __future__ import annotations

from typing import Any

__all__ = ["is_terminal"]


def is_terminal(row: Any) -> bool:
    """Whether the receipt's status is final. On channels other than SMS and MMS, `delivered` may still become `read`."""
    if row.status == "delivered":
        return (row.channel_message_sid or "")[:2] in {"SM", "MM"}
    return row.status in {"read", "failed", "undelivered"}
