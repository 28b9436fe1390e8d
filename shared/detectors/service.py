"""Runs the catalogue over one tenant: data quality first, then the detectors whose data can be trusted."""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import orjson

from shared.analytics.messages import EtlFinished
from shared.analytics.records import RETENTION_DAYS
from shared.detectors.compiler import Plan, plan
from shared.detectors.coverage import Coverage
from shared.detectors.declaration import Detector
from shared.detectors.entities import gathered
from shared.detectors.explanation import explain
from shared.detectors.grouping import grouped
from shared.detectors.judgement import Judged, Run, judge
from shared.detectors.messages import DetectorRunFinished, DetectorsAsked, DetectorsRequested
from shared.detectors.muting import Mutes
from shared.detectors.names import Table
from shared.detectors.overrides import Catalogue, overridden
from shared.detectors.records import DetectorRun, Finding
from shared.errors import AppError, BadRequest, Forbidden, Unavailable, UnknownTenant
from shared.ops.progress import ProgressBook, Tracker
from shared.ops.stage_counts import record_counts, stage_count
from shared.schema.ports import Documents, Publisher, Warehouse
from shared.schema.sql import render
from shared.tenants.fan_out import Asked, ask_each
from shared.tenants.records import SourceSettings, Tenant
from shared.tenants.service import Tenants

PORTION_BYTES = 3_000_000
"""Of findings in one statement: texts within texts grow when they are escaped."""
FAILED = "it failed"
"""How the reason of a detector begins whose declaration failed on the data; the run's closing line names it."""


@dataclass(frozen=True)
class RunResult:
    """What one run did."""

    run_id: str
    as_of: date
    ran: int
    muted: int
    candidates: int
    findings: int
    failed: Mapping[str, str] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)


class Detectors:
    """The catalogue, ready to run."""

    def __init__(
        self,
        warehouse: Warehouse,
        ops: Documents,
        progress: ProgressBook,
        publisher: Publisher,
        tenants: Tenants,
        compiled: Callable[[], Plan] = plan,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._warehouse = warehouse
        self._ops = ops
        self._progress = progress
        self._publisher = publisher
        self._tenants = tenants
        self._compiled = compiled
        self._now = now

    def ask(self, asked: DetectorsAsked, requested_by: str) -> Asked:
        """Ask for a run of one tenant, or of each of a list: one message a tenant.

        BadRequest where `as_of` is yet to come, or its data are gone. A tenant of the list that does not exist is told
        and stops no other.
        """
        tenants, as_of = _tenants(asked), asked.as_of
        self._check(as_of)

        def ask(tenant_id: str) -> str:
            if not self._tenants.exists(tenant_id):
                raise UnknownTenant("no such tenant")
            run_id = f"detectors-{tenant_id}-{secrets.token_hex(4)}"
            self._progress.request(run_id, "detectors", tenant_id, requested_by)
            self._publisher.publish(DetectorsRequested(tenant_id=tenant_id, as_of=as_of, run_id=run_id))
            return run_id

        return Asked([ask(asked.tenant_id)]) if asked.tenant_id else ask_each(tenants, ask)

    def work(self, request: DetectorsRequested, subscription: str) -> RunResult:
        """Do what a message asks: a requested run, or the run that follows an ETL run and takes its name.

        BadRequest as in `ask`.
        """
        self._check(request.as_of)
        after_etl = subscription.endswith(EtlFinished.topic)
        run_id = f"detectors-{request.run_id}" if after_etl else request.run_id
        return self.run(request.tenant_id, run_id, request.as_of)

    def explain(self, asked: DetectorsAsked) -> dict[str, Any]:
        """One detector's windows, guards, thresholds and compiled SQL. NotFound where there is none of that id."""
        tenant = None if asked.tenant_id is None else self._tenants.get(asked.tenant_id)
        return explain(asked.explain or "", tenant)

    def run(self, tenant_id: str, run_id: str, as_of: date | None = None) -> RunResult:
        """Run the catalogue, write findings and the run's account, publish DetectorRunFinished.

        The same run again replaces what it wrote. `as_of` left out: the last settled day when the run was asked for.
        """
        tenant = self._tenants.get(tenant_id)
        with self._progress.track(run_id, "detectors", tenant_id) as tracker:
            # Counted from when the run began, so that a delivery repeated after midnight judges the same day.
            day = as_of or _settled(tenant, tracker.progress.started_at)
            account = self._judge_and_write(tenant, run_id, day, tracker)
            self._publisher.publish(DetectorRunFinished(tenant_id=tenant_id, run_id=run_id))
        if account.failed:
            # What the other statements found is written and published; the message comes again for the rest.
            raise Unavailable("some statements failed", failed=dict(account.failed))
        return account

    def _check(self, as_of: date | None) -> None:
        today = self._now().date()
        if as_of is not None and not 0 <= (today - as_of).days <= RETENTION_DAYS:
            raise BadRequest(
                "as_of lies in the future" if as_of > today else "as_of lies before the data that are kept",
                errors=[{"field": "as_of", "expected": f"today (UTC) or one of the {RETENTION_DAYS} days before"}],
            )

    def _judge_and_write(self, tenant: Tenant, run_id: str, as_of: date, tracker: Tracker) -> RunResult:
        catalogue = overridden(self._compiled(), tenant)
        compiled = catalogue.plan
        tracker.step("scanning", done=0, total=len(compiled.detectors))
        table, failed = self._scan(compiled, tenant, as_of)
        run = Run(tenant=tenant, run_id=run_id, coverage=table.coverage, found_at=self._now())
        mutes, judged = judge_all(run, table, catalogue, failed, tracker)
        findings = grouped([finding for one in judged.values() for finding in one.findings], table, compiled.detectors)
        tracker.step("writing findings", done=len(judged), counts={"findings": len(findings)})
        self._replace(tenant.tenant_id, run_id, as_of, findings)
        self._count(run, compiled, mutes, judged)
        account = DetectorRun(
            run_id=run_id,
            tenant_id=tenant.tenant_id,
            as_of=as_of,
            ran=sorted(judged),
            muted=dict(sorted(mutes.reasons.items())),
            unheard=mutes.unheard(),
            candidates=sum(one.tested for one in judged.values()),
            findings=len(findings),
            statements=compiled.statements,
            finished_at=self._now(),
        )
        self._ops.put(f"detector_runs/{run_id}", account.document())
        tracker.finish({"ran": len(judged), "muted": len(mutes.reasons), "findings": len(findings)})
        broken = {name: reason for name, reason in mutes.reasons.items() if reason.startswith(FAILED)}
        counts = (len(judged), len(mutes.reasons), account.candidates, account.findings)
        return RunResult(run_id, as_of, *counts, failed=failed, broken=broken)

    def _scan(self, compiled: Plan, tenant: Tenant, as_of: date) -> tuple[Table, dict[str, str]]:
        """The rows of all statements, and why some have none."""
        dataset = f"aso_tenant_{tenant.tenant_id}"
        left_out = {day for event in tenant.expected_events for day in event.days}
        statements, parameters = compiled.sql(dataset), compiled.parameters(as_of, left_out)
        found: dict[str, Mapping[str, Any]] = {}
        failed: dict[str, str] = {}

        def read(name: str) -> None:
            try:
                into = f"{dataset}.scan_{name}_{_mark(statements[name], parameters[name])}"
                found[name] = self._warehouse.columns(statements[name], into, **parameters[name])
            except AppError as error:
                failed[name] = f"{error.reason}: {error.message}"

        with ThreadPoolExecutor(len(statements) or 1) as pool:
            list(pool.map(read, statements))
        entities, coverage = gathered(partial(Coverage.of, as_of, left_out=left_out), compiled, found)
        return Table(entities, coverage, tenant), failed

    def _replace(self, tenant_id: str, run_id: str, as_of: date, findings: list[Finding]) -> None:
        sql = render(
            "detectors/replace_findings.sql",
            table=f"aso_tenant_{tenant_id}.detector_findings",
            schema_version=Finding.schema_version,
        )
        # A request to BigQuery holds 10 MB: many findings go in several. The first one clears what the run had written.
        for place, rows in enumerate(_portions(findings)):
            found = orjson.dumps(rows).decode()
            self._warehouse.execute(sql, as_of=as_of, run_id=run_id, findings=found, clears=place == 0)

    def _count(self, run: Run, compiled: Plan, mutes: Mutes, judged: Mapping[str, Judged]) -> None:
        counts = []
        for detector in compiled.detectors:
            one = judged.get(detector.id)
            counts.append(
                stage_count(
                    run.run_id,
                    run.tenant.tenant_id,
                    "detectors",
                    detector.id,
                    rows_in=one.tested if one else 0,
                    rows_out=len(one.findings) if one else 0,
                    note=f"muted: {mutes.reasons[detector.id]}" if detector.id in mutes.reasons else None,
                )
            )
        record_counts(self._warehouse, run.tenant.tenant_id, counts)


def judge_all(
    run: Run, table: Table, catalogue: Catalogue, failed: Mapping[str, str], tracker: Tracker | None = None
) -> tuple[Mutes, dict[str, Judged]]:
    """Judge every detector that may: those of data quality first, as they decide which of the others are heard."""
    mutes = Mutes(run.coverage, catalogue.refused, failed, catalogue.switched_off)
    judged: dict[str, Judged] = {}
    found = 0
    for done, detector in enumerate(sorted(catalogue.plan.detectors, key=_last_unless_quality), start=1):
        if not mutes.silences(detector):
            try:
                judged[detector.id] = mutes.heard(detector, judge(run, detector, table))
            except Exception as error:  # noqa: BLE001  One that fails on a tenant's data takes no other with it.
                mutes.reasons[detector.id] = f"{FAILED}: {type(error).__name__}"
                continue
            found += len(judged[detector.id].findings)
        if tracker is not None:
            tracker.step("judging", done=done, total=len(catalogue.plan.detectors), counts={"findings": found})
    return mutes, judged


def _portions(findings: list[Finding]) -> Iterator[list[dict[str, Any]]]:
    """Findings as rows, in portions that a statement can take; one at least."""
    rows: list[dict[str, Any]] = []
    size = 0
    for finding in findings:
        values = finding.model_dump(mode="json")
        evidence = orjson.dumps(values["evidence"])
        if rows and size + len(evidence) > PORTION_BYTES:
            yield rows
            rows, size = [], 0
        rows.append({**values, "evidence": evidence.decode()})
        size += len(evidence) + 2_000
    yield rows


def _mark(sql: str, parameters: Mapping[str, Any]) -> str:
    """Names what a statement yields: two runs at once read each other's rows only where they ask the same."""
    return hashlib.sha256(f"{sql}{sorted(parameters.items())}".encode()).hexdigest()[:16]


def _last_unless_quality(detector: Detector) -> tuple[bool, str]:
    # What mutes or dampens others comes before them.
    return (not (detector.mutes or detector.dampens), detector.id)


def _tenants(asked: DetectorsAsked) -> list[str]:
    """Whom a run is asked of: the one tenant, or an operator's list."""
    if asked.tenant_id is not None and set(asked.tenant_ids) - {asked.tenant_id}:
        raise Forbidden("tenant_ids names other tenants", field="tenant_ids", expected="left out, or an operator's")
    if asked.tenant_id is None and not asked.tenant_ids:
        raise BadRequest("tenant_id is missing", errors=[{"field": "tenant_id", "expected": "the tenant's id"}])
    return [asked.tenant_id] if asked.tenant_id else list(dict.fromkeys(asked.tenant_ids))


def _settled(tenant: Tenant, asked_at: datetime) -> date:
    """The last day that none of the tenant's sources restates any more: sources are judged side by side."""
    enabled = [source for source in tenant.sources.values() if source.enabled] or [SourceSettings()]
    settling = max(source.settling_days for source in enabled)
    return asked_at.astimezone(UTC).date() - timedelta(days=1 + settling)
