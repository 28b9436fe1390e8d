"""Schema evolution on the emulated BigQuery: older and newer code, events and tables in every combination."""

import asyncio
import itertools
from datetime import date

import orjson
import pytest

from shared.adapters.bigquery import BigQueryWarehouse
from shared.adapters.bigquery_write import BigQuerySink
from shared.errors import Rejected, Unavailable
from shared.migrations.columns import AddColumns, Update
from shared.migrations.rebuild import Rebuild
from shared.migrations.refill import Refill
from shared.migrations.service import Migrations
from shared.migrations.step import Migration
from shared.ops.leases import Leases
from shared.schema.bigquery import plain_table
from shared.schema.record import Collection, Immutable, Json, Key, Record, Table
from shared.streaming.merge import Merger
from shared.streaming.service import Streamer
from shared.streaming.tables import provision
from shared.streaming.writer import Writer
from tests.fakes import FakeDocuments
from tests.support.bigquery import bigquery_emulator
from tests.support.streaming import event_body

numbers = itertools.count()
FIRST = {"note_id": "a", "title": "One", "day": "2026-01-05"}


class Old(Record):
    """The record as it was released first."""

    note_id: Key[str]
    title: str
    day: Immutable[date]

    collection = Collection("tenants/{tenant_id}/evolving")
    table = Table("aso_tenant_{tenant_id}.evolving", partition_by="day", cluster_by=("title",))


class New(Old):
    """The same with a new field of each difficult kind."""

    color: str | None = None
    share: float | None = None
    big: int | None = None
    extra: Json | None = None
    tags: list[str] = []

    schema_version = 2


class Stricter(Old):
    """One that refuses what was accepted."""

    color: str

    schema_version = 2


class Content(Record):
    """A plain table as it was."""

    content_id: Key[str]
    day: date | None = None
    words: int | None = None

    table = Table("aso_tenant_{tenant_id}.content", partition_by="day")


class ContentNow(Content):
    """The same: a new field, one that is required now, one under another name, one less."""

    day: date
    kind: str
    word_count: int | None = None

    schema_version = 2


del ContentNow.model_fields["words"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as settings:
        yield settings


class Lab:
    """A tenant of its own for each test."""

    def __init__(self, server):
        self.tenant_id = f"m{next(numbers)}"
        self.names = {"tenant_id": self.tenant_id}
        self.dataset = f"aso_tenant_{self.tenant_id}"
        self.warehouse = BigQueryWarehouse.connect(server.project, server.bigquery_endpoint, "US")
        self.warehouse.ensure_dataset(self.dataset)
        self.sink = BigQuerySink.open(server.project, server.bigquery_endpoint, server.bigquery_grpc_endpoint)
        self.ops, self.documents = FakeDocuments(), FakeDocuments()
        self.documents.put(f"tenants/{self.tenant_id}", {"tenant_id": self.tenant_id})

    def stream(self, record, *events):
        """Stream events by the code that knows `record`: each (document id, new, at)."""

        async def nothing(rows):
            return None

        def record_of(path, database):
            return record, record.collection.match(path)

        async def run():
            streamer = Streamer(Writer(self.sink, nothing), record_of)
            for document_id, new, at in events:
                path = f"tenants/{self.tenant_id}/evolving/{document_id}"
                await streamer.stream(event_body(path, new, None, at), "e", "2026-01-01T00:00:00Z")
            streamer.close()

        asyncio.run(run())

    def merge(self, record):
        Merger(self.warehouse, self.ops, Leases(self.ops)).merge(record, self.names, force=True)

    def rows(self, columns, table="evolving"):
        sql = f"SELECT {columns} FROM `{self.dataset}.{table}` ORDER BY 1"
        return [tuple(row.values()) for row in self.warehouse.query(sql)]

    def migrations(self, *steps, sink=None):
        migration = Migration(tuple(steps), note="of a test", migration_id="m0002_test")
        return Migrations(
            self.documents, self.ops, self.warehouse, lambda: sink or self.sink, Leases(self.ops), [migration]
        )

    def migrate(self, *steps):
        (applied,) = self.migrations(*steps).apply()
        return applied


@pytest.fixture
def lab(server):
    return Lab(server)


def note(document_id, **changes):
    return {**FIRST, "note_id": document_id, **changes}


def test_newer_events_and_older_code(lab):
    provision(lab.warehouse, Old, lab.names)
    lab.stream(Old, ("a", note("a", color="red", unheard_of={"x": 1}), 10))
    assert lab.rows("note_id, title, schema_version") == [("a", "One", 1)]
    (kept,) = lab.rows("data", "evolving_raw_changelog")
    assert orjson.loads(kept[0])["color"] == "red", "what the code does not know is kept"


def test_older_events_and_newer_code(lab):
    provision(lab.warehouse, New, lab.names)
    lab.stream(New, ("a", note("a"), 10), ("b", note("b", color="red"), 11))
    assert lab.rows("note_id, color, schema_version") == [("a", None, 2), ("b", "red", 2)]
    lab.merge(New)
    assert lab.rows("note_id, color, schema_version") == [("a", None, 2), ("b", "red", 2)]


def test_older_code_goes_on_beside_columns_that_it_does_not_know(lab):
    provision(lab.warehouse, Old, lab.names)
    lab.stream(Old, ("before", note("before"), 10))
    provision(lab.warehouse, New, lab.names)
    lab.stream(New, ("new", note("new", color="red"), 11))
    lab.stream(Old, ("old", note("old", color="blue"), 12))
    assert lab.rows("note_id, color") == [("before", None), ("new", "red"), ("old", None)]
    lab.merge(Old)  # and puts its own view in place
    assert lab.rows("note_id, title") == [(name, "One") for name in ("before", "new", "old")]
    provision(lab.warehouse, New, lab.names)
    assert [name for name, _ in lab.rows("note_id, color")] == ["before", "new", "old"]


def test_what_older_code_merged_of_newer_rows_is_filled_again(lab):
    provision(lab.warehouse, New, lab.names)
    lab.stream(New, ("a", note("a", color="red"), 10))
    lab.merge(New)
    lab.stream(New, ("a", note("a", color="blue"), 20))
    lab.merge(Old)
    assert lab.rows("note_id, color, schema_version", "evolving_base") == [("a", "red", 1)], "told apart by its version"
    lab.migrate(AddColumns((New,)), Refill(New))
    assert lab.rows("note_id, color, schema_version") == [("a", "blue", 2)]


def test_newer_code_merges_into_a_base_that_lacks_the_column_once_it_is_provisioned(lab):
    provision(lab.warehouse, Old, lab.names)
    lab.stream(Old, ("a", note("a"), 10))
    lab.merge(Old)
    with pytest.raises(Rejected):
        lab.merge(New)
    provision(lab.warehouse, New, lab.names)
    lab.stream(New, ("a", note("a", color="red"), 20))
    lab.merge(New)
    assert lab.rows("note_id, color, schema_version") == [("a", "red", 2)]


VALUES = {
    "color": "red",
    "share": {"_double": "NaN"},
    "big": 9007199254740993,
    "extra": {"n": 2.0},
    "tags": ["x"],
}


def test_rows_that_older_code_wrote_are_filled_from_the_whole_document(lab):
    provision(lab.warehouse, Old, lab.names)
    lab.stream(Old, ("a", note("a", **VALUES), 10), ("b", note("b"), 11), ("c", note("c", day="2026-03-01"), 12))
    lab.stream(Old, ("a", note("a", **VALUES), 10))  # once more, as delivery does
    lab.merge(Old)
    lab.stream(Old, ("d", note("d", color="blue"), 13))
    assert lab.migrations(AddColumns((New,))).pending()[0].left
    applied = lab.migrate(AddColumns((New,)), Refill(New))
    log, base = (f"rows of {lab.dataset}.evolving_{table}" for table in ("raw_changelog", "base"))
    assert applied.counts == {log: 5, base: 3}
    for table in ("evolving", "evolving_base"):
        found = lab.rows("note_id, color, big, extra, tags, schema_version", table)
        assert found[:3] == [
            ("a", "red", 2**53 + 1, {"n": 2.0}, ["x"], 2),
            ("b", None, None, None, [], 2),
            ("c", None, None, None, [], 2),
        ]
        assert str(lab.rows("note_id, share", table)[0][1]) == "nan"
    assert lab.rows("note_id, color")[3] == ("d", "blue")
    assert not lab.warehouse.exists(f"{lab.dataset}.evolving_raw_changelog_refill")
    assert lab.migrations(AddColumns((New,)), Refill(New)).pending() == []


def test_a_refill_that_died_goes_on_where_it_was_and_repeats_change_nothing(lab, monkeypatch):
    provision(lab.warehouse, New, lab.names)
    lab.stream(Old, *((f"n{number}", note(f"n{number}", color="red"), number) for number in range(1, 8)))
    lab.merge(New)
    monkeypatch.setattr("shared.migrations.refill.MOST_ROWS", 3)

    class Dying:
        """The sink of a process that ends at its second page."""

        pages = 0

        def connect(self, table, record):
            connection, outer = lab.sink.connect(table, record), self

            class Connection:
                def append(self, rows):
                    outer.pages += 1
                    if outer.pages == 2:
                        connection.append(rows).result(30)
                        raise KeyboardInterrupt
                    return connection.append(rows)

                def close(self):
                    connection.close()

            return Connection()

    with pytest.raises(KeyboardInterrupt):
        list(lab.migrations(Refill(New), sink=Dying()).apply())
    left = lab.migrations(Refill(New)).pending()[0].left
    assert sum(left.values()) == 4 + 7
    (again,) = lab.migrations(Refill(New)).apply()
    assert sum(again.counts.values()) == 4 + 7
    assert {row[1:] for row in lab.rows("note_id, color, schema_version", "evolving_base")} == {("red", 2)}
    assert {row[1:] for row in lab.rows("note_id, color, schema_version", "evolving_raw_changelog")} == {("red", 2)}


def test_what_was_accepted_is_not_refused_by_a_refill(lab):
    provision(lab.warehouse, Stricter, lab.names)
    lab.stream(Old, ("a", note("a", color="red"), 10), ("b", note("b"), 11))
    with pytest.raises(Rejected) as raised:
        lab.migrate(Refill(Stricter))
    assert raised.value.fields["rows"] == 1
    assert lab.rows("note_id, color, schema_version") == [("a", "red", 2), ("b", None, 1)]
    state = lab.ops.get(f"migrations/m0002_test:{lab.tenant_id}")
    assert (state["status"], state["steps_done"]) == ("failed", 0)
    assert "do not match" in state["error"]


def test_a_column_is_filled_by_sql_where_it_is_null(lab):
    lab.warehouse.ensure_table(lab.dataset, plain_table(Content))
    lab.warehouse.load(
        f"{lab.dataset}.content",
        [{"content_id": "a", "day": "2026-01-01"}, {"content_id": "b", "day": "2026-01-02", "words": 5}],
    )
    applied = lab.migrate(Update(Content, "words", "LENGTH(content_id)"))
    assert applied.counts == {f"rows of {lab.dataset}.content": 1}
    assert lab.rows("content_id, words", "content") == [("a", 1), ("b", 5)]


STEPS = (
    AddColumns((ContentNow,)),
    Update(ContentNow, "kind", "'spoke'"),
    Rebuild(ContentNow, while_holding=("etl:{tenant_id}",), renamed={"word_count": "words"}),
)


def content(lab, *rows):
    lab.warehouse.ensure_table(lab.dataset, plain_table(Content))
    lab.warehouse.load(f"{lab.dataset}.content", rows)


def test_a_column_becomes_required_by_copy_and_the_old_table_is_kept_until_it_is_confirmed(lab):
    content(lab, {"content_id": "a", "day": "2026-01-01", "words": 5}, {"content_id": "b", "day": "2026-01-02"})
    applied = lab.migrate(*STEPS)
    table = lab.warehouse.client.get_table(f"{lab.dataset}.content")
    modes = {field.name: field.mode for field in table.schema}
    assert modes == {
        "content_id": "REQUIRED",
        "day": "REQUIRED",
        "kind": "REQUIRED",
        "word_count": "NULLABLE",
        "schema_version": "NULLABLE",
    }
    assert table.time_partitioning.field == "day"
    assert lab.rows("content_id, kind, word_count", "content") == [("a", "spoke", 5), ("b", "spoke", None)]
    (kept,) = applied.kept
    assert lab.rows("content_id, words", kept.partition(".")[2]) == [("a", 5), ("b", None)]
    migrations = lab.migrations(*STEPS)
    assert list(migrations.apply()) == [], "each once"
    assert migrations.confirm("m0002_test") == [kept]
    assert not lab.warehouse.exists(kept)
    assert not lab.warehouse.exists(f"{lab.dataset}.content_new")


def test_a_required_column_without_values_stops_the_migration_before_anything_is_replaced(lab):
    content(lab, {"content_id": "a", "words": 5})
    with pytest.raises(Rejected) as raised:
        lab.migrate(*STEPS)
    assert raised.value.fields["rows"] == {"day": 1}
    assert lab.rows("content_id, words", "content") == [("a", 5)]
    lab.warehouse.execute(f"UPDATE `{lab.dataset}.content` SET day = DATE '2026-01-01' WHERE day IS NULL")
    lab.warehouse.load(f"{lab.dataset}.content", [{"content_id": "b", "day": "2026-01-02", "kind": "hub"}])
    lab.migrate(*STEPS)
    assert lab.rows("content_id, kind", "content") == [("a", "spoke"), ("b", "hub")], "what came since is there too"


@pytest.mark.parametrize("dies_at", ["drop_table 1", "copy_table 1", "drop_table 3", "copy_table 2"])
def test_a_rebuild_that_died_anywhere_ends_with_every_row(lab, dies_at):
    content(lab, {"content_id": "a", "day": "2026-01-01", "words": 5})
    real = lab.warehouse
    lab.warehouse = Mortal(real, dies_at)
    with pytest.raises(KeyboardInterrupt):
        lab.migrate(*STEPS)
    lab.warehouse = real
    applied = lab.migrate(*STEPS)
    assert lab.rows("content_id, kind, word_count", "content") == [("a", "spoke", 5)]
    assert applied.kept == [f"{lab.dataset}.content_before_m0002_test"]
    assert not lab.warehouse.exists(f"{lab.dataset}.content_new")


class Mortal:
    """A warehouse whose process ends right after one call: `copy_table 2` is the second of them."""

    def __init__(self, warehouse, dies_at):
        self._warehouse, self._dies_at, self._calls = warehouse, dies_at, {}

    def __getattr__(self, name):
        call = getattr(self._warehouse, name)

        def counted(*arguments, **named):
            result = call(*arguments, **named)
            self._calls[name] = self._calls.get(name, 0) + 1
            if f"{name} {self._calls[name]}" == self._dies_at:
                raise KeyboardInterrupt
            return result

        return counted


def test_a_table_that_is_being_written_waits(lab):
    content(lab, {"content_id": "a", "day": "2026-01-01"})
    with Leases(lab.ops).hold(f"etl:{lab.tenant_id}", 60), pytest.raises(Unavailable):
        lab.migrate(*STEPS)
    lab.migrate(*STEPS)
    assert lab.rows("content_id, kind", "content") == [("a", "spoke")]
