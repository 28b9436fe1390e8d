"""The wire schema of a table's rows: a protobuf message made from its columns, as the Storage Write API wants it."""

from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any

import orjson
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from pydantic import BaseModel

from shared.schema.bigquery import Column
from shared.schema.record import Record
from shared.schema.times import timestamp_micros
from shared.streaming.tables import log_table

FIELD = descriptor_pb2.FieldDescriptorProto
# https://cloud.google.com/bigquery/docs/supported-data-types#supported-protocol-buffer-data-types
TYPES = {
    "STRING": FIELD.TYPE_STRING,
    "INT64": FIELD.TYPE_INT64,
    "FLOAT64": FIELD.TYPE_DOUBLE,
    "BOOL": FIELD.TYPE_BOOL,
    "BYTES": FIELD.TYPE_BYTES,
    "NUMERIC": FIELD.TYPE_STRING,
    "DATE": FIELD.TYPE_INT32,
    "TIMESTAMP": FIELD.TYPE_INT64,
    "JSON": FIELD.TYPE_STRING,
    "RECORD": FIELD.TYPE_MESSAGE,
}
LABELS = {
    "NULLABLE": FIELD.LABEL_OPTIONAL,
    "REQUIRED": FIELD.LABEL_REQUIRED,
    "REPEATED": FIELD.LABEL_REPEATED,
}
FIRST_DAY = date(1970, 1, 1).toordinal()


class Wire:
    """Serialises rows of one table. `descriptor` is what a connection announces before its first row."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.descriptor = _message("Row", columns)
        pool = descriptor_pool.DescriptorPool()
        file = descriptor_pb2.FileDescriptorProto(name="row.proto", syntax="proto2", message_type=[self.descriptor])
        pool.Add(file)
        self._row = message_factory.GetMessageClass(pool.FindMessageTypeByName("Row"))

    def serialise(self, values: dict[str, Any]) -> bytes:
        """One row; absent and None are NULL. Values as `wire_value` makes them."""
        data: bytes = self._row(**values).SerializeToString()
        return data

    def read(self, data: bytes) -> Any:
        """A serialised row as its message."""
        return self._row.FromString(data)


@cache
def log_wire(record: type[Record]) -> Wire:
    """The wire of a record's changelog."""
    return Wire(log_table(record).columns)


def wire_value(column: Column, value: Any) -> Any:
    """A validated Python value as its column's wire type takes it."""
    if value is None:
        return None
    if column.mode == "REPEATED":
        return [_scalar(column, item) for item in value]
    return _scalar(column, value)


def _scalar(column: Column, value: Any) -> Any:
    kind = column.type
    if kind == "TIMESTAMP":
        return timestamp_micros(value)
    if kind == "DATE":
        return value.toordinal() - FIRST_DAY
    if kind == "JSON":
        return orjson.dumps(value, default=_plain).decode()
    if kind == "NUMERIC":
        return str(value)
    if kind == "RECORD":
        return {inner.name: wire_value(inner, getattr(value, inner.name)) for inner in column.fields}
    return value


def _message(name: str, columns: Sequence[Column]) -> descriptor_pb2.DescriptorProto:
    message = descriptor_pb2.DescriptorProto(name=name)
    for number, column in enumerate(columns, 1):
        field = message.field.add(name=column.name, number=number, type=TYPES[column.type], label=LABELS[column.mode])
        if column.type == "RECORD":
            inner = f"{name}_{column.name}"
            message.nested_type.append(_message(inner, column.fields))
            field.type_name = inner
    return message


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
