"""Subscriptions in `operations cost` and `check`: their cost is that of each event."""

import json
from pathlib import Path

from click.testing import CliRunner

from gateway.cli import main
from gateway.contract.operations.check import check_operations
from gateway.contract.operations.report import as_json

LIVE = """
subscription Live($service: ID!, $conversations: [ID!]!, $messages: [ID!]!, $after: String!, $first: Int!) {
  deliveryUpdated(serviceSid: $service, conversationSids: $conversations, messageSids: $messages, after: $after) {
    ... on DeliveriesReady { cursor refetch }
    ... on ReceiptChange {
      incomplete
      receipt { id status url participant { id channel } }
      message { id deliveryStatus receipts(first: $first) { edges { node { id } } } }
    }
  }
}
"""
REMOVED = "subscription Removed($service: ID!) { messageChanged(serviceSid: $service) { ... on MessageRemoval { messageId } } }"


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["operations", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_cost_is_that_of_each_event(tmp_path: Path) -> None:
    file = tmp_path / "live.graphql"
    file.write_text(LIVE + REMOVED)
    assert invoke("cost", str(file)).splitlines() == [
        f"{file} Live: at most 13 upstream calls for each event, 12 round trips",
        "  with $after = null, from now on, $first = 1000",
        "  1       1  Subscription.deliveryUpdated  Services/{sid}/Conversations/{sid}/Messages/{sid}/Receipts/{sid}",
        "  2      10  Subscription.deliveryUpdated.receipt.participant  "
        "Services/{sid}/Conversations/{sid}/Participants?PageSize=100",
        "  2       1  Subscription.deliveryUpdated.message  Services/{sid}/Conversations/{sid}/Messages/{sid}",
        "  3       1  Subscription.deliveryUpdated.message.receipts  "
        "Services/{sid}/Conversations/{sid}/Messages/{sid}/Receipts?PageSize=50",
        f"{file} Removed: at most 0 upstream calls for each event, 0 round trips",
    ]
    explained = invoke("cost", str(file), "--explain")
    assert "# ReceiptChange\ndef write(children, event):" in explained
    assert "# MessageRemoval\ndef write(records, event):" in explained


def test_the_picture_says_so_too(tmp_path: Path) -> None:
    file = tmp_path / "live.graphql"
    file.write_text(LIVE)
    assert "Live: at most 13 calls for each event, 12 round trips" in invoke("cost", str(file), "--format", "mermaid")


def test_a_snapshot_has_subscriptions_and_a_limit_holds_for_each_event(tmp_path: Path) -> None:
    file, snapshot = tmp_path / "live.graphql", tmp_path / "costs.json"
    file.write_text(LIVE)
    report = check_operations([str(file)], {}, max_calls=12, snapshot=snapshot)
    [problem] = report.problems
    assert "could take 13 upstream calls for each event, and 12 are allowed." in problem.message
    assert "Subscription.deliveryUpdated.receipt.participant" in problem.message
    assert json.loads(as_json(report))["operations"][0]["per"] == "event"
    recorded = json.loads(snapshot.read_text())["operations"]["Live"]
    assert recorded["per"] == "event"
    assert recorded["edges"]["Subscription.deliveryUpdated.message"] == 1
    file.write_text(LIVE.replace("participant {", "message { body } participant {"))
    assert check_operations([str(file)], {}, snapshot=snapshot).problems == []  # The same message.
    file.write_text(LIVE.replace("message {", "message { conversation { state }"))
    [problem] = check_operations([str(file)], {}, snapshot=snapshot).problems
    assert problem.message.startswith(
        "Live 13 → 14 calls for each event: Subscription.deliveryUpdated.message.conversation"
    )
    [change] = check_operations([str(file)], {}, snapshot=snapshot, update=True).changes
    assert change.per == "event"


def test_what_the_gateway_refuses_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "live.graphql"
    for document, message in (
        (
            REMOVED.replace("serviceSid: $service", 'serviceSid: "x"').replace("($service: ID!)", ""),
            "messageChanged: Expected a sid",
        ),
        (
            REMOVED.replace("messageId", "... @defer { messageId }"),
            "Disable `@defer` by setting the `if` argument to `false`.",
        ),
        (
            REMOVED.replace("} }", "} } other: messageChanged(serviceSid: $service) { __typename }"),
            "must select only one top level field",
        ),
    ):
        file.write_text(document)
        [problem] = check_operations([str(file)], {}).problems
        assert message in problem.message
