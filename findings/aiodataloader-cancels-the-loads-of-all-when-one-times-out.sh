#!/usr/bin/env bash
# With aiodataloader, one caller's timeout cancels the load of the same key for all other callers, and for all later ones.
#
# `DataLoader.load` returns the future that it caches, and hands the same one to everybody who loads the key. `asyncio.wait_for` and
# `asyncio.timeout` cancel what they wait for. So when one caller has had enough, the others, whom nobody has cancelled, get
# CancelledError; so does each later caller, without a batch, until the key is cleared. In a GraphQL operation, a field that falls
# back to a default after 50 ms takes another field of the same record with it: since CancelledError is no Exception, graphql-core
# makes no field error of it, and the whole operation has no result. Other keys of the same batch arrive. `asyncio.shield` around
# the load, by the one who may time out, avoids it.
#
# Seen with aiodataloader 0.4.3 and graphql-core 3.3.2, on asyncio of Python 3.11.
#
# Output seen:
#   at the same time: patient CancelledError, hasty TimeoutError, other key B
#   later: CancelledError, batches: 1
#   one shielded: patient A, hasty TimeoutError
#   in one operation: CancelledError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check aiodataloader==0.4.3 graphql-core==3.3.2
cat >loads.py <<'SOURCE'
import asyncio

from aiodataloader import DataLoader
from graphql import build_schema, execute, parse


class Loader(DataLoader):
    batches = 0

    async def batch_load_fn(self, keys):
        self.batches += 1
        await asyncio.sleep(0.3)
        return [key.upper() for key in keys]


async def outcome(awaitable):
    try:
        return await awaitable
    except BaseException as error:
        return type(error).__name__


async def main():
    loader = Loader()
    patient, hasty, other = await asyncio.gather(
        outcome(loader.load("a")), outcome(asyncio.wait_for(loader.load("a"), 0.05)), outcome(loader.load("b"))
    )
    print(f"at the same time: patient {patient}, hasty {hasty}, other key {other}")
    print(f"later: {await outcome(loader.load('a'))}, batches: {loader.batches}")

    loader = Loader()
    patient, hasty = await asyncio.gather(
        outcome(loader.load("a")), outcome(asyncio.wait_for(asyncio.shield(loader.load("a")), 0.05))
    )
    print(f"one shielded: patient {patient}, hasty {hasty}")

    loader = Loader()

    async def hasty_name(*_):
        try:
            return await asyncio.wait_for(loader.load("a"), 0.05)
        except TimeoutError:
            return "not known yet"

    async def name(*_):
        return await loader.load("a")

    schema = build_schema("type Query { name: String hastyName: String }")
    schema.query_type.fields["name"].resolve = name
    schema.query_type.fields["hastyName"].resolve = hasty_name
    print(f"in one operation: {await outcome(execute(schema, parse('{ name hastyName }')))}")


asyncio.run(main())
SOURCE
venv/bin/python loads.py | tee output.txt
diff output.txt - <<'SEEN'
at the same time: patient CancelledError, hasty TimeoutError, other key B
later: CancelledError, batches: 1
one shielded: patient A, hasty TimeoutError
in one operation: CancelledError
SEEN
