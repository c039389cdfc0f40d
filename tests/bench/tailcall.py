"""Tailcall (https://tailcall.run), over the benchmark's upstream: what it can be configured to answer as the gateway does, Q3.

    python -m tests.bench.tailcall BINARY

It prints the address and becomes Tailcall. Enum values come as Twilio writes them, in small letters.
"""

import os
import socket
import sys
import tempfile
from pathlib import Path

from .processes import CONNECTIONS_MAX

CONFIG = """
schema
  @server(hostname: "127.0.0.1", port: %(port)d, workers: 1)
  @upstream(poolMaxIdlePerHost: %(connections)d) {
  query: Query
}

type Query {
  service(sid: ID!): Service @expr(body: {path: "Services/{{.args.sid}}"})
}

type Service {
  path: String!
  conversation(sid: ID!): Conversation @expr(body: {path: "{{.value.path}}/Conversations/{{.args.sid}}"})
}

type Conversation {
  path: String!
  message(sid: ID!): Message @expr(body: {path: "{{.value.path}}/Messages/{{.args.sid}}"})
}

type Message {
  path: String!
  receipt(sid: ID!): Receipt @http(url: "%(upstream)s/v1/{{.value.path}}/Receipts/{{.args.sid}}")
}

type Receipt {
  sid: ID!
  status: String!
  error_code: Int @modify(name: "errorCode")
  channel_message_sid: ID @modify(name: "channelMessageSid")
  date_created: String @modify(name: "dateCreated")
  date_updated: String @modify(name: "dateUpdated")
}
"""


def main(binary: str) -> None:
    """Become Tailcall on a free port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    config = Path(tempfile.mkdtemp()) / "tailcall.graphql"
    config.write_text(CONFIG % {"port": port, "upstream": os.environ["UPSTREAM_URL"], "connections": CONNECTIONS_MAX})
    print(f"listening http://127.0.0.1:{port}", flush=True)
    os.dup2(2, 1)  # Its log is not for whoever waits for the address.
    os.environ |= {"TAILCALL_LOG_LEVEL": "error", "TAILCALL_TRACKER": "false"}
    os.execv(binary, [binary, "start", str(config)])


if __name__ == "__main__":
    main(sys.argv[1])
