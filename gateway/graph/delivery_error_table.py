"""The table of delivery error codes: what each code means, and what to do about it.

The codes are Twilio's (https://www.twilio.com/docs/api/errors), as far as a message that was accepted can end with one; the
texts are the gateway's own. An entry states facts: where a code says too little for advice, it has none.
"""

from enum import Enum
from typing import NamedTuple

import strawberry

from gateway.graph.node import enum_value

__all__ = ["ENTRIES", "DeliveryErrorCategory", "Entry", "ResendAdvice"]


@strawberry.enum(description="The part of a delivery that an error is about. Categories may be added.")
class DeliveryErrorCategory(Enum):
    RECIPIENT = enum_value("recipient", "The recipient: the address, the device, or consent to messages.")
    CONTENT = enum_value("content", "The message: its text, its media, or its template.")
    SENDER = enum_value("sender", "The sender: its number or name, its registration, or its own limits.")
    CARRIER = enum_value("carrier", "The way to the recipient: a carrier's network, or Twilio's platform.")
    CHANNEL = enum_value("channel", "WhatsApp, RCS or another channel: its rules, its limits, or its own failure.")
    ACCOUNT = enum_value("account", "The Twilio account: its settings, its permissions, or its limits.")
    UNKNOWN = enum_value("unknown", "The code does not say, or this schema version does not know the code.")


@strawberry.enum(description="Whether a failed message should be sent again. Values may be added.")
class ResendAdvice(Enum):
    YES = enum_value("yes", "Send it again now: nothing was wrong with the message.")
    LATER = enum_value("later", "Send it again unchanged after some time: the cause may pass by itself.")
    AFTER_CHANGE = enum_value("after_change", "Send it again after the change in `advice`; before, it fails again.")
    NO = enum_value("no", "Do not send it again to this recipient in the same way.")
    UNKNOWN = enum_value("unknown", "The code does not say, or this schema version does not know the code.")


class Entry(NamedTuple):
    """What one error code means."""

    category: DeliveryErrorCategory
    resend: ResendAdvice
    title: str
    """The meaning in a few words."""
    advice: str | None = None
    """One or two sentences for a support person."""


_RECIPIENT, _CONTENT, _SENDER, _CARRIER, _CHANNEL, _ACCOUNT, _UNKNOWN = DeliveryErrorCategory
_YES, _LATER, _AFTER_CHANGE, _NO, _UNDECIDED = ResendAdvice

_CORRECT_NUMBER = "Compare the number with the recipient's own statement, with country code, and correct it."
_OTHER_WAY = "Ask the recipient for a mobile number, or use another channel."
_OTHER_SENDER = (
    "Choose another sender that can reach this recipient, and check the sender's capabilities in Twilio's Console."
)
_SPREAD = "Wait until the sender's queue is shorter, and spread large batches over more time or more senders."
_DAILY_LIMIT = "Wait until the next day, when the limit is reset, or ask for a higher limit."
_INTERNAL = "Send the message again. If it fails again, open a ticket at Twilio with the sids of some messages."
_CHANNEL_FAILED = "Send the message again after some minutes. If it keeps failing, look at the channel's status page."
_CHANNEL_DETAILS = (
    "Look up the message by its `channelMessageSid` in Twilio's Console: the channel's own reason is there."
)
_REGISTER = "Register the sender in Twilio's Console for the recipient's country, or choose one that is registered."
_SHRINK_MEDIA = "Make the file smaller or send a link to it instead."
_CHECK_POOL = "Check the messaging service and its sender pool in Twilio's Console."
_CHECK_TEMPLATE = "Check the template and its variables in Twilio's Console, then send the corrected message."

ENTRIES: dict[int, Entry] = {
    # Checks when a message is accepted, or soon after.
    11751: Entry(_CONTENT, _AFTER_CHANGE, "The media file is too large for the channel", _SHRINK_MEDIA),
    12300: Entry(
        _CONTENT,
        _AFTER_CHANGE,
        "The media file's type is not accepted",
        "Send the file in a format that the channel accepts, such as JPEG or PNG.",
    ),
    14107: Entry(
        _SENDER,
        _LATER,
        "Too many messages between two numbers within seconds",
        "Look for automatic replies that answer each other and stop them, then send the message again.",
    ),
    21211: Entry(_RECIPIENT, _AFTER_CHANGE, "The recipient's number is not valid", _CORRECT_NUMBER),
    21212: Entry(
        _SENDER,
        _AFTER_CHANGE,
        "The sender's number or name is not valid",
        "Correct the sender of the participant: a number with country code, or a permitted sender name.",
    ),
    21214: Entry(_RECIPIENT, _AFTER_CHANGE, "The recipient's number cannot be reached", _CORRECT_NUMBER),
    21217: Entry(_RECIPIENT, _AFTER_CHANGE, "The number does not look like a phone number", _CORRECT_NUMBER),
    21265: Entry(_RECIPIENT, _NO, "The recipient is a short code, which receives no such messages", _OTHER_WAY),
    21266: Entry(
        _RECIPIENT,
        _AFTER_CHANGE,
        "Sender and recipient are the same number",
        "Correct the participant's address, or choose another sender.",
    ),
    21267: Entry(
        _ACCOUNT,
        _AFTER_CHANGE,
        "A trial account cannot send from a sender name",
        "Upgrade the Twilio account, or send from a number.",
    ),
    21268: Entry(_RECIPIENT, _NO, "The recipient is a premium or information service number", _OTHER_WAY),
    21401: Entry(_RECIPIENT, _AFTER_CHANGE, "The phone number is not valid", _CORRECT_NUMBER),
    21408: Entry(
        _ACCOUNT,
        _AFTER_CHANGE,
        "Sending to the recipient's region is not enabled",
        "Enable the region in the account's messaging geographic permissions, then send the message again.",
    ),
    21601: Entry(_SENDER, _AFTER_CHANGE, "The sender's number cannot carry text messages", _OTHER_SENDER),
    21602: Entry(
        _CONTENT, _AFTER_CHANGE, "The message has neither text nor media", "Send a message with text or media."
    ),
    21603: Entry(_SENDER, _AFTER_CHANGE, "No sender was given", _CHECK_POOL),
    21604: Entry(_RECIPIENT, _AFTER_CHANGE, "No recipient was given", "Add the recipient's number to the participant."),
    21605: Entry(_CONTENT, _AFTER_CHANGE, "The message is too long", "Shorten the text."),
    21606: Entry(_SENDER, _AFTER_CHANGE, "The sender cannot send messages to this destination", _OTHER_SENDER),
    21607: Entry(
        _ACCOUNT,
        _AFTER_CHANGE,
        "A trial account must send from its trial number",
        "Send from the trial number, or upgrade the Twilio account.",
    ),
    21608: Entry(
        _ACCOUNT,
        _AFTER_CHANGE,
        "A trial account can send to verified numbers only",
        "Verify the recipient's number in Twilio's Console, or upgrade the account.",
    ),
    21610: Entry(
        _RECIPIENT,
        _NO,
        "The recipient has opted out",
        "Do not write again until the recipient replies START to this sender. Use another channel that was agreed to.",
    ),
    21611: Entry(_SENDER, _LATER, "The sender's queue is full", _SPREAD),
    21612: Entry(_SENDER, _AFTER_CHANGE, "No route from the sender to the recipient", _OTHER_SENDER),
    21614: Entry(_RECIPIENT, _NO, "The recipient's number cannot receive messages", _OTHER_WAY),
    21616: Entry(
        _SENDER,
        _AFTER_CHANGE,
        "The sender matches several numbers of the account",
        "Write the sender's number in full, with country code.",
    ),
    21617: Entry(
        _CONTENT,
        _AFTER_CHANGE,
        "The message is too long",
        "Shorten the text to 1,600 characters, or send it as several messages.",
    ),
    21618: Entry(_CONTENT, _AFTER_CHANGE, "The text of the message cannot be sent", "Change the text of the message."),
    21619: Entry(
        _CONTENT, _AFTER_CHANGE, "The message has no content", "Send a message with text, media or a template."
    ),
    21620: Entry(
        _CONTENT,
        _AFTER_CHANGE,
        "The address of the media is not valid",
        "Upload the file again, and check that its address is complete.",
    ),
    21621: Entry(_SENDER, _AFTER_CHANGE, "The sender's number cannot send media", _OTHER_SENDER),
    21622: Entry(
        _ACCOUNT,
        _AFTER_CHANGE,
        "The account cannot send media messages",
        "Send the message without media, or have media messages enabled for the account.",
    ),
    21623: Entry(
        _CONTENT, _AFTER_CHANGE, "The message has too many media files", "Send the files in several messages."
    ),
    21624: Entry(
        _CONTENT,
        _AFTER_CHANGE,
        "The validity period is not valid",
        "Correct the validity period of the messaging service or the message.",
    ),
    21635: Entry(_RECIPIENT, _NO, "The recipient's number is a landline", _OTHER_WAY),
    21653: Entry(
        _RECIPIENT,
        _AFTER_CHANGE,
        "The message has more recipients than the channel allows",
        "Write to fewer recipients at once, each in a conversation of their own if need be.",
    ),
    21654: Entry(_CONTENT, _AFTER_CHANGE, "Template variables were given without a template", _CHECK_TEMPLATE),
    21655: Entry(_CONTENT, _AFTER_CHANGE, "The template does not exist", _CHECK_TEMPLATE),
    21656: Entry(_CONTENT, _AFTER_CHANGE, "The template's variables are not valid", _CHECK_TEMPLATE),
    21657: Entry(
        _SENDER, _AFTER_CHANGE, "The sender name is not valid", "Correct the sender name, or send from a number."
    ),
    21658: Entry(_CONTENT, _AFTER_CHANGE, "A value of the message is too long", "Shorten the values of the template."),
    21659: Entry(
        _SENDER,
        _AFTER_CHANGE,
        "The sender is not a Twilio number, or a short code of another country",
        _OTHER_SENDER,
    ),
    21660: Entry(
        _ACCOUNT,
        _AFTER_CHANGE,
        "The sender's number belongs to another account",
        "Send from a number of this account, or with the account that owns the number.",
    ),
    21661: Entry(_SENDER, _AFTER_CHANGE, "The sender's number cannot send text messages", _OTHER_SENDER),
    21701: Entry(_SENDER, _AFTER_CHANGE, "The messaging service does not exist", _CHECK_POOL),
    21703: Entry(_SENDER, _AFTER_CHANGE, "No sender of the messaging service can send this message", _CHECK_POOL),
    21704: Entry(_SENDER, _AFTER_CHANGE, "The messaging service has no senders", _CHECK_POOL),
    21910: Entry(
        _SENDER,
        _AFTER_CHANGE,
        "Sender and recipient are on different channels",
        "Choose a sender on the recipient's channel, such as a WhatsApp sender for a WhatsApp address.",
    ),
    # Delivery by carriers: SMS and MMS.
    30001: Entry(_SENDER, _LATER, "The sending queue overflowed", _SPREAD),
    30002: Entry(
        _ACCOUNT,
        _AFTER_CHANGE,
        "The account is suspended",
        "Ask the owner of the Twilio account to have it reactivated: until then nothing is sent.",
    ),
    30003: Entry(
        _RECIPIENT,
        _LATER,
        "The recipient's handset could not be reached",
        "Send it again later: the phone may be off or without signal. If it keeps failing, ask for another number.",
    ),
    30004: Entry(
        _RECIPIENT,
        _NO,
        "The recipient blocks such messages",
        "The number, its carrier or a do-not-disturb list refuses the message. Use another channel that was agreed to.",
    ),
    30005: Entry(_RECIPIENT, _NO, "The recipient's number is unknown or no longer in service", _CORRECT_NUMBER),
    30006: Entry(_RECIPIENT, _NO, "The number is a landline, or its carrier cannot be reached", _OTHER_WAY),
    30007: Entry(
        _CONTENT,
        _AFTER_CHANGE,
        "The carrier or Twilio filtered the message",
        "Make clear who writes and why, avoid shortened links, and check the sender's registration before sending again.",
    ),
    30008: Entry(
        _UNKNOWN,
        _LATER,
        "The carrier gave no reason",
        "Send it again later. If several messages fail like this, open a ticket at Twilio with their sids.",
    ),
    30009: Entry(
        _CARRIER,
        _YES,
        "A part of a long incoming message went missing",
        "Ask its sender to send it again: the network lost a part of it.",
    ),
    30010: Entry(
        _ACCOUNT,
        _AFTER_CHANGE,
        "The message costs more than the limit set",
        "Raise the maximum price of a message, or shorten it.",
    ),
    30011: Entry(
        _RECIPIENT,
        _AFTER_CHANGE,
        "The recipient's number does not support media messages",
        "Send the message without media, or with a link to the file.",
    ),
    30012: Entry(_CONTENT, _AFTER_CHANGE, "The validity period is too short", "Allow more time for delivery."),
    30013: Entry(_CONTENT, _AFTER_CHANGE, "The validity period is too long", "Allow less time for delivery."),
    30014: Entry(_RECIPIENT, _AFTER_CHANGE, "The recipient's address is not valid", _CORRECT_NUMBER),
    30015: Entry(
        _CHANNEL,
        _AFTER_CHANGE,
        "The channel is not supported for this message",
        "Use another channel for this recipient.",
    ),
    30016: Entry(
        _SENDER,
        _AFTER_CHANGE,
        "Sender and recipient are on channels that do not fit",
        "Choose a sender on the recipient's channel.",
    ),
    30017: Entry(
        _CARRIER, _LATER, "The carrier's network is congested", "Send it again later, when the carrier has recovered."
    ),
    30018: Entry(_SENDER, _AFTER_CHANGE, "The recipient's country requires a registered sender name", _REGISTER),
    30019: Entry(
        _CONTENT,
        _AFTER_CHANGE,
        "The content is larger than the carrier allows",
        "Shorten the text, or make the media smaller.",
    ),
    30020: Entry(_CARRIER, _YES, "Twilio failed to schedule the message", _INTERNAL),
    30021: Entry(_CARRIER, _YES, "Twilio's messaging service failed", _INTERNAL),
    30022: Entry(
        _SENDER,
        _LATER,
        "The rate limit of the sender's US campaign (10DLC) was exceeded",
        "Send more slowly, and not many messages to one number within a short time.",
    ),
    30023: Entry(_SENDER, _LATER, "The daily limit of the sender's US brand (10DLC) was reached", _DAILY_LIMIT),
    30024: Entry(
        _SENDER,
        _AFTER_CHANGE,
        "The sender is not set up at the carrier",
        "Check the sender's registration. A number registered a short while ago may need some days before carriers accept it.",
    ),
    30027: Entry(_SENDER, _LATER, "T-Mobile's daily limit for the sender was reached", _DAILY_LIMIT),
    30032: Entry(
        _SENDER,
        _AFTER_CHANGE,
        "The toll-free sender is not verified",
        "Complete the toll-free verification in Twilio's Console, or choose another sender.",
    ),
    30033: Entry(
        _SENDER,
        _AFTER_CHANGE,
        "The sender's US campaign (10DLC) is suspended",
        "Have the campaign reinstated, or choose a sender of another campaign.",
    ),
    30034: Entry(
        _SENDER,
        _AFTER_CHANGE,
        "The sender is not registered for US application traffic (10DLC)",
        "Add the number to an approved 10DLC campaign, or choose a sender that is registered.",
    ),
    30035: Entry(
        _SENDER,
        _LATER,
        "The sender is still being registered for US traffic (10DLC)",
        "Wait until the number's registration is complete, or choose another sender. Do not remove and add it again.",
    ),
    30036: Entry(
        _SENDER,
        _AFTER_CHANGE,
        "The message waited longer than its validity period",
        "Allow a longer validity period, or send fewer messages at once so that the queue is shorter.",
    ),
    30037: Entry(
        _ACCOUNT,
        _AFTER_CHANGE,
        "The account may not send messages",
        "Ask the owner of the Twilio account to have outgoing messages enabled.",
    ),
    30042: Entry(
        _SENDER,
        _AFTER_CHANGE,
        "The sender name is blocked as too general, or has special characters",
        "Choose a sender name that names the business, in plain letters and digits.",
    ),
    30044: Entry(
        _ACCOUNT,
        _AFTER_CHANGE,
        "The message is too long for a trial account",
        "Shorten the text, without emoji or other special characters, or upgrade the account.",
    ),
    30410: Entry(
        _CARRIER,
        _LATER,
        "The provider did not answer in time",
        "Send it again later. The first message may have arrived all the same.",
    ),
    30450: Entry(
        _RECIPIENT,
        _LATER,
        "Blocked for some time by Twilio's protection against SMS pumping",
        "Check that a real person asked for the message, then send it again later or reach the person another way.",
    ),
    30453: Entry(
        _RECIPIENT,
        _NO,
        "The message was refused as fraudulent",
        "Check that a real person asked for the message. If so, open a ticket at Twilio with the message's sid.",
    ),
    30454: Entry(_UNKNOWN, _UNDECIDED, "The messaging service's limit was exceeded"),
    30485: Entry(
        _RECIPIENT,
        _LATER,
        "Messages to this destination are held back after suspected fraud",
        "Wait some hours: the block ends by itself when no more fraud is seen.",
    ),
    30500: Entry(_CARRIER, _YES, "Twilio failed with an internal error", _INTERNAL),
    # WhatsApp, RCS, Messenger and other channels.
    63001: Entry(
        _CHANNEL,
        _AFTER_CHANGE,
        "The channel refused the sender's credentials",
        "Have the sender connected to the channel again in Twilio's Console.",
    ),
    63002: Entry(_SENDER, _AFTER_CHANGE, "The channel does not know the sender's address", _OTHER_SENDER),
    63003: Entry(
        _RECIPIENT,
        _AFTER_CHANGE,
        "The channel does not know the recipient",
        "Check the number, and that the recipient uses the channel; otherwise use another channel.",
    ),
    63005: Entry(_CONTENT, _AFTER_CHANGE, "The channel refused the content", _CHANNEL_DETAILS),
    63006: Entry(_CONTENT, _AFTER_CHANGE, "The content cannot be written in the channel's format", _CHANNEL_DETAILS),
    63007: Entry(
        _SENDER,
        _AFTER_CHANGE,
        "The channel does not know the sender",
        "Check that the sender is set up for this channel in this Twilio account.",
    ),
    63008: Entry(
        _ACCOUNT, _AFTER_CHANGE, "The channel is not configured correctly", "Check the channel in Twilio's Console."
    ),
    63009: Entry(_CHANNEL, _LATER, "The channel's provider failed", _CHANNEL_FAILED),
    63010: Entry(_CARRIER, _YES, "Twilio failed with an internal error", _INTERNAL),
    63011: Entry(_UNKNOWN, _UNDECIDED, "Twilio could not process the request", _CHANNEL_DETAILS),
    63012: Entry(_CHANNEL, _LATER, "The channel's provider failed with an internal error", _CHANNEL_FAILED),
    63013: Entry(_CONTENT, _AFTER_CHANGE, "The message breaks the channel's policy", _CHANNEL_DETAILS),
    63014: Entry(
        _RECIPIENT,
        _NO,
        "The recipient has blocked the sender on the channel",
        "Do not write again until the recipient writes or agrees to it. Use another channel that was agreed to.",
    ),
    63015: Entry(
        _RECIPIENT,
        _AFTER_CHANGE,
        "The recipient has not joined the channel's sandbox",
        "Ask the recipient to join the sandbox again, or send from a registered sender.",
    ),
    63016: Entry(
        _CONTENT,
        _AFTER_CHANGE,
        "Outside the channel's reply window; an approved template is needed",
        "Send an approved template: free text is allowed within 24 hours after the recipient's last message only.",
    ),
    63017: Entry(_CHANNEL, _LATER, "A rate limit was exceeded", "Send more slowly, and send this message again later."),
    63018: Entry(
        _CHANNEL,
        _LATER,
        "The channel's rate limit was exceeded",
        "Send more slowly. WhatsApp also limits how many people a sender may write to first within 24 hours.",
    ),
    63019: Entry(
        _CONTENT,
        _AFTER_CHANGE,
        "The channel could not fetch the media",
        "Check that the file can be downloaded and has an accepted type and size, then send it again.",
    ),
    63020: Entry(
        _ACCOUNT,
        _AFTER_CHANGE,
        "Meta's business account is not set up",
        "Open Meta Business Manager and accept Twilio's invitation, or resolve what it shows.",
    ),
    63021: Entry(_CONTENT, _AFTER_CHANGE, "The channel says the content is not valid", _CHANNEL_DETAILS),
    63022: Entry(
        _SENDER,
        _AFTER_CHANGE,
        "WhatsApp does not accept the sender's name certificate",
        "Open a ticket at Twilio for the WhatsApp sender.",
    ),
    63023: Entry(_CHANNEL, _UNDECIDED, "The channel failed without a reason", _CHANNEL_DETAILS),
    63024: Entry(
        _RECIPIENT,
        _AFTER_CHANGE,
        "The channel says the recipient is not valid",
        "Check that the number has an up-to-date WhatsApp that accepted its terms; otherwise use another channel.",
    ),
    63025: Entry(_CONTENT, _UNDECIDED, "The channel already has the media file", _CHANNEL_DETAILS),
    63026: Entry(
        _CONTENT,
        _AFTER_CHANGE,
        "The channel took the content for spam",
        "Change the content, and write only to people who agreed to it.",
    ),
    63027: Entry(_CONTENT, _AFTER_CHANGE, "The template does not exist in that language", _CHECK_TEMPLATE),
    63028: Entry(_CONTENT, _AFTER_CHANGE, "The number of the template's variables is wrong", _CHECK_TEMPLATE),
    63029: Entry(_RECIPIENT, _LATER, "The recipient's app could not download the template", _CHANNEL_FAILED),
    63030: Entry(
        _CONTENT,
        _AFTER_CHANGE,
        "The channel does not support a part of the message",
        "Send the message without media beside a template, or in another form.",
    ),
    63031: Entry(
        _RECIPIENT,
        _AFTER_CHANGE,
        "Sender and recipient are the same address",
        "Correct the participant's address, or choose another sender.",
    ),
    63032: Entry(
        _CHANNEL,
        _NO,
        "The channel does not let this message reach the recipient",
        "WhatsApp keeps this recipient from such messages for now. Use another channel.",
    ),
    63033: Entry(
        _RECIPIENT,
        _NO,
        "The recipient has blocked the sender on the channel",
        "Do not write again until the recipient writes or agrees to it. Use another channel that was agreed to.",
    ),
    63034: Entry(_CONTENT, _AFTER_CHANGE, "The media file is too large for the channel", _SHRINK_MEDIA),
    63035: Entry(
        _SENDER,
        _AFTER_CHANGE,
        "The RCS sender is not launched, and the recipient is not a tester",
        "Launch the RCS sender, or invite the recipient as a tester.",
    ),
    63036: Entry(
        _RECIPIENT,
        _NO,
        "The recipient cannot be reached by RCS at present",
        "Send it as a text message: the phone or its carrier does not support RCS.",
    ),
    63037: Entry(_CHANNEL, _LATER, "The channel failed to take the media", _CHANNEL_FAILED),
    63038: Entry(_ACCOUNT, _LATER, "The account's daily limit of messages was reached", _DAILY_LIMIT),
    63040: Entry(
        _CONTENT,
        _AFTER_CHANGE,
        "WhatsApp has rejected the template",
        "Correct the template and submit it under another name, or use one that is approved.",
    ),
    63041: Entry(
        _CONTENT,
        _AFTER_CHANGE,
        "WhatsApp has paused the template",
        "Use another approved template: recipients reacted badly to this one.",
    ),
    63042: Entry(
        _CONTENT,
        _AFTER_CHANGE,
        "WhatsApp has disabled the template",
        "Use another approved template: this one stays disabled.",
    ),
    63049: Entry(
        _CHANNEL,
        _LATER,
        "Meta chose not to deliver a marketing message",
        "Wait at least a day, or use another channel. Meta limits marketing to each person and to US numbers delivers none.",
    ),
    63051: Entry(
        _ACCOUNT,
        _AFTER_CHANGE,
        "WhatsApp has locked the business account",
        "Have the lock reviewed in Meta Business Support Home: until then nothing is sent.",
    ),
    63054: Entry(_CONTENT, _UNDECIDED, "The template cannot be used at present", _CHECK_TEMPLATE),
    63062: Entry(
        _ACCOUNT,
        _AFTER_CHANGE,
        "Meta's terms for marketing messages are not accepted",
        "Accept the terms of the Marketing Messages API in WhatsApp Manager.",
    ),
}
