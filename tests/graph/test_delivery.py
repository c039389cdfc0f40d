"""Delivery statuses, as tables."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.graph.delivery import (
    DeliveryStatus,
    amount,
    cannot_match,
    has_no_receipts,
    message_delivery_status,
    receipt_status,
)


def message(total: int | None, **amounts: Any) -> Any:
    words: dict[str, Any] = dict.fromkeys(("sent", "delivered", "read", "failed", "undelivered"), "none") | amounts
    return SimpleNamespace(delivery=None if total is None else SimpleNamespace(total=total, **words))


@pytest.mark.parametrize(
    ("word", "name"),
    [
        (None, "PENDING"),
        ("sent", "SENT"),
        ("delivered", "DELIVERED"),
        ("read", "READ"),
        ("failed", "FAILED"),
        ("undelivered", "UNDELIVERED"),
        ("queued", "UNKNOWN"),
        ("pending", "UNKNOWN"),
        ("unknown", "UNKNOWN"),
        ("SENT", "UNKNOWN"),
        ("", "UNKNOWN"),
    ],
)
def test_a_receipts_status(word: str | None, name: str) -> None:
    assert receipt_status(SimpleNamespace(status=word)).name == name


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("none", "NONE"),
        ("some", "SOME"),
        ("all", "ALL"),
        (None, "UNKNOWN"),
        ("most", "UNKNOWN"),
        ("unknown", "UNKNOWN"),
    ],
)
def test_an_amount(word: str | None, name: str) -> None:
    assert amount(word).name == name


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (message(None), "UNTRACKED"),
        (message(0), "UNTRACKED"),
        (message(2, failed=None), "UNKNOWN"),
        (message(2, undelivered="a few", failed="all"), "UNKNOWN"),
        (message(2, failed="all"), "FAILED"),
        (message(2, undelivered="all", sent="all"), "FAILED"),
        (message(2, failed="some", delivered="some", sent="some"), "PARTLY_FAILED"),
        (message(2, undelivered="some", read="all"), "PARTLY_FAILED"),
        (message(2, read="all", delivered="all", sent="all"), "READ"),
        (message(2, read="some", delivered="all", sent="all"), "DELIVERED"),
        (message(2, delivered="some", sent="all"), "SENT"),
        (message(2, sent="some"), "PENDING"),
        (message(2), "PENDING"),
        (message(2, sent="lots"), "PENDING"),
    ],
)
def test_a_message_in_one_word(row: Any, name: str) -> None:
    assert message_delivery_status(row).name == name


def test_what_a_summary_rules_out() -> None:
    assert has_no_receipts(message(None))
    assert has_no_receipts(message(0))
    assert not has_no_receipts(message(1))
    failed, sent, pending = DeliveryStatus.FAILED, DeliveryStatus.SENT, DeliveryStatus.PENDING
    assert cannot_match(message(1, failed="none"), {failed})
    assert not cannot_match(message(1, failed="some"), {failed})
    assert not cannot_match(message(1, failed=None), {failed})
    assert not cannot_match(message(1, failed="none", sent="all"), {failed, sent})
    assert not cannot_match(message(1), {pending})
    assert not cannot_match(message(1), {failed, DeliveryStatus.UNKNOWN})
