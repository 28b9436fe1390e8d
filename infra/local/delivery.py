"""Delivering events to functions as Eventarc and Pub/Sub would: concurrently, with retry and backoff."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import orjson

from infra.local.journal import Event, Journal

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 10.0  # Eventarc's: 10 to 600 seconds; nobody waits that long at a desk
LONGEST_ANSWER_KEPT = 64 * 1024

Post = Callable[[str, Mapping[str, str], bytes, float], Awaitable[tuple[int, bytes]]]


class Poster:
    """Posts over kept-alive connections; a function that cannot be reached counts as 503."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __call__(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        try:
            async with asyncio.timeout(timeout_seconds):
                async with self._session.post(url, data=body, headers=headers) as answer:
                    return answer.status, await answer.read()
        except (aiohttp.ClientError, OSError) as error:
            return 503, f"not reached: {type(error).__name__}".encode()
        except TimeoutError:
            return 504, b"no answer in time"


class TriggerDelivery:
    """Delivers the events of one Firestore trigger, at most `concurrency` at a time."""

    def __init__(
        self, name: str, url: str, concurrency: int, retry: bool, timeout_seconds: float, journal: Journal, post: Post
    ) -> None:
        self.name = name
        self._url, self._concurrency, self._retry, self._timeout = url, concurrency, retry, timeout_seconds
        self._journal, self._post = journal, post
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._random = random.Random()  # noqa: S311  (jitter)
        self._workers: list[asyncio.Task[None]] = []
        self.received = self.delivered = self.dropped = self.failed = self.in_flight = self.retrying = 0
        self.last_failure = ""

    def start(self) -> None:
        """Begin to deliver; needs the running loop."""
        self._workers = [asyncio.create_task(self._work()) for _ in range(self._concurrency)]

    async def stop(self) -> None:
        """Stop at once; what is not settled stays in the journal."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def accept(self, event: Event) -> None:
        """Queue an event that the journal holds."""
        self.received += 1
        self._queue.put_nowait(event)

    @property
    def outstanding(self) -> int:
        """How many events are neither delivered nor dropped."""
        return self.received - self.delivered - self.dropped

    def status(self) -> dict[str, Any]:
        """The counts that /status shows."""
        return {
            "received": self.received,
            "delivered": self.delivered,
            "dropped": self.dropped,
            "failed_attempts": self.failed,
            "waiting": self._queue.qsize(),
            "in_flight": self.in_flight,
            "retrying": self.retrying,
            "last_failure": self.last_failure,
        }

    async def _work(self) -> None:
        while True:
            event = await self._queue.get()
            self.in_flight += 1
            try:
                status, answer = await self._post(self._url, event.headers, event.body, self._timeout)
            finally:
                self.in_flight -= 1
            if 200 <= status < 300:
                self.delivered += 1
                self._journal.settle(event, "delivered")
                continue
            self.failed += 1
            self.last_failure = f"{status} {answer[:300].decode(errors='replace')}"
            if self._retry:
                self._again_later(event)
            else:
                self.dropped += 1
                self._journal.settle(event, "dropped")

    def _again_later(self, event: Event) -> None:
        delay = self._random.uniform(0, min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**event.attempts))
        event.attempts = min(event.attempts + 1, 16)
        self.retrying += 1
        asyncio.get_running_loop().call_later(delay, self._again, event)

    def _again(self, event: Event) -> None:
        self.retrying -= 1
        self._queue.put_nowait(event)


class PushForwarder:
    """Forwards the pushes of Pub/Sub to one function, with the token that the emulator leaves out."""

    def __init__(
        self, url: str, concurrency: int, token: Callable[[], str], timeout_seconds: float, post: Post
    ) -> None:
        self._url, self._token, self._timeout, self._post = url, token, timeout_seconds, post
        self._places = asyncio.Semaphore(concurrency)
        self._failed_messages: set[str] = set()
        self.received = self.delivered = self.failed = self.in_flight = 0
        self.last_failure = ""

    async def forward(self, body: bytes) -> tuple[int, bytes]:
        """Deliver one push and pass the function's answer on; Pub/Sub retries what is not 2xx."""
        key = _message_key(body)
        self.received += 1
        self.in_flight += 1
        try:
            async with self._places:
                headers = {"authorization": f"Bearer {self._token()}", "content-type": "application/json"}
                status, answer = await self._post(self._url, headers, body, self._timeout)
        finally:
            self.in_flight -= 1
        if 200 <= status < 300:
            self.delivered += 1
            self._failed_messages.discard(key)
        else:
            self.failed += 1
            self.last_failure = f"{status} {answer[:300].decode(errors='replace')}"
            self._failed_messages.add(key)
        return status, answer[:LONGEST_ANSWER_KEPT]

    @property
    def outstanding(self) -> int:
        """How many pushes are in flight or will come again because they failed."""
        return self.in_flight + len(self._failed_messages)

    def status(self) -> dict[str, Any]:
        """The counts that /status shows."""
        return {
            "received": self.received,
            "delivered": self.delivered,
            "failed_attempts": self.failed,
            "in_flight": self.in_flight,
            "retrying": len(self._failed_messages),
            "last_failure": self.last_failure,
        }


def _message_key(body: bytes) -> str:
    try:
        push = orjson.loads(body)
        return f"{push.get('subscription')}/{push['message']['messageId']}"
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return "unreadable"
