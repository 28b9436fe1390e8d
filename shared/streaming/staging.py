"""The staging tables of one backfill: rows wait there until one statement takes those that are new into the log."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock

from shared.errors import TenantNotProvisioned
from shared.schema.ports import Warehouse
from shared.schema.record import Record, Undeclared
from shared.schema.sql import render
from shared.streaming.rows import Row
from shared.streaming.tables import base_table, dataset_of, log_table, provision, view_name
from shared.streaming.typed_view import Kind
from shared.streaming.undeclared import UndeclaredTables

KEPT_DAYS = 7
"""What a run that nobody takes up again leaves behind is gone after so long."""
TRUSTED = timedelta(days=KEPT_DAYS - 1)
"""A slice that was read longer ago is read again: its rows may be gone before they are taken."""
ROWS_PER_STATEMENT = 2_000_000
"""A statement takes less than the overlap of merges: its rows are seen before a merge has passed their stamp."""


class Staging:
    """The staging tables of one run, one beside each changelog that its rows go to."""

    def __init__(self, run_id: str, warehouse: Warehouse, undeclared: UndeclaredTables) -> None:
        self._run_id = run_id
        self._warehouse = warehouse
        self._undeclared = undeclared
        self._tables: dict[str, str] = {}
        self._lock = Lock()

    def table_of(self, row: Row) -> str:
        """`dataset.table` of the staging table for a row; made, like the tables that are missing, at the first one.

        TenantNotProvisioned where there is no such dataset.
        """
        with self._lock:
            if row.table not in self._tables:
                self._tables[row.table] = self._make(row.record, row.names)
            return self._tables[row.table]

    def learn(self, row: Row, kinds: frozenset[Kind]) -> None:
        """Give the view of an undeclared collection a column for each kind."""
        with self._lock:
            self._undeclared.learn(row.record, row.names, kinds)

    def portions(self, rows: int) -> int:
        """In how many statements so many rows are taken into the log."""
        return 1 + rows // ROWS_PER_STATEMENT

    def publish(self, record: type[Record], names: Mapping[str, str], portion: int, portions: int) -> None:
        """Take into the log what neither it nor the base has at that version or a newer one: one portion of many.

        Twice is once: what the first time took is there the second time. Rows get the statement's own time, so that the
        view and the merge see them at once. A write that the trigger brings at this very moment may get a second row;
        the view holds it once, and compaction removes it.
        """
        dataset = dataset_of(record, names)
        sql = render(
            "streaming/sql/backfill_insert.sql",
            log=f"{dataset}.{log_table(record).table}",
            base=f"{dataset}.{base_table(record).table}",
            staging=self.name(record, names),
            columns=log_table(record).column_names(),
            portioned=portions > 1,
        )
        self._warehouse.execute(sql, **({"portions": portions, "portion": portion} if portions > 1 else {}))

    def added(self, record: type[Record], names: Mapping[str, str], started_at: datetime) -> int:
        """How many documents the run has brought to the log."""
        log = f"{dataset_of(record, names)}.{log_table(record).table}"
        sql = render("streaming/sql/backfill_added.sql", log=log)
        return int(self._warehouse.query(sql, started_at=started_at, run_id=self._run_id)[0]["row_count"])

    def drop(self, record: type[Record], names: Mapping[str, str]) -> None:
        """Remove the staging table."""
        self._warehouse.execute(f"DROP TABLE IF EXISTS `{self.name(record, names)}`")

    def name(self, record: type[Record], names: Mapping[str, str]) -> str:
        """`dataset.table` of the staging table."""
        table = record.table.table if record.table else ""
        return f"{dataset_of(record, names)}.{table}_backfill_{self._run_id.rpartition('-')[2]}"

    def _make(self, record: type[Record], names: Mapping[str, str]) -> str:
        dataset = dataset_of(record, names)
        if issubclass(record, Undeclared):
            self._undeclared.learn(record, names, frozenset())
        elif not self._warehouse.exists(dataset):
            raise TenantNotProvisioned("the tenant has no tables", dataset=dataset)
        elif not self._warehouse.exists(view_name(record, dataset)):
            provision(self._warehouse, record, names)
        made = self.name(record, names)
        definition = replace(log_table(record), table=made.partition(".")[2], expiration_days=KEPT_DAYS, cluster_by=())
        self._warehouse.ensure_table(dataset, definition)
        return made
