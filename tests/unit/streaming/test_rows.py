"""Rows and tables of a streamed record."""

from datetime import datetime
from pathlib import Path

import orjson
import pytest
import sqlglot
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from shared.schema.record import Collection, Record, Table
from shared.schema.registry import streamed_records
from shared.schema.sql import render
from shared.streaming import tables
from shared.streaming.change import read_change
from shared.streaming.service import row_of
from shared.streaming.wire import log_wire
from tests.support.streaming import BEGAN, VALID, Note, Sized, event_body

PATH = "tenants/demo/notes/a"
NAMES = {"tenant_id": "demo", "document_id": "a"}
MICROS = int(BEGAN.timestamp()) * 1_000_000


def decoded(body, record=Note):
    row = row_of(read_change(body, "e", "2026-01-01T00:00:00Z"), record, NAMES)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(descriptor_pb2.FileDescriptorProto(name="t", message_type=[log_wire(record).descriptor]))
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName("Row")).FromString(row.data)
    return row, {field.name: value for field, value in message.ListFields()}


def test_a_valid_document_has_typed_columns_and_raw_data():
    fields = {
        **VALID,
        "tags": ["a", "b"],
        "extra": {"n": 2.0, "b": {"_base64": "aGk="}},
        "noted_at": {"_seconds": 1, "_nanoseconds": 5000},
        "unknown": 9007199254740993,
    }
    row, found = decoded(event_body(PATH, fields, at=10))
    assert row.table == "aso_tenant_demo.notes_raw_changelog"
    assert row.refused_reason is None
    assert orjson.loads(found["data"]) == fields
    assert found["path_params"] == '{"tenant_id":"demo"}'
    assert (found["version"], found["deleted"], found["timestamp"]) == (MICROS + 10, False, MICROS + 10)
    assert (found["title"], found["amount"], found["count"], found["day"]) == ("One", 2.0, 3, 20458)
    assert (found["noted_at"], list(found["tags"])) == (1_000_005, ["a", "b"])
    assert orjson.loads(found["extra"]) == fields["extra"]
    assert "old_data" not in found
    assert "refused_reason" not in found


def test_a_nested_value_is_a_nested_message():
    _, found = decoded(event_body(PATH, {**VALID, "size": {"width": 1.5, "label": "S"}}, at=10), Sized)
    assert (found["size"].width, found["size"].label) == (1.5, "S")
    assert "size" not in decoded(event_body(PATH, VALID, at=10), Sized)[1]


def test_an_invalid_document_keeps_its_data_and_says_why_without_values():
    row, found = decoded(event_body(PATH, {**VALID, "amount": -1.0, "title": 7}, at=10))
    assert row.refused_reason == found["refused_reason"]
    assert "amount: Input should be greater than or equal to 0" in found["refused_reason"]
    assert "title" in found["refused_reason"]
    assert orjson.loads(found["data"])["amount"] == -1.0
    assert not {"title", "amount", "day"} & set(found)


def test_a_delete_carries_only_the_partition_of_what_it_deleted():
    _, found = decoded(event_body(PATH, old=VALID, old_at=10))
    assert (found["operation"], found["deleted"], found["day"]) == ("DELETE", True, 20458)
    assert "title" not in found
    assert "data" not in found
    assert orjson.loads(found["old_data"]) == VALID


def test_an_expiry_is_an_operation_of_its_own():
    past = {**VALID, "expires_at": {"_seconds": int(BEGAN.timestamp()) - 1, "_nanoseconds": 0}}
    _, found = decoded(event_body(PATH, old=past, old_at=10))
    assert found["operation"] == "EXPIRE"


def test_the_changelog_begins_with_exactly_the_extensions_columns():
    assert tables.log_table(Note).column_names()[:8] == (
        "timestamp", "event_id", "document_name", "document_id", "operation", "data", "old_data", "path_params",
    )  # fmt: skip


def test_a_field_named_like_a_log_column_is_refused():
    class Clash(Record):
        """Clashes."""

        data: str
        collection = Collection("clash")
        table = Table("d.clash")

    with pytest.raises(TypeError, match="Clash: a streamed record cannot have a field named data"):
        tables.log_table(Clash)


@pytest.mark.parametrize("record", [Note, *streamed_records()], ids=lambda record: record.__name__)
def test_sql_of_every_streamed_record_is_bigquery(record):
    base = tables.base_table(record)
    names = {"log": "d.log", "base": "d.base", "columns": base.column_names(), "partition": base.partition_by}
    sqlglot.parse_one(tables.exact_view(record, "d", datetime(2026, 1, 1).astimezone()), dialect="bigquery")
    for name in ("tail", "outside", "merge", "duplicates", "compact"):
        if name == "outside" and not base.partition_by:
            continue
        sql = render(f"streaming/sql/{name}.sql", **names, pruned_by=base.partition_by, schema_version=1)
        sqlglot.parse_one(sql, dialect="bigquery")
    assert log_wire(record)


def test_no_sql_counts_on_what_only_one_of_the_two_engines_knows():
    for path in Path(tables.__file__).parent.glob("sql/*.sql"):
        sql = path.read_text().upper()
        assert "INSERT ROW" not in sql, path
        assert "SELECT *" not in sql, path
