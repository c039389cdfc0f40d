"""HTTP: the GraphQL endpoint, GraphiQL, health and metrics. It reads requests and writes replies; Twilio is not its concern.

A request on its way: `http_protocol` parses bytes, or another ASGI server does; `request` is the parsed value; `endpoint`
checks it and starts its operation; `responses`, or `incremental` for `@defer`, is the reply; `recorder` logs and counts it.
"""
