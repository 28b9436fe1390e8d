"""stream_document and replay_dead_letters over fakes, for tests of replays."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.errors import TenantNotProvisioned
from shared.ops.dead_letters import DeadLetters
from shared.ops.records import DeadLetter
from shared.ops.replay import Replay
from shared.runtime.clients import Clients
from shared.runtime.delivery import delivery
from shared.runtime.redelivery import redelivery
from shared.streaming.effects import Effects
from shared.streaming.service import Streamer
from shared.streaming.writer import Writer
from tests.fakes import FakeScan, fake_clients
from tests.support.streaming import VALID, FakeSink, cloud_event, event_body, record_of

TABLE = "aso_tenant_{}.notes_raw_changelog"


def missing(rows: Any) -> Exception:
    return TenantNotProvisioned("the table does not exist")


class World:
    """stream_document and replay_dead_letters over fakes; letters are set aside a minute after one another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *tenants: str) -> None:
        monkeypatch.setenv("FUNCTION_TARGET", "stream_document")
        self.sink, self.scan = FakeSink(missing), FakeScan()
        self.clients: Clients = fake_clients(*(tenants or ("demo", "other")))
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.clients.dead_letters = DeadLetters(self.clients.dead_letter_objects, self.clients.ops, self.tick)
        self.clock = 0.0
        opened = redelivery(self.streamer, lambda: self.scan, lambda: self.clients.publisher)
        clients = self.clients
        self.replay = self.clients.replay = Replay(
            clients.dead_letters, opened, clients.progress, clients.leases, clients.publisher, lambda: self.clock
        )

    def tick(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now

    def streamer(self) -> Streamer:
        effects = Effects(lambda: self.clients.cache, lambda: self.clients.publisher)
        return Streamer(Writer(self.sink, effects.follow), record_of)

    def deliver(self, *documents: str, tenant: str = "demo", **changes: Any) -> None:
        """Deliver the event of a write of each document, in order, as its trigger does."""

        async def run() -> None:
            streamer = self.streamer()
            for document in documents:
                path = f"tenants/{tenant}/notes/{document}"
                body = event_body(path, {**VALID, **changes}, at=10)
                async with delivery(cloud_event(body, path, f"event-{tenant}-{document}"), self.clients) as call:
                    await streamer.stream(call.body, call.event_id, call.time)

        asyncio.run(run())

    def mend(self) -> None:
        self.sink.answer = lambda rows: None

    def rows(self, tenant: str = "demo") -> int:
        return len(self.sink.rows.get(TABLE.format(tenant), []))

    def letters(self, **fields: Any) -> list[DeadLetter]:
        found = [DeadLetter.model_validate(values) for _, values in self.clients.ops.find("dead_letters")]
        return [letter for letter in found if fields.items() <= letter.model_dump().items()]
