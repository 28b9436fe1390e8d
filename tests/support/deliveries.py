"""Events of a history as Eventarc delivers them at its worst: again, out of order, late, until each is acknowledged."""

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from infra.local.parts import PROJECT
from tests.support.history import Document, Write, moment

CLIENTS = 160
STEPS = 3
LATE = 0.04
REDELIVERED, SECOND_TRIGGER, UNREADABLE = 0.2, 0.1, 0.003


@dataclass(frozen=True, slots=True)
class Event:
    """One delivery to be made: a change (None: bytes that tell of none) under an event's id."""

    event_id: str
    write: Write | None

    @property
    def refused_because(self) -> str | None:
        """The reason of its dead letter; None where there is none to be."""
        return "UnreadableEvent" if self.write is None else self.write.refused_because

    def body(self) -> bytes:
        """The event's data."""
        return self.write.body() if self.write else b"\xff\xff"

    def headers(self) -> dict[str, str]:
        """As Eventarc sends them."""
        at = moment(self.write.committed if self.write else 0)
        return {
            "ce-id": self.event_id,
            "ce-specversion": "1.0",
            "ce-type": "google.cloud.firestore.document.v1.written",
            "ce-source": f"//firestore.googleapis.com/projects/{PROJECT}/databases/(default)",
            "ce-subject": f"documents/{self.write.path}" if self.write else "documents/nothing",
            "ce-time": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "content-type": "application/protobuf",
        }


def deliveries(writes: Sequence[Write], seed: int) -> list[list[Event]]:
    """All deliveries in steps: shuffled within wide windows, some again, some by a second trigger, some very late."""
    chance = random.Random(seed)
    window = len(writes) * 0.3
    placed: list[tuple[float, Event]] = []
    for write in writes:
        event = Event(f"event-{write.number}", write)
        late = len(writes) * 2 if chance.random() < LATE else 0
        placed.append((write.number + late + chance.uniform(0, window), event))
        if chance.random() < REDELIVERED:
            placed.append((write.number + chance.uniform(0, 2 * window), event))
        if chance.random() < SECOND_TRIGGER:
            placed.append((write.number + chance.uniform(0, 2 * window), Event(f"second-{write.number}", write)))
        if chance.random() < UNREADABLE:
            placed.append((write.number, Event(f"unreadable-{write.number}", None)))
    placed.sort(key=lambda one: one[0])
    events = [event for _, event in placed]
    size = -(-len(events) // STEPS)
    return [events[start : start + size] for start in range(0, len(events), size)]


class Deliverer:
    """Posts events until each is acknowledged, many at a time."""

    def __init__(self, urls: Sequence[str], seed: int) -> None:
        self.urls = urls
        self.acknowledged = 0
        self.refused = 0
        self._random = random.Random(seed)

    async def run(self, posts: Iterable[tuple[Mapping[str, str], bytes]]) -> None:
        """Deliver all of them."""
        waiting = iter(posts)
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            await asyncio.gather(*(self._client(session, waiting) for _ in range(CLIENTS)))

    async def _client(self, session: aiohttp.ClientSession, waiting: Iterable[tuple[Mapping[str, str], bytes]]) -> None:
        for headers, body in waiting:
            pause = 0.1
            while not await self._post(session, headers, body):
                self.refused += 1
                await asyncio.sleep(pause * self._random.uniform(0.5, 1))
                pause = min(2 * pause, 1.0)
            self.acknowledged += 1

    async def _post(self, session: aiohttp.ClientSession, headers: Mapping[str, str], body: bytes) -> bool:
        try:
            async with session.post(self._random.choice(self.urls), data=body, headers=headers) as answer:
                await answer.read()
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError):
            return False


def current(events: Iterable[Event]) -> dict[str, Document]:
    """What a warehouse shows that got these events and could take them: the newest write of each document."""
    newest: dict[str, Write] = {}
    for event in events:
        write = event.write
        if write is None or write.operation == "EXPIRE" or write.refused_because not in (None, "InvalidDocument"):
            continue
        last = newest.get(write.path)
        if last is None or (write.version, write.deleted) > (last.version, last.deleted):
            newest[write.path] = write
    return {
        path: Document(write.table, write.fields, write.created, write.version)
        for path, write in newest.items()
        if write.fields is not None and write.table.takes(write.fields)
    }
