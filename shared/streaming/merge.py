"""Keeping the base table of a streamed record: an idempotent merge of the log's tail, repeated at leisure.

The view is exact without it; merging only keeps the tail, which every query of the view reads, short.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.errors import Unavailable
from shared.ops.leases import Leases
from shared.schema.ports import Documents, Warehouse
from shared.schema.record import Mark, Record, Undeclared
from shared.schema.sql import render
from shared.streaming.compaction import compact
from shared.streaming.records import Merge
from shared.streaming.retention import drop_old_hours
from shared.streaming.tables import BEGINNING, base_table, dataset_of, exact_view, log_table, view_name
from shared.streaming.undeclared import learned_columns

OVERLAP = timedelta(minutes=10)
"""A row is sent within a minute of its `appended_at`; clocks differ; merging a row twice changes nothing."""
LEASE_SECONDS = 600.0
QUIETEST = 24
"""A table in which nothing changes is looked at this many times more seldom, at most; its view is exact anyway."""


@dataclass(frozen=True)
class Merged:
    """What one call did to one table: rows of the tail, rows changed in the base, rows removed from the log."""

    table: str
    status: str
    tail_rows: int = 0
    merged_rows: int = 0
    pruned: bool = False
    compacted_rows: int = 0
    expired_rows: int = 0


class Merger:
    """Merges current tables, one worker at a time for each."""

    def __init__(
        self,
        warehouse: Warehouse,
        documents: Documents,
        leases: Leases,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._warehouse = warehouse
        self._documents = documents
        self._leases = leases
        self._now = now

    def merge(
        self, record: type[Record], names: Mapping[str, str], *, force: bool = False, compacting: bool = False
    ) -> Merged:
        """Merge one table where that is due (or forced, or compacting is wanted); then compact its closed hours.

        A repeat, or a crash anywhere, is harmless: the state is written last, so the next run reads the same tail.
        Raises Unavailable where `force` finds another worker busy.
        """
        dataset = dataset_of(record, names)
        name = view_name(record, dataset)
        if not force and not compacting and not self._due(record, name):
            return Merged(name, "not due")
        with self._leases.hold(f"merge:{name}", LEASE_SECONDS) as held:
            if not held:
                if force:
                    raise Unavailable("another worker merges the table", table=name)
                return Merged(name, "busy")
            return self._merge(record, names, dataset, name)

    def put_off(self, view: str, until: datetime, error: str | None = None) -> None:
        """Have a table that was merged before not be due until then; `error` says why."""

        def change(values: dict[str, Any] | None) -> dict[str, Any] | None:
            return {**values, "next_at": until, "error": error} if values else None

        self._documents.transact(f"merges/{view}", change)

    def _due(self, record: type[Record], name: str) -> bool:
        last = self._state(name)
        return last is None or last.next_at is None or self._now() >= last.next_at

    def _merge(self, record: type[Record], path_names: Mapping[str, str], dataset: str, name: str) -> Merged:
        last = self._state(name)
        tail_from = last.tail_from if last else BEGINNING
        started_at = self._now()
        # Never backwards: a clock that lags behind the last worker's must not make the state lie.
        covered = max(tail_from, started_at - OVERLAP)
        names = {
            "log": f"{dataset}.{log_table(record).table}",
            "base": f"{dataset}.{base_table(record).table}",
        }
        partition = _prunable(record)
        tail = self._warehouse.query(
            render("streaming/sql/tail.sql", **names, partition=partition), tail_from=tail_from
        )[0]
        merged_rows, pruned = 0, False
        if tail["row_count"]:
            bounds = self._bounds(names, partition, tail, tail_from)
            pruned = bool(bounds)
            merged_rows = self._warehouse.execute(
                render(
                    "streaming/sql/merge.sql",
                    **names,
                    columns=base_table(record).column_names(),
                    # What older code merges lacks the columns of newer rows: they are to be filled once more.
                    schema_version=record.schema_version,
                    pruned_by=partition if pruned else None,
                ),
                tail_from=tail_from,
                **bounds,
            )
        # Where the tail was empty too: provisioning again has made the view read the whole log.
        undeclared = issubclass(record, Undeclared)
        learned = learned_columns(self._documents, name) if undeclared else ()
        self._warehouse.ensure_view(name, exact_view(record, dataset, covered, learned))
        compacted_until = last.compacted_until if last else None
        closed, compacted_rows = compact(self._warehouse, record, names["log"], compacted_until, covered)
        expired_rows = 0
        if closed != compacted_until:
            expired_rows = drop_old_hours(self._warehouse, record, names["log"], covered, self._now())
        quiet = 0 if tail["row_count"] or last is None else last.quiet_merges + 1
        every = record.table.merge_every_seconds if record.table else 0
        state = Merge(
            view=name,
            record="" if undeclared else record.__name__,
            names=dict(path_names),
            next_at=started_at + timedelta(seconds=every * min(QUIETEST, 2 ** max(0, min(quiet, 8) - 1))),
            quiet_merges=quiet,
            tail_from=covered,
            started_at=started_at,
            finished_at=self._now(),
            compacted_until=closed,
        )
        self._documents.put(f"merges/{name}", state.model_dump())
        status = "merged" if tail["row_count"] else "empty"
        return Merged(name, status, tail["row_count"], merged_rows, pruned, compacted_rows, expired_rows)

    def _bounds(
        self, names: Mapping[str, str], partition: str | None, tail: Mapping[str, Any], tail_from: datetime
    ) -> dict[str, Any]:
        """The partitions that the merge may be confined to; nothing where it may not.

        Confined by the new rows' partitions, a document that moved would be inserted twice. Immutable fields should
        not move; one narrow scan (names and partitions only) makes sure that none did.
        """
        if partition is None or tail["unplaced_count"]:
            return {}
        bounds = {"first_partition": tail["first_partition"], "last_partition": tail["last_partition"]}
        outside = self._warehouse.query(
            render("streaming/sql/outside.sql", **names, partition=partition), tail_from=tail_from, **bounds
        )[0]
        return {} if outside["row_count"] else bounds

    def _state(self, name: str) -> Merge | None:
        values = self._documents.get(f"merges/{name}")
        return Merge.model_validate(values) if values else None


def _prunable(record: type[Record]) -> str | None:
    """The partition field, where it is declared never to change."""
    field = record.table.partition_by if record.table else None
    return field if field in record.marked(Mark.IMMUTABLE) else None
