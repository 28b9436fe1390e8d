"""Raw rows into `daily_entity_metrics` and `entity_map`: only the days that changed, and the truth about each stage.

The SQL reads the exact views, never the documents. A rerun changes nothing; a crash leaves each entity type either as
it was or as it should be, and the watermark moves only at the end, so that the next run does the same days again, and
their months: a crash between the days and their months is mended by it.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from shared.analytics.arrivals import ArrivalCheck
from shared.analytics.days import changes
from shared.analytics.entities import GROUPS, RAW_TABLES, Group
from shared.analytics.messages import EtlAsked, EtlFinished, EtlRequested
from shared.analytics.rebuild import Rebuild, Work
from shared.analytics.records import EtlState, MonthlyEntityMetrics
from shared.analytics.rollup import roll_up
from shared.errors import NotNow, Unavailable
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook, Tracker
from shared.ops.records import StageCount
from shared.ops.stage_counts import record_counts
from shared.schema.bigquery import plain_table
from shared.schema.ports import Documents, Publisher, Warehouse
from shared.streaming.messages import MergeRequested
from shared.tenants.fan_out import Asked, ask_each
from shared.tenants.records import Tenant

OVERLAP = timedelta(minutes=10)
"""How long after its stamp a row may still become visible in the log (see shared/streaming/merge.py)."""
LEASE_SECONDS = 600
PAUSES = (2.0, 3.0, 5.0, 8.0, 12.0, 15.0, 15.0, 15.0, 15.0)
"""Seconds that a run waits, again and again, for documents that are on their way, for other sources that are being
pulled, for the run before: each look costs a query. Then Pub/Sub delivers its message anew, ever more seldom.
"""
TOGETHER = timedelta(minutes=30)
"""A sync that was last heard of before that is waited for no more, nor aggregated with others."""
SYNCS_AT_ONCE = 30
COVERED_KEPT = 200
"""Syncs that are remembered as aggregated: more than can still be waiting to be."""
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

    @property
    def counts(self) -> dict[str, int]:
        """What its progress says."""
        told = {name: getattr(self, name) for name in ("days", "rows_in", "rows_out", "refused")}
        return told | {"leaks": len(self.leaks)}


NOTHING = EtlResult(days=0, rows_in=0, rows_out=0, refused=0, changed=0, months_changed=0, leaks=())
"""What a run did whose sync another run has seen."""


class Etl:
    """The ETL of one tenant."""

    def __init__(
        self,
        warehouse: Warehouse,
        ops: Documents,
        progress: ProgressBook,
        leases: Leases,
        publisher: Publisher,
        tenant: Callable[[str], Tenant],
        groups: Sequence[Group] = GROUPS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        pauses: Sequence[float] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._warehouse = warehouse
        self._ops = ops
        self._progress = progress
        self._leases = leases
        self._publisher = publisher
        self._tenant = tenant
        self._groups = groups
        self._now = now
        self._pauses = pauses
        self._sleep = sleep

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
        Unavailable while they are still on their way, or while another run works, and no pause is left to wait.
        """
        for pause in self._pauses:
            try:
                return self._run(tenant_id, run_id, sync_run_id, full, hurried=False)
            except Unavailable as error:
                if not isinstance(error, NotNow):
                    raise
                self._sleep(pause)
        return self._run(tenant_id, run_id, sync_run_id, full, hurried=True)

    def _run(self, tenant_id: str, run_id: str, sync_run_id: str | None, full: bool, hurried: bool) -> EtlResult:
        with self._leases.hold(f"etl:{tenant_id}", LEASE_SECONDS) as held:
            if not held:
                raise NotNow("an ETL of this tenant is running", tenant_id=tenant_id)
            done_by = self._state(tenant_id).covered.get(sync_run_id or "")
            syncs = self._syncs(tenant_id, sync_run_id, hurried) if sync_run_id and done_by is None else []
            arrivals = [count for each in syncs for count in self._arrived(tenant_id, each)]
            with self._progress.track(run_id, "etl", tenant_id) as tracker:
                if done_by is None:
                    result = self._rebuild(tenant_id, run_id, syncs, arrivals, full, tracker)
                    tracker.step(counts=result.counts)
                else:
                    result = NOTHING
                    tracker.step(counts={"covered": int(done_by != run_id)})
                if done_by in (None, run_id):
                    self._publisher.publish(EtlFinished(tenant_id=tenant_id, run_id=run_id))
                    if sync_run_id:
                        # All of a sync is in the log by now: one merge, and views no longer read it as a tail.
                        self._publisher.publish(MergeRequested(tenant_id=tenant_id, force=True))
        return result

    def _syncs(self, tenant_id: str, sync_run_id: str, hurried: bool) -> list[str]:
        """The sync, and all others that have ended and that no run has seen: sources that are pulled together are
        aggregated together, once. Unless hurried, NotNow while another source is being pulled.
        """
        covered, now = self._state(tenant_id).covered, self._now()
        others = [
            found
            for found in self._progress.latest(tenant_id, SYNCS_AT_ONCE)
            if found.kind == "sync"
            and found.run_id not in (*covered, sync_run_id)
            and now - found.updated_at < TOGETHER
        ]
        if not hurried and any(found.status in ("requested", "running") for found in others):
            raise NotNow("another source of the tenant is being pulled", tenant_id=tenant_id)
        return sorted({sync_run_id, *(found.run_id for found in others if found.status == "done")})

    def _arrived(self, tenant_id: str, sync_run_id: str) -> list[StageCount]:
        """What a sync wrote and what arrived of it, recorded. Unavailable until they agree or patience ends."""
        counts = ArrivalCheck(self._warehouse, self._ops, self._now).check(tenant_id, sync_run_id)
        record_counts(self._warehouse, tenant_id, counts)
        return counts

    def _rebuild(
        self,
        tenant_id: str,
        run_id: str,
        syncs: list[str],
        arrivals: list[StageCount],
        full: bool,
        tracker: Tracker,
    ) -> EtlResult:
        started, tenant = self._now(), self._tenant(tenant_id)
        state = self._state(tenant_id)
        works = self._works(tenant_id, state, full, told=bool(arrivals))
        rebuild = Rebuild(self._warehouse, tenant, run_id, started)
        days = sorted(set[date]().union(*(work.all_days for work in works)))
        changed, months_changed, counts = 0, 0, list[StageCount]()
        for number, work in enumerate(works):
            tracker.step(work.group.name, done=number, total=len(works) + 2)
            changed += rebuild.group(work)
        if days:
            tracker.step("months", done=len(works))
            months_changed = self._roll_up(tenant_id, days, everything=full or not state.rolled_up)
            tracker.step("entities", done=len(works) + 1)
            rebuild.map_entities(days)
            rebuild.keep_aggregated(days)
            counts = [count for work in works for count in rebuild.counts(work)]
        record_counts(self._warehouse, tenant_id, counts)
        if arrivals:
            ArrivalCheck(self._warehouse, self._ops, self._now).tell(tenant_id, syncs, self._yesterday())
        made = {work.group.name: until for work in works for until in [self._yesterday()] if work.stocks}
        state = EtlState(
            tenant_id=tenant_id,
            seen_until=started - OVERLAP,
            stocks_until={**state.stocks_until, **made},
            rolled_up=state.rolled_up or bool(days),
            covered=dict([*state.covered.items(), *((each, run_id) for each in syncs)][-COVERED_KEPT:]),
        )
        self._ops.put(f"etl/{tenant_id}", state.document())
        aggregated = [count for count in counts if count.stage == "etl"]
        return EtlResult(
            days=len(set[date]().union(*(work.told for work in works))),
            rows_in=sum(count.rows_in for count in aggregated),
            rows_out=sum(count.rows_out for count in aggregated),
            refused=sum(count.rows_refused for count in arrivals),
            changed=changed,
            months_changed=months_changed,
            leaks=tuple(f"{count.stage} {count.subject}: {count.note}" for count in (*arrivals, *counts) if count.note),
        )

    def _state(self, tenant_id: str) -> EtlState:
        held = self._ops.get(f"etl/{tenant_id}") or {"tenant_id": tenant_id, "seen_until": BEGINNING}
        return EtlState.model_validate(held)

    def _works(self, tenant_id: str, state: EtlState, full: bool, told: bool) -> list[Work]:
        """What is to be done, by group; nothing of a group whose sources the tenant never had.

        told: a sync's ledger was read. What it tells is new, also where nothing of it has arrived.
        """
        tables = RAW_TABLES if any("" in group.tables for group in self._groups) else _named(self._groups)
        since = BEGINNING if full else state.seen_until
        changed = changes(self._warehouse, f"aso_tenant_{tenant_id}", tables, since)
        if told:
            changed = replace(changed, stands={**changed.stands, "": BEGINNING.date()})
        works = [
            Work.of(group, changed, state.stocks_until.get(group.name), self._yesterday()) for group in self._groups
        ]
        return [work for work in works if work.all_days]

    def _yesterday(self) -> date:
        return self._now().date() - timedelta(days=1)

    def _roll_up(self, tenant_id: str, days: list[date], everything: bool) -> int:
        """Roll up the months of these days; with `everything`, as before a tenant has any, those of all days."""
        first, last = days[0], days[-1]
        if everything:
            # A tenant of an older deployment has days, and no table of months until it is provisioned again.
            self._warehouse.ensure_table(f"aso_tenant_{tenant_id}", plain_table(MonthlyEntityMetrics))
            first, last = min(first, BEGINNING.date()), max(last, self._now().date())
        return roll_up(self._warehouse, tenant_id, first, last, self._now())


def _named(groups: Sequence[Group]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(table for group in groups for table in group.tables))
