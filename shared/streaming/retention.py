"""How long a changelog is kept. Whole hours leave it, and only those that are merged: no retention loses a change."""

from datetime import datetime, timedelta

from shared.schema.ports import Warehouse
from shared.schema.record import Record, Table
from shared.schema.sql import render
from shared.schema.times import hour_of

WITHOUT_CHANGELOG = timedelta(days=3)
"""What a collection without a changelog keeps of it: longer than a trigger retries, so that repeats are still known."""


def kept_for(table: Table) -> timedelta | None:
    """How long a table's changelog is kept; None for ever."""
    if not table.changelog:
        return WITHOUT_CHANGELOG
    return None if table.log_retention_days is None else timedelta(days=table.log_retention_days)


def drop_old_hours(warehouse: Warehouse, record: type[Record], log: str, covered: datetime, now: datetime) -> int:
    """Remove the hours of a log that are older than it is kept; the rows removed.

    covered: what was appended before is in the base. Not BigQuery's own expiry of partitions: that would also take
    what a merge that has failed for days has not seen yet. To delete whole partitions costs nothing there.
    """
    kept = kept_for(record.table) if record.table else None
    if kept is None:
        return 0
    until = hour_of(min(covered, now - kept))
    return warehouse.execute(render("streaming/sql/drop_old_hours.sql", log=log), until=until)
