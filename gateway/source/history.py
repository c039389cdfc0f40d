"""The recent events of all processes, in the order in which this one delivered them, and positions among them. No I/O.

Each process numbers the events that it accepts, from 1 on, and others see them in that order; but each process sees the
events of several in an order of its own. So a position is a number for each origin, which is a process: all its events up to
that one are known.

    event that is added           position of its origin      what can be replayed
    the next of its origin        its number                  the event, unless it changed nothing: then nothing is missed
    one after a gap               its number                  of that origin, this event and those after it
    the first of an origin        its number                  of that origin, this event and those after it
    none, after a possible loss   that of this process, one   nothing after a position before the loss
                                  more

Events are held up to a number and an age. After a position, they can be replayed if they are known to be whole: if the position
names no unknown origin, and lacks of no origin an event that is no longer held. In any other case clients query again.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import deque
from collections.abc import Callable, Mapping
from hashlib import blake2b
from time import time

import msgspec

from gateway.errors import BadUserInput
from gateway.source.journal import Update

__all__ = ["History", "Past", "Position", "decode_position", "encode_position"]

Position = Mapping[bytes, int]
"""The number of the last known event of each origin."""

_ORIGINS_MAX = 64
_VERSION = 1
_LENGTH_MAX = 4096


class Past(msgspec.Struct, frozen=True, gc=False):
    """One event of the history."""

    origin: bytes
    number: int
    update: Update


class History:
    """The events that can be replayed."""

    def __init__(self, events: int = 10_000, seconds: float = 300.0, clock: Callable[[], float] = time) -> None:
        """Hold at most that many events, and none that arrived longer than `seconds` ago by `clock`."""
        self.most = events
        self.seconds = seconds
        self._clock = clock
        self._events: deque[Past] = deque()
        self._base: dict[bytes, int] = {}
        """The number of the last event of each origin that is not held: all later ones are, or changed nothing."""
        self._position: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._events)

    @property
    def position(self) -> dict[bytes, int]:
        """The position after the last event."""
        return dict(self._position)

    def add(self, origin: bytes, number: int, update: Update | None) -> bool:
        """Add an event of an origin, with its update, or None if it changed nothing here.

        Return False if another origin had to be forgotten, and `begin` is to be called for this process: a position that lacks
        it no longer says that none of its events has been missed.
        """
        last = self._position.pop(origin, None)
        if last is None or number != last + 1:
            self._forget(origin)
            self._base[origin] = number - 1
        self._position[origin] = number  # Last in the dict: the one that has been quiet for longest is first.
        if update is not None:
            self._events.append(Past(origin, number, update))
        is_whole = len(self._position) <= _ORIGINS_MAX
        if not is_whole:
            quiet = next(iter(self._position))
            self._forget(quiet)
            del self._position[quiet], self._base[quiet]
        self._prune()
        return is_whole

    def begin(self, origin: bytes, number: int) -> None:
        """Continue an origin after the event with that number, unless a later one is known.

        Called for this process with a number of its own, it makes all earlier positions useless.
        """
        if self._position.get(origin, -1) < number:
            self._forget(origin)
            self._base[origin] = self._position[origin] = number

    def after(self, position: Position, matches: Callable[[Update], bool]) -> list[tuple[Past, Position]] | None:
        """Return the events after a position that match, each with the position after it.

        None if there may have been others.
        """
        self._prune()
        base = self._base
        if any(origin not in base or number < base[origin] for origin, number in position.items()):
            return None
        if any(number > 0 and origin not in position for origin, number in base.items()):
            return None
        reached, found = dict(base), list[tuple[Past, Position]]()
        for past in self._events:
            reached[past.origin] = past.number
            if past.number > position.get(past.origin, 0) and matches(past.update):
                found.append((past, dict(reached)))
        return found

    def all(self) -> list[Past]:
        """Return all events that are held, the oldest first."""
        self._prune()
        return list(self._events)

    def _forget(self, origin: bytes) -> None:
        if any(past.origin == origin for past in self._events):
            self._events = deque(past for past in self._events if past.origin != origin)

    def _prune(self) -> None:
        events, oldest = self._events, self._clock() - self.seconds
        while events and (len(events) > self.most or events[0].update.received_at < oldest):
            past = events.popleft()
            self._base[past.origin] = past.number


def encode_position(position: Position, subject: str) -> str:
    """Return a position among the events of a subject as a cursor: base64url (RFC 4648, 5) of MessagePack."""
    parts = [part for item in position.items() for part in item]
    return urlsafe_b64encode(msgspec.msgpack.encode([_VERSION, _digest(subject), *parts])).rstrip(b"=").decode()


def decode_position(text: str, subject: str) -> Position:
    """Return the position that a cursor encodes; raises `BadUserInput` for any other text, and for one of another subject.

    A client can forge one, and gets no more than other events of the same subject, or is told to query again.
    """
    try:
        if len(text) > _LENGTH_MAX or not text.isascii():
            raise ValueError("too long")
        version, digest, *parts = msgspec.msgpack.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=list)
        origins, numbers = parts[::2], parts[1::2]
        position = dict(zip(origins, numbers, strict=True))
        is_valid = all(type(origin) is bytes and len(origin) == 8 for origin in origins) and all(
            type(number) is int and number >= 0 for number in numbers
        )
        if version != _VERSION or type(digest) is not bytes or not is_valid or len(position) != len(origins):
            raise ValueError("not a cursor of this gateway")
    except (ValueError, TypeError, RecursionError, msgspec.DecodeError):
        raise BadUserInput(
            "`after` is not a cursor. Pass the value of a `cursor` field of this subscription."
        ) from None
    if digest != _digest(subject):
        raise BadUserInput("`after` is a cursor of another field, or of another service.")
    return position


def _digest(subject: str) -> bytes:
    return blake2b(subject.encode(), digest_size=6).digest()
