"""BigQuery definitions from records: columns, partitions, clusters, retention."""

import types
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from shared.schema.names import is_column_name
from shared.schema.record import HIDING, PLACEHOLDER, Mark, Record, Renamed, marks_of

SCALARS: dict[Any, str] = {
    str: "STRING",
    int: "INT64",
    float: "FLOAT64",
    bool: "BOOL",
    bytes: "BYTES",
    Decimal: "NUMERIC",
    date: "DATE",
    datetime: "TIMESTAMP",
}


@dataclass(frozen=True)
class Column:
    """One column; `fields` only for a RECORD (called STRUCT in SQL)."""

    name: str
    type: str
    mode: Literal["NULLABLE", "REQUIRED", "REPEATED"] = "NULLABLE"
    description: str = ""
    fields: tuple["Column", ...] = ()

    def nullable(self) -> "Column":
        """The same column without NOT NULL."""
        mode: Literal["NULLABLE", "REPEATED"] = "REPEATED" if self.mode == "REPEATED" else "NULLABLE"
        return Column(self.name, self.type, mode, self.description, self.fields)


@dataclass(frozen=True)
class TableDefinition:
    """One physical table: names with placeholders, columns, layout."""

    dataset: str
    table: str
    columns: tuple[Column, ...]
    description: str = ""
    partition_by: str | None = None
    partition_type: Literal["DAY", "HOUR", "MONTH"] = "DAY"
    expiration_days: int | None = None
    cluster_by: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)

    def column_names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(column.name for column in self.columns)


SCHEMA_VERSION = Column(
    "schema_version", "INT64", "NULLABLE", "Version of the record's declaration that wrote the row."
)


@cache
def columns(record: type[Record]) -> tuple[Column, ...]:
    """The typed columns of a record in declared order, `schema_version` last.

    A field without None in its type is NOT NULL; one that is dropped has no column, a hashed one is text. TypeError
    names a field whose type BigQuery has no column for, or whose mark cannot keep what it promises.
    """
    made = (*_columns(record), SCHEMA_VERSION)
    _check(record, made)
    return made


@cache
def plain_table(record: type[Record]) -> TableDefinition:
    """The table of a record that ETL, marts or runs own (it has no documents)."""
    table = record.table
    if table is None:
        raise TypeError(f"{record.__name__} declares no table")
    return TableDefinition(
        dataset=table.dataset,
        table=table.table,
        columns=columns(record),
        description=first_line(record),
        partition_by=table.partition_by,
        partition_type=table.partition_type,
        expiration_days=table.retention_days,
        cluster_by=table.cluster_by,
    )


def first_line(record: type[BaseModel]) -> str:
    """The first line of the record's docstring."""
    return (record.__doc__ or "").strip().split("\n")[0]


def _columns(model: type[BaseModel]) -> tuple[Column, ...]:
    made = []
    for name, info in model.model_fields.items():
        marks = marks_of(info)
        if Mark.DROPPED not in marks:
            where = f"{model.__name__}.{name}"
            made.append(_marked(_column(name, info.annotation, info.description or "", where), marks, where))
    return tuple(made)


def _marked(column: Column, marks: tuple[Any, ...], where: str) -> Column:
    """The column of a field with its marks. A hashed or masked field that a document lacks is NULL, default or not."""
    if Mark.HASHED in marks:
        column = replace(column.nullable(), type="STRING", fields=())
    elif Mark.MASKED in marks:
        if column.type not in ("STRING", "JSON"):
            raise TypeError(f"{where}: only text can be masked; hash or drop it")
        column = column.nullable()
    new_name = next((mark.name for mark in marks if isinstance(mark, Renamed)), column.name)
    return replace(column, name=new_name)


def _check(record: type[Record], made: tuple[Column, ...]) -> None:
    """TypeError where the marks of a record's own fields contradict what else it declares."""
    names = [column.name for column in made]
    if len(set(names)) < len(names):
        raise TypeError(f"{record.__name__}: two fields leave under one name")
    table, collection = record.table, record.collection
    in_paths = {
        name
        for text in (table and table.dataset, collection and collection.path)
        if text
        for name in PLACEHOLDER.findall(text)
    }
    wrong = [name for name in names if not is_column_name(name)] if record.streamed() else []
    if wrong:
        raise TypeError(
            f"{record.__name__}: BigQuery takes no column named {', '.join(wrong)}; give it another, Renamed"
        )
    laid_out = {table.partition_by, *table.cluster_by} if table else set()
    for name, info in record.model_fields.items():
        where, marks = f"{record.__name__}.{name}", marks_of(info)
        hidden = any(mark in marks for mark in HIDING)
        if not record.streamed() and (hidden or any(isinstance(mark, Renamed) for mark in marks)):
            raise TypeError(f"{where}: only what is streamed can be hashed, masked, dropped or renamed")
        if hidden and (name in in_paths or Mark.KEY in marks):
            raise TypeError(f"{where}: its value is in the document's path, which every row holds")
        if name in laid_out and name not in names:
            raise TypeError(f"{where}: the table is partitioned or clustered by it, and it has no column of this name")


def _column(name: str, annotation: Any, description: str, where: str) -> Column:
    mode: Literal["NULLABLE", "REQUIRED", "REPEATED"] = "REQUIRED"
    annotation = _bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        if len(kinds) != 1:
            raise TypeError(f"{where}: a column has one type, not {annotation}")
        if len(kinds) < len(get_args(annotation)):
            mode = "NULLABLE"
        annotation = _bare(kinds[0])
    if get_origin(annotation) in (list, tuple):
        mode, annotation = "REPEATED", _bare(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        annotation = type(get_args(annotation)[0])
    if annotation in SCALARS:
        return Column(name, SCALARS[annotation], mode, description)
    if get_origin(annotation) is dict or annotation in (dict, Any):
        return Column(name, "JSON", mode, description)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Column(name, "RECORD", mode, description, _columns(annotation))
    raise TypeError(f"{where}: no BigQuery column for {annotation}")


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation
