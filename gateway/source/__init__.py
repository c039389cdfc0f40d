"""The data source of one Twilio account: what a request reads, and what outlives the request.

A read starts in `loaders.py`, the memo of one request, or is the only one of its request (`single_read.py`). It continues in
`source.py`: the cache of this process (`memory.py`, for as long as `lifetimes.py` allows), the cache that several processes
share (`remote.py`, over `redis.py`), the reads that are in flight (`in_flight.py`), and last the client in `gateway.twilio`.
`options.py` says what a request wants of its reads, `trace.py` records them, `dependencies.py` computes how long an answer
made from them is fresh, and `slots.py` divides the account's concurrency among processes. `updates.py` applies events to all
of these, by the journal of what they prove (`journal.py`), and `publication.py` passes them to other processes
(`worker_channel.py`, `redis_stream.py`) and, by way of the `history.py`, to subscribers.
"""
