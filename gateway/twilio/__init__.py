"""How Twilio Conversations v1 speaks: paths, resources, responses, and the client that asks. No GraphQL.

Follows https://www.twilio.com/docs/conversations/api. A read goes from `client.py`, which knows who waits for it, through
`gate.py`, which decides when it goes out, to a transport: `lean.py` or `full.py`, the only files that open a socket to
Twilio. The others are pure functions over text and bytes.
"""
