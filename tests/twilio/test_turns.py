"""How many responses are processed in one turn of the event loop, and what becomes of those that are postponed."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.twilio.turns import Turns


class Loop:
    """An event loop whose turns, clock and CPU clock are moved by hand."""

    def __init__(self) -> None:
        self.now = self.cpu = 100.0
        self._ready: list[Callable[[], Any]] = []

    def call_soon(self, callback: Callable[[], Any]) -> None:
        self._ready.append(callback)

    def turn(self) -> None:
        """Run what is ready."""
        ready, self._ready = self._ready, []
        for callback in ready:
            callback()

    def work(self, seconds: float) -> None:
        """Use CPU time."""
        self.now += seconds
        self.cpu += seconds

    def wait(self, seconds: float) -> None:
        """Use none."""
        self.now += seconds


class Received:
    """Bytes of a connection; they note that they are read."""

    def __init__(self, number: int, read: list[int]) -> None:
        self._number = number
        self._read = read

    def read(self) -> None:
        self._read.append(self._number)


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def turns(loop: Loop) -> Turns:
    return Turns(loop, lambda: loop.now, lambda: loop.cpu)  # type: ignore[arg-type]


def receive(turns: Turns, numbers: range, read: list[int]) -> None:
    """Receive bytes of so many connections in one turn."""
    for number in numbers:
        received = Received(number, read)
        if turns.take():
            received.read()
        else:
            turns.postpone(received)


def test_after_idle_time_a_turn_has_a_maximum(loop: Loop, turns: Turns) -> None:
    read: list[int] = []
    loop.wait(0.02)
    for turn, total in enumerate([Turns.MOST, 2 * Turns.MOST, 3 * Turns.MOST, 100, 100]):
        if turn == 0:
            receive(turns, range(90), read)
        if turn == 1:
            receive(turns, range(90, 100), read)  # They wait for those that were postponed.
        assert len(read) == total
        loop.work(0.001)
        loop.turn()
    assert read == list(range(100))


def test_a_loop_that_is_never_idle_postpones_nothing(loop: Loop, turns: Turns) -> None:
    read: list[int] = []
    for turn in range(20):
        loop.work(0.02)
        receive(turns, range(100 * turn, 100 * turn + 100), read)
        loop.turn()
    assert read == list(range(2000))


def test_idle_time_is_forgotten_after_a_while(loop: Loop, turns: Turns) -> None:
    read: list[int] = []
    loop.wait(0.02)
    receive(turns, range(100), read)
    assert len(read) == Turns.MOST
    loop.turn()
    loop.work(0.04)
    loop.turn()
    assert len(read) == 100  # All that was left, in one turn.
    receive(turns, range(100, 200), read)
    assert read == list(range(200))


def test_little_idle_time_between_turns_does_not_count(loop: Loop, turns: Turns) -> None:
    read: list[int] = []
    for turn in range(50):
        loop.work(0.004)
        loop.wait(0.001)
        receive(turns, range(100 * turn, 100 * turn + 100), read)
        loop.turn()
    assert read == list(range(5000))


async def test_what_is_postponed_is_read_without_further_events() -> None:
    """On a real event loop, which has been idle."""
    clock = iter([100.0, *[101.0] * 100])
    turns, read = Turns(asyncio.get_running_loop(), lambda: next(clock), lambda: 0.0), list[int]()
    receive(turns, range(5 * Turns.MOST), read)
    for turn in range(1, 6):
        assert len(read) == turn * Turns.MOST
        await asyncio.sleep(0)
    assert read == list(range(5 * Turns.MOST))
