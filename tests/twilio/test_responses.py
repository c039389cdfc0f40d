"""Decoding responses: what is valid, which error each failure is, and that none passes for that to another request."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import errors
from gateway.graph.types import RESOURCES, Message, Receipt
from gateway.twilio.resources import Resource
from gateway.twilio.responses import Response, failure, read_item, read_page, retry_after

IS, CH, IM, DY, MB = (prefix + "0123456789abcdef" * 2 for prefix in ("IS", "CH", "IM", "DY", "MB"))
OTHER = "fedcba9876543210" * 2
RECEIPTS = f"Services/{IS}/Conversations/{CH}/Messages/{IM}/Receipts"
ROW = {"sid": DY, "chat_service_sid": IS, "conversation_sid": CH, "message_sid": IM, "status": "sent"}
META = {"key": "delivery_receipts", "url": f"https://x.test/v1/{RECEIPTS}?PageSize=50", "next_page_url": None}


def answer(body: Any, status: int = 200, **headers: str) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def page(rows: Any = None, **meta: Any) -> Response:
    return answer({"meta": META | meta, "delivery_receipts": [ROW] if rows is None else rows})


def test_a_page_is_known_by_its_sids_in_either_case() -> None:
    read = read_page(Receipt.resource, f"{RECEIPTS}?PageSize=50".replace("abcdef", "ABCDEF"), page())
    assert len(read.rows) == 1


def test_a_page_is_its_rows_and_the_next_pages_key() -> None:
    target = f"{RECEIPTS}?PageSize=50"
    following = f"{RECEIPTS}?PageToken=PTx&Page=1&PageSize=50"
    read = read_page(Receipt.resource, target, page(next_page_url=f"https://elsewhere.test/v1/{following}"))
    assert [row.sid for row in read.rows] == [DY]
    assert read.next == following
    assert read.by_sid[DY].status == "sent"


@pytest.mark.parametrize(
    "change",
    [
        {"unheard_of": {"a": [1]}},
        {"status": None},
        {"status": "teleported"},
        {"error_code": "30003"},
        {"error_code": None},
        {"message_sid": None},
        {"date_updated": "2026-01-01T00:00:00.123Z"},
        {"date_updated": "2026-01-01T00:00:00+02:00"},
    ],
)
def test_what_twilio_may_add_or_leave_out_is_valid(change: dict[str, Any]) -> None:
    assert read_page(Receipt.resource, RECEIPTS, page([ROW | change])).rows[0].sid == DY


@pytest.mark.parametrize(
    "change",
    [
        {"sid": None},
        {"sid": "IM" + OTHER},
        {"sid": DY + "0"},
        {"sid": DY + "\n"},
        {"sid": DY[:20]},
        {"message_sid": "IM" + OTHER},
        {"conversation_sid": "CH" + OTHER},
        {"chat_service_sid": "IS" + OTHER},
        {"message_sid": 31337},
        {"conversation_sid": ["CH"]},
    ],
)
def test_a_row_that_cannot_be_read_or_is_of_another_list_fails_its_page(change: dict[str, Any]) -> None:
    with pytest.raises(errors.UpstreamInvalidResponse) as caught:
        read_page(Receipt.resource, RECEIPTS, page([ROW, ROW | change]))
    assert str(next(iter(change.values()))) not in caught.value.message


@pytest.mark.parametrize("next_page_url", [None, ""])
def test_a_page_without_a_next_one_is_the_last(next_page_url: str | None) -> None:
    assert read_page(Receipt.resource, RECEIPTS, page(next_page_url=next_page_url)).next is None


@pytest.mark.parametrize(
    "meta",
    [
        {"key": "messages"},
        {"url": f"https://x.test/v1/{RECEIPTS}".replace(IM, "IM" + OTHER)},
        {"url": "https://x.test/"},
        {"url": "http://["},
        {"next_page_url": f"https://x.test/v1/{RECEIPTS}?PageSize=50"},
        {"next_page_url": "https://x.test/v1/Services?PageSize=50"},
        {"next_page_url": f"https://x.test/v1/{RECEIPTS}?a=\r\nb"},
        {"next_page_url": f"https://x.test/v1/{RECEIPTS}?a=1#b"},
        {"next_page_url": 7},
    ],
)
def test_a_page_of_another_list_is_refused(meta: dict[str, Any]) -> None:
    with pytest.raises(errors.UpstreamInvalidResponse):
        read_page(Receipt.resource, f"{RECEIPTS}?PageSize=50", page(**meta))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xef\xbb\xbf{}",
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
        b"\xff",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"meta": {}}',
        b'{"meta": {}, "delivery_receipts": null}',
        b'{"meta": {}, "delivery_receipts": [1]}',
        b'{"meta": {}, "delivery_receipts": [{"sid": NaN}]}',
        b"[" * 100_000,
        b'{"meta": {}, "delivery_receipts": [{"sid": "\\ud800"}]}',
    ],
)
def test_a_body_that_is_not_a_page_is_refused(body: bytes) -> None:
    with pytest.raises(errors.UpstreamInvalidResponse):
        read_page(Receipt.resource, RECEIPTS, answer(body))


def test_the_error_for_an_unreadable_body_names_a_place_and_no_value() -> None:
    with pytest.raises(errors.UpstreamInvalidResponse) as caught:
        read_page(Receipt.resource, RECEIPTS, page([ROW | {"sid": ["secret words"]}]))
    assert "$.delivery_receipts[0].sid" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("path", "row", "is_it"),
    [
        (f"Services/{IS}", {"sid": IS}, True),
        (f"Services/{IS}", {"sid": IS.upper()}, True),
        (f"Services/{IS}", {"sid": "IS" + OTHER}, False),
        (f"Services/{IS}/Conversations/{CH}", {"sid": CH, "chat_service_sid": IS}, True),
        (f"Services/{IS}/Conversations/{CH}", {"sid": CH, "chat_service_sid": "IS" + OTHER}, False),
        (f"Services/{IS}/Conversations/a%2Fb", {"sid": CH, "chat_service_sid": IS, "unique_name": "a/b"}, True),
        (f"Services/{IS}/Conversations/a%2Fb", {"sid": CH, "chat_service_sid": IS, "unique_name": "a"}, False),
        (f"Services/{IS}/Conversations/a", {"sid": CH, "chat_service_sid": IS}, False),
        (f"Services/{IS}/Conversations/{CH}/Participants/ann", {"sid": MB, "identity": "ann"}, True),
        (f"Services/{IS}/Conversations/{CH}/Participants/ann", {"sid": MB, "identity": "bob"}, False),
        (f"Services/{IS}/Conversations/{CH}/Participants/ann", {"sid": MB, "identity": "Ann"}, False),
        (f"Services/{IS}/Conversations/{CH}/Participants/{IS}", {"sid": MB, "identity": IS}, True),
        (f"Services/{IS}/Conversations/{CH}/Participants/{MB}", {"sid": MB, "conversation_sid": None}, True),
        (f"Services/{IS}/Conversations/{CH}/Messages/{IM}", {"sid": IM, "conversation_sid": "CH" + OTHER}, False),
    ],
)
def test_a_record_is_valid_only_if_it_is_the_requested_one(path: str, row: dict[str, Any], is_it: bool) -> None:
    resource = RESOURCES[path.split("/")[-2]]
    if is_it:
        assert read_item(resource, path, answer(row)).sid == row["sid"]
    else:
        with pytest.raises(errors.UpstreamInvalidResponse):
            read_item(resource, path, answer(row))


def test_a_delivery_summary_needs_its_total() -> None:
    path = f"Services/{IS}/Conversations/{CH}/Messages/{IM}"
    assert read_item(Message.resource, path, answer({"sid": IM, "delivery": {"total": "2"}})).delivery.total == 2
    row = read_item(Message.resource, path, answer({"sid": IM, "delivery": {"sent": "all"}, "body": "text"}))
    assert row.body == "text"
    with pytest.raises(errors.UpstreamInvalidResponse):
        _ = row.delivery


@pytest.mark.parametrize(
    "value", ["many", "", 2**31, 2**70, -(2**70), 10**400, 1e300, True, [30003], {"code": 30003}, 1.5, "1.5", " 3"]
)
def test_a_value_that_cannot_be_read_leaves_the_others_of_its_row(value: Any) -> None:
    rows = read_page(Receipt.resource, RECEIPTS, page([ROW, ROW | {"error_code": value}])).rows
    assert [row.status for row in rows] == ["sent", "sent"]
    with pytest.raises(errors.UpstreamInvalidResponse) as caught:
        _ = rows[1].error_code
    assert caught.value.message == "Twilio returned a value for `error_code` that could not be read."
    with pytest.raises(AttributeError):
        _ = rows[1].no_such_property
    assert read_item(Receipt.resource, f"{RECEIPTS}/{DY}", answer(ROW | {"error_code": value})).status == "sent"


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=list(RESOURCES))
@pytest.mark.parametrize("value", [["x"], {"x": 1}, [[]], [{}], True, 2**70, 10**400, {"total": 10**400}])
def test_any_property_but_those_that_identify_a_row_can_be_unreadable(resource: Resource, value: Any) -> None:
    owners = [IS, CH, IM][: len(resource.ancestors)]
    path = "".join(f"{each.collection}/{sid}/" for each, sid in zip(resource.ancestors, owners, strict=True))
    sid = resource.prefix + OTHER
    named = {each.sid_property: owner for each, owner in zip(resource.ancestors, owners, strict=True)}
    body = dict.fromkeys(resource.properties, value) | named | {"sid": sid}
    (row,) = read_page(
        resource,
        path + resource.collection,
        answer({"meta": {"page": 10**400}, resource.rows_key: [body], "more": value}),
    ).rows
    assert row.sid == sid
    assert read_item(resource, f"{path}{resource.collection}/{sid}", answer(body)).sid == sid


@settings(max_examples=300)
@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\udD83eE+-.0159 \n\ufeff', max_size=60).map(str.encode))
def test_no_bytes_in_a_body_are_more_than_unreadable(noise: bytes) -> None:
    whole = page().body
    for body in (noise, whole.replace(b'"sent"', noise), whole.replace(b"sent", noise), whole + noise, noise + whole):
        with suppress(errors.UpstreamInvalidResponse):
            for row in read_page(Receipt.resource, RECEIPTS, answer(body)).rows:
                assert row.sid == DY


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (rb"cut \ud83d", "cut \ufffd"),
        (rb"\uDE00 cut", "\ufffd cut"),
        (rb"\ud83dx", "\ufffdx"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\ud83d\u0041", "\ufffdA"),
        (rb"\ud83d\n\\ud83d\"", '\ufffd\n\\ud83d"'),
        (b"cut \xf0\x9f\x98", "cut \ufffd"),
        (b"a\xffb", "a\ufffdb"),
        (rb"\ud83d\ude00", "\U0001f600"),
    ],
)
def test_half_a_character_is_shown_as_the_replacement_character(text: bytes, read: str) -> None:
    body = b'{"meta": {}, "messages": [{"sid": "%s", "body": "%s"}]}' % (IM.encode(), text)
    (row,) = read_page(Message.resource, f"Services/{IS}/Conversations/{CH}/Messages", answer(body)).rows
    assert row.body == read


def test_a_byte_order_mark_is_passed_over() -> None:
    bom = b"\xef\xbb\xbf"
    assert read_page(Receipt.resource, RECEIPTS, answer(bom + page().body)).rows[0].sid == DY
    assert read_item(Receipt.resource, f"{RECEIPTS}/{DY}", answer(bom + json.dumps(ROW).encode())).sid == DY
    error = failure(f"Services/{IS}", answer(bom + json.dumps(TWILIO_404).encode(), 404))
    assert isinstance(error, errors.NotFound)


@pytest.mark.parametrize("sids", [("", DY + DY), (DY + DY, ""), ("", ""), (DY[:20], DY[20:]), (f"{DY},{DY}", DY)])
def test_each_row_has_a_sid_of_its_own(sids: tuple[str, str]) -> None:
    with pytest.raises(errors.UpstreamInvalidResponse, match=r"delivery_receipts\[...\].sid"):
        read_page(Receipt.resource, RECEIPTS, page([ROW | {"sid": sid} for sid in sids]))


@pytest.mark.parametrize("sid", ["", MB + MB, MB[:-1], CH])
def test_a_record_read_by_name_has_a_sid(sid: str) -> None:
    with pytest.raises(errors.UpstreamInvalidResponse, match=r"\$.sid"):
        read_item(
            RESOURCES["Participants"],
            f"Services/{IS}/Conversations/{CH}/Participants/ann",
            answer({"sid": sid, "identity": "ann"}),
        )


TWILIO_404 = {"code": 20404, "message": "was not found", "more_info": "https://x.test", "status": 404}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, TWILIO_404, errors.NotFound),
        (404, TWILIO_404 | {"code": 50350}, errors.NotFound),
        (
            404,
            TWILIO_404 | {"message": f"The requested resource /Services/{IS}/Conversations/name was not found"},
            errors.NotFound,
        ),
        (
            404,
            TWILIO_404 | {"message": f"The requested resource /Services/{IS} was not found"},
            errors.UpstreamInvalidResponse,
        ),
        (404, b"<html>no such host</html>", errors.UpstreamInvalidResponse),
        (404, {}, errors.UpstreamInvalidResponse),
        (401, {"code": 20003}, errors.UpstreamRejected),
        (403, {"code": 20403}, errors.UpstreamRejected),
        (400, {"code": 20001}, errors.UpstreamRejected),
        (405, b"", errors.UpstreamRejected),
        (409, b"", errors.UpstreamRejected),
        (408, b"", errors.UpstreamTimeout),
        (429, {"code": 20429}, errors.UpstreamRateLimited),
        (500, {"code": 20500}, errors.UpstreamUnavailable),
        (502, b"<html>", errors.UpstreamUnavailable),
        (503, b"", errors.UpstreamUnavailable),
        (599, b"", errors.UpstreamUnavailable),
        (204, b"", errors.UpstreamInvalidResponse),
        (201, ROW, errors.UpstreamInvalidResponse),
        (302, b"", errors.UpstreamInvalidResponse),
        (404, {"type": "about:blank", "title": "Not found", "status": 404, "code": 20404}, errors.NotFound),
    ],
)
def test_every_status_becomes_its_leaf(status: int, body: Any, kind: type[errors.GatewayError]) -> None:
    request_id = "RQ" + "a" * 32
    error = failure(f"Services/{IS}/Conversations/name", answer(body, status, twilio_request_id=request_id))
    assert type(error) is kind
    assert error.upstream is not None
    assert (error.upstream.status, error.upstream.request_id) == (status, request_id)
    assert "no such host" not in error.message
    assert "/name" not in error.message


def test_what_a_response_says_of_itself_is_not_trusted() -> None:
    error = failure("Services", answer(b'{"code": -5}', 503, twilio_request_id="<script>", retry_after="soon"))
    assert error.upstream == errors.UpstreamAnswer(status=503)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("86400", 86400.0),
        ("-1", None),
        ("soon", None),
        ("1e9", None),
        ("9" * 30, None),
        ("Tue, 24 Nov 2026 00:00:10 GMT", 10.0),
        ("Mon, 23 Nov 2026 00:00:00 GMT", 0.0),
        ("Tue, 24 Nov 2026 00:00:10 -0000", 10.0),
        ("Tue, 99 Nov 2026 00:00:10 GMT", None),
        ("Mon, 01 Jan 2024 00:00:99999999999999999999 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, datetime(2026, 11, 24, tzinfo=UTC)) == seconds
