"""The changelog row of one change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from shared.schema.record import Record
from shared.streaming.change import Change
from shared.streaming.tables import LOG_COLUMNS, dataset_of, log_table
from shared.streaming.transforms import NO_KEYS, HashKeys, applied, key_for
from shared.streaming.typed import Layout, layout_of, typed_values
from shared.streaming.values import Fields, encode_fields
from shared.streaming.wire import log_wire

ROW_BYTES = 9_500_000
"""A request of the Storage Write API holds 10 MB, its envelope and the table's columns included."""


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


def make_row(
    change: Change, record: type[Record], names: Mapping[str, str], appended_at: int, keys: HashKeys = NO_KEYS
) -> Row:
    """The row of a change. A document that is not valid keeps its raw data, and `refused_reason` says why.

    names: the placeholders of the document's path. appended_at: microseconds since 1970. Raises HashKeyMissing.
    """
    layout = layout_of(record)
    key = key_for(layout.steps, names, change.fields or change.old_fields or {}, keys) if layout.steps else b""
    data = None if change.fields is None else _sent(change.fields, layout, key)
    old_data = None if change.old_fields is None else _sent(change.old_fields, layout, key)
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
        typed, reason = typed_values(record, change.fields, data, key)
        values.update(typed)
    elif change.old_fields is not None and old_data is not None:
        values.update(_partition(record, change.old_fields, old_data, key))
    if reason is not None:
        values["refused_reason"] = reason
    row = log_wire(record).serialise(values)
    if len(row) > ROW_BYTES:
        row, reason = _smaller(record, values, len(row))
    return Row(
        record=record,
        table=f"{dataset_of(record, names)}.{log_table(record).table}",
        data=row,
        names=names,
        document_id=change.document_id,
        refused_reason=reason,
    )


def document_text(fields: Fields, record: type[Record], names: Mapping[str, str], keys: HashKeys = NO_KEYS) -> bytes:
    """What `data` is in the row of a document with these fields: what comparisons hash."""
    layout = layout_of(record)
    return canonical(_sent(fields, layout, key_for(layout.steps, names, fields, keys) if layout.steps else b""))


def _sent(fields: Fields, layout: Layout, key: bytes) -> dict[str, Any]:
    return encode_fields(applied(fields, layout.steps, key) if layout.steps else fields)


def _smaller(record: type[Record], values: dict[str, Any], size: int) -> tuple[bytes, str | None]:
    """A row that BigQuery takes of one that it would not: JSON can be many times as large as the document it is of.

    First without what the document was before: an earlier row of the log has it, and a NULL in an update's old_data
    says that it was left out. Where that is not enough the row only says that the change was and that its document is
    too large; it is refused, so the event, which holds all of it, is set aside.
    """
    values = {**values, "old_data": None}
    row = log_wire(record).serialise(values)
    if len(row) <= ROW_BYTES:
        return row, values.get("refused_reason")
    reason = f"the document is too large for a row: {size} bytes; drop a field of it in the declaration, and replay"
    kept = {column.name: values.get(column.name) for column in LOG_COLUMNS}
    kept |= {"data": None, "refused_reason": reason}
    return log_wire(record).serialise(kept), reason


def _partition(record: type[Record], fields: Fields, data: dict[str, Any], key: bytes) -> dict[str, Any]:
    """A tombstone carries the partition of what it deleted, so that a pruned merge finds that row; nothing else."""
    field = record.table.partition_by if record.table else None
    if field is None:
        return {}
    typed, _ = typed_values(record, fields, data, key)
    return {field: typed.get(field)}
