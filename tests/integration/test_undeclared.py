"""Collections that nobody declared, on the emulated BigQuery: tables on sight, typed columns that only grow."""

import asyncio
import itertools
from datetime import UTC, datetime

import pytest

from shared.adapters.bigquery import BigQueryWarehouse
from shared.adapters.bigquery_write import BigQuerySink
from shared.errors import TenantNotProvisioned
from shared.ops.leases import Leases
from shared.streaming.effects import Effects
from shared.streaming.merge import Merger
from shared.streaming.service import Streamer
from shared.streaming.streams import stream_of
from shared.streaming.tables import provision
from shared.streaming.undeclared import Patterns, UndeclaredTables, streamed_tables
from shared.streaming.writer import Writer
from tests.fakes import FakeCache, FakeDocuments, FakePublisher
from tests.support.bigquery import bigquery_emulator
from tests.support.streaming import Note, event_body, record_of

numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as settings:
        yield settings


class Lab:
    """A tenant of its own, with a dataset and no tables."""

    def __init__(self, server):
        self.tenant = f"t{next(numbers)}"
        self.dataset = f"aso_tenant_{self.tenant}"
        self.warehouse = BigQueryWarehouse.connect(server.project, server.bigquery_endpoint, "US")
        self.warehouse.ensure_dataset(self.dataset)
        self.ops = FakeDocuments()
        self.sink = BigQuerySink.open(server.project, server.bigquery_endpoint, server.bigquery_grpc_endpoint)
        self.merger = Merger(self.warehouse, self.ops, Leases(self.ops), lambda: datetime.now(UTC))

    def stream(self, *events):
        """Stream events at once, each (collection path below the tenant/id, new, old, at, old_at)."""

        async def run():
            streamer = Streamer(
                Writer(self.sink, Effects(FakeCache, FakePublisher).follow),
                patterns=Patterns(lambda: self.ops),
                tables=UndeclaredTables(lambda: self.ops, lambda: self.warehouse),
            )
            bodies = [event_body(f"tenants/{self.tenant}/{path}", *rest) for path, *rest in events]
            try:
                return await asyncio.gather(*(streamer.stream(body, "e", "2026-01-01T00:00:00Z") for body in bodies))
            finally:
                streamer.close()

        return asyncio.run(run())

    def rows(self, table="things", columns="document_id, data"):
        sql = f"SELECT {columns} FROM `{self.dataset}.{table}` ORDER BY document_id"
        return [tuple(row.values()) for row in self.warehouse.query(sql)]


@pytest.fixture
def lab(server):
    return Lab(server)


def test_a_collection_that_nobody_declared_arrives_without_a_deployment(lab):
    lab.stream(*[(f"things/{n:02}", {"n": n}, None, 10) for n in range(30)])
    assert lab.rows(columns="document_id, n")[:2] == [("00", 0), ("01", 1)]
    log = lab.rows("things_raw_changelog", "document_id, data")
    assert len(log) == 30
    assert log[0] == ("00", '{"n":0}')


def test_it_is_merged_deleted_and_comes_back_like_a_declared_one(lab):
    stream = stream_of(f"tenants/{lab.tenant}/things")
    lab.stream(("things/a", {"n": 1}, None, 10), ("things/b", {"n": 2}, None, 10))
    assert lab.merger.merge(stream.record, stream.names, force=True).merged_rows == 2
    lab.stream(("things/a", None, {"n": 1}, 0, 10), ("things/b", {"n": 3, "more": "x"}, {"n": 2}, 20, 10))
    assert lab.rows(columns="document_id, n, more") == [("b", 3, "x")]
    lab.merger.merge(stream.record, stream.names, force=True)
    assert lab.rows(columns="document_id, n, more") == [("b", 3, "x")]
    assert lab.rows("things_base", "document_id, deleted, old_data") == [("a", True, '{"n":1}'), ("b", False, None)]


def test_a_subcollection_of_every_document_goes_to_one_table(lab):
    lab.stream(("orders/o1/items/a", {"n": 1}, None, 10), ("orders/o2/items/a", {"n": 2}, None, 10))
    found = lab.rows("orders__items", "n, JSON_VALUE(path_params, '$.parent_id') AS parent_id, document_id")
    assert sorted(found) == [(1, "o1", "a"), (2, "o2", "a")]


def test_columns_are_added_and_a_kind_that_conflicts_gets_one_beside(lab):
    lab.stream(("things/a", {"amount": 1, "ok": True}, None, 10))
    lab.stream(("things/b", {"amount": "much", "ok": {"_seconds": 1, "_nanoseconds": 5000}}, None, 10))
    lab.stream(("things/c", {"amount": 2.5}, None, 10))
    assert lab.rows(columns="document_id, amount, amount_string, amount_double, ok, ok_timestamp") == [
        ("a", 1, None, 1.0, True, None),
        ("b", None, "much", None, None, datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)),
        ("c", None, None, 2.5, None, None),
    ]
    assert lab.rows()[1] == ("b", '{"amount":"much","ok":{"_nanoseconds":5000,"_seconds":1}}')


def test_every_kind_has_a_type_and_nothing_is_rounded(lab):
    everything = {
        "big": 9007199254740993,
        "small": -(2**63),
        "double": 2.0,
        "nan": {"_double": "NaN"},
        "infinite": {"_double": "-Infinity"},
        "at": {"_seconds": 1767672900, "_nanoseconds": 123456000},
        "bytes": {"_base64": "aGk="},
        "place": {"_latitude": 1.5, "_longitude": -2.25},
        "near": {"_values": [1.0, -2.5]},
        "other": {"_reference": "projects/p/databases/shop/documents/a/b"},
        "list": [1, "x", {"_double": "NaN"}],
        "map": {"a": {"b": 9007199254740993}},
        "empty": {},
        "null": None,
        "tagged": {"_map": {"_base64": "aGk="}},
    }
    lab.stream(("things/a", everything, None, 10))
    columns = "big, small, double, nan, infinite, `at`, bytes, place, near, other, `list`, `map`, empty, tagged"
    (row,) = lab.rows(columns=columns)
    assert row[:3] == (9007199254740993, -(2**63), 2.0)
    assert str(row[3]) == "nan"
    assert row[4:10] == (
        float("-inf"),
        datetime(2026, 1, 6, 4, 15, 0, 123456, tzinfo=UTC),
        b"hi",
        {"latitude": 1.5, "longitude": -2.25},
        [1.0, -2.5],
        "projects/p/databases/shop/documents/a/b",
    )
    assert row[10:] == (
        [1, "x", {"_double": "NaN"}],
        {"a": {"b": 9007199254740993}},
        {},
        {"_map": {"_base64": "aGk="}},
    )


def test_names_that_bigquery_does_not_allow_become_columns_and_those_that_could_end_a_literal_stay_in_the_data(lab):
    odd = {"größe": 1, "a b": 2, "1st": 3, "Name": 4, "name": 5, "it's": 6, 'quo"te': 7, "data": 8, "version": 9}
    lab.stream(("things/a", odd, None, 10))
    table = lab.ops.documents[f"streamed_tables/{lab.dataset}.things"]
    columns = {column["field"]: column["column"] for column in table["columns"]}
    assert set(columns) == set(odd) - {"it's", 'quo"te'}
    assert len({name.lower() for name in columns.values()}) == len(columns)
    names = sorted(columns)
    (row,) = lab.rows(columns=", ".join(f"`{columns[name]}`" for name in names))
    assert row == tuple(odd[name] for name in names)
    assert '"it\'s":6' in lab.rows()[0][1]


def test_a_collection_whose_id_bigquery_does_not_allow_has_a_table_of_its_own(lab):
    lab.stream(("a-b/x", {"n": 1}, None, 10), ("a_b/x", {"n": 2}, None, 10))
    names = {record.table.table for record, _ in streamed_tables(lab.ops, lab.tenant)}
    assert len(names) == 2
    assert sorted(lab.rows(name, "document_id, n") for name in names) == [[("x", 1)], [("x", 2)]]


def test_two_instances_that_see_a_collection_at_once_make_it_once_and_lose_no_column(lab):
    async def run():
        def instance():
            return Streamer(
                Writer(lab.sink, Effects(FakeCache, FakePublisher).follow),
                patterns=Patterns(lambda: lab.ops),
                tables=UndeclaredTables(lambda: lab.ops, lambda: lab.warehouse),
            )

        streamers = [instance() for _ in range(3)]
        bodies = [event_body(f"tenants/{lab.tenant}/things/{n}", {f"f{n}": n}, None, 10) for n in range(9)]
        await asyncio.gather(
            *(streamers[n % 3].stream(body, "e", "2026-01-01T00:00:00Z") for n, body in enumerate(bodies))
        )
        for streamer in streamers:
            streamer.close()

    asyncio.run(run())
    stream = stream_of(f"tenants/{lab.tenant}/things")
    lab.merger.merge(stream.record, stream.names, force=True)
    assert lab.rows(columns="document_id, f0, f8")[0] == ("0", 0, None)
    (row,) = [row for row in lab.rows(columns="document_id, f8") if row[0] == "8"]
    assert row == ("8", 8)


def test_a_tenant_that_does_not_exist_gets_no_tables(lab):
    lab.tenant = "nobody"
    with pytest.raises(TenantNotProvisioned):
        lab.stream(("things/a", {"n": 1}, None, 10))
    assert lab.ops.documents == {}


def test_a_pattern_that_was_added_needs_no_deployment_and_makes_its_dataset(lab):
    pattern = {"path": "users/{user_id}/orders", "table": f"export_{lab.tenant}.orders"}
    lab.ops.put("streams/orders", {"stream_id": "orders", "pattern": pattern})
    lab.ops.put("streams/broken", {"stream_id": "broken", "pattern": {"path": 1}})

    async def run():
        streamer = Streamer(
            Writer(lab.sink, Effects(FakeCache, FakePublisher).follow),
            patterns=Patterns(lambda: lab.ops),
            tables=UndeclaredTables(lambda: lab.ops, lambda: lab.warehouse),
        )
        body = event_body("users/u1/orders/a", {"n": 1}, None, 10)
        found = await streamer.stream(body, "e", "2026-01-01T00:00:00Z")
        streamer.close()
        return found

    assert asyncio.run(run()) == {"rows": 1}
    lab.dataset = f"export_{lab.tenant}"
    assert lab.rows("orders", "document_id, n") == [("a", 1)]


def test_a_collection_that_is_declared_later_keeps_its_rows_and_gets_its_columns(lab, monkeypatch):
    lab.stream(("notes/a", {"title": "One", "day": "2026-01-05", "note_id": "a"}, None, 10))
    undeclared = stream_of(f"tenants/{lab.tenant}/notes")
    lab.merger.merge(undeclared.record, undeclared.names, force=True)
    monkeypatch.setattr("shared.streaming.undeclared.streamed_records", lambda: (Note,))
    assert list(streamed_tables(lab.ops, lab.tenant)) == []
    provision(lab.warehouse, Note, {"tenant_id": lab.tenant})
    body = event_body(f"tenants/{lab.tenant}/notes/b", {"title": "Two", "day": "2026-01-06", "note_id": "b"}, None, 20)

    async def run():
        streamer = Streamer(Writer(lab.sink, Effects(FakeCache, FakePublisher).follow), record_of)
        await streamer.stream(body, "e", "2026-01-01T00:00:00Z")
        streamer.close()

    asyncio.run(run())
    lab.merger.merge(Note, {"tenant_id": lab.tenant}, force=True)
    found = lab.warehouse.query(f"SELECT title, schema_version FROM `{lab.dataset}.notes` ORDER BY document_name")
    assert [tuple(row.values()) for row in found] == [(None, 0), ("Two", 1)]
