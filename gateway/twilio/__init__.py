"""The Twilio Conversations v1 API: its paths, resources and responses, and a client of it. No GraphQL, and no cache.

Follows https://www.twilio.com/docs/conversations/api. A read goes from `client.py`, which retries it, through `limiter.py`,
which decides when it is sent, to a transport: `httptools_transport.py` or `aiohttp_transport.py`, the only files that open a
socket to Twilio. The other files are pure functions over text and bytes; those of webhooks are `signatures.py`, `events.py` and
`merge.py`.
"""
