"""Computing typed columns again, of rows that an older declaration wrote, from the whole document in `data`.

By the code that makes them for new rows: decode, validate, typed. Page by page through a staging table and one MERGE
each. The table itself says what is left (`schema_version`), so a repeat goes on where a crash ended it, and a page that
was written twice is written once. Memory holds one page, whose size comes from the largest document.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import orjson

from shared.errors import Rejected, TenantNotProvisioned, Unavailable
from shared.migrations.columns import physical
from shared.migrations.step import Place, is_here
from shared.schema.batches import batches
from shared.schema.bigquery import TableDefinition
from shared.schema.record import Record, Undeclared
from shared.schema.sql import render
from shared.schema.times import timestamp_micros
from shared.streaming.tables import BEGINNING, log_table, typed_columns
from shared.streaming.typed import layout_of, typed_values
from shared.streaming.values import decode_fields
from shared.streaming.wire import log_wire

PAGE_BYTES = 32_000_000
MOST_ROWS = 5_000
REQUEST_BYTES = 8_000_000
"""A request of the Storage Write API holds 10 MB."""
TIMEOUT_SECONDS = 120.0
STAMPS = ("timestamp", "version", "appended_at")
KEPT = ("timestamp", "event_id", "document_name", "document_id", "operation", "version", "deleted", "appended_at")


@dataclass(frozen=True)
class Part:
    """Rows of one table that are left, of one partition (one hour of the log, one day of the base) or of all."""

    table: TableDefinition
    first: date | datetime | None
    end: date | datetime | None
    rows: int
    largest: int
    by: str | None

    @property
    def page_rows(self) -> int:
        """As many rows as memory may hold, were each as large as the largest."""
        return max(1, min(MOST_ROWS, PAGE_BYTES // max(1, self.largest)))

    @property
    def bounds(self) -> dict[str, Any]:
        """Parameters of the partition."""
        return {} if self.first is None else {"first": self.first, "end": self.end}


@dataclass(frozen=True)
class Refill:
    """The typed columns of a streamed record, in the log and then in the base.

    A row of a document that the new declaration refuses is left as it is, and the step fails saying how many: what was
    accepted must not vanish from the view. Not for records that transform fields (`data` is what is left of them).
    """

    record: type[Record]

    @property
    def records(self) -> Sequence[type[Record]]:
        return (self.record,)

    def pending(self, at: Place) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for part in self._parts(at):
            name = f"rows of {at.dataset(self.record)}.{part.table.table}"
            found[name] = found.get(name, 0) + part.rows
        return found

    def apply(self, at: Place) -> Sequence[str]:
        left = 0
        parts = list(self._parts(at))
        if not parts:
            return ()
        self._check()
        dataset = at.dataset(self.record)
        staging = replace(log_table(self.record), table=f"{log_table(self.record).table}_refill", partition_by=None)
        at.warehouse.ensure_table(dataset, staging)
        for part in parts:
            left += self._fill(at, part, f"{dataset}.{staging.table}")
        at.warehouse.drop_table(f"{dataset}.{staging.table}")
        if left:
            raise Rejected("documents do not match the new declaration", rows=left, record=self.record.__name__)
        return ()

    def _check(self) -> None:
        if layout_of(self.record).steps:
            raise Rejected(
                "a record that transforms fields cannot be filled from what is left of them",
                record=self.record.__name__,
                expected="Update with an expression over `data`",
            )
        if not self.record.streamed() or issubclass(self.record, Undeclared):
            raise Rejected("only a declared, streamed record has typed columns to fill", record=self.record.__name__)

    def _parts(self, at: Place) -> Iterator[Part]:
        if not is_here(self.record, at.names):
            return
        for table in physical(self.record):
            by = table.partition_by
            kind = next((column.type for column in table.columns if column.name == by), None)
            names = {"table": f"{at.dataset(self.record)}.{table.table}", "by": by, "kind": kind}
            unit = "HOUR" if table.partition_type == "HOUR" else "DAY"
            sql = render("migrations/sql/left_to_refill.sql", **names, unit=unit)
            for row in at.warehouse.query(sql, wanted=self.record.schema_version):
                first = row["first"]
                length = timedelta(hours=1) if unit == "HOUR" else timedelta(days=1)
                end = None if first is None else first + length
                yield Part(table, first, end, row["row_count"], row["largest"], by)

    def _fill(self, at: Place, part: Part, staging: str) -> int:
        """Fill one part; how many rows had to be left."""
        left = 0
        name = f"{at.dataset(self.record)}.{part.table.table}"
        connection = at.sink().connect(staging, self.record)
        try:
            for rows in self._pages(at, part, name):
                batch = secrets.token_hex(8)
                made = [found for row in rows if (found := self._row(row, batch)) is not None]
                left += len(rows) - len(made)
                for request in batches(made, len, REQUEST_BYTES):
                    connection.append(request).result(TIMEOUT_SECONDS)
                if made:
                    at.count(f"rows of {name}", self._merge(at, part, name, staging, batch))
        except TenantNotProvisioned as error:
            raise Unavailable("the staging table is not there yet", table=staging) from error
        finally:
            connection.close()
        return left

    def _pages(self, at: Place, part: Part, name: str) -> Iterator[list[dict[str, Any]]]:
        sql = render("migrations/sql/refill_page.sql", table=name, by=part.by, null=part.first is None, columns=KEPT)
        after: dict[str, Any] = {"after_name": "", "after_version": BEGINNING}
        while True:
            rows = at.warehouse.query(
                sql, wanted=self.record.schema_version, most=part.page_rows, **after, **part.bounds
            )
            if not rows:
                return
            yield rows
            after = {"after_name": rows[-1]["document_name"], "after_version": rows[-1]["version"]}

    def _row(self, row: Mapping[str, Any], batch: str) -> bytes | None:
        """The row as it would be written now, without the document itself; None where it would be refused."""
        encoded = orjson.loads(row["data"])
        typed, reason = typed_values(self.record, decode_fields(encoded), encoded, b"")
        if reason is not None and row["refused_reason"] is None:
            return None
        values = {name: timestamp_micros(row[name]) if name in STAMPS else row[name] for name in KEPT}
        values |= {"event_id": batch, "schema_version": self.record.schema_version, "refused_reason": reason}
        return log_wire(self.record).serialise(values | typed)

    def _merge(self, at: Place, part: Part, name: str, staging: str, batch: str) -> int:
        sql = render(
            "migrations/sql/refill.sql",
            table=name,
            staging=staging,
            columns=[column.name for column in typed_columns(self.record)],
            by=part.by,
            null=part.first is None,
        )
        return at.warehouse.execute(sql, batch=batch, wanted=self.record.schema_version, **part.bounds)
