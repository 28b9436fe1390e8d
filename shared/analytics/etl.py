"""Raw rows into `daily_entity_metrics` and `entity_map`: only the days that changed, and the truth about each stage.

The SQL reads the exact views, never the documents. A rerun changes nothing; a crash leaves each entity type either as
it was or as it should be, and the watermark moves only at the end, so that the next run does the same days again, and
their months: a crash between the days and their months is mended by it.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shared.analytics.entities import ENTITIES, GROUPS, RAW_TABLES, Group
from shared.analytics.messages import EtlAsked, EtlFinished, EtlRequested
from shared.analytics.records import DailyEntityMetrics, EntityMap, EtlState, MonthlyEntityMetrics
from shared.analytics.rollup import roll_up
from shared.errors import Unavailable
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook, Tracker
from shared.ops.records import Arrivals, StageCount
from shared.ops.stage_counts import record_counts, stage_count
from shared.schema.bigquery import columns, plain_table
from shared.schema.ports import Documents, Publisher, Warehouse
from shared.schema.sql import render
from shared.sources.source import source_collections
from shared.streaming.messages import MergeRequested
from shared.tenants.fan_out import Asked, ask_each

OVERLAP = timedelta(minutes=10)
"""How long after its stamp a row may still become visible in the log (see shared/streaming/merge.py)."""
PATIENCE = timedelta(minutes=10)
"""How long the ETL waits for documents of a sync before it goes on and reports the leak."""
LEASE_SECONDS = 600
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class EtlResult:
    """What one run did; `leaks` says in words where something was lost."""

    days: int
    rows_in: int
    rows_out: int
    refused: int
    changed: int
    months_changed: int
    leaks: tuple[str, ...]


class Etl:
    """The ETL of one tenant."""

    def __init__(
        self,
        warehouse: Warehouse,
        ops: Documents,
        progress: ProgressBook,
        leases: Leases,
        publisher: Publisher,
        entities: Sequence[Entity] = ENTITIES,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._warehouse = warehouse
        self._ops = ops
        self._progress = progress
        self._leases = leases
        self._publisher = publisher
        self._entities = entities
        self._now = now

    def ask(self, asked: EtlAsked, tenants: Callable[[], list[str]], requested_by: str) -> Asked:
        """Ask for a run of one tenant, or, without a tenant, of every tenant."""

        def ask(tenant_id: str) -> str:
            run_id = f"etl-{tenant_id}-{secrets.token_hex(4)}"
            self._progress.request(run_id, "etl", tenant_id, requested_by)
            self._publisher.publish(EtlRequested(tenant_id=tenant_id, run_id=run_id, full=asked.full))
            return run_id

        return Asked([ask(asked.tenant_id)]) if asked.tenant_id else ask_each(tenants(), ask)

    def work(self, request: EtlRequested) -> EtlResult:
        """Do what a message asks: after a sync (it names its source), or on request."""
        if request.source is not None:
            return self.run(request.tenant_id, f"etl-{request.run_id}", request.run_id, request.full)
        return self.run(request.tenant_id, request.run_id, full=request.full)

    def run(self, tenant_id: str, run_id: str, sync_run_id: str | None = None, full: bool = False) -> EtlResult:
        """Bring the metrics of one tenant up to date; publishes EtlFinished.

        sync_run_id: the sync whose documents must have arrived first. full: rebuild every day.
        Unavailable while they are still on their way, or while another run works.
        """
        with self._leases.hold(f"etl:{tenant_id}", LEASE_SECONDS) as held:
            if not held:
                raise Unavailable("an ETL of this tenant is running", tenant_id=tenant_id)
            counts = self._arrivals(tenant_id, sync_run_id) if sync_run_id else []
            with self._progress.track(run_id, "etl", tenant_id) as tracker:
                result = self._rebuild(tenant_id, run_id, counts, full, tracker)
                tracker.step(
                    counts={
                        "days": result.days,
                        "rows_in": result.rows_in,
                        "rows_out": result.rows_out,
                        "refused": result.refused,
                        "leaks": len(result.leaks),
                    }
                )
                self._publisher.publish(EtlFinished(tenant_id=tenant_id, run_id=run_id))
                if sync_run_id:
                    # All of a sync is in the log by now: one merge, and views no longer read it as a tail.
                    self._publisher.publish(MergeRequested(tenant_id=tenant_id, force=True))
        return result

    def _rebuild(
        self, tenant_id: str, run_id: str, arrivals: list[StageCount], full: bool, tracker: Tracker
    ) -> EtlResult:
        started, dataset = self._now(), f"aso_tenant_{tenant_id}"
        state = self._state(tenant_id)
        days = self._days(tenant_id, state.seen_until if not full else BEGINNING)
        changed, months_changed, counts = 0, 0, list(arrivals)
        if days:
            tracker.step("metrics", done=0, total=4)
            changed = self._rebuild_metrics(dataset, tenant_id, days)
            tracker.step("months", done=1)
            months_changed = self._roll_up(tenant_id, days, everything=full or not state.rolled_up)
            tracker.step("entities", done=2)
            self._map_entities(dataset, tenant_id, days)
            tracker.step("counts", done=3)
            counts += self._conserved(dataset, tenant_id, run_id, days)
        record_counts(self._warehouse, tenant_id, counts)
        state = EtlState(tenant_id=tenant_id, seen_until=started - OVERLAP, rolled_up=state.rolled_up or bool(days))
        self._ops.put(f"etl/{tenant_id}", state.document())
        made = [count for count in counts if count.stage == "etl"]
        return EtlResult(
            days=len(days),
            rows_in=sum(count.rows_in for count in made),
            rows_out=sum(count.rows_out for count in made),
            refused=sum(count.rows_refused for count in arrivals),
            changed=changed,
            months_changed=months_changed,
            leaks=tuple(f"{count.stage} {count.subject}: {count.note}" for count in counts if count.note),
        )

    def _state(self, tenant_id: str) -> EtlState:
        held = self._ops.get(f"etl/{tenant_id}") or {"tenant_id": tenant_id, "seen_until": BEGINNING}
        return EtlState.model_validate(held)

    def _days(self, tenant_id: str, since: datetime) -> list[date]:
        """Days of documents that changed since then, oldest first."""
        sql = render("analytics/sql/changed_days.sql", dataset=f"aso_tenant_{tenant_id}", tables=RAW_TABLES)
        return sorted(row["day"] for row in self._warehouse.query(sql, since=since))

    def _rebuild_metrics(self, dataset: str, tenant_id: str, days: list[date]) -> int:
        types = {column.name: column.type for column in columns(DailyEntityMetrics)}
        entities = (*self._entities, SOURCE_TABLE)
        made = dict.fromkeys(name for entity in entities for name in entity.columns)
        sql = render(
            "analytics/sql/rebuild_metrics.sql",
            dataset=dataset,
            columns={name: types[name] for name in made},
            entities=[
                {
                    "entity_type": entity.entity_type,
                    "columns": entity.columns,
                    "select": render(entity.sql, dataset=dataset, tables=RAW_TABLES, entity=entity),
                }
                for entity in entities
            ],
            schema_version=DailyEntityMetrics.schema_version,
        )
        return self._warehouse.execute(
            sql, tenant_id=tenant_id, days=days, first_day=days[0], last_day=days[-1], now=self._now()
        )

    def _roll_up(self, tenant_id: str, days: list[date], everything: bool) -> int:
        """Roll up the months of these days; with `everything`, as before a tenant has any, those of all days."""
        first, last = days[0], days[-1]
        if everything:
            # A tenant of an older deployment has days, and no table of months until it is provisioned again.
            self._warehouse.ensure_table(f"aso_tenant_{tenant_id}", plain_table(MonthlyEntityMetrics))
            first, last = min(first, BEGINNING.date()), max(last, self._now().date())
        return roll_up(self._warehouse, tenant_id, first, last, self._now())

    def _map_entities(self, dataset: str, tenant_id: str, days: list[date]) -> None:
        sql = render(
            "analytics/sql/map_entities.sql",
            dataset=dataset,
            tables={entity.entity_type: entity.table for entity in ENTITIES},
            schema_version=EntityMap.schema_version,
        )
        self._warehouse.execute(sql, tenant_id=tenant_id, days=days, now=self._now())

    def _conserved(self, dataset: str, tenant_id: str, run_id: str, days: list[date]) -> list[StageCount]:
        """Counts per entity type; `note` says what was lost between the raw rows and the metrics."""
        sql = render("analytics/sql/conserved.sql", dataset=dataset, entities=ENTITIES)
        return [
            stage_count(
                run_id,
                tenant_id,
                "etl",
                row["entity_type"],
                rows_in=row["rows_in"],
                rows_out=row["rows_out"],
                note=_loss(row),
            )
            for row in self._warehouse.query(sql, days=days)
        ]

    def _arrivals(self, tenant_id: str, sync_run_id: str) -> list[StageCount]:
        """Compare what a sync wrote with what arrived. Unavailable until they agree or patience ends."""
        ledger = [
            Arrivals.model_validate(values)
            for _, values in self._ops.find("arrivals", where=[("run_id", "==", sync_run_id)])
        ]
        if not ledger:
            return []
        written_to = {entry.collection_name for entry in ledger}
        sql = render(
            "analytics/sql/arrived.sql",
            dataset=f"aso_tenant_{tenant_id}",
            tables=[name for name in source_collections() if name in written_to],
        )
        since = min(entry.started_at or entry.finished_at for entry in ledger) - OVERLAP
        arrived = {row["collection_name"]: row for row in self._warehouse.query(sql, run_id=sync_run_id, since=since)}
        counts, missing = [], 0
        for entry in ledger:
            row = arrived.get(entry.collection_name, {"arrived": 0, "refused": 0})
            written = sum(entry.days().values())
            lost = written - row["arrived"] - row["refused"]
            missing += max(lost, 0)
            counts.append(
                stage_count(
                    sync_run_id,
                    tenant_id,
                    "stream",
                    entry.collection_name,
                    rows_in=written,
                    rows_out=row["arrived"],
                    rows_refused=row["refused"],
                    note=_not_arrived(entry, written, lost),
                )
            )
        newest = max(entry.finished_at for entry in ledger)
        if missing and self._now() - newest < PATIENCE:
            raise Unavailable("documents of the sync are still on their way", missing=missing)
        return counts


def _not_arrived(entry: Arrivals, written: int, lost: int) -> str | None:
    if lost > 0:
        return f"{lost} of {written} documents did not arrive"
    there = written + sum(entry.days_unchanged().values())
    if entry.reported is not None and entry.reported > there:
        return f"{there} of {entry.reported} rows that the source reported were written"
    return None


def _loss(row: dict[str, Any]) -> str | None:
    if row["measure_in"] != row["measure_out"]:
        return f"{row['measure_in']} in the raw rows, {row['measure_out']} in the metrics"
    if row["rows_in"] and not row["rows_out"]:
        return f"no metrics of {row['rows_in']} raw rows"
    if row["unmapped"]:
        return f"{row['unmapped']} rows of entities that the map does not know"
    return None
