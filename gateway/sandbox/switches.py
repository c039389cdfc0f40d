"""Questions that Twilio's documentation leaves open, each a switch, so that tests can try every behaviour."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_type_hints


def _switch(default: str, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, kw_only=True)
class Switches:
    """How the sandbox behaves where Twilio's behaviour is unknown; the defaults are the likelier behaviours.

    Args:
        oversize_page: PageSize above the maximum: `clamp` uses the maximum, `refuse` answers 400 with code 20007.
        page_token: What a page token holds: `offset`, a position, or `keyset`, the last row's key.
        last_page: After a full last page: `null`, no next page, or `empty`, one without rows.
        chat_only_delivery: `delivery` of a message without receipts: `null`, or `zero`, a summary with a total of 0.
        pending_status: `status` of a receipt that Twilio has not sent yet: `null` or `queued`.
        error_code: `error_code` if nothing failed: `null`, or `zero`; `text` sends all codes as numeric strings.
        failed_count: Whether failed receipts count as sent in a message's summary: `apart`, no, or `sent`, yes.
        whatsapp_sids: Prefix of `channel_message_sid` on WhatsApp: `WA`, `SM` or `MM`.
        departed_receipts: Receipts of participants who left the conversation: `kept` or `gone`.
        not_found_code: The code of a 404: `general`, 20404, or `specific`, one for each kind of resource.
        retry_after: Whether a 429 has Retry-After if its fault sets none: `absent` or `sent`.

    Example:
        import asyncio

        from gateway.sandbox import Sandbox, Switches

        async def main() -> None:
            async with Sandbox(switches=Switches(pending_status="queued")) as sandbox:
                assert sandbox.switches.pending_status == "queued"
                sandbox.switches = Switches()
                assert sandbox.switches.pending_status == "null"

        asyncio.run(main())
    """

    oversize_page: Literal["clamp", "refuse"] = _switch(
        "clamp", "PageSize above the maximum: `clamp` uses the maximum, `refuse` answers 400 with code 20007."
    )
    page_token: Literal["offset", "keyset"] = _switch(
        "offset",
        "What a page token holds: `offset`, a position, so that rows repeat or are missed if others are added or deleted"
        " between pages; `keyset`, the last row's key, so that they are not.",
    )
    last_page: Literal["null", "empty"] = _switch(
        "null",
        "After a full last page: `null`, no next_page_url; `empty`, a next_page_url that leads to an empty page.",
    )
    chat_only_delivery: Literal["null", "zero"] = _switch(
        "null", "delivery of a message without receipts: `null`; `zero`, a summary whose total is 0."
    )
    pending_status: Literal["null", "queued"] = _switch(
        "null", "status of a receipt that Twilio has not sent to the channel yet: `null`, or the string `queued`."
    )
    error_code: Literal["null", "zero", "text"] = _switch(
        "null", "error_code if nothing failed: `null`; `zero`, 0; `text`, 0 and all other codes as numeric strings."
    )
    failed_count: Literal["apart", "sent"] = _switch(
        "apart", "Whether failed and undelivered receipts count in the summary's `sent`: `apart`, no; `sent`, yes."
    )
    whatsapp_sids: Literal["WA", "SM", "MM"] = _switch(
        "WA", "Prefix of channel_message_sid on WhatsApp: `WA`; or `SM` or `MM`, as in recorded status callbacks."
    )
    departed_receipts: Literal["kept", "gone"] = _switch(
        "kept", "Receipts of participants who left the conversation: `kept`, they remain; `gone`, they are deleted."
    )
    not_found_code: Literal["general", "specific"] = _switch(
        "general",
        "Code of a 404: `general`, 20404; `specific`, 50050 for services, 50350 for conversations, 50432 for participants,"
        " 50500 for messages, and 20404 for receipts.",
    )
    retry_after: Literal["absent", "sent"] = _switch(
        "absent",
        "Whether a 429 has a Retry-After header if its fault sets none: `absent`, no; `sent`, yes, of 1 second.",
    )


def choices() -> dict[str, tuple[str, ...]]:
    """Return the values of each switch, its default first."""
    hints = get_type_hints(Switches)
    return {each.name: get_args(hints[each.name]) for each in fields(Switches)}
