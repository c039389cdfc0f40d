#!/usr/bin/env bash
# uvicorn sends each response in two packets since uvloop 0.23.0: its head, then its body.
#
# uvicorn passes a response to its transport in two writes, also when the application sends the body at once. Up to 0.22.1, uvloop
# kept what was written in one iteration of its loop, and sent it together. 0.23.0 sends each write immediately, while the transport
# has nothing left to send, as asyncio does (https://github.com/MagicStack/uvloop/pull/619, for lower latency). After this upgrade of
# uvloop alone, every small response takes two system calls and two segments, and the client wakes up twice. A client that takes the
# first read of a small response for the whole one, which worked for years, gets a head without its body.
# To get one segment again, join the parts before they are written.
#
# Seen with uvicorn 0.54.0, httptools 0.8.0, CPython 3.11 on Linux; 1,000 responses of 2 bytes over one connection, counted by the
# kernel (TCP_INFO, tcpi_data_segs_in).
#
# Output seen:
#   uvloop 0.22.1: 1000 responses in 1000 segments
#   uvloop 0.23.0: 1000 responses in 2000 segments
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >measure.py <<'SOURCE'
import socket
import struct
import threading
import uvicorn
import uvloop

COUNT = 1000


async def app(scope, receive, send):
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


listener = socket.create_server(("127.0.0.1", 0))
config = uvicorn.Config(app, loop="uvloop", http="httptools", lifespan="off", log_level="error")
server = uvicorn.Server(config)


def ask():
    with socket.create_connection(listener.getsockname()) as client:
        for _ in range(COUNT):
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            received = b""
            while not received.endswith(b"\r\n\r\nok"):
                received += client.recv(65536)
        info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
        segments = struct.unpack_from("I", info, 152)[0]  # tcpi_data_segs_in, in linux/tcp.h
    print(f"uvloop {uvloop.__version__}: {COUNT} responses in {segments} segments")
    server.should_exit = True


threading.Thread(target=ask).start()
server.run([listener])
SOURCE

for version in 0.22.1 0.23.0; do
    python3 -m venv "venv-$version"
    "venv-$version/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0 httptools==0.8.0 "uvloop==$version"
    "venv-$version/bin/python" measure.py
done | tee output.txt
diff - output.txt <<'OUTPUT'
uvloop 0.22.1: 1000 responses in 1000 segments
uvloop 0.23.0: 1000 responses in 2000 segments
OUTPUT
echo "as seen"
