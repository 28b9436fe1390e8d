"""The cache over Redis or Valkey.

Every scope (`aso_content:demo`) has a token in a side key; a value carries the token it was loaded under and is
believed only while the two match. Forgetting a scope deletes its token: O(1), and a slow reader that writes an old
value afterwards is never believed.
"""

import secrets
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, cast

import orjson
import redis

from shared.errors import Unavailable

SCOPE_SECONDS = 86_400
SWEEP = 500


class RedisCache:
    """Cached answers (port `Cache`). While Redis is down reading is slower, and forgetting raises Unavailable."""

    def __init__(self, client: "redis.Redis | None") -> None:
        self._client = client
        self._loading: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()

    @classmethod
    def connect(cls, url: str) -> "RedisCache":
        """A client of the server at `url`; an empty url is no cache at all: every read loads."""
        if not url:
            return cls(None)
        return cls(redis.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=1.0))

    def get(self, key: str, scope: str) -> Any | None:
        if self._client is None:
            return None
        try:
            value, token = cast(list[bytes | None], self._client.mget(key, _side_key(scope)))
        except redis.RedisError:
            return None
        if value is None or token is None:
            return None
        held = orjson.loads(value)
        return held["value"] if held["scope"] == token.decode() else None

    def load(self, key: str, scope: str, ttl_seconds: int, loader: Callable[[], Any]) -> Any:
        found = self.get(key, scope)
        if found is not None:
            return found
        with self._lock:
            flight = self._loading.get(key)
            leads = flight is None
            if flight is None:
                flight = self._loading[key] = Future()
        if not leads:
            return flight.result()
        try:
            value = self._load(key, scope, ttl_seconds, loader)
            flight.set_result(value)
            return value
        except BaseException as error:
            flight.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._loading[key]

    def forget(self, scopes: Iterable[str]) -> int:
        keys = [_side_key(scope) for scope in scopes]
        if not keys or self._client is None:
            return 0
        try:
            return int(self._client.delete(*keys))
        except redis.RedisError as error:
            raise Unavailable("the cache cannot be reached", cause=type(error).__name__) from error

    def sweep(self, pattern: str) -> int:
        if self._client is None:
            return 0
        removed = 0
        try:
            batch: list[bytes] = []
            for key in self._client.scan_iter(match=pattern, count=SWEEP):
                batch.append(key)
                if len(batch) == SWEEP:
                    removed += int(self._client.unlink(*batch))
                    batch = []
            if batch:
                removed += int(self._client.unlink(*batch))
        except redis.RedisError as error:
            raise Unavailable("the cache cannot be reached", cause=type(error).__name__) from error
        return removed

    def count(self, pattern: str) -> int:
        """How many keys match a pattern. Unavailable where the cache cannot be reached."""
        if self._client is None:
            return 0
        try:
            return sum(1 for _ in self._client.scan_iter(match=pattern, count=SWEEP))
        except redis.RedisError as error:
            raise Unavailable("the cache cannot be reached", cause=type(error).__name__) from error

    def _load(self, key: str, scope: str, ttl_seconds: int, loader: Callable[[], Any]) -> Any:
        token = self._token(scope)
        value = loader()
        if token is not None and self._client is not None:
            try:
                self._client.set(key, orjson.dumps({"scope": token, "value": value}, default=str), ex=ttl_seconds)
            except redis.RedisError:
                return value
        return value

    def _token(self, scope: str) -> str | None:
        """The scope's token, taken before the value is loaded; None while Redis is down."""
        if self._client is None:
            return None
        fresh = secrets.token_hex(16)
        try:
            held = self._client.set(_side_key(scope), fresh, nx=True, get=True, ex=SCOPE_SECONDS)
        except redis.RedisError:
            return None
        return cast(bytes, held).decode() if held else fresh


def _side_key(scope: str) -> str:
    return f"scope:{scope}"
