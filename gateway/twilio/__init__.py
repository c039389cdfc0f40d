"""How Twilio Conversations v1 speaks: paths, resources, responses, retries, and the client that asks. No GraphQL.

Follows https://www.twilio.com/docs/conversations/api. `client.py` is the only file that opens a socket to Twilio; the
others are pure functions over text and bytes.
"""
