"""Which collection goes to which tables: declared records, patterns, groups, names that BigQuery does not allow."""

import pytest
from pydantic import ValidationError

from shared.errors import BadRequest, NotFound, NotNow
from shared.schema.record import Undeclared
from shared.schema.registry import records
from shared.sources.records import GaPagePerformance
from shared.streaming.streams import Pattern, declared_patterns, pattern_of, stream_of, table_name, undeclared
from shared.streaming.undeclared import Patterns
from tests.fakes import FakeDocuments

GROUP = Pattern(path="{path=**}/comments", table="export.comments")


def test_what_a_record_declares_comes_before_any_pattern():
    stream = stream_of("tenants/demo/ga_page_performance")
    assert (stream.record, stream.names) == (GaPagePerformance, {"tenant_id": "demo"})


def test_an_undeclared_collection_gets_a_record_of_its_own_and_always_the_same():
    stream = stream_of("tenants/demo/things")
    assert issubclass(stream.record, Undeclared)
    assert stream.record is stream_of("tenants/other/things").record
    assert stream.record is not stream_of("tenants/demo/more").record
    assert (stream.record.collection.path, stream.record.table.name) == (
        "tenants/{tenant_id}/things",
        "aso_tenant_{tenant_id}.things",
    )
    assert (stream.parent, stream.collection_id, stream.descendants) == ("tenants/demo", "things", False)
    assert pattern_of(stream.record) in declared_patterns()


@pytest.mark.parametrize(
    ("path", "parent", "descendants"),
    [
        ("tenants/demo/orders/{id}/items", "tenants/demo", True),
        ("tenants/demo/orders/o1/items", "tenants/demo/orders/o1", False),
    ],
)
def test_a_subcollection_is_read_below_one_document_or_below_all(path, parent, descendants):
    stream = stream_of(path)
    assert (stream.parent, stream.collection_id, stream.descendants) == (parent, "items", descendants)
    assert stream.record.table.name == "aso_tenant_{tenant_id}.orders__items"
    assert stream.names["tenant_id"] == "demo"


def test_a_group_takes_the_collection_wherever_it_lies():
    for path in ("comments", "posts/a/comments", "users/u/posts/a/comments"):
        record, names = undeclared(path, "(default)", [GROUP])
        assert names == {}
        assert record.collection.match(f"{path}/c") == {"document_id": "c"}
    assert undeclared("posts/comments/more", "(default)", [GROUP]) is None
    stream = stream_of("posts/a/comments", patterns=[GROUP])
    assert (stream.parent, stream.descendants) == ("", True)


@pytest.mark.parametrize(
    ("collection", "document"),
    [
        ("tenants/demo/things", "tenants/demo/things/a"),
        ("tenants/demo/orders/{id}/items", "tenants/demo/orders/o1/items/a"),
        ("tenants/{tenant_id}/orders/{id}/items", "tenants/demo/orders/o1/items/a"),
        ("posts/a/comments", "users/u/posts/a/comments/c"),
    ],
)
def test_a_document_that_is_read_has_the_names_that_the_trigger_finds(collection, document):
    patterns = [GROUP, *declared_patterns()]
    stream = stream_of(collection, patterns=patterns)
    record, names = undeclared(document.rpartition("/")[0], "(default)", patterns)
    assert stream.record is record
    assert stream.names_of(document) == {**names, "document_id": document.rpartition("/")[2]}


def test_a_pattern_is_of_one_database():
    shop = Pattern(path="users", table="export.users", database="shop")
    assert undeclared("users", "shop", [shop]) is not None
    assert undeclared("users", "(default)", [shop]) is None


def test_what_nothing_streams_is_told():
    with pytest.raises(NotFound):
        stream_of("users")
    with pytest.raises(BadRequest):
        stream_of("tenants/demo")
    with pytest.raises(TypeError):
        pattern_of(GaPagePerformance)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"path": "users/{id}", "table": "a.b"}, "path"),
        ({"path": "users//x", "table": "a.b"}, "path"),
        ({"path": "{path=**}/a/b", "table": "a.b"}, "path"),
        ({"path": "users", "table": "a.{tenant_id}"}, "tenant_id"),
        ({"path": "users", "table": "nodataset"}, "table"),
        ({"path": "users", "table": "a.b", "merge_every_seconds": 1}, "merge_every_seconds"),
        ({"path": "users", "table": "a.b", "unknown": 1}, "unknown"),
    ],
)
def test_a_pattern_that_is_not_valid_names_its_field(values, field):
    with pytest.raises(ValidationError, match=field):
        Pattern.model_validate(values)


def test_ids_that_bigquery_does_not_take_as_a_table_are_kept_apart():
    assert table_name("things_2") == "things_2"
    names = {table_name(text) for text in ("a-b", "a_b", "a.b", "größe", "x" * 300)}
    assert len(names) == 5
    assert all(name.isascii() and len(name) <= 220 for name in names)


def test_alike_names_of_collections_never_share_a_table():
    collections = (
        "orders/o/items", "orders_items", "orders__items", "a_b/x/c", "a/x/b_c", "a/x/_b", "a_/x/b", "things",
        "things_base", "things_raw_changelog", "things/x/base", "stage_counts", "stage_countS", "x_backfill_1", "x__",
    )  # fmt: skip
    tables = [stream_of(f"tenants/demo/{path}").record.table.table for path in collections]
    assert len(set(tables)) == len(tables)
    beside = {f"{table}{suffix}" for table in tables for suffix in ("_base", "_raw_changelog")}
    assert not beside & set(tables)
    assert not {record.table.table for record in records() if record.table is not None} & set(tables)


def test_patterns_that_were_added_are_read_each_minute_and_come_first():
    documents, time = FakeDocuments(), [0.0]
    patterns = Patterns(lambda: documents, lambda: time[0])
    assert patterns.stale
    assert patterns.load() == declared_patterns()
    documents.put("streams/users", {"pattern": {"path": "users", "table": "export.users"}})
    documents.put("streams/nowhere", {"pattern": {"path": 7}})
    assert not patterns.stale
    time[0] += 61
    assert patterns.stale
    assert [pattern.path for pattern in patterns.load()[:2]] == ["users", declared_patterns()[0].path]
    assert patterns.stream_of("users").record.table.name == "export.users"


def test_what_a_pattern_that_is_not_valid_would_take_waits_and_falls_to_no_broader_one():
    documents = FakeDocuments()
    broken = {"path": "tenants/{tenant_id}/patients", "table": "aso_tenant_{tenant_id}.patients", "hash": "name"}
    documents.put("streams/patients", {"pattern": broken})
    patterns = Patterns(lambda: documents)
    with pytest.raises(NotNow, match="paused"):
        patterns.stream_of("tenants/demo/patients")
    assert patterns.stream_of("tenants/demo/things").record.table is not None
