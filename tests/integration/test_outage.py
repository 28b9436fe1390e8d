"""BigQuery takes no rows for a day: few calls reach it, nothing is lost, what grew too old is set aside and replays.

Events come each hour and are tried again each hour, over HTTP into a real process of stream_document; an hour lasts as
long as its attempts. What makes an event old is the time that it carries. BigQuery is reached through a proxy that
refuses every append during the outage.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import grpc
import pytest

from infra.local.cloud import LocalCloud
from shared.ops.dead_letters import Wanted
from shared.runtime.breaker import FAILURES, FIRST_PAUSE_SECONDS
from shared.runtime.clients import Clients
from shared.runtime.delivery import LONGEST_RETRY
from shared.settings import Settings
from shared.streaming.writer import IN_FLIGHT
from tests.support.faults import FaultyProxy
from tests.support.processes import ROOT, FunctionProcess
from tests.support.streaming import PROJECT, event_body

TENANT = "outage"
DATASET = f"aso_tenant_{TENANT}"
HOURS, AN_HOUR = 24, 6
AT_ONCE = 40
RETRY_SECONDS = 0.2


class Outage(FaultyProxy):
    """Refuses every append while it is `down`, and counts them."""

    def __init__(self, target: str) -> None:
        super().__init__(target, rate=0.0, seed=0)
        self.down = False
        self.refused = 0

    def _append(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from super()._append(self._let_through(requests, context), context)

    def _let_through(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            if self.down:
                self.refused += 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "BigQuery is down")
            yield request


@dataclass(frozen=True)
class Event:
    """One write, `hour` hours after the outage began."""

    number: int
    hour: float

    @property
    def path(self) -> str:
        return f"tenants/{TENANT}/ga_page_performance/p{self.number}"

    def body(self) -> bytes:
        values = {
            "tenant_id": TENANT,
            "source": "ga4",
            "date": "2026-01-05",
            "sync_run_id": "run",
            "synced_at": {"_seconds": 1_767_000_000, "_nanoseconds": 0},
            "property_id": "properties/1",
            "sampled": False,
            "thresholded": False,
            "page_path": f"/page/{self.number}",
            "sessions": self.number,
            "engaged_sessions": 0,
            "total_users": 0,
            "screen_page_views": 0,
            "key_events": 0.0,
            "purchase_revenue": 0.0,
        }
        return event_body(self.path, values, at=self.number + 1)

    def headers(self, hour: float) -> dict[str, str]:
        """As Eventarc sends them, `hour` hours after the outage began."""
        return {
            "ce-id": f"event-{self.number}",
            "ce-specversion": "1.0",
            "ce-type": "google.cloud.firestore.document.v1.written",
            "ce-source": f"//firestore.googleapis.com/projects/{PROJECT}/databases/(default)",
            "ce-subject": f"documents/{self.path}",
            "ce-time": (datetime.now(UTC) - timedelta(hours=hour - self.hour)).isoformat().replace("+00:00", "Z"),
            "content-type": "application/protobuf",
        }


class Trigger:
    """Delivers events until they are acknowledged."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.waiting: list[Event] = []
        self.statuses: Counter[int] = Counter()

    async def attempt(self, hour: float) -> None:
        """Deliver once what waits."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

            async def acknowledged(event: Event) -> bool:
                async with session.post(self._url, data=event.body(), headers=event.headers(hour)) as answer:
                    self.statuses[answer.status] += 1
                    return answer.status == 200

            done = await asyncio.gather(*(acknowledged(event) for event in self.waiting))
        self.waiting = [event for event, ended in zip(self.waiting, done, strict=True) if not ended]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with LocalCloud(tmp_path_factory.mktemp("cloud"), ROOT / "tests" / "support" / "functions") as started:
        started.tenant(TENANT)
        yield started


def test_a_day_without_bigquery_costs_few_calls_and_no_event(cloud, tmp_path, monkeypatch):
    for name, value in cloud.env.items():
        monkeypatch.setenv(name, value)
    clients = Clients(Settings())
    # In the middle of an hour: none is exactly as old as the limit when the outage ends.
    events = [Event(number, number // AN_HOUR + 0.5) for number in range(HOURS * AN_HOUR)]
    too_old = {event.number for event in events if timedelta(hours=HOURS - event.hour) > LONGEST_RETRY}
    with Outage(cloud.env["BIGQUERY_GRPC_HOST"]) as proxy:
        environment = {**cloud.env, "BIGQUERY_GRPC_HOST": proxy.address}
        function = FunctionProcess("stream_document", environment, tmp_path / "function.log")
        try:
            trigger = Trigger(function.start().wait().url)
            first = Event(len(events), 0)
            trigger.waiting = [first]
            asyncio.run(trigger.attempt(0))
            assert rows(clients) == {first.number}

            proxy.down, began = True, time.monotonic()
            for hour in range(1, HOURS + 1):
                trigger.waiting += [event for event in events if hour - 1 <= event.hour < hour]
                asyncio.run(trigger.attempt(hour))
            lasted = time.monotonic() - began
            proxy.down = False

            assert set(trigger.statuses) == {200, 503}
            assert {event.number for event in trigger.waiting} == {event.number for event in events} - too_old
            # Appends that opened the breaker, then a probe a pause; the first lasts half of its length at least.
            probes = math.ceil(math.log2(1 + lasted / (FIRST_PAUSE_SECONDS / 2)))
            assert 1 <= proxy.refused <= IN_FLIGHT * FAILURES + probes
            assert trigger.statuses.total() > 40 * proxy.refused

            asyncio.run(drain(trigger))
        finally:
            function.kill()

    assert "circuit breaker closed" in (tmp_path / "function.log").read_text()
    assert clients.dead_letters.reasons() == {"RetriesExhausted": len(too_old)}
    assert set_aside(clients) == {f"event-{number}" for number in too_old}
    sent = {event.number for event in events} | {first.number}
    assert rows(clients) == sent - too_old

    found = clients.replay.run(Wanted(reason="RetriesExhausted"))
    assert (found.replayed, found.taken, found.stopped) == (len(too_old), len(too_old), None)
    assert rows(clients) == sent
    changes = logged(clients)
    assert clients.replay.run(Wanted()).taken == 0
    assert logged(clients) == changes
    assert clients.dead_letters.count() == 0


async def drain(trigger: Trigger) -> None:
    """Go on as the trigger does, until everything is acknowledged: the breaker's pause ends soon."""
    while trigger.waiting:
        await asyncio.sleep(RETRY_SECONDS)
        await trigger.attempt(HOURS)


def rows(clients: Clients) -> set[int]:
    """The documents that the view has; one that is there twice fails."""
    found = clients.warehouse.query(f"SELECT page_path, sessions FROM `{DATASET}.ga_page_performance`")
    assert all(row["page_path"] == f"/page/{row['sessions']}" for row in found)
    numbers = {row["sessions"] for row in found}
    assert len(numbers) == len(found)
    return numbers


def logged(clients: Clients) -> Any:
    return clients.warehouse.query(f"SELECT COUNT(*) AS n FROM `{DATASET}.ga_page_performance_raw_changelog`")


def set_aside(clients: Clients) -> set[str]:
    return {letter["event_id"] for _, letter in clients.ops.find("dead_letters")}
