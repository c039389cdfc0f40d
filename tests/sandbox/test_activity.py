"""The sandbox's own activity: what it changes, in which order, and which webhooks that fires."""

from gateway.sandbox import Sandbox
from gateway.sandbox.activity import Activity


def test_a_message_is_sent_and_its_receipts_advance_until_they_are_final() -> None:
    sandbox = Sandbox()
    sandbox.configure_webhooks("http://127.0.0.1:1/webhooks/twilio")
    activity = Activity(sandbox)
    conversation = sandbox.world.find_conversation(sandbox.landmarks["conversation_sid"])
    for index in (180, 181):
        logged = len(sandbox.webhooks)
        for step, _ in enumerate(activity.steps(), 1):
            assert len(sandbox.webhooks) == logged + step
        added, *changes = sandbox.webhooks[logged:]
        message = conversation.message(index)
        assert (added.event, added.parameters["MessageSid"]) == ("onMessageAdded", message.sid)
        history: dict[str, list[str]] = {}
        for change in changes:
            assert (change.event, change.parameters["MessageSid"]) == ("onDeliveryUpdated", message.sid)
            history.setdefault(change.parameters["DeliveryReceiptSid"], []).append(change.parameters["Status"])
        receipts = conversation.receipts(message)
        assert len(history) == len(receipts) == len(message.recipients) == 10
        endings = {tuple(statuses) for statuses in history.values()}
        assert endings >= {("sent", "delivered"), ("sent", "delivered", "read")}
        assert endings & {("sent", "failed"), ("sent", "undelivered")}
        failed = [receipt for receipt in receipts if receipt.status in ("failed", "undelivered")]
        assert len(failed) == 2
        assert all(receipt.error_code for receipt in failed)
