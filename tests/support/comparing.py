"""A side of a comparison that holds a dictionary."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from shared.comparison.comparer import Entry, Held, by_segment
from shared.comparison.fingerprint import canonical, fingerprint

Rows = dict[str, tuple[int, Any]]
"""Key -> version and value."""


class Store:
    """Port `Side`. `order` is its own, where it is not that of paths; a snapshot is what it held when it was made."""

    def __init__(self, held: Rows, size: int = 3, order: Sequence[str] | None = None) -> None:
        self.held = held
        self.size = size
        self.order = order
        self.snapshot: Rows | None = None
        self.pages_read = 0

    def take(self) -> "Store":
        """Pages are from now on what it holds now."""
        self.snapshot = dict(self.held)
        return self

    def entries(self, after: str) -> Iterator[Entry]:
        """Pages, flat."""
        return chain.from_iterable(self.pages(after))

    def pages(self, after: str) -> Iterator[Sequence[Entry]]:
        held = self.held if self.snapshot is None else self.snapshot
        keys = list(self.order or sorted(held, key=by_segment))
        if after:
            keys = keys[keys.index(after) + 1 :] if after in keys else [key for key in keys if after < key]
        for start in range(0, len(keys), self.size):
            self.pages_read += 1
            yield [
                Entry(key, held[key][0], fingerprint(canonical({"v": held[key][1]})))
                for key in keys[start : start + self.size]
            ]

    def fetch(self, keys: Collection[str]) -> Iterator[tuple[str, Held]]:
        for key in keys:
            if key in self.held:
                yield key, Held(self.held[key][0], {"v": self.held[key][1]})


class Pair:
    """Port `Comparand`: two stores. `opened` is called with the number of each opening."""

    def __init__(self, left: Store, right: Store, at: Callable[[], datetime]) -> None:
        self.left, self.right, self._at = left, right, at
        self.openings = 0
        self.closed = 0

    def moment(self) -> datetime:
        return self._at()

    def open(self, moment: datetime) -> tuple[Store, Store]:
        self.openings += 1
        return self.left.take(), self.right.take()

    def count(self, moment: datetime) -> int:
        return len(self.left.held)

    def close(self) -> None:
        self.closed += 1


class Clock:
    """A time that passes when somebody sleeps, and a little whenever somebody looks at it."""

    def __init__(self, tick_seconds: float = 0.0) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.tick = timedelta(seconds=tick_seconds)
        self.slept: list[float] = []
        self.on_sleep: Callable[[], None] = lambda: None

    def __call__(self) -> datetime:
        self.now += self.tick
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)
        self.on_sleep()
