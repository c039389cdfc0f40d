"""What the tests of this folder share: two queries."""

THREAD = """query Q($serviceSid: ID!, $conversationSid: ID!) {
  service(sid: $serviceSid) { friendlyName conversation(sid: $conversationSid) { friendlyName
    messages(first: 50) { edges { node { body receipts { edges { node { status participant { channel } } } } } } }
  } }
}"""
RECEIPTS = """query Q($serviceSid: ID!, $conversationSid: ID!, $messageSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) { message(sid: $messageSid) {
    receipts { edges { node { sid status participantSid } } }
  } } }
}"""
