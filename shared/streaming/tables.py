"""The three tables of a streamed record: the changelog, the merged base, and the exact view that everybody reads.

opportunities_raw_changelog   append-only; the 8 columns of the extension firestore-bigquery-export, then ours
opportunities_base            one row per document, merged from the log's tail from time to time
opportunities                 the view: exactly the state of Firestore, at any moment
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from shared.schema.bigquery import SCHEMA_VERSION, Column, TableDefinition, columns, first_line
from shared.schema.ports import Warehouse
from shared.schema.record import Record, Table, Undeclared
from shared.schema.sql import render
from shared.streaming.typed_view import LearnedColumn, selected

EXTENSION_COLUMNS = (
    Column("timestamp", "TIMESTAMP", "REQUIRED", "Commit time of a write, time of the event for a delete."),
    Column("event_id", "STRING", "REQUIRED", "Id of the event that brought the change."),
    Column("document_name", "STRING", "REQUIRED", "Full name, with project and database."),
    Column("document_id", "STRING", "NULLABLE", "Last part of the document's path."),
    Column("operation", "STRING", "REQUIRED", "CREATE, UPDATE, DELETE, EXPIRE or IMPORT."),
    Column("data", "STRING", "NULLABLE", "The document as lossless JSON; NULL once deleted."),
    Column("old_data", "STRING", "NULLABLE", "The document before, as lossless JSON."),
    Column("path_params", "STRING", "NULLABLE", "Values of the path's placeholders, as JSON."),
)
VERSION = Column("version", "TIMESTAMP", "REQUIRED", "update_time of the write, or of what a delete deleted.")
DELETED = Column("deleted", "BOOL", "REQUIRED", "True for a delete: it beats a write of the same version.")
APPENDED_AT = Column("appended_at", "TIMESTAMP", "REQUIRED", "When the row was sent; the log's partition.")
REFUSED_REASON = Column("refused_reason", "STRING", "NULLABLE", "Why the document is not valid; it is not in the view.")
CREATE_TIME = Column("create_time", "TIMESTAMP", "NULLABLE", "When the document was created.")
OWN_COLUMNS = (VERSION, DELETED, APPENDED_AT, SCHEMA_VERSION, REFUSED_REASON, CREATE_TIME)
LOG_COLUMNS = (*EXTENSION_COLUMNS, *OWN_COLUMNS)
VIEW_COLUMNS = ("schema_version", "document_name", "version")
UNDECLARED_VIEW_COLUMNS = (*VIEW_COLUMNS, "document_id", "data", "path_params", "create_time")
RESERVED = frozenset(column.name for column in LOG_COLUMNS)
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""As a view's `tail_from`: the whole log is tail, which is always correct, only slower."""


@cache
def typed_columns(record: type[Record]) -> tuple[Column, ...]:
    """The record's own columns, all NULLABLE (a refused or deleted document has none).

    TypeError names a field that has the name of one of the log's columns.
    """
    declared = [column for column in columns(record) if column.name != SCHEMA_VERSION.name]
    clashes = sorted(column.name for column in declared if column.name in RESERVED)
    if clashes:
        raise TypeError(f"{record.__name__}: a streamed record cannot have a field named {', '.join(clashes)}")
    return tuple(column.nullable() for column in declared)


@cache
def log_table(record: type[Record]) -> TableDefinition:
    """The changelog: every change, appended, partitioned by the hour in which it was appended."""
    table = _table(record)
    return TableDefinition(
        dataset=table.dataset,
        table=table.log or f"{table.table}_raw_changelog",
        columns=(*LOG_COLUMNS, *typed_columns(record)),
        description=f"Changes of: {first_line(record)}",
        partition_by=APPENDED_AT.name,
        partition_type="HOUR",
        cluster_by=("document_name",),
    )


@cache
def base_table(record: type[Record]) -> TableDefinition:
    """The current rows as of the last merge, laid out as declared.

    Tombstones stay in it: with a hard delete a write that arrives late would bring the document back. They, and rows
    of documents that are not valid, have no typed values (a tombstone has its partition's), hence all NULLABLE.
    """
    table = _table(record)
    return replace(
        log_table(record),
        table=f"{table.table}_base",
        description=f"As of the last merge, deleted ones included: {first_line(record)}",
        partition_by=table.partition_by,
        partition_type=table.partition_type,
        expiration_days=table.retention_days if table.partition_by else None,
        cluster_by=table.cluster_by or ("document_name",),
    )


def exact_view(
    record: type[Record], dataset: str, tail_from: datetime = BEGINNING, learned: Sequence[LearnedColumn] = ()
) -> str:
    """SQL of the view that is exactly the state of Firestore, of live and valid documents.

    tail_from: changes appended before are in the base for sure. The merge job moves it forward; an older value is
    always correct and only reads more. learned: typed columns of an undeclared collection.
    """
    exact = render(
        "streaming/sql/exact_view.sql",
        log=f"{dataset}.{log_table(record).table}",
        base=f"{dataset}.{base_table(record).table}",
        columns=view_columns(record),
        # Whole seconds: earlier is always correct, and the emulator mistakes a fraction in the text for a number.
        tail_from=tail_from.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S+00"),
    )
    if not learned:
        return exact
    return render("streaming/sql/typed_view.sql", exact=exact, typed=selected(learned), columns=view_columns(record))


def view_columns(record: type[Record]) -> tuple[str, ...]:
    """Names of the columns of the exact view."""
    if issubclass(record, Undeclared):
        return UNDECLARED_VIEW_COLUMNS
    return (*(column.name for column in typed_columns(record)), *VIEW_COLUMNS)


def view_name(record: type[Record], dataset: str) -> str:
    """`dataset.name` of the view."""
    return f"{dataset}.{_table(record).table}"


def dataset_of(record: type[Record], names: Mapping[str, str]) -> str:
    """The dataset with its placeholders filled; a KeyError names a missing one."""
    return _table(record).dataset.format(**names)


def provision(warehouse: Warehouse, record: type[Record], names: Mapping[str, str]) -> None:
    """Create the changelog, the base and the view in their dataset, or add the columns that they lack."""
    dataset = dataset_of(record, names)
    warehouse.ensure_table(dataset, log_table(record))
    warehouse.ensure_table(dataset, base_table(record))
    warehouse.ensure_view(view_name(record, dataset), exact_view(record, dataset))


def _table(record: type[Record]) -> Table:
    if record.table is None or record.collection is None:
        raise TypeError(f"{record.__name__} is not streamed: it needs a collection and a table")
    return record.table
