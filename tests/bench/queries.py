"""What the benchmark asks, and the sids to ask it of."""

from functools import cache

from gateway.sandbox.world import World

from .upstream import COPY_DIGITS, SEED, SIZE

__all__ = ["COMPARED", "QUERIES", "variables"]

_THREAD = """query %s($service: ID!, $conversation: ID!) {
  service(sid: $service) {
    sid friendlyName dateCreated
    conversation(sid: $conversation) {
      sid friendlyName state
      messages(first: %d) { edges { node {
        sid index author body dateCreated
        receipts { edges { node {
          sid status errorCode dateUpdated
          participant { sid channel messagingBinding { type address } }
        } } }
      } } }
    }
  }
}"""

QUERIES = {
    "Q1": _THREAD % ("Q1", 50),
    "Q2": _THREAD % ("Q2", 10),
    "Q3": """query Q3($service: ID!, $conversation: ID!, $message: ID!, $receipt: ID!) {
  service(sid: $service) { conversation(sid: $conversation) { message(sid: $message) { receipt(sid: $receipt) {
    sid status errorCode channelMessageSid dateCreated dateUpdated
  } } } }
}""",
    "Q4": """query Q4($service: ID!) {
  service(sid: $service) { sid conversations(first: 20) { edges { node {
    sid friendlyName
    messages(first: 20) { edges { node {
      sid index
      receipts { edges { node { sid status errorCode participant { sid channel } } } }
    } } }
  } } } }
}""",
    "Q5": _THREAD % ("Q5", 1000),
}
"""Q1: a thread of 50 messages; Q2: of 10; Q3: one receipt by its sids; Q4: 20 conversations with 20 messages each; Q5: a
thread of 1,000 messages, which takes more upstream calls than an operation may make by default."""
COMPARED = ("Q1", "Q2", "Q3", "Q4")
"""Those that the alternatives answer too."""


@cache
def _landmarks() -> dict[str, str]:
    return World(SEED, SIZE, None).landmarks()


@cache
def _longest() -> str:
    conversations = World(SEED, SIZE, None).services[0].conversations.values()
    return max(conversations, key=lambda conversation: len(conversation.message_indexes())).sid


def variables(name: str, copy: int = 0) -> dict[str, str]:
    """The variables of a query: in the upstream's data, or in the copy of it with that number, from 1 on."""
    marks = _landmarks()
    conversation = _longest() if name == "Q5" else marks["conversation_sid"]
    service = marks["service_sid"]
    given = {
        "service": f"{service[:-COPY_DIGITS]}{copy:0{COPY_DIGITS}x}" if copy else service,
        "conversation": conversation,
        "message": marks["receipt_message_sid"],
        "receipt": marks["receipt_sid"],
    }
    return {key: sid for key, sid in given.items() if f"${key}:" in QUERIES[name]}
