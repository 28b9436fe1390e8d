"""Findings of a run become opportunities that people see at once, and that live on from run to run."""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import ValidationError

from shared.detectors.messages import DetectorRunFinished
from shared.detectors.records import DetectorRun, Finding
from shared.errors import NotFound, Unavailable
from shared.opportunities import hit_rates, lifecycle, outcomes
from shared.ops.progress import ProgressBook, Tracker
from shared.ops.stage_counts import record_counts, stage_count
from shared.schema.ports import Documents, Warehouse
from shared.schema.sql import render

Values = dict[str, Any]
Change = Callable[[Values | None], Values | None]

# A transaction is three round trips; this many at once keep a run of hundreds within seconds.
WRITERS = 8


@dataclass(frozen=True)
class Account:
    """What writing one run did."""

    run_id: str
    found: int
    created: int
    updated: int
    cleared: int
    closed: int
    unchanged: int
    refused: int
    measured: int = 0


class OpportunityWriter:
    """Writes the opportunities of finished detector runs."""

    def __init__(
        self,
        documents: Documents,
        ops: Documents,
        warehouse: Warehouse,
        progress: ProgressBook,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._documents = documents
        self._ops = ops
        self._warehouse = warehouse
        self._progress = progress
        self._now = now

    def write(self, message: DetectorRunFinished) -> Account:
        """Bring the tenant's opportunities up to a run.

        A repeat writes nothing, and a crash half way is finished by the next delivery: every document is brought
        up by itself. NotFound where the tenant has no such run; Unavailable while findings are missing.
        """
        run = self._run(message)
        with self._progress.track(f"{run.run_id}-opportunities", "opportunities", run.tenant_id) as tracker:
            findings, refused = self._findings(run)
            stored = dict(self._stored(run.tenant_id))
            account, malformed = self._apply(run, findings, stored, sum(refused.values()), tracker)
            self._count(run, findings, refused, malformed)
            account = replace(account, measured=self._measure(run, stored))
            tracker.finish(
                {name: getattr(account, name) for name in ("found", "created", "updated", "cleared", "closed")}
            )
        return account

    def _run(self, message: DetectorRunFinished) -> DetectorRun:
        values = self._ops.get(f"detector_runs/{message.run_id}")
        if values is None or values["tenant_id"] != message.tenant_id:
            raise NotFound("no such run of the tenant", field="run_id", expected="the id of a finished detector run")
        return DetectorRun.model_validate(values)

    def _findings(self, run: DetectorRun) -> tuple[list[Finding], Counter[str]]:
        """Valid findings, those worth most first, and how many of each detector were refused."""
        sql = render("opportunities/findings.sql", dataset=f"aso_tenant_{run.tenant_id}")
        rows = self._warehouse.query(sql, run_id=run.run_id, as_of=run.as_of)
        if len(rows) < run.findings:
            # Taking a missing row for "not found" would close what is still there.
            raise Unavailable("findings of the run are missing", expected=run.findings, got=len(rows))
        findings: list[Finding] = []
        refused: Counter[str] = Counter()
        for row in rows:
            try:
                findings.append(Finding.model_validate({**row, "evidence": _parsed(row["evidence"])}))
            except ValidationError:
                refused[str(row["detector_id"])] += 1
        findings.sort(key=lifecycle.ranking, reverse=True)
        return findings, refused

    def _stored(self, tenant_id: str) -> Iterator[tuple[str, Values]]:
        for path, values in self._documents.find(f"tenants/{tenant_id}/opportunities"):
            yield path.rsplit("/", 1)[-1], values

    def _apply(
        self,
        run: DetectorRun,
        findings: Iterable[Finding],
        stored: dict[str, Values],
        refused: int,
        tracker: Tracker,
    ) -> tuple[Account, set[str]]:
        """Bring every document, and `stored`, up to the run; the ids of those that cannot be read, left as they are."""
        changes: dict[str, Change] = {
            lifecycle.identity(run.tenant_id, finding): self._found(finding, run) for finding in findings
        }
        found = len(changes)
        judged, unheard = [name for name in run.ran if name not in run.muted], set(run.unheard)
        for opportunity_id, values in stored.items():
            heard = f"{values.get('entity_type')}:{values.get('entity_id')}" not in unheard
            if opportunity_id not in changes and heard and values.get("detector_id") in judged:
                changes[opportunity_id] = self._not_found(run)
        # What would not change by what was just read costs no transaction; the others decide on a fresh read.
        due, malformed = {}, set()
        for opportunity_id, change in changes.items():
            try:
                if change(stored.get(opportunity_id)) is not None:
                    due[opportunity_id] = change
            except ValidationError:
                malformed.add(opportunity_id)
        unchanged = len(changes) - len(due) - len(malformed)
        results: Counter[str] = Counter()

        def transact(item: tuple[str, Change]) -> str:
            opportunity_id, change = item
            before = stored.get(opportunity_id)
            try:
                written = self._documents.transact(_path(run, opportunity_id), change)
            except ValidationError:
                malformed.add(opportunity_id)
                return "malformed"
            if written is not None:
                stored[opportunity_id] = written
            return _what_happened(before, written)

        with ThreadPoolExecutor(WRITERS) as pool:
            for done, what in enumerate(pool.map(transact, due.items()), start=1):
                results[what] += 1
                tracker.step("writing opportunities", done=done, total=len(due))
        account = Account(
            run_id=run.run_id,
            found=found,
            created=results["created"],
            updated=results["updated"],
            cleared=results["cleared"],
            closed=results["closed"],
            unchanged=unchanged + results["unchanged"],
            refused=refused + len(malformed),
        )
        return account, malformed

    def _measure(self, run: DetectorRun, stored: dict[str, Values]) -> int:
        """Measure what was completed long enough ago, and say how often each detector's findings paid."""
        due, now = outcomes.due(stored, run.as_of), self._now()
        for opportunity_id, outcome in outcomes.measure(
            self._warehouse, run.tenant_id, due, stored, run.as_of, now
        ).items():
            document = {"outcome": outcome.document()}
            completed_at = stored[opportunity_id]["completed_at"]

            def change(held: Values | None, document: Values = document, at: Any = completed_at) -> Values | None:
                # Completed anew, reopened or measured meanwhile: then this is no longer its outcome.
                if held is None or held.get("status") != "completed" or held.get("completed_at") != at:
                    return None
                return None if held.get("outcome") is not None else {**held, **document, "updated_at": now}

            written = self._documents.transact(_path(run, opportunity_id), change)
            if written is not None:
                stored[opportunity_id] = written
        hit_rates.store(self._documents, run.tenant_id, hit_rates.hit_rates(run.tenant_id, stored.values(), now))
        return len(due)

    def _found(self, finding: Finding, run: DetectorRun) -> Change:
        return lambda stored: lifecycle.found(stored, finding, run, self._now())

    def _not_found(self, run: DetectorRun) -> Change:
        return lambda stored: lifecycle.not_found(stored, run, self._now())

    def _count(
        self, run: DetectorRun, findings: Iterable[Finding], refused: Counter[str], malformed: Container[str]
    ) -> None:
        taken: Counter[str] = Counter()
        unwritten: Counter[str] = Counter()
        for finding in findings:
            into = unwritten if lifecycle.identity(run.tenant_id, finding) in malformed else taken
            into[finding.detector_id] += 1
        counts = []
        for detector_id in sorted(taken | unwritten | refused):
            lost = {
                "findings that do not fit their declaration": refused[detector_id],
                "findings of opportunities that cannot be read": unwritten[detector_id],
            }
            counts.append(
                stage_count(
                    run.run_id,
                    run.tenant_id,
                    "opportunities",
                    detector_id,
                    rows_in=taken[detector_id] + sum(lost.values()),
                    rows_out=taken[detector_id],
                    rows_refused=sum(lost.values()),
                    note="; ".join(words for words, number in lost.items() if number) or None,
                )
            )
        record_counts(self._warehouse, run.tenant_id, counts)


def _path(run: DetectorRun, opportunity_id: str) -> str:
    return f"tenants/{run.tenant_id}/opportunities/{opportunity_id}"


def _what_happened(before: Values | None, after: Values | None) -> str:
    if after is None:
        return "unchanged"
    if before is None:
        return "created"
    if after.get("status") == "closed":
        return "closed"
    return "cleared" if after["clear_runs"] else "updated"


def _parsed(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, str | bytes) else value
