"""10,000 changes, delivered twice, shuffled, through failing appends and killed processes: BigQuery ends as Firestore.

The writes are made here; their events are taken from the router's journal and replayed over HTTP into two real
processes of stream_document, which reach BigQuery through a proxy that breaks 5% of the appends: half of them after
the rows have landed.
"""

import asyncio
import base64
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson
import pytest
from google.cloud import firestore

from infra.local.cloud import LocalCloud
from shared.runtime.clients import Clients
from shared.settings import Settings
from shared.sources.records import GaPagePerformance as Page
from shared.streaming.change import read_change
from shared.streaming.merge import Merger
from tests.support.faults import FaultyProxy
from tests.support.processes import ROOT, FunctionProcess

TENANT = "delivery"
NAMES = {"tenant_id": TENANT}
DATASET = f"aso_tenant_{TENANT}"
COLLECTION = f"tenants/{TENANT}/ga_page_performance"
SEED = 20261121
CREATED, DELETED, RECREATED, UPDATED_AGAIN = 3_000, 1_500, 500, 2_000
EVENTS = CREATED * 2 + DELETED + RECREATED + UPDATED_AGAIN
LATE = 300
CLIENTS = 160


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with LocalCloud(tmp_path_factory.mktemp("cloud"), ROOT / "tests" / "support" / "functions") as started:
        started.tenant(TENANT)
        yield started


def page(number: int, version: int) -> dict[str, Any]:
    day = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number % 60)
    return {
        "tenant_id": TENANT,
        "source": "ga4",
        "date": day.date().isoformat(),
        "sync_run_id": f"run-{version}",
        "synced_at": day + timedelta(microseconds=version),
        "property_id": "properties/1",
        "sampled": False,
        "thresholded": False,
        "page_path": f"/page/{number}",
        "sessions": number + version,
        "engaged_sessions": number,
        "total_users": number,
        "screen_page_views": 2 * number,
        "key_events": version + 0.5,
        "purchase_revenue": 2.0,
    }


def write_everything(client: firestore.Client) -> None:
    """Make the changes: create, update, delete some, bring some of those back, update others again."""

    def commit(numbers: range, version: int | None) -> None:
        batch = client.batch()
        for number in numbers:
            reference = client.document(f"{COLLECTION}/p{number}")
            if version is None:
                batch.delete(reference)
            else:
                batch.set(reference, page(number, version))
        batch.commit()

    phases = [
        (range(CREATED), 1),
        (range(CREATED), 2),
        (range(DELETED), None),
        (range(RECREATED), 3),
        (range(CREATED - UPDATED_AGAIN + 500, CREATED), 3),
        (range(CREATED - 500, CREATED), 4),
    ]
    with ThreadPoolExecutor(8) as pool:
        for numbers, version in phases:
            chunks = [numbers[start : start + 100] for start in range(0, len(numbers), 100)]
            list(pool.map(lambda chunk, version=version: commit(chunk, version), chunks))


class Replay:
    """Posts journalled events until each is acknowledged."""

    def __init__(self, urls: list[str], seed: int) -> None:
        self.urls = urls
        self.acknowledged = 0
        self.retried = 0
        self._random = random.Random(seed)

    async def run(self, events: list[dict[str, Any]]) -> None:
        """Deliver all events, many at a time."""
        waiting = iter(events)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
            await asyncio.gather(*(self._client(session, waiting) for _ in range(CLIENTS)))

    async def _client(self, session: aiohttp.ClientSession, waiting: Any) -> None:
        for event in waiting:
            # Production posts raw protobuf, the emulator its base64: both arrive.
            encoded = event["body_base64"].encode()
            body = encoded if self._random.random() < 0.5 else base64.b64decode(encoded)
            while not await self._post(session, event["headers"], body):
                self.retried += 1
                await asyncio.sleep(0.05 + self._random.random() * 0.2)
            self.acknowledged += 1

    async def _post(self, session: aiohttp.ClientSession, headers: dict[str, str], body: bytes) -> bool:
        try:
            async with session.post(self._random.choice(self.urls), data=body, headers=headers) as answer:
                await answer.read()
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError):
            return False


async def replay_and_kill(replay: Replay, events: list[dict[str, Any]], functions: list[FunctionProcess]) -> None:
    """Replay; kill each process once on the way, and start it again."""
    running = asyncio.create_task(replay.run(events))
    for share, function in zip((0.3, 0.6), functions, strict=True):
        while replay.acknowledged < share * len(events) and not running.done():
            await asyncio.sleep(0.02)
        await asyncio.to_thread(function.kill)
        await asyncio.sleep(0.2)
        function.start()
    await running


def test_bigquery_ends_as_firestore_whatever_happens_on_the_way(cloud, tmp_path, monkeypatch):
    for name, value in cloud.env.items():
        monkeypatch.setenv(name, value)
    clients = Clients(Settings())
    store = clients.documents.client
    write_everything(store)
    cloud.drain(timeout=120)
    events = journalled(cloud)
    assert len(events) == EVENTS

    late = late_writes(events)
    assert len(late) == LATE
    held = {id(event) for event in late}
    deliveries = [event for event in events if id(event) not in held] * 2
    random.Random(SEED).shuffle(deliveries)
    target = cloud.env["BIGQUERY_GRPC_HOST"]
    with FaultyProxy(target, rate=0.05, seed=SEED) as proxy:
        environment = {**cloud.env, "BIGQUERY_GRPC_HOST": proxy.address}
        functions = [FunctionProcess("stream_document", environment, tmp_path / f"function-{n}.log") for n in (1, 2)]
        try:
            for function in functions:
                function.start()
            for function in functions:
                function.wait()
            replay = Replay([function.url for function in functions], SEED)
            asyncio.run(replay_and_kill(replay, deliveries, functions))
            merged = clients.merger.merge(Page, NAMES, force=True)
            assert merged.merged_rows > 0
            expected = firestore_state(store)
            assert warehouse_state(clients, "ga_page_performance") == expected
            asyncio.run(replay.run(late * 2))
        finally:
            for function in functions:
                function.kill()
        assert replay.acknowledged == 2 * EVENTS
        assert proxy.broken_before
        assert proxy.broken_after

    assert len(expected) == CREATED - DELETED + RECREATED
    # The view before the merge that brings the late writes, then the current table after it.
    assert warehouse_state(clients, "ga_page_performance") == expected
    clients.merger.merge(Page, NAMES, force=True)
    assert warehouse_state(clients, "ga_page_performance") == expected
    assert warehouse_state(clients, "ga_page_performance_base", "NOT deleted") == expected

    later = Merger(clients.warehouse, clients.ops, clients.leases, lambda: datetime.now(UTC) + timedelta(hours=2))
    log = f"`{DATASET}.ga_page_performance_raw_changelog`"
    before = clients.warehouse.query(f"SELECT COUNT(*) AS n FROM {log}")[0]["n"]
    compacted = later.merge(Page, NAMES, force=True, compacting=True)
    assert before >= 2 * EVENTS
    assert compacted.compacted_rows == before - EVENTS
    counts = clients.warehouse.query(
        f"SELECT COUNT(*) AS n FROM {log} UNION ALL SELECT COUNT(*) FROM "
        f"(SELECT DISTINCT document_name, version, deleted FROM {log}) AS changes"
    )
    assert [row["n"] for row in counts] == [EVENTS, EVENTS]
    assert warehouse_state(clients, "ga_page_performance") == expected


def journalled(cloud: LocalCloud) -> list[dict[str, Any]]:
    """The events of the test's own documents, in the order in which they came."""
    lines = (cloud.state / "journal" / "firestore.jsonl").read_bytes().splitlines()
    events = [orjson.loads(line) for line in lines]
    return [event for event in events if event["headers"].get("ce-subject", "").startswith(f"documents/{COLLECTION}/")]


def late_writes(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Updates of documents that are deleted afterwards and stay so: they come after the delete was merged."""
    found = []
    for event in events:
        change = read_change(event["body_base64"], "", None)
        assert change is not None
        number = int(change.document_id[1:])
        if change.operation == "UPDATE" and RECREATED <= number < RECREATED + LATE:
            found.append(event)
    return found


def firestore_state(store: firestore.Client) -> dict[str, dict[str, Any]]:
    """Every document, as its declaration reads it, with its version."""
    found = {}
    for snapshot in store.collection(COLLECTION).stream():
        values = Page.model_validate(snapshot.to_dict()).model_dump()
        version = datetime.fromtimestamp(0, UTC) + (snapshot.update_time - datetime.fromtimestamp(0, UTC))
        found[snapshot.id] = {**values, "version": version}
    return found


def warehouse_state(clients: Clients, table: str, where: str = "TRUE") -> dict[str, dict[str, Any]]:
    """Every row; a document that has two fails."""
    names = [*Page.model_fields, "version"]
    sql = f"SELECT document_name, {', '.join(names)} FROM `{DATASET}.{table}` WHERE {where}"
    rows = clients.warehouse.query(sql)
    found = {row["document_name"].rsplit("/", 1)[-1]: {name: row[name] for name in names} for row in rows}
    assert len(found) == len(rows)
    return found
