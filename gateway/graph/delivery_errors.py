"""Delivery errors: why a message did not reach a recipient, and what to do about it."""

import strawberry

from gateway.errors import BadUserInput
from gateway.graph.delivery_error_table import ENTRIES, DeliveryErrorCategory, ResendAdvice
from gateway.graph.limits import CODES_MAX
from gateway.graph.node import embedded, prop
from gateway.graph.scalars import Url

__all__ = ["DeliveryError", "codes_or_all", "documentation_url"]

_TITLES = {code: entry.title for code, entry in ENTRIES.items()}
_ADVICE = {code: entry.advice for code, entry in ENTRIES.items()}
_CATEGORIES = {code: entry.category for code, entry in ENTRIES.items()}
_RESEND = {code: entry.resend for code, entry in ENTRIES.items()}


def documentation_url(code: int) -> str:
    """Return the URL of the page about `code` in Twilio's error dictionary."""
    return f"https://www.twilio.com/docs/errors/{code}"


@embedded(
    "Why a message did not reach a recipient, and what to do about it. Texts are in English and may change: programs decide by "
    "`code`, `category` and `resend`."
)
class DeliveryError:
    code: int = prop("Twilio's error code, such as 30003.", derive=lambda code: code, of={})
    title: str | None = prop(
        "The meaning in a few words; null for a code that this schema version does not know.",
        derive=_TITLES.get,
        of={},
    )
    category: DeliveryErrorCategory = prop(
        "The part of the delivery that the error is about: who has to act.",
        derive=lambda code: _CATEGORIES.get(code, DeliveryErrorCategory.UNKNOWN),
        of={},
    )
    advice: str | None = prop(
        "What a support person can do, in one or two sentences; null when the code does not say enough.",
        derive=_ADVICE.get,
        of={},
    )
    resend: ResendAdvice = prop(
        "Whether the message should be sent again. It is about the message: whether a GraphQL request should be repeated is "
        "in `extensions.retryable` of its error.",
        derive=lambda code: _RESEND.get(code, ResendAdvice.UNKNOWN),
        of={},
    )
    documentation_url: Url = prop(
        "The page of Twilio's error dictionary, with possible causes and solutions.", derive=documentation_url, of={}
    )


def codes_or_all(codes: list[int] | None) -> list[int]:
    """Return the codes, or all that have an entry in the table; raises `BadUserInput` for too many, or one below 1."""
    if codes is None or codes is strawberry.UNSET:
        return list(ENTRIES)
    if len(codes) > CODES_MAX:
        raise BadUserInput(f"`codes` must be at most {CODES_MAX}.")
    if any(code < 1 for code in codes):
        raise BadUserInput("`codes` must be positive.")
    return codes
