"""HTTP: the GraphQL endpoint, GraphiQL, Twilio's webhooks, health and metrics. It reads requests and writes replies.

From bytes to bytes: `http_protocol` parses a request, or another ASGI server does; `request` is its value; `endpoint` checks it
(`admission`: who sent it) and starts its operation; `pending` is a reply that has to wait; `responses`, or `incremental` for
`@defer`, is the reply; `recorder` logs and counts it. `webhooks` takes in what Twilio reports, and `deliveries` lists it.
"""
