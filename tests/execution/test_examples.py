"""The upstream calls of every example, as paths."""

import re
from collections import Counter
from pathlib import Path

import pytest

from ..conftest import EXAMPLES, Ask

RECEIPTS = "Services/IS/Conversations/CH/Messages/IM/Receipts?PageSize=50"

DOCUMENTS = {path.stem: path.read_text(encoding="utf-8") for path in EXAMPLES}

CALLS = {
    "address": ["Services/IS/Conversations/CH/Messages/IM"],
    "conversations": [
        "Services?PageSize=10",
        *["Services/IS/Conversations?State=active&PageSize=20"] * 4,
    ],
    "failures": [
        "Services/IS/Conversations/CH/Messages?Order=desc&PageSize=100",
        "Services/IS/Conversations/CH/Messages?Order=desc&PageSize=100&Page=1&PageToken=…",
        *[RECEIPTS] * 50,
        "Services/IS/Conversations/CH/Participants?PageSize=100",
    ],
    "legend": [],
    "participations": [
        "Services/IS/ParticipantConversations?Identity=…&PageSize=50",
        *["Services/IS/Conversations/CH"] * 13,
    ],
    "recipients": [
        "Services/IS/Conversations/CH/Messages/IM",
        "Services/IS/Conversations/CH/Participants?PageSize=100",
        RECEIPTS,
        *["Services/IS/Users/…/Conversations/CH"] * 3,
    ],
    "receipt": ["Services/IS/Conversations/CH/Messages/IM/Receipts/DY"],
    "service-failures": [
        "Services/IS/Conversations?StartDate=2000-01-01T00%3A00%3A00Z&PageSize=100",
        *["Services/IS/Conversations/CH/Messages?Order=desc&PageSize=100"] * 16,
        *[RECEIPTS] * 50,
        *["Services/IS/Conversations/CH/Participants?PageSize=100"] * 9,
    ],
    "statistics": ["Services/IS/Conversations/CH/Messages?Order=desc&PageSize=100"],
    "summary": ["Services/IS/Conversations/CH/Messages?Order=desc&PageSize=50"],
    "thread": [
        "Services/IS/Conversations/CH",
        "Services/IS/Conversations/CH/Messages?PageSize=10",
        "Services/IS/Conversations/CH/Participants?PageSize=100",
        *[RECEIPTS] * 10,
    ],
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
async def test_what_an_example_calls(ask: Ask, example: Path) -> None:
    answer = await ask(DOCUMENTS[example.stem])
    assert not answer.errors
    paths = [re.sub(r"([A-Z]{2})[0-9a-f]{32}", r"\1", path) for path in answer.paths]
    paths = [re.sub(r"(?<=Users/)[^/]+|(?<=Identity=)[^&]+", "…", path) for path in paths]
    # Those of one round trip come in any order.
    assert Counter(re.sub(r"PageToken=.*", "PageToken=…", path) for path in paths) == Counter(CALLS[example.stem])
