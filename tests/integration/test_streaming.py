"""Streaming on the emulated BigQuery: the real sink, the log, the view and the merge."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import Field

from shared.adapters.bigquery import BigQueryWarehouse
from shared.adapters.bigquery_write import BigQuerySink
from shared.errors import TenantNotProvisioned, Unavailable
from shared.ops.leases import Leases
from shared.schema.sql import render
from shared.streaming.effects import Effects
from shared.streaming.merge import Merger
from shared.streaming.service import InvalidDocument, Streamer
from shared.streaming.tables import BEGINNING, log_table, provision
from shared.streaming.writer import Writer
from tests.fakes import FakeCache, FakeDocuments, FakePublisher
from tests.support.bigquery import bigquery_emulator
from tests.support.streaming import VALID, Brief, Note, Plain, event_body, record_of

numbers = itertools.count()
ENDS = {"view": "", "log": "_raw_changelog", "base": "_base"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as settings:
        yield settings


class Lab:
    """A tenant of its own for each test."""

    def __init__(self, server):
        self.names = {"tenant_id": f"t{next(numbers)}"}
        self.dataset = f"aso_tenant_{self.names['tenant_id']}"
        self.warehouse = BigQueryWarehouse.connect(server.project, server.bigquery_endpoint, "US")
        self.warehouse.ensure_dataset(self.dataset)
        provision(self.warehouse, Note, self.names)
        self.documents = FakeDocuments()
        self.now = datetime.now(UTC)
        self.merger = Merger(self.warehouse, self.documents, Leases(self.documents), lambda: self.now)
        self.sink = BigQuerySink.open(server.project, server.bigquery_endpoint, server.bigquery_grpc_endpoint)

    def stream(self, *events, record_of=record_of):
        """Stream events in order, each (document id, new, old, at, old_at); what became of each."""

        async def run():
            writer = Writer(self.sink, Effects(FakeCache, FakePublisher).follow)
            streamer = Streamer(writer, record_of)
            found = []
            for event in events:
                try:
                    found.append(await streamer.stream(self.body(*event), "e", "2026-01-01T00:00:00Z"))
                except InvalidDocument as error:
                    found.append(error)
            streamer.close()
            return found

        return asyncio.run(run())

    def body(self, document_id, new=None, old=None, at=0, old_at=0, collection="notes"):
        return event_body(f"tenants/{self.names['tenant_id']}/{collection}/{document_id}", new, old, at, old_at)

    def rows(self, table="notes", columns="title, amount"):
        sql = f"SELECT {columns} FROM `{self.dataset}.{table}` ORDER BY 1, 2"
        return [tuple(row.values()) for row in self.warehouse.query(sql)]

    def tail_from(self):
        merged = self.documents.get(f"merges/{self.dataset}.notes")
        return merged["tail_from"] if merged else BEGINNING

    def merge(self, record=Note, **options):
        return self.merger.merge(record, self.names, force=True, **options)


@pytest.fixture
def lab(server):
    return Lab(server)


def note(**changes):
    return {**VALID, **changes}


def test_every_kind_of_column_arrives_as_it_was(lab):
    extra = {"n": 2.0, "big": 9007199254740993}
    lab.stream(
        ("a", note(tags=["x", "y"], extra=extra, done=True, noted_at={"_seconds": 1, "_nanoseconds": 5000}), None, 10)
    )
    columns = "title, day, amount, count, done, tags, extra, noted_at, schema_version, version"
    (row,) = lab.rows(columns=columns)
    assert [str(value) for value in row[:6]] == ["One", "2026-01-05", "2.0", "3", "True", "['x', 'y']"]
    assert row[6] == extra
    assert row[7] == datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)
    assert row[8:] == (1, datetime(2026, 1, 1, 0, 0, 0, 10, tzinfo=UTC))


def test_the_view_is_exact_before_and_after_each_merge(lab):
    lab.stream(("a", note(), None, 10), ("b", note(title="Two"), None, 11))
    assert lab.rows() == [("One", 2.0), ("Two", 2.0)]
    lab.merge()
    assert lab.rows() == lab.rows("notes_base") == [("One", 2.0), ("Two", 2.0)]
    lab.stream(("a", note(amount=5.0), note(), 20, 10), ("b", None, note(title="Two"), 0, 11))
    assert lab.rows() == [("One", 5.0)]
    lab.merge()
    assert lab.rows() == [("One", 5.0)]


@pytest.mark.parametrize("merged", [False, True])
def test_any_order_of_arrival_ends_in_the_same_state(lab, merged):
    def arrivals(order):
        gone, back = f"gone-{order}", f"back-{order}"
        history = [
            ((gone, note(), None, 10), (back, note(), None, 10)),
            ((gone, note(title="Later"), note(), 15, 10), (back, None, note(), 0, 10)),
            ((gone, None, note(title="Later"), 0, 15), (back, note(title="Again"), None, 20)),
        ]
        return [history[index] for index in order]

    orders = [arrivals(order) for order in itertools.permutations(range(3))]
    for step in range(3):
        lab.stream(*(event for order in orders for event in order[step]))
        if merged:
            lab.merge()
    lab.merge()
    assert lab.rows() == [("Again", 2.0)] * 6


def test_a_late_write_after_a_merged_delete_does_not_bring_the_document_back(lab):
    lab.stream(("a", note(), None, 10), ("a", None, note(title="v15"), 0, 15))
    lab.merge()
    assert lab.rows() == []
    lab.stream(("a", note(title="v15"), note(), 15, 10))
    assert lab.rows() == []
    lab.merge()
    assert lab.rows() == []


def test_a_document_that_turns_invalid_leaves_the_view_and_comes_back_when_it_is_mended(lab):
    lab.stream(("a", note(), None, 10))
    lab.merge()
    found = lab.stream(("a", note(amount=-1.0), note(), 20, 10))
    assert isinstance(found[0], InvalidDocument)
    assert lab.rows() == []
    lab.merge()
    assert lab.rows() == []
    lab.stream(("a", note(amount=7.0), note(amount=-1.0), 30, 20))
    assert lab.rows() == [("One", 7.0)]
    lab.merge()
    assert lab.rows() == [("One", 7.0)]
    assert len(lab.rows("notes_base")) == 1


def test_a_poisonous_document_stops_nobody(lab):
    found = lab.stream(
        ("a", note(), None, 10), ("bad", {"title": {"_base64": "gA=="}}, None, 11), ("c", note(), None, 12)
    )
    assert [type(one) for one in found] == [dict, InvalidDocument, dict]
    assert len(lab.rows()) == 2
    (kept,) = lab.warehouse.query(
        f"SELECT data, refused_reason FROM `{lab.dataset}.notes_raw_changelog` WHERE refused_reason IS NOT NULL"
    )
    assert kept["data"] == '{"title":{"_base64":"gA=="}}'


@pytest.mark.parametrize("merged", [False, True])
def test_a_refused_change_that_is_valid_when_it_is_replayed_counts_as_valid(lab, merged):
    """As after its declaration was mended: the same change, so the same identity, and no longer refused."""

    class Stricter(Note):
        amount: float = Field(ge=100)

    def stricter(path, database):
        return Stricter, lab.names

    def counted():
        tables = {name: f"{lab.dataset}.notes{end}" for name, end in ENDS.items()}
        [row] = lab.warehouse.query(render("streaming/sql/status.sql", **tables), tail_from=lab.tail_from())
        return row["row_count"], row["refused_count"]

    def check(expected, refused):
        assert lab.rows() == expected
        assert counted() == (len(expected), refused)
        if merged:
            lab.merge()
            assert lab.rows() == expected
            assert counted() == (len(expected), refused)
        lab.now = datetime.now(UTC)

    lab.stream(("a", note(amount=4.0), None, 10), ("b", note(title="Two"), None, 10), record_of=stricter)
    lab.stream(("gone", None, note(), 0, 10))
    check([], refused=2)
    # The mended one, then a repeat of the refused one, and what a delete has ended stays so.
    lab.stream(("a", note(amount=4.0), None, 10), ("gone", note(), None, 10))
    lab.stream(("a", note(amount=4.0), None, 10), record_of=stricter)
    check([("One", 4.0)], refused=1)
    lab.stream(("b", note(title="Two"), None, 10))
    check([("One", 4.0), ("Two", 2.0)], refused=0)
    lab.now += timedelta(hours=2)
    assert lab.merge(compacting=True).compacted_rows == 3
    log = f"`{lab.dataset}.notes_raw_changelog`"
    found = lab.warehouse.query(f"SELECT document_id, refused_reason FROM {log} WHERE NOT deleted ORDER BY document_id")
    assert [tuple(row.values()) for row in found] == [("a", None), ("b", None), ("gone", None)]
    assert lab.rows() == [("One", 4.0), ("Two", 2.0)]


def test_an_expired_document_stays_in_analytics(lab):
    past = note(expires_at={"_seconds": 1, "_nanoseconds": 0})
    lab.stream(("a", past, None, 10), ("a", None, past, 0, 10))
    assert lab.rows() == [("One", 2.0)]
    lab.merge()
    assert lab.rows() == [("One", 2.0)]


def test_a_merge_is_confined_to_its_partitions_unless_a_document_moved(lab):
    lab.stream(("a", note(), None, 10))
    assert lab.merge().pruned
    lab.now += timedelta(hours=1)
    lab.documents.documents[f"merges/{lab.dataset}.notes"]["tail_from"] = datetime.now(UTC)
    lab.stream(("a", note(day="2026-03-01"), note(), 20, 10))
    merged = lab.merge()
    assert (merged.pruned, merged.merged_rows) == (False, 1)
    assert len(lab.rows("notes_base")) == 1
    assert lab.rows(columns="CAST(day AS STRING) AS day, title") == [("2026-03-01", "One")]


def test_a_document_that_moves_while_its_table_is_merged_is_not_doubled(lab):
    lab.stream(("a", note(), None, 10), ("moved", note(day="2026-03-01"), None, 10))
    lab.merge()
    lab.documents.documents[f"merges/{lab.dataset}.notes"]["tail_from"] = datetime.now(UTC)
    lab.now = datetime.now(UTC)
    lab.stream(("a", note(amount=3.0), note(), 20, 10))
    execute = lab.warehouse.execute

    def interrupted(sql, **parameters):
        if sql.startswith("MERGE"):
            lab.warehouse.execute = execute
            lab.stream(("moved", note(), note(day="2026-03-01"), 20, 10))
        return execute(sql, **parameters)

    lab.warehouse.execute = interrupted
    assert lab.merge().pruned
    expected = [("One", 2.0), ("One", 3.0)]
    assert lab.rows() == lab.rows("notes_base") == expected
    assert not lab.merge().pruned
    assert lab.rows() == lab.rows("notes_base") == expected
    assert lab.rows(columns="DISTINCT CAST(day AS STRING) AS day, title") == [("2026-01-05", "One")]


def test_a_merge_is_not_confined_where_the_partition_may_change(lab):
    provision(lab.warehouse, Plain, lab.names)
    lab.stream(("a", note(), None, 10, 0, "plain"))
    assert not lab.merge(Plain).pruned
    assert lab.rows("plain") == [("One", 2.0)]


def test_a_merge_that_is_not_due_does_nothing(lab):
    lab.stream(("a", note(), None, 10))
    assert lab.merger.merge(Note, lab.names).status == "merged"
    assert lab.merger.merge(Note, lab.names).status == "not due"
    lab.now += timedelta(seconds=901)
    assert lab.merger.merge(Note, lab.names).status == "merged"
    lab.now += timedelta(seconds=901)
    assert lab.merger.merge(Note, lab.names).status == "empty"


def test_a_merge_changes_nothing_the_second_time(lab):
    lab.stream(("a", note(), None, 10), ("b", None, note(), 0, 10))
    assert lab.merge().merged_rows == 2
    assert lab.merge().merged_rows == 0


def test_a_table_that_another_worker_merges_is_left_alone(lab):
    with lab.merger._leases.hold(f"merge:{lab.dataset}.notes", 60):
        assert lab.merger.merge(Note, lab.names).status == "busy"


def test_compacted_hours_hold_each_change_once_and_the_earliest_row(lab):
    lab.stream(*[("a", note(), None, 10)] * 3, ("b", note(), None, 10))
    log = f"`{lab.dataset}.notes_raw_changelog`"
    first = lab.warehouse.query(f"SELECT MIN(appended_at) AS at FROM {log}")[0]["at"]
    lab.merge()
    assert lab.warehouse.query(f"SELECT COUNT(*) AS n FROM {log}")[0]["n"] == 4
    lab.now += timedelta(hours=2)
    assert lab.merge(compacting=True).compacted_rows == 2
    found = lab.warehouse.query(f"SELECT document_id, appended_at FROM {log} ORDER BY document_id")
    assert [row["document_id"] for row in found] == ["a", "b"]
    assert found[0]["appended_at"] == first
    lab.now += timedelta(hours=1)
    assert lab.merge(compacting=True).compacted_rows == 0
    assert lab.rows() == [("One", 2.0)] * 2


def test_a_log_is_kept_as_long_as_said_and_never_loses_what_is_not_merged(lab):
    provision(lab.warehouse, Brief, lab.names)
    lab.stream(("a", note(), None, 10, 0, "brief"))
    log = f"`{lab.dataset}.brief_raw_changelog`"
    lab.now += timedelta(days=40)
    lab.warehouse.execute(f"UPDATE {log} SET appended_at = @then WHERE TRUE", then=lab.now - timedelta(days=5))
    lab.stream(("b", note(title="Two"), None, 10, 0, "brief"))
    lab.warehouse.execute(
        f"UPDATE {log} SET appended_at = @then WHERE document_id = 'b'", then=lab.now - timedelta(minutes=5)
    )
    assert lab.merge(Brief).expired_rows == 1
    assert lab.warehouse.query(f"SELECT document_id FROM {log}") == [{"document_id": "b"}]
    assert lab.rows("brief") == [("One", 2.0), ("Two", 2.0)]


def test_a_repeat_in_a_later_hour_is_removed_as_well(lab):
    lab.stream(("a", note(), None, 10))
    lab.now += timedelta(hours=2)
    lab.merge(compacting=True)
    log = f"`{lab.dataset}.notes_raw_changelog`"
    lab.warehouse.execute(
        f"INSERT INTO {log} (timestamp, event_id, document_name, operation, version, deleted, appended_at) "
        "SELECT timestamp, event_id, document_name, operation, version, deleted, @later "
        f"FROM {log}",
        later=lab.now + timedelta(minutes=5),
    )
    lab.now += timedelta(hours=3)
    assert lab.merge(compacting=True).compacted_rows == 1


def test_provisioning_again_adds_what_is_missing_and_keeps_the_rest(lab):
    lab.stream(("a", note(), None, 10))
    provision(lab.warehouse, Note, lab.names)
    assert lab.rows() == [("One", 2.0)]
    lab.merge()
    assert lab.rows() == [("One", 2.0)]


def test_a_tenant_without_tables_is_told_apart_from_a_warehouse_that_is_down(lab):
    lab.names = {"tenant_id": "nobody"}
    with pytest.raises(TenantNotProvisioned):
        lab.stream(("a", note(), None, 10))


def test_many_tables_share_two_connections(lab):
    """The emulator has a thread for six; production has a quota."""
    tenants = [f"{lab.names['tenant_id']}x{number}" for number in range(8)]
    for tenant in tenants:
        lab.warehouse.ensure_dataset(f"aso_tenant_{tenant}")
        lab.warehouse.ensure_table(f"aso_tenant_{tenant}", log_table(Note))

    async def run():
        streamer = Streamer(Writer(lab.sink, Effects(FakeCache, FakePublisher).follow), record_of)
        bodies = [event_body(f"tenants/{tenant}/notes/{n}", note(), at=10) for tenant in tenants for n in range(5)]
        await asyncio.gather(*(streamer.stream(body, "e", None) for body in bodies))
        missing = event_body("tenants/nobody/notes/a", note(), at=10)
        found = await asyncio.gather(
            *(streamer.stream(body, "e", None) for body in (missing, *bodies)), return_exceptions=True
        )
        streamer.close()
        return found

    found = asyncio.run(run())
    assert isinstance(found[0], TenantNotProvisioned)
    assert {type(one) for one in found[1:]} <= {dict, Unavailable}
    for tenant in tenants:
        sql = f"SELECT COUNT(DISTINCT document_name) AS n FROM `aso_tenant_{tenant}.notes_raw_changelog`"
        assert lab.warehouse.query(sql)[0]["n"] == 5
