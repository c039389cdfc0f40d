"""Node ids: one for each record, permanent; any other text is rejected."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadUserInput
from gateway.graph.ids import decode_id, encode_id, encode_ids
from gateway.graph.types import RESOURCES, Receipt
from gateway.twilio.paths import child
from gateway.twilio.resources import Resource

KINDS = list(RESOURCES.values())
RECEIPT_PATH = "Services/IS{}/Conversations/CH{}/Messages/IM{}/Receipts/DY{}".format(*(d * 32 for d in "0a1f"))
RECEIPT_ID = "AVIAAAAAAAAAAAAAAAAAAAAAqqqqqqqqqqqqqqqqqqqqqhERERERERERERERERERERH_____________________"


def path_of(resource: Resource, digits: list[str]) -> str:
    path = ""
    for owner, text in zip((*resource.ancestors, resource), digits, strict=False):
        path = child(path, owner.collection, owner.prefix + text)
    return path


@given(
    st.sampled_from(KINDS),
    st.lists(st.text("0123456789abcdefABCDEF", min_size=32, max_size=32), min_size=4, max_size=4),
)
def test_an_id_leads_back_to_its_record(resource: Resource, digits: list[str]) -> None:
    path = path_of(resource, digits)
    assert decode_id(KINDS, encode_id(resource, path)) == (resource, path)


@given(
    st.sampled_from(KINDS),
    st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), min_size=4, max_size=4),
    st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), max_size=6),
    st.integers(0, 10),
)
def test_the_ids_of_a_list_are_those_of_its_records(
    resource: Resource, digits: list[str], own: list[str], capitals: int
) -> None:
    if capitals < len(own):
        own[capitals] = own[capitals].upper()
    elif capitals < 9:
        digits[capitals % 4] = digits[capitals % 4].upper()
    parent = path_of(resource.parent, digits) if resource.parent is not None else ""
    list_path, sids = resource.list_path(parent), [resource.prefix + text for text in own]
    assert encode_ids(resource, list_path, sids) == [encode_id(resource, f"{list_path}/{sid}") for sid in sids]


def test_ids_are_permanent_and_short() -> None:
    assert encode_id(Receipt.resource, RECEIPT_PATH) == RECEIPT_ID
    assert len(RECEIPT_ID) == 88


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "AA",
        "AVI",
        "not an id",
        "é" * 8,
        RECEIPT_ID + "=",
        RECEIPT_ID + "AAAA",
        RECEIPT_ID[:-4],
        " " + RECEIPT_ID,
        RECEIPT_ID.replace("_", "/"),
        urlsafe_b64encode(b"\x09" + urlsafe_b64decode(RECEIPT_ID)[1:]).decode(),
        urlsafe_b64encode(b"\x01X" + urlsafe_b64decode(RECEIPT_ID)[2:]).decode(),
        urlsafe_b64encode(b"\x02R" + b"z" * 128).decode(),
        urlsafe_b64encode(b"\x02R" + b"a" * 128).decode().rstrip("="),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadUserInput):
        decode_id(KINDS, text)


@given(st.binary(max_size=80))
def test_no_bytes_crash_it(data: bytes) -> None:
    text = urlsafe_b64encode(data).decode().rstrip("=")
    try:
        resource, path = decode_id(KINDS, text)
    except BadUserInput:
        return
    assert encode_id(resource, path) == text
