"""The changelog row of one change."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from pydantic import ValidationError

from shared.schema.bigquery import Column
from shared.schema.record import Record
from shared.streaming.change import Change
from shared.streaming.tables import dataset_of, log_table, typed_columns
from shared.streaming.values import Fields, encode_fields, python_fields
from shared.streaming.wire import log_wire, wire_value

REASON_LENGTH = 500
AS_IT_IS = frozenset(("STRING", "INT64", "FLOAT64", "BOOL", "BYTES"))


@dataclass(slots=True)
class Row:
    """One row, ready to be sent: `data` is its wire form, `table` is `dataset.table`."""

    record: type[Record]
    table: str
    data: bytes
    names: Mapping[str, str]
    document_id: str
    refused_reason: str | None


def canonical(encoded: Mapping[str, Any]) -> bytes:
    """Encoded fields as JSON, keys in order: equal documents are equal text, so their hashes can be compared."""
    return orjson.dumps(encoded, option=orjson.OPT_SORT_KEYS)


def make_row(change: Change, record: type[Record], names: Mapping[str, str], appended_at: int) -> Row:
    """The row of a change. A document that is not valid keeps its raw data, and `refused_reason` says why.

    names: the placeholders of the document's path. appended_at: microseconds since 1970.
    """
    data = None if change.fields is None else encode_fields(change.fields)
    old_data = None if change.old_fields is None else encode_fields(change.old_fields)
    values: dict[str, Any] = {
        "timestamp": change.timestamp,
        "event_id": change.event_id,
        "document_name": change.document_name,
        "document_id": change.document_id,
        "operation": change.operation,
        "data": None if data is None else canonical(data),
        "old_data": None if old_data is None else canonical(old_data),
        "path_params": canonical(names),
        "version": change.version,
        "deleted": change.deleted,
        "appended_at": appended_at,
        "schema_version": record.schema_version,
        "create_time": change.created,
    }
    reason: str | None = None
    if change.fields is not None and data is not None:
        typed, reason = _typed(record, change.fields, data)
        values.update(typed)
    elif change.old_fields is not None and old_data is not None:
        values.update(_partition(record, change.old_fields, old_data))
    if reason is not None:
        values["refused_reason"] = reason
    return Row(
        record=record,
        table=f"{dataset_of(record, names)}.{log_table(record).table}",
        data=log_wire(record).serialise(values),
        names=names,
        document_id=change.document_id,
        refused_reason=reason,
    )


def _typed(record: type[Record], fields: Fields, data: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The typed columns of a document, or why it has none."""
    layout = _layout(record)
    try:
        found = record.model_validate(python_fields(fields, layout.fields, data))
    except ValidationError as error:
        return {}, _reason(error)
    held = found.__dict__
    typed = {name: held[name] for name in layout.as_they_are}
    for column in layout.converted:
        if column.type == "JSON" and column.mode != "REPEATED" and column.name in data:
            # From the lossless form: what pydantic read no longer knows 2 from 2.0 or bytes from text.
            item = data[column.name]
            typed[column.name] = None if item is None else orjson.dumps(item).decode()
        else:
            typed[column.name] = wire_value(column, held[column.name])
    return typed, None


def _partition(record: type[Record], fields: Fields, data: dict[str, Any]) -> dict[str, Any]:
    """A tombstone carries the partition of what it deleted, so that a pruned merge finds that row; nothing else."""
    field = record.table.partition_by if record.table else None
    if field is None:
        return {}
    typed, _ = _typed(record, fields, data)
    return {field: typed.get(field)}


@dataclass(frozen=True)
class _Layout:
    fields: tuple[str, ...]
    as_they_are: tuple[str, ...]
    converted: tuple[Column, ...]


@cache
def _layout(record: type[Record]) -> _Layout:
    columns = typed_columns(record)
    return _Layout(
        fields=tuple(record.model_fields),
        as_they_are=tuple(column.name for column in columns if column.type in AS_IT_IS),
        converted=tuple(column for column in columns if column.type not in AS_IT_IS),
    )


def _reason(error: ValidationError) -> str:
    """Which fields are wrong, and how; never their values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in found)[:REASON_LENGTH]
