"""A sync of GA4 through Google's own client, from the local Data API server."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from aiohttp import web

from infra.local.ports import HOST, Ports
from infra.local.sample import Sample
from infra.local.vendors.ga4_data_api import SAMPLE_PROPERTY, TOKENS_PER_HOUR, create_app
from shared.adapters.ga4 import Ga4Source
from shared.adapters.rest import ATTEMPTS
from shared.errors import CredentialsRefused, Unavailable
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook
from shared.sources.messages import SourceSynced, SyncRequested
from shared.sources.reports import REPORTS, api_name
from shared.sources.sync import Sync
from shared.tenants.records import Tenant
from shared.tenants.service import Tenants
from tests.fakes import FakeDocuments, FakePublisher, FakeSecrets

DAYS = 2
ROWS_PER_PAGE = 150
LONG_SECONDS = 60.0
SHORT_SECONDS = 0.5


class Vendor:
    """The running server, and its back door."""

    def __init__(self, address: str, sample: Sample) -> None:
        self.address, self.sample = address, sample
        self.since = sample.last_day - timedelta(days=DAYS - 1)

    def control(self, **orders: Any) -> None:
        answer = httpx.post(f"{self.address}/_control", json=orders, trust_env=False)
        assert answer.status_code == 200, answer.text

    def statuses(self) -> list[int]:
        """Of every request that was served."""
        return [one["status"] for one in httpx.get(f"{self.address}/_control", trust_env=False).json()["requests"]]

    def rows(self, collection: str) -> list[dict[str, Any]]:
        """What the days that are synced hold."""
        return self.sample.between(collection, f"{self.since:%Y%m%d}", f"{self.sample.last_day:%Y%m%d}")


@pytest.fixture(scope="module")
def running() -> Iterator[Vendor]:
    """The server; its event loop lives in a thread of its own."""
    sample = Sample.load()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = web.AppRunner(create_app(sample))

    async def start() -> str:
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        return f"http://{HOST}:{runner.addresses[0][1]}"

    yield Vendor(asyncio.run_coroutine_threadsafe(start(), loop).result(), sample)
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@pytest.fixture
def vendor(running: Vendor) -> Iterator[Vendor]:
    yield running
    running.control(tokens_per_hour=TOKENS_PER_HOUR, retry_after_seconds=1)


class World:
    """One tenant, its stores in memory, its source at the vendor."""

    def __init__(
        self, address: str, patience_seconds: float = LONG_SECONDS, property_id: str = SAMPLE_PROPERTY
    ) -> None:
        self.documents, self.ops, self.publisher = FakeDocuments(), FakeDocuments(), FakePublisher()
        now = datetime.fromisoformat("2026-01-01T00:00:00Z")
        sources: Any = {"ga4": {"property_id": property_id}}
        tenant = Tenant(tenant_id="demo", sources=sources, created_at=now, updated_at=now)
        self.documents.documents["tenants/demo"] = tenant.document()
        source = Ga4Source.connect(address, rows_per_page=ROWS_PER_PAGE, patience_seconds=patience_seconds)
        self.sync = Sync(
            {"ga4": lambda tenant_id: source},
            self.documents,
            self.ops,
            ProgressBook(self.ops),
            Leases(self.ops),
            self.publisher,
            Tenants(self.documents),
            FakeSecrets(),
        )

    def run(self, since: date, run_id: str = "run-1") -> dict[str, int]:
        return self.sync.run(SyncRequested(tenant_id="demo", source="ga4", since=since, run_id=run_id))

    @property
    def raw(self) -> dict[str, dict[str, Any]]:
        """The raw documents without what tells one sync from the next."""
        changing = ("sync_run_id", "synced_at")
        return {
            path: {name: value for name, value in values.items() if name not in changing}
            for path, values in self.documents.documents.items()
            if path.startswith("tenants/demo/")
        }


def test_every_row_of_every_report_arrives_page_by_page(vendor: Vendor):
    world = World(vendor.address)
    before = len(vendor.statuses())
    outcome = world.run(vendor.since)
    for report in REPORTS:
        served = vendor.rows(report.collection.name)
        prefix = f"tenants/demo/{report.collection.name}/"
        stored = [values for path, values in world.raw.items() if path.startswith(prefix)]
        assert len(stored) == len(served) > 0
        for metric in report.metrics:
            expected = sum(float(str(row[api_name(metric)])) for row in served)
            assert sum(values[metric] for values in stored) == pytest.approx(expected), (report, metric)
        ledger = world.ops.documents[f"arrivals/run-1:{report.collection.name}"]
        assert sum(sum(days.values()) for days in ledger["pages"].values()) == len(served)
        assert (ledger["reported"], ledger["complete"]) == (len(served), True)
    pages = len(vendor.statuses()) - before
    assert (outcome["documents"], outcome["pages"]) == (len(world.raw), pages)
    assert pages >= sum(-(-len(vendor.rows(report.collection.name)) // ROWS_PER_PAGE) for report in REPORTS)
    assert world.publisher.messages == [SourceSynced(tenant_id="demo", source="ga4", run_id="run-1")]


def test_documents_are_valid_rows_of_their_records(vendor: Vendor):
    world = World(vendor.address)
    world.run(vendor.since)
    for report in REPORTS:
        for _, values in world.documents.find(report.collection.at(tenant_id="demo")):
            assert report.record.model_validate(values).tenant_id == "demo"


def test_second_sync_writes_nothing_new(vendor: Vendor):
    world = World(vendor.address)
    world.run(vendor.since)
    raw, writes = world.raw, [path for path in world.documents.writes if path.startswith("tenants/demo/")]
    outcome = world.run(vendor.since, "run-2")
    assert (outcome["documents"], outcome["unchanged"]) == (0, len(raw))
    assert world.raw == raw
    assert [path for path in world.documents.writes if path.startswith("tenants/demo/")] == writes


def test_quota_and_server_errors_are_tried_again(vendor: Vendor):
    calm, world = World(vendor.address), World(vendor.address)
    calm.run(vendor.since)
    before = len(vendor.statuses())
    vendor.control(fail_next=[429, 500, 503], retry_after_seconds=0)
    world.run(vendor.since)
    assert world.raw == calm.raw
    assert vendor.statuses()[before : before + 4] == [429, 500, 503, 200]


def test_quota_that_stays_exhausted_is_unavailable_after_a_few_tries(vendor: Vendor):
    world = World(vendor.address)
    before = len(vendor.statuses())
    vendor.control(tokens_per_hour=0, retry_after_seconds=0)
    with pytest.raises(Unavailable, match="GA4 is not available"):
        world.run(vendor.since)
    assert vendor.statuses()[before:] == [429] * ATTEMPTS
    assert world.publisher.messages == []


def test_answer_to_come_back_later_than_one_can_wait_is_unavailable_at_once(vendor: Vendor):
    world = World(vendor.address, SHORT_SECONDS)
    before = len(vendor.statuses())
    vendor.control(fail_next=[429], retry_after_seconds=3600)
    with pytest.raises(Unavailable):
        world.run(vendor.since)
    assert vendor.statuses()[before:] == [429]


def test_sync_that_was_cut_off_is_finished_by_its_repeat(vendor: Vendor):
    calm, world = World(vendor.address), World(vendor.address, SHORT_SECONDS)
    calm.run(vendor.since)
    vendor.control(fail_next=[429], retry_after_seconds=3600)
    with pytest.raises(Unavailable):
        world.run(vendor.since)
    assert world.ops.documents["progress/run-1"]["status"] == "failed"
    asked = len(vendor.statuses())
    with pytest.raises(Unavailable, match="at the earliest"):
        world.run(vendor.since)
    assert len(vendor.statuses()) == asked
    world.ops.documents["source_states/demo:ga4"]["not_before"] = datetime.now(UTC)
    world.run(vendor.since)
    assert world.raw == calm.raw
    assert world.ops.documents["progress/run-1"]["status"] == "done"


def test_property_that_one_may_not_read_is_rejected_by_its_name_and_not_asked_again(vendor: Vendor):
    world = World(vendor.address, property_id="properties/1")
    before = len(vendor.statuses())
    with pytest.raises(CredentialsRefused) as refused:
        world.run(vendor.since)
    assert refused.value.fields["property"] == "properties/1"
    assert "sufficient permissions" in refused.value.fields["cause"]
    assert vendor.statuses()[before:] == [403]
    assert world.raw == {}


def test_server_that_is_not_there_is_unavailable():
    ports = Ports(usual=False)
    nobody = ports.take(0)
    ports.release()
    with pytest.raises(Unavailable):
        World(f"http://{HOST}:{nobody}", SHORT_SECONDS).run(date.today() - timedelta(days=1))


def test_connection_test_names_the_property_and_what_it_counts_in(vendor: Vendor):
    assert World(vendor.address).sync.check("demo", "ga4") == f"{SAMPLE_PROPERTY}, USD, America/Los_Angeles"
