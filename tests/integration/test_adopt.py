"""Adopting a log that the extension's own code wrote (tests/support/extension), on the emulated BigQuery."""

import asyncio
import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
import sqlglot
from google.cloud import firestore
from typer.testing import CliRunner

from infra.cli import __main__ as command_line
from infra.local.cloud import LocalCloud
from shared.adapters.bigquery import BigQueryWarehouse
from shared.adapters.bigquery_write import BigQuerySink
from shared.adoption.extension import Extension
from shared.adoption.inspection import agreement
from shared.adoption.records import Adoption
from shared.adoption.schema_views import read_schemas
from shared.adoption.service import Adopter, NotAdoptable
from shared.errors import BadRequest, NotFound
from shared.ops.leases import Leases
from shared.runtime.clients import connect
from shared.settings import settings
from shared.streaming.change import EventData, read_document
from shared.streaming.effects import Effects
from shared.streaming.merge import Merger
from shared.streaming.service import Streamer, row_of
from shared.streaming.undeclared import Patterns, UndeclaredTables
from shared.streaming.values import decode_fields
from shared.streaming.writer import Writer
from tests.fakes import FakeCache, FakeDocuments, FakePublisher
from tests.support.extension import CHANGELOG, SCHEMAS, captured

numbers = itertools.count()
PROJECT = captured()["project"]
USERS = f"projects/{PROJECT}/databases/(default)/documents/users"
TENANTS = ("tenant_ann", "tenant_bob")
RIGHT = {"ann": 31, "cid": 2, "lost_later": 2, "lost_update": 2, "old": 1, "stale": 2, "twice": 2, "lost_create": 1}
"""What Firestore holds of the captured users in the end: their ages."""
KNOWN = {**{name: age for name, age in RIGHT.items() if name != "lost_create"}, "lost_update": 1, "lost_delete": 1}
"""What the extension could know of it: some writes it had lost."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The stores alone: nothing is streamed but what a test streams."""
    nothing, state = tmp_path_factory.mktemp("functions"), tmp_path_factory.mktemp("cloud")
    with pytest.MonkeyPatch.context() as environment, LocalCloud(state, nothing) as cloud:
        for name, value in cloud.env.items():
            environment.setenv(name, value)
        settings.cache_clear()
        connect.cache_clear()
        yield settings()
    settings.cache_clear()
    connect.cache_clear()


class Lab:
    """An empty dataset for the extension's tables as captured."""

    def __init__(self, server):
        self.server = server
        self.dataset = "firestore_export"
        self.warehouse = BigQueryWarehouse.connect(server.project, server.bigquery_endpoint, "US")
        # Always of the same name: the emulator need not translate the same statements anew for each test.
        for dataset in (self.dataset, *TENANTS):
            if self.warehouse.exists(dataset):
                self.warehouse.drop_dataset(dataset)
        self.warehouse.ensure_dataset(self.dataset)
        self.documents = FakeDocuments()
        self.leases = Leases(self.documents)
        self.tables = UndeclaredTables(lambda: self.documents, lambda: self.warehouse)
        self.adopter = Adopter(self.warehouse, self.documents, self.leases, self.tables)
        self.merger = Merger(self.warehouse, self.documents, self.leases)

    def logged(self, table="users", keep=lambda row: True, **changes):
        """Make the extension's table, and load the captured rows into it; `changes` map columns."""
        self.warehouse.ensure_table(self.dataset, CHANGELOG.named(self.dataset, table))
        rows = [row for row in captured()["rows"][table] if keep(row)]
        rows = [{**row, **{name: change(row) for name, change in changes.items()}} for row in rows]
        self.warehouse.load(f"{self.dataset}.{table}_raw_changelog", rows)
        return len(rows)

    def extension(self, table="users", collection="users", database="(default)", into=""):
        return Extension.of(f"{self.dataset}.{table}_raw_changelog", collection, PROJECT, database, into)

    def adopt(self, extension=None):
        extension = extension or self.extension()
        return self.adopter.adopt(extension, self.adopter.inspect(extension))

    def show(self, extension=None, schemas=None):
        extension = extension or self.extension()
        return self.adopter.show(extension, self.adopter.inspect(extension), schemas or {})

    def stream(self, changes, delivered_after=timedelta(0)):
        """Stream captured changes as Scout's own trigger would: its event ids and, for deletes, its time."""

        async def run():
            sink = BigQuerySink.open(
                self.server.project, self.server.bigquery_endpoint, self.server.bigquery_grpc_endpoint
            )
            writer = Writer(sink, Effects(FakeCache, FakePublisher).follow)
            streamer = Streamer(writer, patterns=Patterns(lambda: self.documents), tables=self.tables)
            for change in changes:
                time = datetime.fromisoformat(change["time"]) + delivered_after
                await streamer.stream(event(change), f"scout-{next(numbers)}", time)
            streamer.close()

        asyncio.run(run())

    def copy(self, extension, documents):
        """What a backfill does: append each document as it is read, with its own version."""

        async def run():
            sink = BigQuerySink.open(
                self.server.project, self.server.bigquery_endpoint, self.server.bigquery_grpc_endpoint
            )
            writer = Writer(sink, Effects(FakeCache, FakePublisher).follow)
            target = extension.target()
            for document in documents:
                data = EventData()
                fill(data.value, document["name"], document["fields"], document["at"], document["created"])
                path = document["name"].split("/documents/")[1]
                found = target.record.collection.match(path)
                await writer.write(row_of(read_document(data.value, "copy"), target.record, found))
            writer.close()

        asyncio.run(run())

    def rows(self, table, columns="document_id, data", order="1, 2"):
        sql = f"SELECT {columns} FROM `{self.dataset}.{table}` ORDER BY {order}"
        return [tuple(row.values()) for row in self.warehouse.query(sql)]

    def ages(self, table="users"):
        return {name: orjson.loads(data)["age"] for name, data in self.rows(table)}


@pytest.fixture
def lab(server):
    return Lab(server)


def value(item: Any) -> Any:
    """A captured value in Scout's encoding."""
    if isinstance(item, list):
        return [value(each) for each in item]
    if not isinstance(item, Mapping):
        return item
    if "_integer" in item:
        return int(item["_integer"])
    if "_reference" in item:
        return {"_reference": f"{USERS.removesuffix('/users')}/{item['_reference']}"}
    return {name: value(each) for name, each in item.items()}


def fill(document, name, fields, at, created):
    document.name = name
    document.update_time.FromDatetime(datetime.fromisoformat(at))
    document.create_time.FromDatetime(datetime.fromisoformat(created))
    for field, item in decode_fields(value(fields)).items():
        document.fields[field].CopyFrom(item)


def event(change):
    data = EventData()
    name = f"projects/{PROJECT}/databases/{change['database']}/documents/{change['path']}"
    if change["fields"] is not None:
        fill(data.value, name, change["fields"], change["at"], change["created"])
    if change["old_fields"] is not None:
        fill(data.old_value, name, change["old_fields"], change["old_at"], change["created"])
    return data.SerializeToString()


def changes(table="users", keep=lambda change: True):
    return [change for change in captured()["changes"] if change["table"] == table and keep(change)]


def documents(database="(default)", collection="users"):
    found = captured()["documents"]
    return [one for one in found if f"/databases/{database}/documents/{collection}/" in one["name"] + "/"]


def users():
    return [one for one in documents() if "/orders/" not in one["name"]]


# --- inspecting ------------------------------------------------------------------------------------------------------


def test_what_a_log_holds_is_said_and_nothing_is_changed(lab):
    lab.logged()
    found = lab.adopter.inspect(lab.extension())
    assert found.problems == []
    assert (found.log_rows, found.rows, found.documents) == (26, 26, 11)
    assert found.operations == {"CREATE": 11, "UPDATE": 5, "DELETE": 5, "IMPORT": 5}
    assert found.repeated == 4
    assert found.others == []
    assert lab.documents.documents == {}
    assert not lab.warehouse.exists(f"{lab.dataset}.users")


def test_rows_of_other_databases_and_collections_are_named_and_stay_where_they_are(lab):
    lab.logged()
    lab.warehouse.load(f"{lab.dataset}.users_raw_changelog", captured()["rows"]["shop_users"])
    lab.warehouse.load(f"{lab.dataset}.users_raw_changelog", captured()["rows"]["orders"])
    found = lab.adopter.inspect(lab.extension())
    assert {one.collection.split("/databases/")[1]: one.rows for one in found.others} == {
        "shop/documents/users": 2,
        "(default)/documents/users/ann/orders": 2,
        "(default)/documents/users/bob/orders": 1,
    }
    assert "some imports may be of another database" in found.remarks[-1]
    lab.adopt()
    assert not [name for name, _ in lab.rows("users_base", "document_name, 1") if "/shop/" in name or "orders" in name]


def test_what_stands_in_the_way_is_said_and_nothing_is_touched(lab):
    lab.logged()
    lab.warehouse.execute(f"CREATE OR REPLACE VIEW `{lab.dataset}.users_base` AS SELECT 1 AS mine")
    found = lab.adopter.inspect(lab.extension())
    assert found.problems == [f"{lab.dataset}.users_base exists and is not Scout's: say another --table"]
    with pytest.raises(NotAdoptable):
        lab.adopter.adopt(lab.extension(), found)
    assert lab.documents.documents == {}


def test_a_table_that_is_no_log_of_the_extension_is_refused(lab):
    with pytest.raises(NotFound):
        lab.adopter.inspect(lab.extension())
    lab.warehouse.execute(f"CREATE OR REPLACE VIEW `{lab.dataset}.odd_raw_changelog` AS SELECT 1 AS timestamp")
    found = lab.adopter.inspect(lab.extension("odd"))
    assert found.problems[0] == "column timestamp: TIMESTAMP was expected, there is INT64"
    assert len(found.problems) == 5


# --- the current table -----------------------------------------------------------------------------------------------


def test_the_current_table_is_what_the_extension_knew_without_its_stale_and_raised_imports(lab):
    lab.logged()
    lab.adopt()
    assert lab.ages() == KNOWN


def test_the_extensions_own_view_of_the_same_rows_is_stale_and_raises_the_deleted(lab):
    lab.logged()
    theirs = captured()["views"]["raw_latest"]["legacy"]
    theirs = theirs.replace("PROJECT.DATASET.", f"{lab.server.project}.{lab.dataset}.")
    latest = {row["document_id"]: orjson.loads(row["data"])["age"] for row in lab.warehouse.query(theirs)}
    assert latest["stale"] == 1
    assert "raised" in latest


def test_a_second_run_changes_nothing_and_a_later_one_takes_what_came_since(lab):
    rows = sorted(row["timestamp"] for row in captured()["rows"]["users"])
    cut = rows[len(rows) // 2]
    lab.logged(keep=lambda row: row["timestamp"] <= cut)
    assert lab.adopt()[f"{lab.dataset}.users_base"] > 0
    before = lab.rows("users_base", "*")
    assert lab.adopt() == {f"{lab.dataset}.users_base": 0}
    assert lab.rows("users_base", "*") == before
    lab.logged(keep=lambda row: row["timestamp"] > cut)
    lab.adopt()
    assert lab.ages() == KNOWN


def test_documents_of_another_database_get_their_name_back_from_the_imports(lab):
    lab.logged("shop_users")
    lab.adopt(lab.extension("shop_users", database="shop"))
    names = dict(lab.rows("shop_users", "document_name, data"))
    shop = f"projects/{PROJECT}/databases/shop/documents/users"
    assert {name: orjson.loads(data)["age"] for name, data in names.items()} == {f"{shop}/ann": 40, f"{shop}/eve": 51}


def test_one_log_of_all_tenants_goes_into_the_dataset_of_each(lab):
    lab.logged("orders")
    extension = lab.extension("orders", "users/{user_id}/orders", into="tenant_{user_id}.orders")
    missing = lab.adopter.inspect(extension)
    assert missing.problems == [f"dataset {name} does not exist: provision it first" for name in TENANTS]
    for name in TENANTS:
        lab.warehouse.ensure_dataset(name)
    assert lab.adopt(extension) == {f"{name}.orders_base": 1 for name in TENANTS}
    found = [lab.warehouse.query(f"SELECT data AS data FROM `{name}.orders`") for name in TENANTS]
    assert found == [[{"data": '{"total":13.5}'}], [{"data": '{"total":7}'}]]


def test_times_that_are_cut_still_end_in_firestores_state_once_documents_are_copied(lab):
    lab.logged(timestamp=lambda row: row["timestamp"][:19] + "Z")
    extension = lab.extension()
    lab.adopt(extension)
    lab.copy(extension, users())
    assert {name: age for name, age in lab.ages().items() if name != "lost_delete"} == RIGHT


def test_times_that_lie_after_the_write_never_outrank_what_scout_streams_or_copies(lab):
    late = timedelta(minutes=5)
    lab.logged(timestamp=lambda row: (datetime.fromisoformat(row["timestamp"]) + late).isoformat())
    extension = lab.extension()
    lab.adopt(extension)
    lab.stream(changes(keep=lambda change: change["path"] == "users/lost_delete" and change["operation"] == "DELETE"))
    lab.copy(extension, users())
    assert lab.ages() == RIGHT


def test_rows_whose_data_is_no_json_are_not_shown_until_the_document_is_copied(lab):
    lab.logged(data=lambda row: "undefined" if row["document_id"] == "twice" else row["data"])
    extension = lab.extension()
    assert lab.adopter.inspect(extension).not_json == 5
    lab.adopt(extension)
    assert "twice" not in lab.ages()
    lab.copy(extension, users())
    assert lab.ages()["twice"] == 2


# --- both running ----------------------------------------------------------------------------------------------------


def test_both_run_and_what_is_current_is_firestores_once_documents_are_copied(lab):
    lab.logged(keep=lambda row: row["document_id"] < "m")
    extension = lab.extension()
    lab.adopt(extension)
    lab.stream(changes(), delivered_after=timedelta(seconds=3))
    lab.logged(keep=lambda row: row["document_id"] >= "m")
    lab.adopt(extension)
    lab.copy(extension, users())
    assert lab.ages() == RIGHT
    lab.merger.merge(extension.target().record, {}, force=True)
    assert lab.ages() == RIGHT
    data = dict(lab.rows("users"))["ann"]
    assert '"big":9007199254740993' in data
    assert '"photo":{"_base64":"aGk="}' in data


@pytest.mark.parametrize("digits", [6, 3, 0])
def test_the_history_holds_each_change_once_however_the_extensions_times_are_cut(lab, digits):
    cut = {6: lambda at: at, 3: lambda at: at[:23] + "Z", 0: lambda at: at[:19] + "Z"}[digits]
    live = [row for row in captured()["rows"]["users"] if row["operation"] != "IMPORT"]
    lab.logged(keep=lambda row: row in live, timestamp=lambda row: cut(row["timestamp"]))
    extension = lab.extension()
    lab.adopt(extension)
    lab.stream(changes(), delivered_after=timedelta(seconds=3))
    shown = lab.rows("users_history", "document_name, version, deleted, logged_by")
    assert len(shown) == len(set(row[:3] for row in shown)) == len(changes())
    assert {row[3] for row in shown} == {"scout"}


def test_what_only_one_of_them_logged_is_in_the_history_too(lab):
    lab.logged()
    extension = lab.extension()
    lab.adopt(extension)
    since = {"stale", "raised", "lost_delete"}
    lab.stream(changes(keep=lambda change: change["path"].split("/")[1] in since), timedelta(seconds=3))
    lab.copy(extension, users())
    shown = lab.rows("users_history", "document_id, version, deleted, operation, logged_by", "1, 2, 3")
    assert len(set(row[:3] for row in shown)) == len(shown)
    # Of documents whose history the extension logged, the copy adds nothing; where it lost the last write, that write.
    changed = [row[3:] for row in shown if row[0] == "ann"]
    assert changed == [("IMPORT", "extension"), ("CREATE", "extension"), ("UPDATE", "extension")]
    assert [row[3:] for row in shown if row[0] == "lost_update"] == [("CREATE", "extension"), ("IMPORT", "scout")]
    assert [row[3:] for row in shown if row[0] == "lost_delete"] == [("CREATE", "scout"), ("DELETE", "scout")]
    deletes = [(row[0], row[4]) for row in shown if row[3] == "DELETE"]
    assert deletes == [
        ("bob", "extension"),
        ("cid", "extension"),
        ("gone_twice", "extension"),
        ("lost_delete", "scout"),
        ("raised", "scout"),
    ]


def test_how_the_times_of_both_logs_compare_is_counted(lab):
    lab.logged(timestamp=lambda row: row["timestamp"][:23] + "Z" if row["document_id"] == "cid" else row["timestamp"])
    extension = lab.extension()
    columns = lab.adopter.inspect(extension).columns
    assert agreement(lab.warehouse, extension, columns) is None
    lab.adopt(extension)
    assert agreement(lab.warehouse, extension, columns) is None
    lab.stream(changes(keep=lambda change: change["path"] not in ("users/twice",)))
    found = agreement(lab.warehouse, extension, columns)
    assert found is not None
    assert (found.same, found.same_millisecond, found.same_second, found.later) == (9, 2, 0, 0)
    assert found.only_extension == 2


# --- the views under the extension's names ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["legacy", "materialized"])
def test_the_latest_view_has_the_columns_of_the_one_it_replaces_in_their_order(lab, kind):
    lab.logged()
    theirs = sqlglot.parse_one(captured()["views"]["raw_latest"][kind], dialect="bigquery")
    first = (theirs.ctes[0].this if theirs.named_selects == ["*"] else theirs).named_selects
    # A stand-in with their columns: the emulator cannot run all of them.
    stand_in = f"SELECT {', '.join(first)} FROM `{lab.dataset}.users_raw_changelog`"
    lab.warehouse.ensure_view(f"{lab.dataset}.users_raw_latest", stand_in)
    lab.adopt()
    assert lab.show() == [f"{lab.dataset}.users_raw_latest"]
    (row,) = lab.warehouse.query(f"SELECT * FROM `{lab.dataset}.users_raw_latest` WHERE document_id = 'twice'")
    assert list(row) == first
    assert (row["operation"], row["event_id"], row["data"]) == ("UPDATE", "extension-11", '{"name":"Twice","age":2}')


def test_the_latest_view_says_how_each_document_came_about_whoever_logged_it(lab):
    lab.logged()
    extension = lab.extension()
    lab.adopt(extension)
    lab.show(extension)
    lab.stream(changes(keep=lambda change: change["path"] == "users/lost_create"))
    lab.copy(extension, [one for one in users() if one["name"].endswith("/lost_update")])
    for _ in range(2):
        shown = dict(lab.rows("users_raw_latest", "document_id, operation"))
        assert [shown[name] for name in ("old", "ann", "lost_create", "lost_update")] == [
            "IMPORT",
            "UPDATE",
            "CREATE",
            "UPDATE",
        ]
        lab.merger.merge(extension.target().record, {}, force=True)


def test_schema_views_show_the_same_columns_and_values_from_both_ways_of_writing(lab):
    lab.logged()
    extension = lab.extension()
    lab.adopt(extension)
    # The emulator has no geography.
    lab.show(extension, {name: schema for name, schema in read_schemas([SCHEMAS]).items() if name != "places"})
    view = f"{lab.dataset}.users_schema_profile_latest"
    theirs = [name for name, _ in captured()["views"]["schemas"]["profile"]["latest"]["columns"]]
    for copied in (False, True):
        if copied:
            lab.copy(extension, users())
        found = lab.warehouse.query(f"SELECT * FROM `{view}` WHERE document_id = 'ann' ORDER BY tags_index")
        assert {*found[0]} == {"document_name", "document_id", "timestamp", "operation", *theirs}
        assert [(row["tags_index"], row["tags_member"]) for row in found] == [(0, "a"), (1, "b"), (2, "users/bob")]
        row = found[0]
        assert (row["name"], row["years"], row["score"], row["member"]) == ("Ann", 31, 1.5, True)
        assert row["friend"] == "users/bob"
        assert row["seen_at"] == datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)
        assert (row["empty"], row["address_town"], row["address_floor_number"]) == ("{}", "Munich", 3)
    ages = lab.rows("users_schema_ages_only_changelog", "document_id, operation, age", "timestamp, operation")
    assert ("cid", "DELETE", None) in ages


def test_going_back_restores_each_view_and_ends_the_streaming(lab):
    lab.logged()
    latest, ages = f"{lab.dataset}.users_raw_latest", f"{lab.dataset}.users_schema_ages_only_latest"
    before = f"SELECT document_id FROM `{lab.dataset}.users_raw_changelog`"
    lab.warehouse.ensure_view(latest, before)
    extension = lab.extension()
    lab.adopt(extension)
    assert lab.documents.get(f"streams/{extension.stream_id}")["adopted_log"] == extension.log
    schemas = {"ages_only": read_schemas([SCHEMAS])["ages_only"]}
    for _ in range(2):  # the second time it is ours that stands there, which is not what to go back to
        lab.show(extension, schemas)
    assert lab.warehouse.exists(ages)
    lab.adopter.undo(extension.log)
    assert [*lab.warehouse.query(f"SELECT * FROM `{latest}` LIMIT 1")[0]] == ["document_id"]
    assert len(lab.rows("users_raw_latest", "document_id", "1")) == 26
    assert not lab.warehouse.exists(ages)
    assert lab.documents.get(f"streams/{extension.stream_id}") is None
    assert lab.warehouse.exists(f"{lab.dataset}.users_base")
    lab.adopter.undo(extension.log)
    assert len(lab.rows("users_raw_latest", "document_id", "1")) == 26
    assert lab.adopter.inspect(extension).problems == []


def test_a_table_under_a_views_name_is_never_replaced(lab):
    lab.logged()
    lab.warehouse.ensure_table(lab.dataset, CHANGELOG.named(lab.dataset, "x"))
    lab.warehouse.execute(f"CREATE TABLE `{lab.dataset}.users_raw_latest` AS SELECT 1 AS mine")
    lab.adopt()
    with pytest.raises(BadRequest, match="table of that name"):
        lab.show()
    assert lab.rows("users_raw_latest", "mine", "1") == [(1,)]


@pytest.mark.parametrize("step", [2, 5])
def test_a_run_that_was_killed_at_any_step_is_mended_by_the_next(lab, step):
    lab.logged()
    extension = lab.extension()
    warehouse = Breaking(lab.warehouse, step)
    tables = UndeclaredTables(lambda: lab.documents, lambda: warehouse)
    broken = Adopter(warehouse, lab.documents, lab.leases, tables)
    with pytest.raises(KeyboardInterrupt):
        broken.adopt(extension, broken.inspect(extension))
    lab.adopt()
    assert lab.ages() == {**KNOWN}
    assert len(lab.rows("users_history", "document_name, version")) == 22
    assert Adoption.model_validate(lab.documents.get(f"adoptions/{extension.log}")).built_at is not None


class Breaking:
    """A warehouse that is killed at the nth call that changes something."""

    def __init__(self, warehouse, last):
        self._warehouse, self._calls, self._last = warehouse, itertools.count(1), last

    def __getattr__(self, name):
        if name in ("ensure_dataset", "ensure_table", "ensure_view", "execute") and next(self._calls) == self._last:
            raise KeyboardInterrupt
        return getattr(self._warehouse, name)


# --- the whole way, by the commands of the guide ----------------------------------------------------------------------


def scout(*arguments, code=0):
    app = command_line.app
    if not app.registered_commands:
        command_line._register()
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == code, done.output
    return orjson.loads(done.stdout)


def test_the_guides_commands_lead_from_the_extensions_log_to_tables_that_equal_firestore(lab):
    lab.logged()
    database = firestore.Client(project=PROJECT)
    for name, age in RIGHT.items():
        database.document(f"users/{name}").set({"age": age, "photo": b"hi"})
    log = f"{lab.dataset}.users_raw_changelog"
    assert scout("adopt", log, "--collection", "users", "--dry-run")["inspection"]["problems"] == []
    assert not lab.warehouse.exists(f"{lab.dataset}.users")
    done = scout(
        "adopt", log, "--collection", "users", "--views", "--schemas", str(SCHEMAS / "ages-only.json"), "--yes"
    )
    assert done["changed"] == {f"{lab.dataset}.users_base": 11}
    assert len(done["views"]) == 3
    assert scout("adopt", log, "--collection", "users", "--yes")["changed"] == {f"{lab.dataset}.users_base": 0}
    assert scout("backfill", "users", "--yes")["refused"] == 0
    # A delete that the extension lost: the only difference that a copy cannot mend.
    found = scout("verify", "users", "--repair", "--settle", "0")
    assert found["counts"] == {"equal": 8, "extra": 1}
    assert scout("verify", "users", "--settle", "0")["equal"] is True
    assert lab.ages() == RIGHT
    shown = lab.rows("users_schema_ages_only_latest", "document_id, age")
    assert {name: int(age) for name, age in shown} == RIGHT
    scout("adopt", log, "--undo", "--yes")
    assert not lab.warehouse.exists(f"{lab.dataset}.users_raw_latest")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("firestore_export.users",), "not a changelog of the extension"),
        (("firestore_export.none_raw_changelog",), "there is no such table"),
        (("firestore_export.users_raw_changelog", "--schemas", "nowhere.json"), "there is no such schema file"),
    ],
)
def test_the_command_says_what_is_wrong(lab, arguments, said):
    lab.logged()
    if not command_line.app.registered_commands:
        command_line._register()
    done = CliRunner().invoke(command_line.app, ["adopt", *arguments, "--collection", "users", "--yes"])
    assert done.exit_code == 1
    assert said in done.output
