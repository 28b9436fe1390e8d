"""The function that merges: who may ask for what, and what becomes of tables that fail."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from functions.merge_changes.main import handle
from shared.errors import Rejected, Unavailable
from shared.ops.leases import Leases
from shared.ops.records import DeadLetter
from shared.schema.registry import streamed_records
from shared.streaming.merge import OVERLAP, Merger
from shared.streaming.merges import SECONDS, Merges
from tests.fakes import FakeDocuments, ScriptedWarehouse, fake_clients, posted, pushed

NOW = datetime(2026, 1, 5, 12, 30, tzinfo=UTC)
TABLES = len(streamed_records())


class Warehouse(ScriptedWarehouse):
    """One row in each tail; tables whose name holds `broken` fail."""

    def __init__(self, broken="", error=None):
        tail = {"row_count": 1, "unplaced_count": 1, "first_partition": None, "last_partition": None}
        super().__init__(first_at=[{"row_count": 0}], unplaced_count=[tail])
        self.broken, self.error = broken, error
        self.views = []

    def query(self, sql, **parameters):
        if self.error and f".{self.broken}_raw_changelog" in sql:
            raise self.error
        return super().query(sql, **parameters)

    def ensure_view(self, name, sql):
        self.views.append((name, sql))


class World:
    def __init__(self, *tenants, warehouse=None):
        self.ops, self.warehouse, self.now = FakeDocuments(), warehouse or Warehouse(), NOW
        merger = Merger(self.warehouse, self.ops, Leases(self.ops, lambda: self.now), lambda: self.now)
        self.clients = fake_clients(*tenants, ops=self.ops, warehouse=self.warehouse, merger=merger)
        self.seconds = 0.0
        self.clients.merges = Merges(merger, self.clients.tenants, self.ops, lambda: self.now, lambda: self.seconds)

    def post(self, body, token="operator"):
        response = handle(posted(body, token), self.clients)
        return response.status_code, orjson.loads(response.data or b"{}")

    def merged(self):
        return [sql for sql, _ in self.warehouse.executed if sql.startswith("MERGE")]


def test_the_hourly_tick_merges_every_table_of_every_tenant():
    world = World("one", "two")
    status, body = world.post({"discover": True})
    assert status == 200
    assert len(body["tables"]) == len(world.merged()) == 2 * TABLES
    assert {table["status"] for table in body["tables"]} == {"merged"}


def test_tenants_that_are_not_valid_stop_no_other():
    world = World("one")
    world.clients.documents.documents |= {"tenants/My-Shop": {}, "tenants/away": {"status": "suspended"}}
    status, body = world.post({"discover": True})
    assert (status, len(body["tables"])) == (200, TABLES)


def test_a_tick_finds_what_is_due_and_nothing_else():
    world = World("one")
    assert world.post({})[1]["tables"] == [], "what was never merged waits for the hourly tick"
    world.post({"discover": True})
    assert world.post({}) == (200, {"tables": [], "skipped": 0, "left": 0})
    world.now += timedelta(seconds=901)
    assert len(world.post({})[1]["tables"]) == TABLES
    world.now += timedelta(seconds=901)
    world.clients.documents.documents["tenants/one"] = {"status": "suspended"}
    world.clients.tenants._known.clear()
    assert world.post({})[1]["tables"] == []


def test_a_table_that_is_quiet_is_looked_at_more_and_more_seldom_until_something_comes():
    world = World("one")
    world.post({"discover": True})
    tail = world.warehouse.answers["unplaced_count"][0]
    tail["row_count"] = 0
    waited = []
    for _ in range(8):
        (state,) = {values["next_at"] for path, values in world.ops.documents.items() if path.startswith("merges/")}
        waited.append(int((state - world.now).total_seconds()) // 900)
        world.now = state
        world.post({})
    assert waited == [1, 1, 2, 4, 8, 16, 24, 24]
    tail["row_count"] = 1
    world.now = world.now + timedelta(seconds=900 * 24)
    world.post({})
    world.now += timedelta(seconds=901)
    assert len(world.post({})[1]["tables"]) == TABLES


def test_a_tick_that_runs_out_of_time_leaves_the_rest_to_the_next():
    world = World("one")
    execute = world.warehouse.execute

    def slow(sql, **parameters):
        world.seconds += SECONDS
        return execute(sql, **parameters)

    world.warehouse.execute = slow
    _, body = world.post({"discover": True})
    assert body["left"] > 0
    assert len(body["tables"]) + body["left"] == TABLES


def test_a_bug_in_one_table_keeps_no_other_from_its_merge():
    world = World("one", warehouse=Warehouse("opportunities", ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        world.post({"discover": True})
    assert len(world.merged()) == TABLES - 1


def test_force_merges_what_is_not_due_with_the_same_end_state():
    world = World("one")
    world.post({"tenant_id": "one", "force": True})
    first = {path: dict(values) for path, values in world.ops.documents.items()}
    world.post({"tenant_id": "one", "force": True})
    assert world.ops.documents == first
    assert len(world.merged()) == 2 * TABLES


def test_the_next_merge_reads_from_ten_minutes_before_this_one_and_so_does_the_view():
    world = World("one")
    world.post({"tenant_id": "one", "force": True})
    world.now += timedelta(hours=1)
    world.warehouse.executed.clear()
    world.post({"tenant_id": "one", "force": True})
    assert {parameters["tail_from"] for _, parameters in world.warehouse.executed} == {NOW - OVERLAP}
    assert all("TIMESTAMP '2026-01-05 13:20:00+00'" in sql for _, sql in world.warehouse.views[TABLES:])


def test_a_clock_that_lags_never_moves_the_tail_back():
    world = World("one")
    world.post({"tenant_id": "one", "force": True})
    world.now -= timedelta(hours=1)
    world.post({"tenant_id": "one", "force": True})
    tails = {values["tail_from"] for path, values in world.ops.documents.items() if path.startswith("merges/")}
    assert tails == {NOW - OVERLAP}


def test_a_merge_that_fails_is_tried_again_when_it_is_due_and_says_why():
    world = World("one", warehouse=Warehouse("opportunities", None))
    world.post({"discover": True})
    world.warehouse.error = Rejected("no such table")
    world.now += timedelta(seconds=901)
    assert [table["reason"] for table in world.post({})[1]["tables"] if table["status"] == "failed"] == ["Rejected"]
    assert world.ops.documents["merges/aso_tenant_one.opportunities"]["error"] == "Rejected: no such table"
    assert world.post({})[1]["tables"] == []
    world.warehouse.error = None
    world.now += timedelta(seconds=901)
    assert len(world.post({})[1]["tables"]) == TABLES
    assert world.ops.documents["merges/aso_tenant_one.opportunities"]["error"] is None


def test_tables_of_suspended_tenants_keep_no_other_from_being_due(monkeypatch):
    monkeypatch.setattr("shared.streaming.merges.MOST_DUE", TABLES)
    world = World("one", "two")
    world.post({"discover": True})
    world.clients.documents.documents["tenants/one"] = {"status": "suspended"}
    world.clients.tenants._known.clear()
    world.now += timedelta(seconds=901)
    assert len(world.post({})[1]["tables"]) + len(world.post({})[1]["tables"]) == TABLES


@pytest.mark.parametrize("error", [Rejected("no such table"), Unavailable("busy")])
def test_a_table_that_fails_fails_alone(error):
    world = World("one", warehouse=Warehouse("opportunities", error))
    status, body = world.post({"discover": True})
    assert status == 200
    failed = [table for table in body["tables"] if table["status"] == "failed"]
    assert [table["reason"] for table in failed] == [error.reason]
    assert len(body["tables"]) == TABLES


def test_a_forced_merge_that_may_work_later_is_to_be_retried():
    world = World("one", warehouse=Warehouse("opportunities", Unavailable("busy")))
    status, body = world.post({"tenant_id": "one", "force": True})
    assert status == 503
    assert len(body["tables"]) == TABLES


def test_a_tenant_merges_its_own_tables_only():
    world = World("one", "two")
    status, body = world.post({}, token="one")
    assert status == 200
    assert {table["table"].split(".")[0] for table in body["tables"]} == {"aso_tenant_one"}
    assert world.post({"tenant_id": "two"}, token="one")[0] == 403


@pytest.mark.parametrize(
    ("body", "token", "status"),
    [
        ({"force": "perhaps"}, "operator", 422),
        ({"tenant_id": 7}, "operator", 422),
        ({"more": 1}, "operator", 422),
        ({"tenant_id": "nobody"}, "operator", 404),
        ({}, None, 401),
    ],
)
def test_bad_input_is_told_and_touches_nothing(body, token, status):
    world = World("one")
    assert world.post(body, token)[0] == status
    assert world.merged() == []


def test_an_unreadable_message_is_set_aside():
    world = World("one")
    assert handle(pushed({"tenant_id": "one", "force": "perhaps"}), world.clients).status_code == 204
    letters = [DeadLetter.model_validate(values) for _, values in world.ops.find("dead_letters")]
    assert [letter.reason for letter in letters] == ["BadRequest"]
