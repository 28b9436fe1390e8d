"""What a query of the exact view is billed for: the base and the log's tail, however long the history is."""

from datetime import UTC, datetime

import pytest
import sqlglot
from sqlglot import exp

from shared.schema.record import Record
from shared.schema.registry import streamed_records
from shared.streaming.streams import Pattern, stream_of
from shared.streaming.tables import base_table, exact_view, log_table
from shared.streaming.typed_view import TYPES, learn

TAIL_FROM = datetime(2026, 1, 5, 13, 20, tzinfo=UTC)
GROUP = Pattern(path="{path=**}/comments", table="export.comments")
RECORDS = [
    *streamed_records(),
    stream_of("tenants/demo/things").record,
    stream_of("tenants/demo/orders/o/items").record,
    stream_of("comments", patterns=[GROUP]).record,
]


def reads(sql: str, table: str) -> list[exp.Table]:
    """Each place where a statement reads a table."""
    return [found for found in sqlglot.parse_one(sql, dialect="bigquery").find_all(exp.Table) if found.name == table]


def required(table: exp.Table) -> list[str]:
    """What must hold of each row that is read there: the conditions beside its FROM, all of which count."""
    select = table.find_ancestor(exp.Select)
    where = select.args.get("where") if select else None
    if where is None:
        return []
    conditions = where.this.flatten() if isinstance(where.this, exp.And) else [where.this]
    return [found.sql("bigquery") for found in conditions]


def views(record: type[Record]) -> list[str]:
    """The view as it may be: plain, and with learned columns."""
    learned = learn((), {(f"{kind}s", kind) for kind in TYPES}, ())
    return [exact_view(record, "d", TAIL_FROM), exact_view(record, "d", TAIL_FROM, learned)]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.table.table)
def test_the_view_reads_of_the_log_only_the_partitions_of_its_tail(record):
    log = log_table(record)
    assert (log.partition_by, log.partition_type) == ("appended_at", "HOUR")
    for sql in views(record):
        (tail,) = reads(sql, log.table)
        # A constant on the bare column: anything else would make BigQuery read every partition.
        assert "appended_at >= CAST('2026-01-05 13:20:00+00' AS TIMESTAMP)" in required(tail)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.table.table)
def test_the_view_reads_nothing_else_that_grows_with_the_history(record):
    known = {base_table(record).table, log_table(record).table}
    for sql in views(record):
        tree = sqlglot.parse_one(sql, dialect="bigquery")
        named = {table.name for table in tree.find_all(exp.Table)} - {cte.alias for cte in tree.find_all(exp.CTE)}
        assert named == known


def test_a_condition_that_does_not_bind_is_told_from_one_that_does():
    def said(where: str) -> list[str]:
        return required(*reads(f"WITH t AS (SELECT a FROM d.log WHERE {where}) SELECT a FROM t", "log"))  # noqa: S608

    assert "x >= 1" in said("x >= 1 AND y = 2")
    assert "x >= 1" not in said("x >= 1 OR y = 2")
    assert "x >= 1" not in said("DATE(x) >= 1")
