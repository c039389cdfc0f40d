"""HTTP: the GraphQL endpoint, GraphiQL, health and metrics. It reads requests and writes replies; Twilio is not its concern.

From bytes to bytes: `http_protocol` parses a request, or another ASGI server does; `request` is its value; `endpoint` checks it
and starts its operation; `responses`, or `incremental` for `@defer`, is the reply; `recorder` logs and counts it.
"""
