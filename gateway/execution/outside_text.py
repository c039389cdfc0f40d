"""Text that people outside wrote, such as the bodies of messages: an operation can ask to have it marked, as data.

An assistant reads an answer as it reads instructions. Whoever can send a message to a conversation could instruct it, were the
text not told apart from the gateway's own. So each such value is an object with the one key `fromOutside`.
"""

from __future__ import annotations

import msgspec

__all__ = ["FROM_OUTSIDE", "OutsideText"]

FROM_OUTSIDE = "fromOutside"
"""The key of the object that marks a text."""


class OutsideText(msgspec.Struct, rename={"text": FROM_OUTSIDE}, gc=False):
    """A marked text, as generated code writes it."""

    text: str
