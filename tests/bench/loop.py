"""How soon one step of the loop is seen in the next, on a local cloud: the 95th percentile of single cases.

Spec 1 allows one to two seconds for each; the figures are held against one. Each step has a cloud that serves its own
function alone, so that a figure is of that step and not of what the emulators make of the others.
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.cloud import LocalCloud
from infra.local.run import credentials
from infra.local.sample import shop
from shared.opportunities import lifecycle
from shared.runtime.clients import Clients
from shared.settings import Settings
from tests.bench.figure import Figure, compare
from tests.bench.stream import DOCUMENT
from tests.unit.opportunities.samples import finding, run

TENANT = "bench"
AGAINST = "spec 1: one to two seconds"
ALLOWED_MILLISECONDS = 1_000.0
RUNS = 3
CASES = 20
CLICKS = 8
FEW_CLICKS = 3
DAYS_PULLED = 7
PATIENCE_SECONDS = 60


def loop_click_to_document_ms_p95() -> Figure:
    """From the POST to `sync_source` until the first raw document of that run is in Firestore: Google Analytics."""
    return _click_to_document("loop_click_to_document_ms_p95", "ga4", CLICKS)


def loop_click_to_document_google_ads_ms_p95() -> Figure:
    """The same of Google Ads, whose credentials are exchanged for a token first."""
    return _click_to_document("loop_click_to_document_google_ads_ms_p95", "google_ads", FEW_CLICKS)


def loop_click_to_document_search_console_ms_p95() -> Figure:
    """The same of Search Console."""
    return _click_to_document("loop_click_to_document_search_console_ms_p95", "search_console", FEW_CLICKS)


def loop_click_to_document_stripe_ms_p95() -> Figure:
    """The same of Stripe."""
    return _click_to_document("loop_click_to_document_stripe_ms_p95", "stripe", FEW_CLICKS)


def loop_click_to_document_activecampaign_ms_p95() -> Figure:
    """The same of ActiveCampaign, which takes five requests a second."""
    return _click_to_document("loop_click_to_document_activecampaign_ms_p95", "activecampaign", FEW_CLICKS)


def loop_document_to_row_ms_p95() -> Figure:
    """From the end of a write to Firestore until the row is in the exact view."""
    with _cloud("stream_document") as (_, clients):
        collection, view = f"tenants/{TENANT}/ga_page_performance", f"aso_tenant_{TENANT}.ga_page_performance"
        sql = f"SELECT COUNT(*) AS found FROM `{view}` WHERE page_path = @page_path"  # noqa: S608

        def write() -> float:
            path = f"/page-{time.monotonic_ns()}"
            now = datetime.now(UTC)
            values = {**DOCUMENT, "tenant_id": TENANT, "page_path": path, "synced_at": now}
            clients.documents.put(f"{collection}/{path[1:]}", values)
            began = time.perf_counter()
            _until(lambda: bool(clients.warehouse.query(sql, page_path=path)[0]["found"]))
            return time.perf_counter() - began

        figure = _figure("loop_document_to_row_ms_p95", write, CASES)
        began = time.perf_counter()
        clients.warehouse.query(sql, page_path="")
        query = (time.perf_counter() - began) * 1000
        print(f"  loop_document_to_row: a query of the emulated view alone takes {query:.0f} ms", file=sys.stderr)
        return figure


def loop_write_to_page_ms_p95() -> Figure:
    """From the start of a write of an opportunity until a browser's stream of events has it."""
    with _cloud("dashboard") as (cloud, clients), _page(cloud) as heard:
        stored = lifecycle.found(None, finding(), run(findings=1), datetime.now(UTC)) or {}

        def write() -> float:
            opportunity_id = f"opportunity-{time.monotonic_ns()}"
            began = time.perf_counter()
            clients.documents.put(
                f"tenants/{TENANT}/opportunities/{opportunity_id}", {**(stored or {}), "tenant_id": TENANT}
            )
            _until(lambda: opportunity_id in heard)
            return heard[opportunity_id] - began

        return _figure("loop_write_to_page_ms_p95", write, CASES)


def _click_to_document(name: str, source: str, clicks: int) -> Figure:
    """A person's click, each time on a source of which nothing is there yet."""
    with _cloud("sync_source") as (cloud, clients), httpx.Client(trust_env=False, timeout=60) as http:
        since = (datetime.now(UTC).date() - timedelta(days=DAYS_PULLED)).isoformat()
        collections = [feed.collection.at(tenant_id=TENANT) for feed in clients.sources[source](TENANT).feeds]

        def click() -> float:
            for collection in collections:
                for path, _ in list(clients.documents.find(collection)):
                    clients.documents.delete(path)
            began = time.perf_counter()
            asked = {"tenant_id": TENANT, "source": source, "since": since}
            answer = http.post(cloud.url("sync_source"), json=asked, headers=cloud.auth())
            run_id = answer.raise_for_status().json()["run_id"]
            _until(lambda: any(any(clients.documents.find(each, limit=1)) for each in collections))
            seconds = time.perf_counter() - began
            _until(lambda: getattr(clients.progress.get(run_id), "status", "") == "done")
            return seconds

        return _figure(name, click, clicks)


def _figure(name: str, case: Callable[[], float], cases: int) -> Figure:
    case()  # what comes first pays for connections
    return compare(
        name, "ms", lambda: _p95([case() for _ in range(cases)]), AGAINST, lambda: ALLOWED_MILLISECONDS, RUNS
    )


def _p95(seconds: list[float]) -> float:
    """In milliseconds: the smallest value that 95 of 100 do not exceed."""
    ordered = sorted(seconds)
    return ordered[-(-len(ordered) * 95 // 100) - 1] * 1000


def _until(happened: Callable[[], bool]) -> None:
    """Ask again and again: what is measured includes the answer that tells."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        if time.monotonic() > until:
            raise TimeoutError("it did not happen")
        time.sleep(0.002)


@contextmanager
def _cloud(function: str) -> Iterator[tuple[LocalCloud, Clients]]:
    """A local cloud that serves one function, with one tenant, and clients of its stores."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCloud(Path(folder), only={function}, environment=credentials(TENANT)) as cloud,
    ):
        cloud.tenant(TENANT, **shop.SETTINGS)
        with pytest.MonkeyPatch.context() as environment:
            for name, value in cloud.env.items():
                environment.setenv(name, value)
            yield cloud, Clients(Settings())  # type: ignore[call-arg]


@contextmanager
def _page(cloud: LocalCloud) -> Iterator[dict[str, float]]:
    """A browser's stream of events: id of an opportunity -> when its change was heard."""
    heard: dict[str, float] = {}
    opened = threading.Event()
    client = httpx.Client(trust_env=False, timeout=httpx.Timeout(10, read=PATIENCE_SECONDS))

    def listen() -> None:
        headers = {"cookie": f"scout_session={cloud.token()}", "accept": "text/event-stream"}
        with client.stream("GET", f"{cloud.url('dashboard')}/t/{TENANT}/events", headers=headers) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    opened.set()
                    data: Any = json.loads(line.removeprefix("data:"))
                    if isinstance(data, dict) and "id" in data:
                        heard[data["id"]] = time.perf_counter()

    def listen_until_closed() -> None:
        try:
            listen()
        except (httpx.HTTPError, RuntimeError):
            return

    thread = threading.Thread(target=listen_until_closed, daemon=True)
    thread.start()
    try:
        if not opened.wait(PATIENCE_SECONDS):
            raise TimeoutError("the page was sent nothing")
        yield heard
    finally:
        client.close()
