"""A poisoned row on its way through the whole loop: set aside with its reason, everything else arrives, nothing leaks.

The sample's dirty variant, cut to the poisoned row's day and its neighbours: a property with three days of data.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import orjson
import pytest
from aiohttp import web

from infra.local.cloud import LocalCloud
from infra.local.ports import HOST, Ports
from infra.local.run import TENANT, run_sample
from infra.local.sample import Sample
from infra.local.vendors.ga4_data_api import create_app
from shared.runtime.clients import Clients
from shared.settings import Settings
from shared.sources.reports import REPORTS

DATASET = f"aso_tenant_{TENANT}"
Values = dict[str, Any]


@pytest.fixture(scope="module")
def sample() -> Sample:
    """The dirty sample, only the poisoned row's day and those beside it."""
    dirty = Sample.load(variant="dirty")
    assert dirty.poison is not None
    day = date.fromisoformat(dirty.poison.dimensions["date"])
    days = [f"{day + timedelta(days=each):%Y%m%d}" for each in (-1, 0, 1)]
    names = [report.collection.name for report in REPORTS]
    reports = {name: [row for row in dirty.report(name) if row["date"] in days] for name in names}
    return Sample(dirty.today, reports, [], dirty.poison)


@contextmanager
def served(sample: Sample) -> Iterator[str]:
    """The Data API over a sample, in a thread; its address."""
    ports = Ports(usual=False)
    port = ports.take(0)
    ports.release()
    loop, runner = asyncio.new_event_loop(), web.AppRunner(create_app(sample))

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, HOST, port).start()

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://{HOST}:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Iterator[LocalCloud]:
    with (
        served(sample) as address,
        LocalCloud(tmp_path_factory.mktemp("cloud"), environment={"SCOUT_GA4_ENDPOINT": address}) as cloud,
    ):
        yield cloud


@pytest.fixture(scope="module")
def clients(cloud: LocalCloud) -> Iterator[Clients]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in cloud.env.items():
            environment.setenv(name, value)
        yield Clients(Settings())  # type: ignore[call-arg]


@pytest.fixture(scope="module")
def summary(cloud: LocalCloud, clients: Clients) -> Values:
    """What `make run ONCE=1 SAMPLE=dirty` leaves."""
    run_sample(cloud, once=True, sources=("ga4",))
    found: Values = json.loads((cloud.state / "run-summary.json").read_text())
    return found


def test_the_poisoned_document_is_counted_and_everything_else_arrives(summary: Values, sample: Sample):
    written = sum(len(sample.report(report.collection.name)) for report in REPORTS)
    assert summary["documents_written"] == written > 100
    assert (summary["rows_streamed"], summary["rows_refused"]) == (written - 1, 1)
    assert (summary["dead_letters"], summary["dead_letter_reasons"]) == (1, {"InvalidDocument": 1})


def test_the_run_is_no_failure_because_of_it(summary: Values):
    """Three days hold none of the planted incidents: that they are missed is all there is to complain about."""
    assert summary["leaks"] == []
    assert summary["deaths"] == {}
    assert {failure.partition(":")[0] for failure in summary["failures"]} == {"incident not found"}


def test_the_dead_letter_says_why_and_keeps_the_event(clients: Clients, summary: Values, sample: Sample):
    [(_, letter)] = clients.ops.find("dead_letters")
    assert sample.poison is not None
    assert letter["reason"] == "InvalidDocument"
    assert letter["status"] == "waiting"
    assert letter["function"] == "stream_document"
    assert letter["tenant_id"] == TENANT
    assert letter["subject"].startswith(f"documents/tenants/{TENANT}/{sample.poison.report}/")
    assert sample.poison.metric in letter["fields"]["reason_given"]
    assert str(sample.poison.value) not in json.dumps([letter["message"], letter["fields"]]), "contents stay out"
    kept = clients.dead_letter_objects.get(letter["object_name"])
    assert kept is not None
    event = orjson.loads(kept)
    assert event["headers"]["ce-subject"] == letter["subject"]
    assert sample.poison.dimensions["pagePath"] in event["body"]


def test_the_poisoned_document_is_durable_in_the_log_and_not_in_the_view(clients: Clients, summary: Values):
    [(_, letter)] = clients.ops.find("dead_letters")
    document_id = letter["subject"].rpartition("/")[2]
    [row] = clients.warehouse.query(
        "SELECT refused_reason, sessions, JSON_VALUE(data, '$.sessions') AS raw_sessions "
        f"FROM `{DATASET}.ga_page_performance_raw_changelog` WHERE document_id = @document_id",
        document_id=document_id,
    )
    assert "sessions" in row["refused_reason"]
    assert (row["sessions"], row["raw_sessions"]) == (None, "-5")
    stored = clients.documents.get(letter["subject"].removeprefix("documents/"))
    assert stored is not None
    assert stored["sessions"] == -5, "raw is raw"
    seen = clients.warehouse.query(
        f"SELECT COUNT(*) AS n FROM `{DATASET}.ga_page_performance` WHERE ENDS_WITH(document_name, @document_id)",
        document_id=document_id,
    )
    assert seen == [{"n": 0}]


def test_the_etl_counts_it_as_refused_and_reports_no_leak(clients: Clients, summary: Values):
    [etl] = [each for _, each in clients.ops.find("progress") if each["kind"] == "etl"]
    assert (etl["status"], etl["counts"]["refused"], etl["counts"]["leaks"]) == ("done", 1, 0)
    assert etl["counts"]["days"] == 3
    counted = clients.warehouse.query(
        f"SELECT subject, rows_in, rows_out, rows_refused FROM `{DATASET}.stage_counts` WHERE stage = 'stream'"
    )
    assert {row["subject"] for row in counted if row["rows_refused"]} == {"ga_page_performance"}
    assert all(row["rows_in"] == row["rows_out"] + row["rows_refused"] for row in counted)
