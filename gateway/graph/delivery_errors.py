"""Titles of delivery error codes.

The codes are Twilio's (https://www.twilio.com/docs/api/errors); the titles are the gateway's own. A code that is not in the
table has no title, but a documentation page.
"""

__all__ = ["TITLES", "documentation_url"]

TITLES = {
    21211: "The recipient's number is not valid",
    21408: "Sending to the recipient's region is not enabled",
    21610: "The recipient has opted out",
    21612: "No route from the sender to the recipient",
    21614: "The recipient's number cannot receive messages",
    21617: "The message is too long",
    30001: "The sending queue overflowed",
    30002: "The account is suspended",
    30003: "The recipient's handset could not be reached",
    30004: "The recipient blocks such messages",
    30005: "The recipient's number is unknown or no longer in service",
    30006: "The number is a landline, or its carrier cannot be reached",
    30007: "The carrier filtered the message",
    30008: "The carrier gave no reason",
    30009: "A part of the message went missing",
    30010: "The message costs more than the limit set",
    30022: "The sender's daily or throughput limit was exceeded",
    30023: "The sender's daily limit was reached",
    30032: "The toll-free sender is not verified",
    30034: "The sender is not registered for US application traffic (10DLC)",
    30036: "The message waited longer than its validity period",
    30410: "The provider did not answer in time",
    30450: "The message was blocked as unsolicited or unwanted",
    30453: "The message was refused as fraudulent",
    30454: "The messaging service's limit was exceeded",
    63001: "The channel refused the sender's credentials",
    63003: "The channel does not know the recipient",
    63005: "The channel refused the content",
    63007: "The channel does not know the sender",
    63010: "The channel failed within",
    63013: "The message breaks the channel's policy",
    63016: "Outside the channel's reply window; an approved template is needed",
    63018: "The channel's rate limit was exceeded",
    63019: "The channel could not fetch the media",
    63024: "The channel says the recipient is not valid",
    63032: "The channel does not let this message reach the recipient",
    63033: "The recipient has blocked the sender on the channel",
}


def documentation_url(code: int) -> str:
    """Return the URL of the page about `code` in Twilio's error dictionary."""
    return f"https://www.twilio.com/docs/errors/{code}"
