"""What browsers see change: one Firestore listener per tenant and process, however many watch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.dashboard.cards import card, ranked
from shared.dashboard.needs import Needs
from shared.dashboard.sources import sources
from shared.dashboard.strip import strip
from shared.errors import AppError

Values = dict[str, Any]

BUSY_SECONDS = 2.0
QUIET_SECONDS = 10.0
COMPARE_SECONDS = 300.0
GRACE_SECONDS = 20.0
BACKLOG = 1000


@dataclass(frozen=True)
class Event:
    """One server-sent event; the data is serialised once for all browsers."""

    name: str
    data: str


@dataclass(eq=False)
class Watcher:
    """One browser: what it has not been sent yet. `lost` once it fell too far behind to go on."""

    queue: asyncio.Queue[Event] = field(default_factory=lambda: asyncio.Queue(BACKLOG))
    lost: bool = False

    def tell(self, event: Event) -> None:
        """Queue an event."""
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.lost = True


class Channel:
    """One tenant's opportunities, strip and sources, kept up to date while somebody watches."""

    def __init__(self, needs: Needs, tenant_id: str) -> None:
        self._needs = needs
        self._tenant_id = tenant_id
        self._collection = f"tenants/{tenant_id}/opportunities"
        self._loop = asyncio.get_running_loop()
        self._cards: dict[str, Values] = {}
        self._removed: set[str] = set()
        self._strip: Values = {}
        self._sources: list[Values] = []
        self._hurried = asyncio.Event()
        self._stop: Any = None
        self._closed = False
        self._poller: asyncio.Task[None] | None = None
        self.watchers: set[Watcher] = set()
        self.expected = 0
        self.opening = asyncio.create_task(self._open())

    def join(self, watcher: Watcher) -> None:
        """Send a watcher everything that is, then every change."""
        watcher.tell(_event("snapshot", ranked(list(self._cards.values()))))
        watcher.tell(_event("strip", self._strip))
        watcher.tell(_event("sources", self._sources))
        self.watchers.add(watcher)

    def hurry(self) -> None:
        """Look at once what is new: somebody has asked for something."""
        self._hurried.set()

    def close(self) -> None:
        """Stop listening. Returns at once: ending the stream takes the client a moment."""
        self._closed = True
        if self._poller is not None:
            self._poller.cancel()
        if self._stop is not None:
            self._loop.run_in_executor(None, self._stop)

    async def _open(self) -> None:
        await self._listen()
        # A listener on an empty collection says nothing, so what is there is read once as well.
        for path, stored in await asyncio.to_thread(self._read):
            opportunity_id = path.rpartition("/")[2]
            if opportunity_id not in self._removed:
                self._cards.setdefault(opportunity_id, card(opportunity_id, stored))
        self._strip = await asyncio.to_thread(strip, self._needs, self._tenant_id)
        self._sources = await asyncio.to_thread(sources, self._needs, self._tenant_id)
        if not self._closed:
            self._poller = asyncio.create_task(self._poll())

    async def _listen(self) -> None:
        stop = await asyncio.to_thread(self._needs.documents.listen, self._collection, self._heard_elsewhere)
        if self._closed:
            self._loop.run_in_executor(None, stop)
        self._stop = stop

    def _read(self) -> list[tuple[str, Values]]:
        return list(self._needs.documents.find(self._collection))

    def _heard_elsewhere(self, change: str, opportunity_id: str, stored: Values) -> None:
        # Called from the listener's own thread; while the process ends the loop may be gone already.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._heard, change, opportunity_id, stored)

    def _heard(self, change: str, opportunity_id: str, stored: Values) -> None:
        if change == "REMOVED":
            self._removed.add(opportunity_id)
            if self._cards.pop(opportunity_id, None) is not None:
                self._tell("removed", {"id": opportunity_id})
            return
        self._removed.discard(opportunity_id)
        now = card(opportunity_id, stored)
        if self._cards.get(opportunity_id) != now:
            self._cards[opportunity_id] = now
            self._tell("change", now)

    async def _poll(self) -> None:
        compared = self._loop.time()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurried.wait(), BUSY_SECONDS if self._busy else QUIET_SECONDS)
            self._hurried.clear()
            # Firestore that is away for a moment: the page keeps what it has, and the next round asks again.
            with suppress(AppError):
                await self._look()
                if self._loop.time() - compared >= COMPARE_SECONDS:
                    compared = self._loop.time()
                    await self._compare()

    @property
    def _busy(self) -> bool:
        return bool(self._strip.get("busy")) or any(source["sync"] or source["check"] for source in self._sources)

    async def _look(self) -> None:
        """Read what nothing can be listened to for, and tell what has changed."""
        found = await asyncio.to_thread(strip, self._needs, self._tenant_id)
        if found != self._strip:
            self._strip = found
            self._tell("strip", found)
        standing = await asyncio.to_thread(sources, self._needs, self._tenant_id)
        if standing != self._sources:
            self._sources = standing
            self._tell("sources", standing)

    async def _compare(self) -> None:
        """Put right what a listener that died missed, and start another."""
        before = dict(self._cards)
        there = {path.rpartition("/")[2]: stored for path, stored in await asyncio.to_thread(self._read)}
        if self._cards != before:
            return
        missed = [key for key, stored in there.items() if before.get(key) != card(key, stored)]
        gone = [key for key in before if key not in there]
        for key in missed:
            self._heard("MODIFIED", key, there[key])
        for key in gone:
            self._heard("REMOVED", key, {})
        if missed or gone:
            self._loop.run_in_executor(None, self._stop)
            await self._listen()

    def _tell(self, name: str, data: Any) -> None:
        event = _event(name, data)
        for watcher in list(self.watchers):
            watcher.tell(event)
            if watcher.lost:
                self.watchers.discard(watcher)


class Board:
    """The channels of this process: opened with a tenant's first browser, closed soon after its last."""

    def __init__(self, needs: Needs, grace_seconds: float = GRACE_SECONDS) -> None:
        self._needs = needs
        self._grace_seconds = grace_seconds
        self._channels: dict[str, Channel] = {}

    @asynccontextmanager
    async def watch(self, tenant_id: str) -> AsyncIterator[Watcher]:
        """Watch a tenant: first a snapshot, then changes. Unavailable where Firestore cannot be reached."""
        channel = self._channels.get(tenant_id)
        if channel is None:
            channel = self._channels[tenant_id] = Channel(self._needs, tenant_id)
        watcher = Watcher()
        channel.expected += 1
        try:
            await asyncio.shield(channel.opening)
            channel.join(watcher)
            yield watcher
        finally:
            channel.watchers.discard(watcher)
            channel.expected -= 1
            failed = channel.opening.done() and (channel.opening.cancelled() or channel.opening.exception())
            if failed:
                self._close(tenant_id, channel)
            elif channel.expected == 0:
                # A reload leaves and comes back: the listener outlives it.
                asyncio.get_running_loop().call_later(self._grace_seconds, self._close, tenant_id, channel)

    def hurry(self, tenant_id: str) -> None:
        """Show at once what somebody of this tenant has asked for."""
        if tenant_id in self._channels:
            self._channels[tenant_id].hurry()

    def _close(self, tenant_id: str, channel: Channel) -> None:
        if self._channels.get(tenant_id) is channel and channel.expected == 0:
            del self._channels[tenant_id]
            channel.close()


def _event(name: str, data: Any) -> Event:
    return Event(name, orjson.dumps(data).decode())
