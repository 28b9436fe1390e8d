"""Adapters behind a circuit breaker, so that domains know nothing of it."""

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from functools import wraps
from typing import Any, TypeVar, cast

from shared.errors import AppError, Unavailable
from shared.runtime.breaker import Breaker
from shared.schema.record import Record
from shared.streaming.sink import Connection, Sink

T = TypeVar("T")


def guard(adapter: T, breaker: Breaker, only: Collection[str] = ()) -> T:
    """The adapter with its public methods behind the breaker: all of them, or `only` some."""
    return cast(T, _Guarded(adapter, breaker, only))


class _Guarded:
    """Stands in for an adapter."""

    def __init__(self, adapter: Any, breaker: Breaker, only: Collection[str]) -> None:
        self._adapter = adapter
        self._breaker = breaker
        self._only = only

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._adapter, name)
        if name.startswith("_") or not callable(found) or (self._only and name not in self._only):
            return found
        guarded = _guarded(found, self._breaker)
        self.__dict__[name] = guarded  # the next time there is nothing to look up
        return guarded


def _guarded(method: Callable[..., Any], breaker: Breaker) -> Callable[..., Any]:
    @wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        began = breaker.enter()
        try:
            result = method(*arguments, **named)
        except AppError as error:
            breaker.ended(began, error)
            raise
        if isinstance(result, Iterator):
            # Nothing has been asked yet: what is asked while it is read counts.
            return _read(result, breaker, began)
        breaker.succeeded(began)
        return result

    return call


def _read(items: Iterator[Any], breaker: Breaker, began: float) -> Iterator[Any]:
    try:
        yield from items
    except AppError as error:
        breaker.ended(began, error)
        raise
    breaker.succeeded(began)


class GuardedSink:
    """A sink (port `Sink`) whose appends go through a breaker."""

    def __init__(self, sink: Sink, breaker: Breaker) -> None:
        self._sink = sink
        self._breaker = breaker

    def connect(self, table: str, record: type[Record]) -> Connection:
        return _GuardedConnection(self._sink.connect(table, record), self._breaker)


class _GuardedConnection:
    def __init__(self, connection: Connection, breaker: Breaker) -> None:
        self._connection = connection
        self._breaker = breaker

    @property
    def usable(self) -> bool:
        return self._connection.usable

    def append(self, rows: Sequence[bytes]) -> "Future[None]":
        try:
            began = self._breaker.enter()
        except Unavailable as error:
            refused: Future[None] = Future()
            refused.set_exception(error)
            return refused
        future = self._connection.append(rows)
        future.add_done_callback(lambda done: self._breaker.ended(began, done.exception()))
        return future

    def close(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        self._connection.abort()
