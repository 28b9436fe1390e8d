"""How every stream stands: what its tables hold, when they were merged, and what the answer costs."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from shared.errors import Rejected
from shared.schema.ports import Documents, Warehouse
from shared.schema.record import PLACEHOLDER, Record, Undeclared
from shared.schema.registry import streamed_records
from shared.schema.sql import render
from shared.streaming.records import Merge
from shared.streaming.scan import Scan
from shared.streaming.streams import Stream, filled, pattern_of, stream_of
from shared.streaming.tables import BEGINNING, base_table, dataset_of, log_table, view_name
from shared.streaming.undeclared import streamed_tables

AT_ONCE = 8
LEAST_BILLED_BYTES = 10 * 1024**2
"""BigQuery bills at least this for each table that a query refers to."""
TABLES_OF_ONE = 2
COUNTED_PER_READ = 1_000


@dataclass(frozen=True)
class StreamStatus:
    """One stream. None where it was not asked, or there is nothing; `missing` where it has no tables yet."""

    collection: str
    database: str
    table: str
    declared: bool
    merge_every_seconds: int
    documents: int | None = None
    rows: int | None = None
    tail_rows: int | None = None
    refused_rows: int | None = None
    merged_at: datetime | None = None
    due_at: datetime | None = None
    compacted_until: datetime | None = None
    merge_error: str | None = None
    missing: bool = False
    bytes_read: int = 0

    @property
    def differs(self) -> bool:
        """True where Firestore and BigQuery do not hold equally many documents: on their way, or lost."""
        return None not in (self.documents, self.rows) and self.documents != (self.rows or 0) + (self.refused_rows or 0)

    @property
    def empty(self) -> bool:
        """True where it holds nothing and was never merged."""
        return not (self.documents or self.rows or self.tail_rows or self.refused_rows or self.merged_at)

    @property
    def bytes_billed(self) -> int:
        """What BigQuery bills for asking, at least."""
        return 0 if self.rows is None else max(self.bytes_read, TABLES_OF_ONE * LEAST_BILLED_BYTES)

    @property
    def reads(self) -> int:
        """Firestore reads: how far it is merged, which pattern streams it, and counting its documents."""
        counting = 0 if self.documents is None else max(1, -(-self.documents // COUNTED_PER_READ))
        return counting + (1 if self.declared else 2)


class Status:
    """Asks the stores how streams stand."""

    def __init__(self, warehouse: Warehouse, ops: Documents, scan: Scan) -> None:
        self._warehouse = warehouse
        self._ops = ops
        self._scan = scan

    def of(
        self, streams: list[tuple[type[Record], Mapping[str, str]]], *, rows: bool = True, documents: bool = False
    ) -> list[StreamStatus]:
        """The streams in the order of their tables. rows: ask BigQuery, by queries; documents: count in Firestore."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(lambda each: self._of(each[0], each[1], rows, documents), streams)
            return sorted(found, key=lambda each: each.table)

    def _of(self, record: type[Record], names: Mapping[str, str], rows: bool, documents: bool) -> StreamStatus:
        if record.collection is None or record.table is None:
            raise TypeError(f"{record.__name__} is not streamed")
        view = view_name(record, dataset_of(record, names))
        values = self._ops.get(f"merges/{view}")
        last = Merge.model_validate(values) if values else None
        found = StreamStatus(
            collection=filled(record.collection.path, names),
            database=record.collection.database,
            table=view,
            declared=not issubclass(record, Undeclared),
            merge_every_seconds=record.table.merge_every_seconds,
            merged_at=last.finished_at if last else None,
            due_at=last.next_at if last else None,
            compacted_until=last.compacted_until if last else None,
            merge_error=last.error if last else None,
        )
        if rows:
            found = self._counted(found, record, names, last.tail_from if last else BEGINNING)
        if documents and _of_one_owner(record):
            found = replace(found, documents=self._scan.count(_stream(record, names)))
        return found

    def _counted(
        self, found: StreamStatus, record: type[Record], names: Mapping[str, str], tail_from: datetime
    ) -> StreamStatus:
        dataset = dataset_of(record, names)
        tables = {"log": f"{dataset}.{log_table(record).table}", "base": f"{dataset}.{base_table(record).table}"}
        sql = render("streaming/sql/status.sql", view=found.table, **tables)
        try:
            size = self._warehouse.estimate(sql, tail_from=tail_from)
            [counts] = self._warehouse.query(sql, tail_from=tail_from)
        except Rejected:
            return replace(found, missing=True)
        return replace(
            found,
            rows=counts["row_count"],
            tail_rows=counts["tail_count"],
            refused_rows=counts["refused_count"],
            bytes_read=size,
        )


def streams_of(ops: Documents, tenant_ids: list[str]) -> Iterator[tuple[type[Record], Mapping[str, str]]]:
    """Every stream of these tenants, and those of no tenant: declared ones, then undeclared ones that have tables."""
    for record in streamed_records():
        placeholders = PLACEHOLDER.findall(record.table.dataset) if record.table else []
        if placeholders == ["tenant_id"]:
            yield from ((record, {"tenant_id": tenant_id}) for tenant_id in tenant_ids)
        elif not placeholders:
            yield record, {}
    for record, names in streamed_tables(ops):
        if names.get("tenant_id") is None or names["tenant_id"] in tenant_ids:
            yield record, names


def _stream(record: type[Record], names: Mapping[str, str]) -> Stream:
    """The whole collection of a record: `tenants/demo/things`, with what is not named left open."""
    if record.collection is None:
        raise TypeError(f"{record.__name__} has no collection")
    patterns = [pattern_of(record)] if issubclass(record, Undeclared) else []
    return stream_of(filled(record.collection.path, names), record.collection.database, patterns)


def _of_one_owner(record: type[Record]) -> bool:
    """False for a collection that tenants share: whose its documents are, only reading them would tell."""
    placeholders = PLACEHOLDER.findall(record.table.dataset) if record.table else []
    return record.collection is not None and set(placeholders) <= set(PLACEHOLDER.findall(record.collection.path))
