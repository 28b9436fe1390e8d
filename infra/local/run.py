"""`make run`: load the sample through the functions and show what flowed where.

Nothing here knows what a function does: it posts one sync as a person would, waits for the runs that follow to finish,
and reads every figure back from the stores.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from infra.local.cloud import LocalCloud
from infra.local.sample import Incident, Sample, shop
from infra.local.sample.incident import Planted
from shared.opportunities.records import Opportunity
from shared.ops.records import Progress as RunProgress
from shared.runtime.clients import Clients
from shared.schema.registry import streamed_records
from shared.settings import Settings
from shared.sources.records import SourceRow

TENANT = "demo"
PERSON = "you@scout.local"
NOTICE = (
    "Sample of a real shop (Google's public GA4 data), its dates shifted by whole weeks to end yesterday; "
    "its ads, searches, payments and mails are made to go with it."
)
STAGE_SECONDS = 600.0
POLL_SECONDS = 0.2

console = Console(soft_wrap=True, highlight=False)


class StageFailed(RuntimeError):
    """A stage of the loop failed or did not end."""


@dataclass
class Summary:
    """What `.local/run-summary.json` holds; every count is read back from a store."""

    documents_written: int = 0
    events_delivered: int = 0
    rows_streamed: int = 0
    rows_refused: int = 0
    metric_rows: int = 0
    entities: int = 0
    detectors_run: int = 0
    findings: int = 0
    opportunities: int = 0
    opportunities_by_detector: dict[str, int] = field(default_factory=dict)
    opportunities_in_real_figures: int = 0
    opportunities_streamed: int = 0
    incidents_disclosed: int = 0
    incidents_found: int = 0
    dead_letters: int = 0
    dead_letter_reasons: dict[str, int] = field(default_factory=dict)
    leaks: list[str] = field(default_factory=list)
    deaths: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def run_sample(cloud: LocalCloud, *, once: bool, sources: Collection[str] = tuple(shop.SETTINGS["sources"])) -> int:
    """Load the sample of some sources, wait until it has arrived, print what flowed where; the exit code."""
    # The official clients of this process find the local cloud as those of the functions do: by the environment.
    os.environ.update(cloud.env)
    clients = Clients(Settings())
    summary = Summary(seconds={"start": round(cloud.seconds["all"], 1)})
    try:
        _load(cloud, clients, summary, sources)
    except (StageFailed, TimeoutError, httpx.HTTPError) as error:
        summary.failures.append(str(error))
    read_back(cloud, clients, summary)
    path = cloud.state / "run-summary.json"
    path.write_text(json.dumps(asdict(summary), indent=1) + "\n")
    _show(summary)
    if not once:
        console.print(f"\nDashboard: {dashboard_url(cloud)}", style="bold")
        console.print("It stays until Ctrl-C.")
    return 1 if summary.failures or summary.leaks else 0


def credentials(tenant_id: str = TENANT) -> dict[str, str]:
    """What opens the sample's sources for a tenant, as environment of the cloud that it is in."""
    return {f"SCOUT_SECRET_{tenant_id.upper()}_{name.upper()}": held for name, held in shop.credentials().items()}


def dashboard_url(cloud: LocalCloud) -> str:
    """The page of the sample's tenant; the token is in the fragment, which no server or log sees."""
    return f"{cloud.url('dashboard')}/#token={cloud.token(PERSON, TENANT)}"


def _load(cloud: LocalCloud, clients: Clients, summary: Summary, sources: Collection[str]) -> None:
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
    ) as shown:

        def stage(name: str, work: Callable[[Callable[[str], None]], None]) -> None:
            task = shown.add_task(name)
            began = time.monotonic()
            work(lambda text: shown.update(task, description=f"{name}: {text}"))
            summary.seconds[name] = round(time.monotonic() - began, 1)
            shown.remove_task(task)
            console.print(f"  {name:<14} {summary.seconds[name]:>6.1f} s")

        def tenant(say: Callable[[str], None]) -> None:
            cloud.tenant(TENANT, name="Demo shop", notice=NOTICE, **shop.SETTINGS)
            clients.documents.put_many(shop.documents(datetime.now(UTC).date(), TENANT))

        runs: dict[str, str] = {}

        def said_of(source: str, say: Callable[[str], None]) -> Callable[[str], None]:
            return lambda text: say(f"{source} {text}")

        def sync(say: Callable[[str], None]) -> None:
            for source in sources:
                runs[source] = _press_sync(cloud, source)
            for source, run_id in runs.items():
                _until_done(cloud, clients, run_id, said_of(source, say))

        etl_runs: list[str] = []

        def aggregated(say: Callable[[str], None]) -> None:
            etl_runs.extend(_aggregated(cloud, clients, list(runs.values()), say))

        def followed(suffix: str) -> Callable[[Callable[[str], None]], None]:
            def wait(say: Callable[[str], None]) -> None:
                for run_id in etl_runs:
                    _until_done(cloud, clients, f"detectors-{run_id}{suffix}", say)

            return wait

        stage("tenant", tenant)
        stage("sync", sync)
        stage("stream and etl", aggregated)
        stage("detectors", followed(""))
        stage("opportunities", followed("-opportunities"))
        stage("drain", lambda say: _drained(cloud))


def _press_sync(cloud: LocalCloud, source: str) -> str:
    answer = httpx.post(
        cloud.url("sync_source"), json={"source": source}, headers=cloud.auth(PERSON, TENANT), timeout=30
    )
    if answer.status_code != 202:
        raise StageFailed(f"sync of {source}: {answer.status_code} {answer.text[:300]}")
    return str(answer.json()["run_id"])


def _until_done(cloud: LocalCloud, clients: Clients, run_id: str, say: Callable[[str], None]) -> None:
    """Wait for a run; a failed one may be retried by Pub/Sub, so only the deadline or a dead part ends the wait."""
    until = time.monotonic() + STAGE_SECONDS
    found: RunProgress | None = None
    while time.monotonic() < until:
        cloud.check()
        found = clients.progress.get(run_id)
        if found is not None:
            if found.status == "done":
                return
            of = f" of {found.total}" if found.total else ""
            say(f"{found.step or found.status} {found.done}{of}")
        else:
            say(f"{_delivered(cloud):,} events delivered")
        time.sleep(POLL_SECONDS)
    raise StageFailed(f"{run_id} did not end: {found.status + ' ' + (found.error or '') if found else 'not begun'}")


def _aggregated(cloud: LocalCloud, clients: Clients, syncs: list[str], say: Callable[[str], None]) -> list[str]:
    """Wait until the rows of every sync are aggregated; the ETL's runs that did it: one may have seen several syncs."""
    until = time.monotonic() + STAGE_SECONDS
    while time.monotonic() < until:
        cloud.check()
        covered = (clients.ops.get(f"etl/{TENANT}") or {}).get("covered", {})
        if all(sync in covered for sync in syncs):
            return sorted({covered[sync] for sync in syncs})
        working = [found for found in clients.progress.latest(TENANT, 10) if found.kind == "etl"]
        step = next((found.step for found in working if found.status == "running"), "")
        say(step or f"{_delivered(cloud):,} events delivered")
        time.sleep(POLL_SECONDS)
    raise StageFailed("the rows of the syncs were not aggregated in time")


def _drained(cloud: LocalCloud) -> None:
    cloud.drain(timeout=STAGE_SECONDS)


def read_back(cloud: LocalCloud, clients: Clients, summary: Summary) -> None:
    """Fill the summary from the stores themselves."""
    dataset = f"aso_tenant_{TENANT}"
    for record in streamed_records():
        collection, table = record.collection, record.table
        if collection is None or table is None:
            continue
        documents = clients.documents.count(collection.at(tenant_id=TENANT))
        rows = _count(clients, f"SELECT COUNT(*) AS n FROM `{dataset}.{table.table}`")
        if record is Opportunity:
            summary.opportunities_streamed = rows
        if not issubclass(record, SourceRow):
            continue
        refused = _count(
            clients,
            f"SELECT COUNT(DISTINCT document_name) AS n FROM `{dataset}.{table.table}_raw_changelog` "
            "WHERE refused_reason IS NOT NULL",
        )
        summary.documents_written += documents
        summary.rows_streamed += rows
        summary.rows_refused += refused
        if documents != rows + refused:
            summary.failures.append(f"{collection.name}: {documents} documents, {rows} rows, {refused} refused")
    summary.metric_rows = _count(clients, f"SELECT COUNT(*) AS n FROM `{dataset}.daily_entity_metrics`")
    summary.entities = _count(clients, f"SELECT COUNT(*) AS n FROM `{dataset}.entity_map`")
    summary.events_delivered = _delivered(cloud)
    summary.deaths = cloud.deaths()
    counted = clients.warehouse.query(
        f"SELECT stage, subject, note FROM `{dataset}.stage_counts` "
        "WHERE stage IN ('stream', 'etl') AND note IS NOT NULL"
    )
    summary.leaks = [f"{row['stage']} {row['subject']}: {row['note']}" for row in counted]
    runs = [values for _, values in clients.ops.find("detector_runs", where=[("tenant_id", "==", TENANT)])]
    summary.detectors_run = max((len(values["ran"]) for values in runs), default=0)
    summary.findings = _count(clients, f"SELECT COUNT(*) AS n FROM `{dataset}.detector_findings`")
    for _, letter in clients.ops.find("dead_letters"):
        summary.dead_letters += 1
        reasons = summary.dead_letter_reasons
        reasons[letter["reason"]] = reasons.get(letter["reason"], 0) + 1
    opportunities = [values for _, values in clients.documents.find(f"tenants/{TENANT}/opportunities")]
    summary.opportunities = len(opportunities)
    _compare_incidents(summary, [*Sample.load().incidents(), *shop.PLANTED], opportunities)
    if summary.opportunities_streamed != summary.opportunities:
        summary.failures.append(
            f"opportunities: {summary.opportunities} documents, {summary.opportunities_streamed} rows"
        )
    if not summary.failures and summary.detectors_run == 0:
        summary.failures.append("no detector ran")


def _compare_incidents(
    summary: Summary, incidents: list[Incident | Planted], opportunities: list[dict[str, Any]]
) -> None:
    # What follows from another finding's cause has no opportunity of its own: the one that leads lists it.
    parts = [part for each in opportunities for part in each["evidence"].get("children") or []]
    found = {(each["detector_id"], each["entity_id"]) for each in (*opportunities, *parts)}
    missed = [each for each in incidents if not _is_found(each, found)]
    summary.incidents_disclosed = len(incidents)
    summary.incidents_found = len(incidents) - len(missed)
    for each in opportunities:
        by = summary.opportunities_by_detector
        by[each["detector_id"]] = by.get(each["detector_id"], 0) + 1
        summary.opportunities_in_real_figures += each["entity_type"] in REAL_ENTITY_TYPES
    summary.failures += [f"incident not found: {each.detector} {each.entity}" for each in missed]


def _is_found(each: Incident | Planted, found: set[tuple[str, str]]) -> bool:
    return each.is_among(found) if isinstance(each, Planted) else (each.detector, each.entity) in found


REAL_ENTITY_TYPES = frozenset({"source_medium", "channel", "campaign"})
"""Entity types whose detectors read wholly real daily figures; the others' days are derived from real totals."""


def _delivered(cloud: LocalCloud) -> int:
    return sum(int(trigger["delivered"]) for trigger in cloud.status()["triggers"].values())


def _count(clients: Clients, sql: str) -> int:
    return int(clients.warehouse.query(sql)[0]["n"])


def _show(summary: Summary) -> None:
    table = Table(title="What flowed where", title_justify="left")
    table.add_column("stage")
    table.add_column("count", justify="right")
    table.add_column("")
    rows = [
        ("documents written", summary.documents_written, "Firestore, by the sync"),
        ("events delivered", summary.events_delivered, "Firestore's triggers, all of Scout's own writes included"),
        ("rows streamed", summary.rows_streamed, f"BigQuery's exact views; refused besides: {summary.rows_refused}"),
        ("metric rows", summary.metric_rows, "daily_entity_metrics"),
        ("entities", summary.entities, "entity_map"),
        ("detectors run", summary.detectors_run, ""),
        ("findings", summary.findings, "detector_findings"),
        (
            "opportunities",
            summary.opportunities,
            f"Firestore; {summary.incidents_found} of {summary.incidents_disclosed} disclosed incidents found, "
            f"{summary.opportunities_in_real_figures} in wholly real figures",
        ),
        ("dead letters", summary.dead_letters, ", ".join(f"{k} {v}" for k, v in summary.dead_letter_reasons.items())),
    ]
    for name, count, note in rows:
        table.add_row(name, f"{count:,}", note)
    console.print(table)
    by = Table(title="Opportunities by detector", title_justify="left")
    by.add_column("detector")
    by.add_column("count", justify="right")
    for name, count in sorted(summary.opportunities_by_detector.items()):
        by.add_row(name, str(count))
    console.print(by)
    for problem in (*summary.failures, *summary.leaks):
        console.print(f"FAILED {problem}", style="bold red")
