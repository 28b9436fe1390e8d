"""The arrival ledger of a sync: what its source reported, what was written, what was streamed, by collection."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial

from shared.analytics.arrival_days import ArrivalDays, Missing
from shared.analytics.records import ArrivalDay
from shared.errors import NotNow
from shared.ops.records import NO_DAY, Arrivals, StageCount, iso_day
from shared.ops.stage_counts import stage_count
from shared.schema.ports import Documents, Values, Warehouse
from shared.schema.sql import render
from shared.sources.source import source_collections

OVERLAP = timedelta(minutes=10)
PATIENCE = timedelta(minutes=10)
"""How long the ETL waits for documents of a sync before it goes on and reports the leak."""


@dataclass(frozen=True)
class _Streamed:
    """Documents of one collection and day that a sync wrote, as the log has them."""

    arrived: int = 0
    refused: int = 0


class ArrivalCheck:
    """Compares the ledger of one sync with the logs."""

    def __init__(self, warehouse: Warehouse, ops: Documents, now: Callable[[], datetime]) -> None:
        self._warehouse = warehouse
        self._ops = ops
        self._now = now

    def check(self, tenant_id: str, sync_run_id: str) -> list[StageCount]:
        """Counts of the sync's collections; `note` says what was lost, and the ledger holds it by day.

        Unavailable until what was written has arrived, or patience ends.
        """
        ledger = [
            Arrivals.model_validate(values)
            for _, values in self._ops.find("arrivals", where=[("run_id", "==", sync_run_id)])
        ]
        if not ledger:
            return []
        streamed = self._streamed(tenant_id, sync_run_id, ledger)
        missing = sum(_missing(entry, streamed) for entry in ledger)
        newest = max(entry.finished_at for entry in ledger)
        if missing and self._now() - newest < PATIENCE:
            raise NotNow("documents of the sync are still on their way", missing=missing)
        self._keep(tenant_id, ledger, streamed)
        return [count for entry in ledger for count in _counts(entry, streamed)]

    def tell(self, tenant_id: str, sync_run_ids: Sequence[str], day: date) -> None:
        """Say of each collection of these syncs what is missing as of a day, whichever sync it was of.

        Else the next sync, which finds it all written, would look as if nothing were missing any more.
        """
        missing = ArrivalDays(self._warehouse, tenant_id).missing(day)
        for run_id in sync_run_ids:
            for path, values in list(self._ops.find("arrivals", where=[("run_id", "==", run_id)])):
                found = missing.get(values["collection_name"])
                if found is not None:
                    self._ops.transact(path, partial(_told, found))

    def _streamed(
        self, tenant_id: str, sync_run_id: str, ledger: Sequence[Arrivals]
    ) -> dict[tuple[str, str], _Streamed]:
        """By collection and ISO day; of a row whose day cannot be read, by collection and ""."""
        written_to = {entry.collection_name for entry in ledger}
        sql = render(
            "analytics/sql/arrived.sql",
            dataset=f"aso_tenant_{tenant_id}",
            tables=[name for name in source_collections() if name in written_to],
        )
        since = min(entry.started_at or entry.finished_at for entry in ledger) - OVERLAP
        return {
            (row["collection_name"], _iso(row["day"])): _Streamed(row["arrived"], row["refused"])
            for row in self._warehouse.query(sql, run_id=sync_run_id, since=since)
        }

    def _keep(self, tenant_id: str, ledger: Sequence[Arrivals], streamed: dict[tuple[str, str], _Streamed]) -> None:
        """Keep what is known of each day in BigQuery, and of each collection where the page looks."""
        now, kept = self._now(), list[ArrivalDay]()
        for entry in ledger:
            written, there = entry.days(), entry.days_unchanged()
            for day in sorted({*written, *there}):
                if iso_day(day) == NO_DAY:
                    # Told with its collection: a document whose day cannot be read is refused by the stream.
                    continue
                found = streamed.get((entry.collection_name, day), _Streamed())
                kept.append(
                    ArrivalDay(
                        tenant_id=tenant_id,
                        source=entry.source,
                        collection_name=entry.collection_name,
                        date=date.fromisoformat(day),
                        run_id=entry.run_id,
                        written=written.get(day, 0),
                        unchanged=there.get(day, 0),
                        arrived=found.arrived,
                        refused=found.refused,
                        updated_at=now,
                    )
                )
        ArrivalDays(self._warehouse, tenant_id).keep(kept)
        for entry in ledger:
            lost = _missing(entry, streamed) + _not_written(entry)
            looked = partial(_looked, entry.finished_at, {"arrived": _total(entry, streamed).arrived, "lost": lost})
            self._ops.transact(f"arrivals/{entry.run_id}:{entry.collection_name}", looked)


def _looked(finished_at: datetime, found: Values, there: Values | None) -> Values | None:
    """An entry with what was found of it; None where its sync, tried again meanwhile, has gone on."""
    return {**there, **found} if there is not None and there["finished_at"] == finished_at else None


def _told(found: Missing, there: Values | None) -> Values | None:
    """An entry with what is missing of its collection; None where its sync went on after somebody looked."""
    if there is None or there.get("arrived") is None:
        return None
    # Days that are older than any that is kept are in the sync's own ledger alone.
    return {**there, "lost": max(found.rows, there["lost"] or 0), "unaggregated": found.unaggregated}


def _counts(entry: Arrivals, streamed: dict[tuple[str, str], _Streamed]) -> list[StageCount]:
    written, there = sum(entry.days().values()), sum(entry.days_unchanged().values())
    if entry.failed and not written + there:
        # Refused from its beginning: nothing of it was loaded.
        return []
    found, lost = _total(entry, streamed), _missing(entry, streamed)
    counts = [
        stage_count(
            entry.run_id,
            entry.tenant_id,
            "stream",
            entry.collection_name,
            rows_in=written,
            rows_out=found.arrived,
            rows_refused=found.refused,
            note=f"{lost} of {written} documents did not arrive" if lost > 0 else None,
        )
    ]
    short = _not_written(entry)
    if short or (entry.reported is not None and _has_ended(entry)):
        expected = written + there + short
        note = f"{written + there} of {expected} rows that the source has were written" if short else None
        counts.append(
            stage_count(
                entry.run_id,
                entry.tenant_id,
                "sync",
                entry.collection_name,
                rows_in=expected,
                rows_out=written + there,
                note=note,
            )
        )
    return counts


def _total(entry: Arrivals, streamed: dict[tuple[str, str], _Streamed]) -> _Streamed:
    mine = [found for (name, _), found in streamed.items() if name == entry.collection_name]
    return _Streamed(sum(found.arrived for found in mine), sum(found.refused for found in mine))


def _missing(entry: Arrivals, streamed: dict[tuple[str, str], _Streamed]) -> int:
    found = _total(entry, streamed)
    return max(sum(entry.days().values()) - found.arrived - found.refused, 0)


def _not_written(entry: Arrivals) -> int:
    """Rows that the source said there are and never gave, or gave and Firestore did not take."""
    there = sum(entry.days().values()) + sum(entry.days_unchanged().values())
    short = max((entry.reported or 0) - there, 0) if _has_ended(entry) else 0
    return max(short, sum(entry.days_unwritten().values()))


def _has_ended(entry: Arrivals) -> bool:
    """False until its last page came: the rest may still come."""
    return bool(entry.complete or entry.failed)


def _iso(day: date | None) -> str:
    return day.isoformat() if day is not None else ""
