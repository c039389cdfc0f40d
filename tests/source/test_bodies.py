"""The memory of bodies, beside a model of it; and how the cache replaces them by values."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from gateway.source.bodies import Bodies
from gateway.source.memory import Entry, MemoryCache, decoded_size


def key_of(number: int) -> str:
    return f"Services/IS{number:032}/Users?PageSize=1"


@pytest.mark.parametrize("seed", range(5))
def test_a_body_is_what_was_put_until_newer_ones_take_its_place(seed: int) -> None:
    chance, size, most = random.Random(seed), 1000, 40
    bodies, model = Bodies(size, most), dict[str, tuple[bytes, float]]()
    for step in range(5000):
        key = key_of(chance.randrange(60))
        if chance.random() < 0.1:
            assert bodies.remove(key) is (model.pop(key, None) is not None)
        elif key in model and chance.random() < 0.5:
            assert bodies.get(key) == model[key]
        else:
            body = chance.randbytes(chance.choice((0, 5, 10, 100, 400, 1000)))
            gone = bodies.put(key, body, float(step))
            model[key] = (body, float(step))
            for each in gone:
                del model[each]
        assert bodies.by_key.keys() == model.keys()
        assert bodies.allocated <= size
        assert len(model) <= most
    for key, held in model.items():
        assert bodies.get(key) == held
    with pytest.raises(KeyError):
        bodies.get("Services/another")


def test_the_newest_bodies_that_fit_are_held() -> None:
    bodies = Bodies(1000, 100)
    for number in range(25):
        assert bodies.put(key_of(number), b"x" * 100, 0.0) == ([key_of(number - 10)] if number >= 10 else [])
    assert bodies.put(key_of(99), b"y" * 950, 0.0) == [key_of(number) for number in range(15, 25)]
    assert bodies.get(key_of(99)) == (b"y" * 950, 0.0)


def test_so_many_keys_are_held() -> None:
    bodies = Bodies(1000, 3)
    for number in range(4):
        bodies.put(key_of(number), b"", 0.0)
    assert list(bodies.by_key) == [key_of(number) for number in (1, 2, 3)]


@pytest.fixture
def cache() -> MemoryCache:
    cache = MemoryCache(100_000)
    cache.decode = lambda key, body: (key, body.decode())
    return cache


def test_a_body_becomes_a_value_when_it_is_used(cache: MemoryCache) -> None:
    key = key_of(1)
    cache.put_body(key, b"body", 5.0)
    assert (len(cache), cache.size, cache.changes) == (1, 4, 0)
    entry = cache.peek(key)
    assert entry is not None
    assert (entry.value, entry.read_at) == ((key, "body"), 5.0)
    assert cache.peek(key) is cache.get(key) is entry
    assert (len(cache), cache.size) == (1, 4 + decoded_size(b"body"))


def test_a_value_that_is_evicted_is_decoded_again() -> None:
    """As long as its body is there: of more keys than there is room for values, none is read again."""
    cache = MemoryCache(400_000)
    cache.decode = lambda key, body: (key, body)
    keys, body = [key_of(number) for number in range(70)], b"x" * 2000
    for key in keys:
        cache.put_body(key, body, 5.0)
    versions = set()
    for _ in range(3):
        for key in keys:
            entry = cache.get(key)
            assert entry is not None
            assert (entry.value, entry.read_at) == ((key, body), 5.0)
            versions.add(entry.version)
    assert len(versions) == 210
    assert len(cache._entries) == 40
    assert len(cache) == 70


@pytest.mark.parametrize("uses", [False, True])
def test_a_newer_body_replaces_what_is_held(cache: MemoryCache, uses: bool) -> None:
    key = key_of(1)
    cache.put_body(key, b"old", 5.0)
    version = entry.version if uses and (entry := cache.peek(key)) is not None else None
    changes = cache.changes
    cache.put_body(key, b"new", 6.0)
    assert (cache.changes > changes) is uses  # Else nothing depends on it.
    entry = cache.peek(key)
    assert entry is not None
    assert (entry.value, entry.read_at) == ((key, "new"), 6.0)
    assert entry.version != version
    assert len(cache) == 1


@pytest.mark.parametrize(
    "act",
    [
        lambda cache, key: cache.remove(key),
        lambda cache, key: cache.put(key, Entry("too large", 0.0, 50_000)),
        lambda cache, key: cache.put_body(key, b"too large" * 1000, 0.0),
    ],
    ids=["remove", "put", "put_body"],
)
@pytest.mark.parametrize("uses", [False, True])
def test_what_is_removed_is_gone(cache: MemoryCache, uses: bool, act: Callable[[MemoryCache, str], Any]) -> None:
    key = key_of(1)
    cache.put_body(key, b"body", 5.0)
    if uses:
        cache.peek(key)
    assert cache.keys_of(key.partition("?")[0]) == [key]
    act(cache, key)
    assert cache.peek(key) is None
    assert cache.keys_of(key.partition("?")[0]) == []
    assert len(cache) == 0


def test_the_keys_of_a_list_are_those_that_are_cached(cache: MemoryCache) -> None:
    """Of bodies and values, before the first question and after it."""
    keys = [f"Services?PageSize={number}" for number in range(100)]
    for number, key in enumerate(keys):
        cache.put_body(key, b"x" * 500, 0.0)
        if number % 3 == 0:
            cache.peek(key)
        if number > 50:
            held = {key for key in keys if key in cache._entries or key in cache._bodies.by_key}
            assert set(cache.keys_of("Services")) == held
            assert len(held) == len(cache)
    assert len(cache) < 100
    assert {key for key, _ in cache.records()} == held


def test_without_a_size_nothing_is_cached() -> None:
    cache = MemoryCache(0)
    cache.put_body(key_of(1), b"", 0.0)
    cache.put(key_of(2), Entry(1, 0.0, 0))
    assert (len(cache), cache.size) == (0, 0)


@pytest.mark.parametrize("most_bytes", [1, 2, 3, 15, 16, 17, 100, 1000, 3999, 4000, 10_000])
def test_a_small_cache_is_bounded_too(most_bytes: int) -> None:
    cache = MemoryCache(most_bytes)
    cache.decode = lambda key, body: body
    for number in range(500):
        cache.put_body(key_of(number), b"x" * (number % 300), 0.0)
        if number % 5 == 0:
            cache.peek(key_of(number))
        assert cache.size <= most_bytes
