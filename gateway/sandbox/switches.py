"""The questions Twilio's documentation leaves open, each a switch that tests turn both ways."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_type_hints


def _switch(default: str, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, kw_only=True)
class Switches:
    """How the pretend Twilio behaves where the real one is not known; the defaults are the likelier readings.

    The texts cite sections of the project's notes on the upstream.
    """

    oversize_page: Literal["clamp", "refuse"] = _switch(
        "clamp", "PageSize above the maximum: use the maximum, or answer 400 with code 20007 (section 2)."
    )
    page_token: Literal["offset", "keyset"] = _switch(
        "offset",
        "What a page token holds: a position, so rows repeat or go missing when others come and go between pages,"
        " or the last row's place in the order, so they do not (section 2).",
    )
    last_page: Literal["null", "empty"] = _switch(
        "null", "After a last page that is full: no next_page_url, or one that leads to an empty page (section 2)."
    )
    chat_only_delivery: Literal["null", "zero"] = _switch(
        "null", "delivery of a message without receipts: null, or a summary whose total is 0 (section 5.2)."
    )
    pending_status: Literal["null", "queued"] = _switch(
        "null", "status of a receipt still inside Twilio: null, or the word `queued` (section 1.3)."
    )
    error_code: Literal["null", "zero", "text"] = _switch(
        "null", "error_code when nothing failed: null, or 0; `text` sends every code as a numeric string (section 1.3)."
    )
    failed_count: Literal["apart", "sent"] = _switch(
        "apart", "Whether failed and undelivered receipts count in the summary's `sent` (section 5.1)."
    )
    departed_receipts: Literal["kept", "gone"] = _switch(
        "kept", "Receipts of participants who left the conversation (section 5.3)."
    )
    not_found_code: Literal["general", "specific"] = _switch(
        "general", "Code of a 404: always 20404, or 50050, 50350, 50432 and 50500 by resource (section 3.2)."
    )
    retry_after: Literal["absent", "sent"] = _switch(
        "absent", "Whether a 429 carries Retry-After when its fault names none (section 3.3)."
    )


def choices() -> dict[str, tuple[str, ...]]:
    """The values each switch can take, its default first."""
    hints = get_type_hints(Switches)
    return {each.name: get_args(hints[each.name]) for each in fields(Switches)}
