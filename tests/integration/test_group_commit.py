"""Group commit in a real process of stream_document: it drains, splits by bytes, and holds only so much."""

import asyncio
from collections import Counter

import aiohttp
import pytest

from infra.functions import load_functions
from infra.local import ports
from shared.adapters.bigquery import BigQueryWarehouse
from shared.sources.records import GaPagePerformance as Page
from shared.streaming import writer
from shared.streaming.tables import provision
from tests.support.bigquery import bigquery_emulator
from tests.support.faults import FaultyProxy
from tests.support.history import PAGE
from tests.support.processes import ROOT, FunctionProcess
from tests.support.streaming import PROJECT, event_body

NAMES = {"tenant_id": "drain"}
COLLECTION = "tenants/drain/ga_page_performance"
LOG = "aso_tenant_drain.ga_page_performance_raw_changelog"
CONCURRENCY = 80


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as settings:
        warehouse = BigQueryWarehouse.connect(settings.project, settings.bigquery_endpoint, "US")
        warehouse.ensure_dataset("aso_tenant_drain")
        provision(warehouse, Page, NAMES)
        warehouse.settings = settings
        yield warehouse


@pytest.fixture
def proxy(warehouse):
    with FaultyProxy(warehouse.settings.bigquery_grpc_endpoint, rate=0.0, seed=1) as started:
        yield started
        started.gate.set()


@pytest.fixture
def function(warehouse, proxy, tmp_path):
    environment = {
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "BIGQUERY_EMULATOR_HOST": warehouse.settings.bigquery_endpoint,
        "BIGQUERY_GRPC_HOST": proxy.address,
    }
    started = FunctionProcess("stream_document", environment, tmp_path / "function.log").start().wait()
    yield started
    started.kill()


def body(name: str, characters: int = 10) -> bytes:
    """An update of a document, with that many characters before and after."""
    page = {**PAGE, "tenant_id": "drain", "date": "2026-01-05", "page_path": "x" * characters, "sessions": 1}
    return event_body(f"{COLLECTION}/{name}", page, page, at=20, old_at=10)


async def post(session: aiohttp.ClientSession, url: str, name: str, data: bytes) -> int:
    """The status of the answer; 0 where none came."""
    headers = {"ce-id": name, "ce-specversion": "1.0", "ce-type": "google.cloud.firestore.document.v1.written"}
    headers |= {"ce-source": "//firestore.googleapis.com/", "content-type": "application/protobuf"}
    try:
        async with session.post(url, data=data, headers=headers) as answer:
            await answer.read()
            return answer.status
    except aiohttp.ClientError:
        return 0


def opened() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


def landed(warehouse: BigQueryWarehouse, prefix: str) -> set[str]:
    rows = warehouse.query(f"SELECT event_id FROM `{LOG}` WHERE STARTS_WITH(event_id, @prefix)", prefix=prefix)
    return {row["event_id"] for row in rows}


def test_a_process_that_is_told_to_end_answers_only_for_what_is_durable(warehouse, proxy, function):
    """Under load; what gets no answer or an error is delivered again, to the next process."""

    async def run():
        names = iter([f"drain-{number}" for number in range(2_000)])
        answers: dict[str, int] = {}
        ending = asyncio.Event()

        async def client(session):
            for name in names:
                answers[name] = await post(session, function.url, name, body(name))
                if ending.is_set():
                    return

        async with opened() as session:
            clients = [asyncio.create_task(client(session)) for _ in range(CONCURRENCY)]
            while len(answers) < 200:
                await asyncio.sleep(0.01)
            proxy.gate.clear()
            await asyncio.to_thread(proxy.wait_until_busy)
            ended = asyncio.create_task(asyncio.to_thread(function.terminate))
            ending.set()
            while ports.answers(function.port):  # until it takes nothing new
                await asyncio.sleep(0.01)
            assert not ended.done()  # it waits for those whose rows are on their way
            before = len(answers)
            proxy.gate.set()
            await asyncio.gather(*clients)
            assert await ended == 0
            answered = {name for name, status in answers.items() if status == 200}
            assert len(answered) > before
            assert answered <= await asyncio.to_thread(landed, warehouse, "drain-")
            function.start().wait()
            for name in sorted(answers.keys() - answered):
                assert await post(session, function.url, name, body(name)) == 200
        assert await asyncio.to_thread(landed, warehouse, "drain-") >= answers.keys()

    asyncio.run(run())


def test_large_rows_leave_in_requests_below_ten_megabytes_and_a_slow_bigquery_fills_no_memory(
    warehouse, proxy, function
):
    """1 MB of text before and 1 MB after, in as many requests as the platform sends at a time."""
    proxy.gate.clear()
    large = 1_000_000

    async def run():
        async with opened() as session:
            names = [f"large-{number}" for number in range(CONCURRENCY)]
            posts = [asyncio.create_task(post(session, function.url, name, body(name, large))) for name in names]
            refused = writer.HELD_BYTES // (2 * large)
            while sum(task.done() for task in posts) < CONCURRENCY - refused - 1:
                await asyncio.sleep(0.02)
            early = Counter(task.result() for task in posts if task.done())
            proxy.gate.set()
            return early, dict(zip(names, await asyncio.gather(*posts), strict=True))

    early, answers = asyncio.run(run())
    assert early.keys() == {503}
    held = {name for name, status in answers.items() if status == 200}
    assert {status for status in answers.values()} == {200, 503}
    assert landed(warehouse, "large-") == held
    assert writer.HELD_BYTES / (3 * large) < len(held) <= writer.HELD_BYTES / large
    assert 5_000_000 < proxy.largest < 10_000_000
    (declared,) = [spec for spec in load_functions(ROOT / "functions") if spec.name == "stream_document"]
    assert declared.memory == "512Mi"
    assert function.most_memory() < 512 * 2**20
