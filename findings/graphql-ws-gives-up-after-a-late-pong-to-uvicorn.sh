#!/usr/bin/env bash
# A graphql-ws client that answers uvicorn's ping late gives up for good, whatever `shouldRetry` says.
#
# uvicorn sends WebSocket pings by default (`--ws-ping-interval 20 --ws-ping-timeout 20`). When a pong is late, since the client's
# process was busy or its network stalled, the `websockets` library below uvicorn closes with code 1011, "keepalive ping timeout".
# graphql-ws counts 1011 among the codes that are fatal: it does not connect again, although `retryAttempts` is not used up and
# `shouldRetry` returns true, and the subscription ends with the close event as its error. After 1012, with which a server says
# that it restarts, the same client connects again. The client is right by its documentation, uvicorn by RFC 6455; together, a
# stall of 40 seconds ends what was to last for days.
#
# Seen with uvicorn 0.54.0, websockets 17.4 and graphql-ws 6.4.2; a client busy for 3 s, with pings each 0.5 s.
#
# Output seen:
#   late pong: closed 1011 "keepalive ping timeout", connections: 1, subscription: error 1011
#   restart: closed 1012 "", connections: 2, subscription: open
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check uvicorn==0.54.0 websockets==17.4
npm install --silent --no-audit --no-fund --prefix . graphql-ws@6.4.2 graphql@16.11.0 ws@8.18.3 >/dev/null

cat >server.py <<'SOURCE'
"""The least of the graphql-transport-ws protocol. The first subscription to `restart` is closed with 1012."""

import json

restarts = 0


async def app(scope, receive, send):
    global restarts
    await receive()
    await send({"type": "websocket.accept", "subprotocol": "graphql-transport-ws"})
    while (event := await receive())["type"] == "websocket.receive":
        message = json.loads(event["text"])
        if message["type"] == "connection_init":
            await send({"type": "websocket.send", "text": '{"type": "connection_ack"}'})
        elif message["type"] == "subscribe" and "restart" in message["payload"]["query"]:
            restarts += 1
            if restarts == 1:
                await send({"type": "websocket.close", "code": 1012})
SOURCE
venv/bin/uvicorn server:app --port 0 --lifespan off --ws websockets --ws-ping-interval 0.5 --ws-ping-timeout 0.5 2>log.txt &
server=$!
touch log.txt
until port=$(grep -o -E '127\.0\.0\.1:[0-9]+' log.txt); do sleep 0.1; done

cat >client.mjs <<'SOURCE'
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [url, name] = process.argv.slice(2);
let connections = 0;
let closed = null;
let ending = "open";
let end;
const isOver = new Promise((resolve) => { end = resolve; });
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  retryAttempts: 5,
  retryWait: async () => {},
  shouldRetry: () => true,
  on: {
    connected: () => {
      connections += 1;
      if (connections > 1) end();
      if (name === "late pong") setTimeout(() => { for (const until = Date.now() + 3000; Date.now() < until; ); }, 100);
    },
    closed: ({ code, reason }) => (closed ??= `${code} "${reason}"`),
  },
});
client.subscribe({ query: `subscription { ${name.split(" ")[0]} }` }, {
  next: () => {},
  error: (error) => { ending = `error ${error.code}`; end(); },
  complete: () => {},
});
await isOver;
console.log(`${name}: closed ${closed}, connections: ${connections}, subscription: ${ending}`);
process.exit(0);
SOURCE
late=$(node client.mjs "ws://$port" "late pong")
restart=$(node client.mjs "ws://$port" restart)
echo "$late"
echo "$restart"
[ "$late" = 'late pong: closed 1011 "keepalive ping timeout", connections: 1, subscription: error 1011' ]
[ "$restart" = 'restart: closed 1012 "", connections: 2, subscription: open' ]
