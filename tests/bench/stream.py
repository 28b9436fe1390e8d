"""How many changes a second become rows, side by side with the extension's change tracker.

Both sides write to a fresh emulator, or to a server that answers at once, in a process of its own. In process means
that the handler is called with a ready event: the tracker's `record()` is called the same way. The event is an update
of a document of 13 fields, with what was there before.
"""

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from functions.stream_document.main import handle
from infra.local.ports import HOST, Ports, answers
from shared.adapters.bigquery import BigQueryWarehouse
from shared.runtime.clients import Clients
from shared.schema.bigquery import TableDefinition
from shared.schema.record import Record
from shared.settings import Settings
from shared.sources.records import GaDeviceMetric, GaLandingPage, GaPagePerformance, GaTotals, GaTrafficSource
from shared.streaming.change import EventData
from shared.streaming.tables import EXTENSION_COLUMNS, log_table
from tests.bench.figure import Figure, compare
from tests.support.bigquery import bigquery_emulator
from tests.support.processes import ROOT, FunctionProcess
from tests.support.streaming import PROJECT, cloud_event, event_body

UNIT = "events/s"
TRACKER = "@firebaseextensions/firestore-bigquery-change-tracker@2.2.1"
AGAINST = "firestore-bigquery-change-tracker 2.2.1, record()"
MODULES = ROOT / ".local" / "bench" / "npm"
SESSIONS: dict[str, Any] = {
    "tenant_id": "bench",
    "source": "ga4",
    "date": "2026-01-05",
    "sync_run_id": "sync-20260106T041500Z-7f3a",
    "synced_at": {"_seconds": 1767672900, "_nanoseconds": 123456000},
    "property_id": "properties/213025502",
    "sampled": False,
    "thresholded": False,
    "sessions": 1234,
    "engaged_sessions": 877,
    "total_users": 1011,
    "key_events": 12.5,
    "purchase_revenue": 1234.56,
}
PAGE = {"page_path": "/google+redesign/apparel/mens/quickview/a+long+name+of+a+product", "screen_page_views": 4321}
SOURCE = {"session_source": "google", "session_medium": "organic", "session_campaign_name": "(organic)"}
GROUP = {"session_default_channel_group": "Organic Search"}
DOCUMENT = SESSIONS | PAGE


@dataclass(frozen=True)
class Target:
    """One collection of one tenant, and a document of it."""

    record: type[Record]
    tenant: str
    document: dict[str, Any]

    @property
    def collection(self) -> str:
        """Its path."""
        return self.record.collection.at(tenant_id=self.tenant) if self.record.collection else ""

    @property
    def dataset(self) -> str:
        """The tenant's."""
        return f"aso_tenant_{self.tenant}"

    @property
    def tracked(self) -> str:
        """The tracker's name of its own table."""
        return f"tracked_{self.record.__name__}"


ONE = (Target(GaPagePerformance, "bench", DOCUMENT),)
COLLECTION = ONE[0].collection
MANY = tuple(
    Target(record, f"bench{number}", SESSIONS | fields)
    for number in range(20)
    for record, fields in (
        (GaPagePerformance, PAGE),
        (GaLandingPage, {"landing_page": PAGE["page_path"]}),
        (GaTrafficSource, {**SOURCE, **GROUP, "new_users": 500}),
        (GaDeviceMetric, {"device_category": "mobile", "browser": "Safari (in-app)", "new_users": 500}),
        (GaTotals, {"screen_page_views": 4321, "new_users": 500}),
    )
)


def stream_events_per_s_c1() -> Figure:
    """One at a time, on the emulated BigQuery."""
    return _on_emulator("stream_events_per_s_c1", 1, ours=400, theirs=250)


def stream_events_per_s_c16() -> Figure:
    """16 at a time, on the emulated BigQuery."""
    return _on_emulator("stream_events_per_s_c16", 16, ours=4_000, theirs=500)


def stream_events_per_s_c80() -> Figure:
    """80 at a time, on the emulated BigQuery."""
    return _on_emulator("stream_events_per_s_c80", 80, ours=10_000, theirs=500)


def stream_events_per_s_20x5() -> Figure:
    """80 at a time, their documents in turn of 5 collections of 20 tenants: each has a table of its own.

    Group commit splits by table: an append holds hardly more than a row, and both sides pay for each append.
    """
    return _on_emulator("stream_events_per_s_20x5", 80, ours=1_500, theirs=500, targets=MANY)


def stream_sink_events_per_s_c80() -> Figure:
    """80 at a time, into a server that answers at once."""
    with _instant_sink() as (settings, http):
        return compare(
            "stream_sink_events_per_s_c80",
            UNIT,
            lambda: _handled(settings, 80, 15_000, ONE),
            AGAINST,
            lambda: _tracked(http, 80, 3_000, ONE),
        )


def stream_http_events_per_s_c80() -> Figure:
    """80 at a time over HTTP into one process, on the emulated BigQuery.

    The ceiling is a function that does nothing: one process served the same way, the same bytes from the same client,
    the emulator there but idle. Ours shares the machine's cores with an emulator that works, which the ceiling does
    not: with few cores the next figure says more about the function.
    """
    with _emulator(ONE) as settings:
        return _over_http("stream_http_events_per_s_c80", settings)


def stream_http_sink_events_per_s_c80() -> Figure:
    """The same into a server that answers at once: what the function itself costs beyond being called."""
    with _instant_sink() as (settings, _):
        return _over_http("stream_http_sink_events_per_s_c80", settings)


def _on_emulator(name: str, concurrency: int, ours: int, theirs: int, targets: Sequence[Target] = ONE) -> Figure:
    with _emulator(targets) as settings:
        endpoint = f"{settings.bigquery_endpoint}/bigquery/v2"
        return compare(
            name,
            UNIT,
            lambda: _handled(settings, concurrency, ours, targets),
            AGAINST,
            lambda: _tracked(endpoint, concurrency, theirs, targets),
        )


def _over_http(name: str, settings: Settings) -> Figure:
    environment = {
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "BIGQUERY_EMULATOR_HOST": settings.bigquery_endpoint,
        "BIGQUERY_GRPC_HOST": settings.bigquery_grpc_endpoint,
    }
    nothing = ROOT / "tests" / "support" / "functions"
    with tempfile.TemporaryDirectory() as folder:
        ours = FunctionProcess("stream_document", environment, Path(folder) / "ours.log")
        idle = FunctionProcess("record_event", environment, Path(folder) / "idle.log", nothing)
        try:
            ours.start().wait()
            idle.start().wait()
            return compare(
                name,
                UNIT,
                lambda: asyncio.run(_posted(ours.port, 80, 6_000)),
                "a function that does nothing",
                lambda: asyncio.run(_posted(idle.port, 80, 6_000)),
            )
        finally:
            ours.kill()
            idle.kill()


def _handled(settings: Settings, concurrency: int, events: int, targets: Sequence[Target]) -> float:
    """Events a second through the function's handler."""
    prepared = [
        cloud_event(body, f"{targets[n % len(targets)].collection}/document", f"event-{n}")
        for n, body in enumerate(_bodies(events, targets))
    ]

    async def run() -> float:
        clients = Clients(settings)
        waiting = iter(prepared)

        async def client() -> None:
            for event in waiting:
                await handle(event, clients)

        await asyncio.gather(*(handle(event, clients) for event in itertools.islice(waiting, concurrency)))
        rest = events - concurrency
        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(concurrency)))
        seconds = time.perf_counter() - began
        clients.streamer.close()
        return rest / seconds

    with _quiet():
        return asyncio.run(run())


def _tracked(endpoint: str, concurrency: int, events: int, targets: Sequence[Target]) -> float:
    """Events a second through the tracker's record()."""
    options = {
        "modules": str(_installed()),
        "endpoint": endpoint,
        "project": PROJECT,
        "events": events,
        "concurrency": concurrency,
        "targets": [
            {
                "dataset": target.dataset,
                "table": target.tracked,
                "collection": target.collection,
                "tenant": target.tenant,
                "document": target.document,
            }
            for target in targets
        ],
    }
    script = Path(__file__).with_name("tracker.js")
    done = subprocess.run(
        ["node", str(script), orjson.dumps(options).decode()], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the tracker failed: {done.stderr[-2000:]}")
    return float(orjson.loads(done.stdout.splitlines()[-1])["events_per_s"])


async def _posted(port: int, concurrency: int, events: int) -> float:
    """Events a second posted to a function: a bare client, so that the server is what is measured."""
    requests = [_request(port, body, number) for number, body in enumerate(_bodies(events, ONE))]

    async def client(waiting: Iterator[bytes]) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        for request in waiting:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head[:20]:
                raise RuntimeError(head.decode())
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
        writer.close()

    waiting = iter(requests)
    await asyncio.gather(*(client(itertools.islice(waiting, 5)) for _ in range(concurrency)))
    rest = events - 5 * concurrency
    began = time.perf_counter()
    await asyncio.gather(*(client(waiting) for _ in range(concurrency)))
    return rest / (time.perf_counter() - began)


def _request(port: int, body: bytes, number: int) -> bytes:
    head = (
        f"POST / HTTP/1.1\r\nhost: {HOST}:{port}\r\ncontent-type: application/protobuf\r\n"
        f"ce-id: event-{number}\r\nce-specversion: 1.0\r\nce-type: google.cloud.firestore.document.v1.written\r\n"
        f"ce-source: //firestore.googleapis.com/projects/{PROJECT}/databases/(default)\r\n"
        f"ce-subject: documents/{COLLECTION}/d\r\nce-time: 2026-01-06T04:15:00Z\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _bodies(events: int, targets: Sequence[Target]) -> list[bytes]:
    """Updates of that many documents, the targets in turn."""
    templates = [
        EventData.FromString(event_body(f"{one.collection}/d", one.document, one.document, at=20, old_at=10))
        for one in targets
    ]
    bodies = []
    for number in range(events):
        data, target = templates[number % len(targets)], targets[number % len(targets)]
        name = f"projects/{PROJECT}/databases/(default)/documents/{target.collection}/document-{number}"
        data.value.name = data.old_value.name = name
        bodies.append(data.SerializeToString())
    return bodies


@contextlib.contextmanager
def _emulator(targets: Sequence[Target]) -> Iterator[Settings]:
    """A fresh emulator with the tables that both sides write to."""
    with tempfile.TemporaryDirectory() as folder, bigquery_emulator(Path(folder) / "log") as settings:
        warehouse = BigQueryWarehouse.connect(settings.project, settings.bigquery_endpoint, "US")
        for target in targets:
            warehouse.ensure_dataset(target.dataset)
            warehouse.ensure_table(target.dataset, log_table(target.record))
            theirs = TableDefinition(target.dataset, f"{target.tracked}_raw_changelog", EXTENSION_COLUMNS)
            warehouse.ensure_table(target.dataset, theirs)
        yield settings


@contextlib.contextmanager
def _instant_sink() -> Iterator[tuple[Settings, str]]:
    ports = Ports(usual=False)
    rpc, http = ports.take(0), ports.take(0)
    ports.release()
    process = subprocess.Popen([sys.executable, "-m", "tests.support.instant_sink", str(rpc), str(http)], cwd=ROOT)
    try:
        while not (answers(rpc) and answers(http)):
            time.sleep(0.05)
        yield (
            Settings(
                GOOGLE_CLOUD_PROJECT=PROJECT,
                BIGQUERY_EMULATOR_HOST=f"http://{HOST}:{http}",
                BIGQUERY_GRPC_HOST=f"{HOST}:{rpc}",
            ),
            f"http://{HOST}:{http}",
        )
    finally:
        process.terminate()
        process.wait()


def _installed() -> Path:
    """The folder of node modules that holds the tracker; npm installs it the first time."""
    found = MODULES / "node_modules"
    if not (found / TRACKER.rpartition("@")[0]).exists():
        MODULES.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", TRACKER], cwd=MODULES, check=True)
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Send the closing lines nowhere: written as in production, read by nobody."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
