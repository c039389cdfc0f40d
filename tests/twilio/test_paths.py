"""Upstream paths: built, split and redacted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from gateway.errors import BadUserInput
from gateway.twilio.paths import (
    checked_sid,
    child,
    collection_of,
    is_sid,
    name_segment,
    parent_of,
    pseudonymized,
    redacted,
    sids_of,
)

IS, CH, IM = (prefix + "0123456789abcdef" * 2 for prefix in ("IS", "CH", "IM"))
MESSAGE = f"Services/{IS}/Conversations/{CH}/Messages/{IM}"


@pytest.mark.parametrize(
    ("text", "prefix", "is_one"),
    [
        (IS, "IS", True),
        (IS, None, True),
        (IS.upper(), "IS", True),
        (CH, "IS", False),
        (IS[:-1], "IS", False),
        (IS + "0", "IS", False),
        (IS[:-1] + "g", "IS", False),
        (IS + "\n", "IS", False),
        ("is" + IS[2:], None, False),
        ("", "IS", False),
        (IS[:-1] + "١", "IS", False),
    ],
)
def test_a_sid_is_two_letters_and_32_hex_digits(text: str, prefix: str | None, is_one: bool) -> None:
    assert is_sid(text, prefix) is is_one


def test_a_sid_of_another_kind_is_refused_without_repeating_it() -> None:
    with pytest.raises(BadUserInput) as caught:
        checked_sid("+15005550006", "CH")
    assert "CH" in caught.value.message
    assert "+1500" not in caught.value.message


def test_paths_are_built_and_split() -> None:
    assert child("", "Services") == "Services"
    assert child(child("", "Services", IS), "Conversations", CH) == f"Services/{IS}/Conversations/{CH}"
    assert sids_of(MESSAGE) == [IS, CH, IM]
    assert sids_of(f"{MESSAGE}/Receipts") == [IS, CH, IM]
    assert parent_of(MESSAGE) == f"Services/{IS}/Conversations/{CH}"
    assert parent_of(f"Services/{IS}") == ""


@pytest.mark.parametrize("name", ["", ".", "..", "a\tb", "a\x00b", "a\x85b", "\udfff", "n" * 513, CH])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(BadUserInput):
        name_segment(name, "unique name", "CH")


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=512))
def test_a_name_is_one_segment_and_arrives_as_it_was(name: str) -> None:
    if name in {".", ".."}:
        return
    path = child(f"Services/{IS}", "Conversations", name_segment(name, "unique name", "CH"))
    url = URL(f"https://example.com/v1/{path}", encoded=True)
    assert url.raw_path == f"/v1/{path}"
    assert url.raw_path.count("/") == 5
    assert url.path.removeprefix(f"/v1/Services/{IS}/Conversations/") == name


@pytest.mark.parametrize(
    ("target", "as_shown"),
    [
        (MESSAGE, MESSAGE),
        (f"{MESSAGE}/Receipts?PageSize=50", f"{MESSAGE}/Receipts?PageSize=50"),
        (f"Services/{IS}/Conversations/my%20secret", f"Services/{IS}/Conversations/{{name}}"),
        (
            f"Services/{IS}/Conversations/{CH}/Participants/x?PageSize=5",
            f"Services/{IS}/Conversations/{CH}/Participants/{{name}}?PageSize=5",
        ),
        (f"Services/{IS}/Users/zo%C3%AB/Conversations/{CH}", f"Services/{IS}/Users/{{name}}/Conversations/{CH}"),
        (f"Services/{IS}/Users/{CH}/Conversations/{CH}", f"Services/{IS}/Users/{{name}}/Conversations/{CH}"),
        (
            f"Services/{IS}/ParticipantConversations?Identity=zo%C3%AB&PageSize=50",
            f"Services/{IS}/ParticipantConversations?Identity={{value}}&PageSize=50",
        ),
        (f"Services/{IS}/Conversations/{IM}", f"Services/{IS}/Conversations/{{name}}"),
        (
            "Services?State=a&PageSize=50&PageToken=PTabc&Page=1",
            "Services?State={value}&PageSize=50&PageToken={value}&Page={value}",
        ),
    ],
)
def test_names_and_tokens_are_redacted(target: str, as_shown: str) -> None:
    assert redacted(target) == as_shown


@pytest.mark.parametrize(
    ("target", "stored"),
    [
        (f"{MESSAGE}/Receipts?PageSize=50", f"{MESSAGE}/Receipts?PageSize=50"),
        (f"Services/{IS}/Conversations/my%20name", f"Services/{IS}/Conversations/<my%20name>"),
        (f"Services/{IS}/Users/zo%C3%AB/Conversations/{CH}", f"Services/{IS}/Users/<zo%C3%AB>/Conversations/{CH}"),
        (
            f"Services/{IS}/ParticipantConversations?Address=%2B1&PageSize=50&Page=1&PageToken=PTa",
            f"Services/{IS}/ParticipantConversations?<Address=%2B1&PageSize=50&Page=1&PageToken=PTa>",
        ),
    ],
)
def test_what_names_somebody_has_a_pseudonym(target: str, stored: str) -> None:
    assert pseudonymized(target, lambda name: f"<{name}>") == stored


@pytest.mark.parametrize(
    ("target", "collection"),
    [
        (f"Services/{IS}", "Services"),
        (MESSAGE, "Messages"),
        (f"{MESSAGE}/Receipts?PageSize=50", "Receipts"),
        (f"Services/{IS}/ParticipantConversations?Identity=a", "ParticipantConversations"),
        (f"Services/{IS}/Users/a/Conversations/{CH}", "UserConversations"),
        (f"Services/{IS}/Users/a/Conversations?PageSize=50", "UserConversations"),
        (f"Services/{IS}/Conversations/Users/Messages?PageSize=50", "Messages"),
        (f"Services/{IS}/Conversations/{CH}/Participants/Users", "Participants"),
    ],
)
def test_the_collection_of_a_target(target: str, collection: str) -> None:
    assert collection_of(target) == collection
