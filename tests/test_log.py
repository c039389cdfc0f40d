"""The log: how its lines are written."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, structlog
from gateway.log import configure_log

configure_log("info")
log = structlog.get_logger("gateway").bind()

async def turns():
    for turn in range(2):
        for number in range(3):
            log.info("line", number=number, turn=turn)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

asyncio.run(turns())
log.info("after the loop")
asyncio.run(turns())
log.warning("the end %s", "of it")
log.debug("not at this level")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs sockets that keep the writes apart, as Linux has")
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "PYTHONUNBUFFERED"])
def test_the_lines_of_one_turn_are_written_together(unbuffered: str) -> None:
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with reader, writer:
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=environ, stderr=writer.fileno(), check=False)
        writer.close()
        writes = list(iter(lambda: reader.recv(2**16), b""))
    assert done.returncode == 0, writes
    lines = [[json.loads(line) for line in write.splitlines()] for write in writes]
    turn = [("line", number, which) for which in (0, 1) for number in (0, 1, 2)]
    found = [[(line["event"], line.get("number"), line.get("turn")) for line in write] for write in lines]
    alone = [[("after the loop", None, None)], [("the end of it", None, None)]]
    assert found == [turn[:3], turn[3:], alone[0], turn[:3], turn[3:], alone[1]]
    assert lines[0][0]["level"] == "info"
    assert lines[-1][0]["level"] == "warning"
