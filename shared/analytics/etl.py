"""Raw rows into `daily_entity_metrics` and `entity_map`: only the days that changed, and the truth about each stage.

The SQL reads the exact views, never the documents. A rerun changes nothing; a crash leaves each entity type either as
it was or as it should be, and the watermark moves only at the end, so that the next run does the same days again, and
their months: a crash between the days and their months is mended by it.
"""

import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from shared.analytics.arrival_days import ArrivalDays
from shared.analytics.arrivals import ArrivalCheck
from shared.analytics.days import Changes, changes
from shared.analytics.entities import GROUPS, RAW_TABLES, Group
from shared.analytics.messages import EtlAsked, EtlFinished, EtlRequested
from shared.analytics.rebuild import Rebuild, Work, fingerprint
from shared.analytics.records import EtlState, MonthlyEntityMetrics
from shared.analytics.rollup import roll_up, stretches_of_months
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


@dataclass(frozen=True)
class Syncs:
    """Syncs whose ledgers a run reads: those that are done; those that failed, and when."""

    done: tuple[str, ...] = ()
    failed: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def all(self) -> tuple[str, ...]:
        """Their ids."""
        return (*self.done, *self.failed)


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
            state = self._state(tenant_id)
            done_by = state.covered.get(sync_run_id or "")
            syncs = self._syncs(tenant_id, state, sync_run_id, hurried) if done_by is None else Syncs()
            arrivals = [count for each in syncs.all for count in self._arrived(tenant_id, each)]
            with self._progress.track(run_id, "etl", tenant_id) as tracker:
                if done_by is None:
                    result = self._rebuild(state, run_id, syncs, arrivals, full, tracker)
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

    def _syncs(self, tenant_id: str, state: EtlState, sync_run_id: str | None, hurried: bool) -> Syncs:
        """After a sync: that one, and all others that have ended and that no run has seen, as sources that are pulled
        together are aggregated together, once. Unless hurried, NotNow while another source is being pulled.

        Of those that failed no message comes, but what they wrote may have been lost, too.
        """
        latest = [
            found
            for found in self._progress.latest(tenant_id, SYNCS_AT_ONCE)
            if found.kind == "sync" and found.run_id not in (*state.covered, sync_run_id)
        ]
        failed = {
            found.run_id: found.updated_at
            for found in latest
            if found.status == "failed" and state.failed.get(found.run_id) != found.updated_at
        }
        if sync_run_id is None:
            return Syncs(failed=failed)
        others = [found for found in latest if self._now() - found.updated_at < TOGETHER]
        if not hurried and any(found.status in ("requested", "running") for found in others):
            raise NotNow("another source of the tenant is being pulled", tenant_id=tenant_id)
        done = sorted({sync_run_id, *(found.run_id for found in others if found.status == "done")})
        return Syncs(tuple(done), failed)

    def _arrived(self, tenant_id: str, sync_run_id: str) -> list[StageCount]:
        """What a sync wrote and what arrived of it, recorded. Unavailable until they agree or patience ends."""
        counts = ArrivalCheck(self._warehouse, self._ops, self._now).check(tenant_id, sync_run_id)
        record_counts(self._warehouse, tenant_id, counts)
        return counts

    def _rebuild(
        self,
        state: EtlState,
        run_id: str,
        syncs: Syncs,
        arrivals: list[StageCount],
        full: bool,
        tracker: Tracker,
    ) -> EtlResult:
        tenant_id, started = state.tenant_id, self._now()
        # Asked for once: a run that goes on past midnight makes, and records, the days of the one on which it began.
        tenant, until = self._tenant(tenant_id), started.date() - timedelta(days=1)
        made_with = {group.name: fingerprint(group, tenant) for group in self._groups}
        stale = [name for name, printed in made_with.items() if full or state.made_with.get(name) != printed]
        works, told = self._works(state, stale, bool(arrivals), until)
        rebuild = Rebuild(self._warehouse, tenant, run_id, started)
        days = sorted(set[date]().union(*(work.all_days for work in works)))
        rows_changed, months_changed, counts = 0, 0, list[StageCount]()

        def make(last: bool) -> list[Work]:
            nonlocal rows_changed
            mine = [work for work in works if work.group.last == last]
            for work in mine:
                tracker.step(work.group.name, done=works.index(work), total=len(works) + 1)
                rows_changed += rebuild.group(work)
            rebuild.map_entities(mine)
            return mine

        if works:
            held = {work.group.name: rebuild.held(work) for work in make(last=False)}
            counts = [count for work in works for count in rebuild.counts(work, held.get(work.group.name, []))]
            ledger = ArrivalDays(self._warehouse, tenant_id)
            ledger.look(told, [each for of_group in held.values() for each in of_group])
            make(last=True)
            tracker.step("months", done=len(works))
            months_changed = self._roll_up(tenant_id, days, everything=full or not state.rolled_up)
        record_counts(self._warehouse, tenant_id, counts)
        if arrivals:
            ArrivalCheck(self._warehouse, self._ops, self._now).tell(tenant_id, syncs.all, until)
        made = {work.group.name: until for work in works if work.stocks}
        covered = [*state.covered.items(), *((each, run_id) for each in syncs.done)]
        after = EtlState(
            tenant_id=tenant_id,
            seen_until=started - OVERLAP,
            stocks_until={**state.stocks_until, **made},
            rolled_up=state.rolled_up or bool(days),
            covered=dict(covered[-COVERED_KEPT:]),
            failed=dict([*state.failed.items(), *syncs.failed.items()][-COVERED_KEPT:]),
            made_with=made_with,
        )
        self._ops.put(f"etl/{tenant_id}", after.document())
        aggregated = [count for count in counts if count.stage == "etl"]
        return EtlResult(
            days=len(set[date]().union(*(work.told for work in works))),
            rows_in=sum(count.rows_in for count in aggregated),
            rows_out=sum(count.rows_out for count in aggregated),
            refused=sum(count.rows_refused for count in arrivals),
            changed=rows_changed,
            months_changed=months_changed,
            leaks=tuple(f"{count.stage} {count.subject}: {count.note}" for count in (*arrivals, *counts) if count.note),
        )

    def _state(self, tenant_id: str) -> EtlState:
        held = self._ops.get(f"etl/{tenant_id}") or {"tenant_id": tenant_id, "seen_until": BEGINNING}
        return EtlState.model_validate(held)

    def _works(
        self, state: EtlState, stale: Collection[str], told: bool, until: date
    ) -> tuple[list[Work], Mapping[str, frozenset[date]]]:
        """What is to be done, by group; nothing of a group whose sources the tenant never had. And the days that
        changed rows tell of, by raw table.

        stale: groups that are made anew of everything. told: a sync's ledger was read. What it tells is new, also where
        nothing of it has arrived.
        """
        tables = RAW_TABLES if any("" in group.tables for group in self._groups) else _named(self._groups)

        def since(moment: datetime) -> Changes:
            changed = changes(self._warehouse, f"aso_tenant_{state.tenant_id}", tables, moment)
            return replace(changed, stands={**changed.stands, "": BEGINNING.date()}) if told else changed

        lately = since(state.seen_until) if len(stale) < len(self._groups) else None
        ever = since(BEGINNING) if stale or lately is None else lately
        works = []
        for group in self._groups:
            changed = ever if lately is None or group.name in stale else lately
            works.append(Work.of(group, changed, state.stocks_until.get(group.name), until))
        return [work for work in works if work.all_days], ever.days

    def _roll_up(self, tenant_id: str, days: list[date], everything: bool) -> int:
        """Roll up the months of these days; with `everything`, as before a tenant has any, those of all days."""
        if everything:
            # A tenant of an older deployment has days, and no table of months until it is provisioned again.
            self._warehouse.ensure_table(f"aso_tenant_{tenant_id}", plain_table(MonthlyEntityMetrics))
            last = max(days[-1], self._now().date())
            return roll_up(self._warehouse, tenant_id, min(days[0], BEGINNING.date()), last, self._now())
        return sum(
            roll_up(self._warehouse, tenant_id, first, last, self._now()) for first, last in stretches_of_months(days)
        )


def _named(groups: Sequence[Group]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(table for group in groups for table in group.tables))
