"""How a tenant's sources stand: what they answered, how far their rows came, and what people can do about it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.ops.records import Arrivals, Progress, SourceState
from shared.schema.ports import Documents
from shared.sources.catalogue import SOURCES, SourceKind
from shared.sources.runs import is_alive, is_of, tried_again, works
from shared.sources.states import SourceStates
from shared.tenants.records import Tenant

COLLECTIONS = 24
"""More than any source has: the newest sync's ledger is among so many entries."""
DUE = "What came stays. What is missing is due again at the next sync: press Sync, or wait for tomorrow's."
AGAIN = "What came stays. The rest is tried again by itself, for days if need be."


@dataclass(frozen=True)
class Arrived:
    """How far the rows of one collection came in the newest sync. None: nobody said so, or looked, yet.

    reported: rows that the source says it has. refused: documents that no record accepts, which are in the log alone.
    unwritten: documents that Firestore does not take; unwritten_documents: the first of them by name, and why.
    short: rows that it reported and did not give. missing: documents that were written and are no rows. unaggregated:
    rows that are in no metrics.
    failed: why the source refused the rest.
    """

    collection: str
    reported: int | None
    written: int
    unchanged: int
    arrived: int | None
    refused: int | None
    short: int
    missing: int | None
    unaggregated: int
    failed: str
    complete: bool
    unwritten: int = 0
    unwritten_documents: tuple[str, ...] = ()

    @property
    def lost(self) -> int:
        """Rows that are known to be lost."""
        return max(self.short, self.unwritten) + (self.missing or 0) + self.unaggregated

    @property
    def wrong(self) -> bool:
        """True where not all of it came."""
        return bool(self.lost or self.refused or self.failed)


@dataclass(frozen=True)
class Trouble:
    """What is wrong, and what to do next."""

    what: str
    do: str


@dataclass(frozen=True)
class Work:
    """A sync that runs, or a connection that is being tested."""

    run_id: str
    status: str
    step: str
    done: int
    total: int | None


@dataclass(frozen=True)
class Standing:
    """How one source stands.

    state: connected, refused, failing; `incomplete` where settings are missing, `new` where nobody has asked it yet.
    ledger: the collections of the newest sync, which ended at `counted_at`.
    """

    name: str
    title: str
    state: str
    since: datetime | None
    account: str
    synced_at: datetime | None
    sync: Work | None
    check: Work | None
    run_id: str
    counted_at: datetime | None
    ledger: tuple[Arrived, ...]
    troubles: tuple[Trouble, ...]

    @property
    def lost(self) -> int:
        """Rows that are known to be lost, of all collections."""
        return sum(each.lost for each in self.ledger)

    @property
    def counted(self) -> bool:
        """True once the ETL has looked what became of every document of the newest sync."""
        return all(each.arrived is not None for each in self.ledger)


def standings(ops: Documents, tenant: Tenant, now: datetime) -> list[Standing]:
    """Every source that the tenant's settings enable."""
    states = {state.source: state for state in SourceStates(ops).all(tenant.tenant_id)}
    alive = [run for run in works(ops, tenant.tenant_id) if is_alive(run, now)]
    return [
        _standing(kind, tenant, states.get(name), _newest(ops, tenant.tenant_id, name), alive, now)
        for name, kind in SOURCES.items()
        if name in tenant.sources and tenant.sources[name].enabled
    ]


def _standing(
    kind: SourceKind,
    tenant: Tenant,
    state: SourceState | None,
    ledger: Sequence[Arrivals],
    alive: Sequence[Progress],
    now: datetime,
) -> Standing:
    lacks, arrived = kind.lacks(tenant.sources[kind.name]), tuple(map(_arrived, ledger))
    sync = _work(alive, "sync", kind.name, tenant.tenant_id)
    again = sync is not None or (state is not None and tried_again(state, now))
    return Standing(
        name=kind.name,
        title=kind.title,
        state="incomplete" if lacks else state.state if state else "new",
        since=state.since if state else None,
        account=state.account if state else "",
        synced_at=state.synced_at if state else None,
        sync=sync,
        check=_work(alive, "check", kind.name, tenant.tenant_id),
        run_id=ledger[0].run_id if ledger else "",
        counted_at=max((entry.finished_at for entry in ledger), default=None),
        ledger=arrived,
        troubles=tuple(_troubles(kind, tenant.tenant_id, lacks, state, arrived, again)),
    )


def _newest(ops: Documents, tenant_id: str, source: str) -> list[Arrivals]:
    """The ledger of the newest sync, by collection."""
    found = ops.find(
        "arrivals",
        where=[("tenant_id", "==", tenant_id), ("source", "==", source)],
        order_by="-finished_at",
        limit=COLLECTIONS,
    )
    entries = [Arrivals.model_validate(values) for _, values in found]
    mine = [entry for entry in entries if entry.run_id == entries[0].run_id]
    return sorted(mine, key=lambda entry: entry.collection_name)


def _arrived(entry: Arrivals) -> Arrived:
    written, unchanged = sum(entry.days().values()), sum(entry.days_unchanged().values())
    unwritten = sum(entry.days_unwritten().values())
    missing = refused = None
    # Until the last page is written the rest may still come.
    short = max((entry.reported or 0) - written - unchanged, 0) if entry.complete or entry.failed else 0
    if entry.arrived is not None:
        missing = max((entry.lost or 0) - max(short, unwritten) - entry.unaggregated, 0)
        refused = max(written - entry.arrived - missing, 0)
    return Arrived(
        entry.collection_name,
        entry.reported,
        written,
        unchanged,
        entry.arrived,
        refused,
        short,
        missing,
        entry.unaggregated,
        entry.failed or "",
        entry.complete,
        unwritten,
        tuple(entry.unwritten_documents),
    )


def _troubles(
    kind: SourceKind,
    tenant_id: str,
    lacks: Sequence[str],
    state: SourceState | None,
    ledger: Sequence[Arrived],
    again: bool,
) -> Iterator[Trouble]:
    if lacks:
        named = ", ".join(f"sources.{kind.name}.{name}" for name in lacks)
        yield Trouble(f"its settings are not complete: {', '.join(lacks)}", f"Set {named} of the tenant.")
    if state is not None and state.state == "refused":
        yield Trouble(state.message, _renew(kind, tenant_id))
    elif state is not None and state.state == "failing":
        yield Trouble(state.message, AGAIN if again else DUE)
    else:
        yield from _short(ledger)
    yield from _missing(tenant_id, ledger)


def _renew(kind: SourceKind, tenant_id: str) -> str:
    if not kind.credentials:
        return "Let the account that Scout runs as read it, then test the connection."
    return (
        f"Put what it takes ({kind.credentials}) into the secret `scout-{tenant_id}-{kind.name}`, then test the "
        "connection. Until then each daily sync asks once, and no more."
    )


def _short(ledger: Iterable[Arrived]) -> Iterator[Trouble]:
    """What the source did not give, though its newest sync has ended."""
    for each in ledger:
        if each.failed:
            yield Trouble(f"{each.collection}: {each.failed}", DUE)
        elif each.short > each.unwritten:
            came = f"{each.written + each.unchanged:,} of {each.reported:,}"
            yield Trouble(f"{each.collection}: {came} rows that the source reported came", DUE)


def _missing(tenant_id: str, ledger: Iterable[Arrived]) -> Iterator[Trouble]:
    """What was not written, or did not become rows."""
    for each in ledger:
        if each.unwritten:
            yield Trouble(
                f"{each.collection}: {each.unwritten:,} documents that Firestore does not take: "
                + "; ".join(each.unwritten_documents),
                "The others were written. Mend these where they come from; then they are pulled once they change.",
            )
        if each.missing:
            # Those that syncs before it lost are among them.
            written = max(each.written, each.missing)
            yield Trouble(
                f"{each.collection}: {each.missing:,} of {written:,} documents did not become rows",
                "`scout replay --dry-run` says what was set aside; "
                f"`scout verify tenants/{tenant_id}/{each.collection}` says which rows are missing, `scout repair` "
                "brings them.",
            )
        if each.unaggregated:
            yield Trouble(
                f"{each.collection}: {each.unaggregated:,} rows are in no metrics",
                "`stage_counts.note` of stage `etl` says of which entities; all days are made anew once it is mended.",
            )
        if each.refused:
            yield Trouble(
                f"{each.collection}: {each.refused:,} of {each.written:,} documents fit no row",
                f"`{each.collection}_raw_changelog.refused_reason` says why; once it is mended: "
                "`scout replay --reason InvalidDocument`.",
            )


def _work(alive: Iterable[Progress], kind: str, source: str, tenant_id: str) -> Work | None:
    for run in alive:
        if is_of(run, kind, source, tenant_id):
            return Work(run.run_id, run.status, run.step, run.done, run.total)
    return None
