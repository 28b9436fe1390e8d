"""When the ETL runs, waits and tells; what its SQL does is tested on the emulator."""

import copy
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest

from functions.run_etl.main import handle
from shared.analytics.arrivals import PATIENCE, ArrivalCheck
from shared.analytics.entities import Group
from shared.analytics.entities.site import SITE
from shared.analytics.entities.web import WEB
from shared.analytics.etl import BEGINNING, OVERLAP, Etl
from shared.analytics.messages import EtlFinished, EtlRequested
from shared.errors import Unavailable
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook
from shared.ops.records import NO_DAY, Arrivals
from shared.streaming.messages import MergeRequested
from shared.tenants.records import Tenant
from tests.fakes import FakeDocuments, FakePublisher, ScriptedWarehouse, fake_clients, posted, pushed

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAYS = [date(2026, 1, 4), date(2026, 1, 3)]
KEPT = {"measure_in": 9, "measure_out": 9, "unmapped": 0}


class FailingWarehouse(ScriptedWarehouse):
    """Fails at a statement that has the word `fails_at`."""

    fails_at = ""

    def execute(self, sql: str, **parameters: Any) -> int:
        if self.fails_at and self.fails_at in sql:
            raise Unavailable("BigQuery is not available")
        return super().execute(sql, **parameters)


class World:
    """An ETL over a scripted warehouse: two days changed, all documents of a sync arrived."""

    def __init__(self) -> None:
        self.ops, self.publisher = FakeDocuments(), FakePublisher()
        self.now = NOW
        self.days = list(DAYS)
        self.conserved = [{"measure": 0, "day": DAYS[0], "rows_in": 5, "rows_out": 4, **KEPT}]
        self.arrived = 3
        self.refused = 0
        self.moving = False
        self.stands_on = "ga_page_performance"
        self.warehouse = FailingWarehouse(
            **{
                "stands_since": lambda since: [
                    {"table_name": self.stands_on, "day": day, "stands_since": day}
                    for day in self.days
                    if since < self.now or self.moving
                ],
                "AS arrived": lambda run_id, since: [
                    {
                        "collection_name": "ga_page_performance",
                        "day": date(2026, 1, 4),
                        "arrived": self.arrived,
                        "refused": self.refused,
                    }
                ],
                "taken": lambda days, types, **settings: self.conserved,
                "AS missing": lambda day: [],
                "AS is_open": lambda days: [],
            }
        )
        self.leases = Leases(self.ops, lambda: self.now)
        self.progress = ProgressBook(self.ops, lambda: self.now)
        self.etl = Etl(
            self.warehouse,
            self.ops,
            self.progress,
            self.leases,
            self.publisher,
            lambda tenant_id: Tenant(tenant_id=tenant_id, created_at=NOW, updated_at=NOW),
            groups=[Group("web", tuple(entity for entity in WEB if entity.entity_type == "page"))],
            now=lambda: self.now,
        )

    def write_ledger(self, documents: int = 3, failed: str | None = None, days: dict[str, int] | None = None) -> None:
        ledger = Arrivals(
            run_id="sync-1",
            tenant_id="demo",
            source="ga4",
            collection_name="ga_page_performance",
            pages={"0": days or {"2026-01-04": documents}} if documents else {},
            complete=failed is None,
            failed=failed,
            finished_at=NOW,
        )
        self.ops.documents["arrivals/sync-1:ga_page_performance"] = ledger.document()

    @property
    def since(self) -> list[datetime]:
        return [parameters["since"] for sql, parameters in self.warehouse.queries if "stands_since" in sql]

    @property
    def months(self) -> list[tuple[date, date]]:
        """First and last day of what was rolled up, by run."""
        rolled = [values for sql, values in self.warehouse.executed if "monthly_entity_metrics` AS target" in sql]
        return [(values["first_day"], values["last_day"]) for values in rolled]


@pytest.fixture
def world() -> World:
    return World()


def test_days_that_changed_are_rebuilt_oldest_first_and_the_end_is_told(world: World):
    result = world.etl.run("demo", "etl-1")
    rebuild = next(
        parameters for sql, parameters in world.warehouse.executed if "daily_entity_metrics` AS target" in sql
    )
    assert rebuild["days"] == sorted(DAYS)
    assert (rebuild["first_day"], rebuild["last_day"]) == (DAYS[1], DAYS[0])
    assert (result.days, result.rows_in, result.rows_out, result.leaks) == (2, 5, 4, ())
    assert world.publisher.messages == [EtlFinished(tenant_id="demo", run_id="etl-1")]


def test_without_changes_nothing_is_rebuilt_and_the_end_is_told_all_the_same(world: World):
    world.days = []
    world.etl.run("demo", "etl-1")
    assert not [sql for sql, _ in world.warehouse.executed if "daily_entity_metrics" in sql]
    assert world.publisher.messages == [EtlFinished(tenant_id="demo", run_id="etl-1")]


def test_next_run_looks_from_where_the_last_began_less_what_may_still_appear(world: World):
    world.etl.run("demo", "etl-1")
    world.now += timedelta(hours=1)
    world.etl.run("demo", "etl-2")
    assert world.since == [BEGINNING, NOW - OVERLAP]


def test_full_run_looks_at_everything(world: World):
    world.etl.run("demo", "etl-1")
    world.etl.run("demo", "etl-2", full=True)
    assert world.since == [BEGINNING, BEGINNING]


def test_crash_before_the_end_moves_no_watermark(world: World):
    world.conserved = [{}]
    with pytest.raises(KeyError):
        world.etl.run("demo", "etl-1")
    assert "etl/demo" not in world.ops.documents
    assert world.publisher.messages == []
    assert world.ops.documents["progress/etl-1"]["status"] == "failed"


def test_first_run_rolls_up_all_months_and_the_next_those_that_changed(world: World):
    world.etl.run("demo", "etl-1")
    world.days = [date(2025, 12, 31), date(2026, 1, 1)]
    world.etl.run("demo", "etl-2")
    everything = (BEGINNING.date(), date(2026, 1, 31))
    assert world.months == [everything, (date(2025, 12, 1), date(2026, 1, 31))]
    world.etl.run("demo", "etl-3", full=True)
    assert world.months[-1] == everything


def test_months_of_a_tenant_that_an_older_deployment_left_are_all_rolled_up(world: World):
    world.ops.documents["etl/demo"] = {"tenant_id": "demo", "seen_until": NOW - timedelta(days=1)}
    world.days = []
    world.etl.run("demo", "etl-1")
    assert world.months == []
    world.days = list(DAYS)
    world.etl.run("demo", "etl-2")
    assert world.months == [(BEGINNING.date(), date(2026, 1, 31))]


def test_crash_between_days_and_their_months_is_mended_by_the_next_run(world: World):
    world.etl.run("demo", "etl-1")
    before = world.ops.documents["etl/demo"]
    world.now += timedelta(hours=1)
    world.warehouse.fails_at = "monthly_entity_metrics"
    with pytest.raises(Unavailable):
        world.etl.run("demo", "etl-2")
    assert world.ops.documents["etl/demo"] == before
    world.warehouse.fails_at = ""
    world.etl.run("demo", "etl-2")
    assert world.months[-1] == (date(2026, 1, 1), date(2026, 1, 31))


def test_second_run_of_a_tenant_is_asked_to_come_again(world: World):
    with world.leases.hold("etl:demo", 60), pytest.raises(Unavailable, match="running"):
        world.etl.run("demo", "etl-1")
    assert world.warehouse.queries == []


def test_documents_on_their_way_are_waited_for(world: World):
    world.write_ledger()
    world.arrived = 2
    with pytest.raises(Unavailable) as waits:
        world.etl.run("demo", "etl-1", "sync-1")
    assert waits.value.fields["missing"] == 1
    assert world.warehouse.executed == []
    world.arrived = 3
    assert world.etl.run("demo", "etl-1", "sync-1").leaks == ()


def test_refused_documents_have_arrived_too(world: World):
    world.write_ledger()
    world.arrived, world.refused = 1, 2
    result = world.etl.run("demo", "etl-1", "sync-1")
    assert (result.refused, result.leaks) == (2, ())


def test_leak_is_told_once_patience_ends(world: World):
    world.write_ledger()
    world.arrived = 1
    world.now += PATIENCE
    result = world.etl.run("demo", "etl-1", "sync-1")
    assert result.leaks == ("stream ga_page_performance: 2 of 3 documents did not arrive",)
    assert world.ops.documents["progress/etl-1"]["counts"]["leaks"] == 1


def test_rows_loaded_by_hand_without_a_ledger_are_not_waited_for(world: World):
    assert world.etl.run("demo", "etl-1", "sync-unknown").days == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"measure_out": 8}, "9 in the raw rows, 8 in the metrics"),
        ({"rows_out": 0}, "no metrics of 5 raw rows"),
        ({"unmapped": 2}, "2 rows of entities that the map does not know"),
    ],
)
def test_what_a_stage_lost_is_told_in_words(world: World, changes: dict[str, int], said: str):
    world.conserved[0] |= changes
    assert world.etl.run("demo", "etl-1").leaks == (f"etl page: {said}",)


def test_what_comes_while_metrics_are_made_is_not_missed_in_them(world: World):
    world.conserved[0]["measure_out"] = 8
    world.moving = True
    assert world.etl.run("demo", "etl-1").leaks == ()


def test_run_after_a_sync_is_called_after_it_so_that_a_repeat_is_the_same_run(world: World):
    for _ in range(2):
        world.etl.work(EtlRequested(tenant_id="demo", source="ga4", run_id="sync-1"))
    assert {message.run_id for message in world.publisher.messages if isinstance(message, EtlFinished)} == {
        "etl-sync-1"
    }
    assert [path for path in world.ops.documents if path.startswith("progress/")] == ["progress/etl-sync-1"]


# --- the function ----------------------------------------------------------------------------------------------------


@pytest.fixture
def clients(world: World) -> Any:
    return fake_clients("demo", "other", ops=world.ops, publisher=world.publisher, etl=world.etl)


def test_person_is_answered_with_the_run_that_was_asked_for(world: World, clients: Any):
    response = handle(posted({}, token="demo"), clients)
    run_id = response.get_json()["run_id"]
    assert response.status_code == 202
    assert world.publisher.messages == [EtlRequested(tenant_id="demo", run_id=run_id)]
    assert world.ops.documents[f"progress/{run_id}"]["status"] == "requested"
    assert world.warehouse.queries == []


def test_operator_who_names_no_tenant_asks_for_all(world: World, clients: Any):
    response = handle(posted({}), clients)
    assert len(response.get_json()["run_ids"]) == 2
    messages: list[Any] = world.publisher.messages
    assert sorted(message.tenant_id for message in messages) == ["demo", "other"]


def test_tenants_that_are_not_valid_stop_no_other(world: World, clients: Any):
    clients.documents.documents |= {"tenants/My-Shop": {}, "tenants/away": {"status": "suspended"}}
    assert len(handle(posted({}), clients).get_json()["run_ids"]) == 2


def test_pushed_message_is_worked_and_its_repeat_ends_the_same(world: World, clients: Any):
    message = {"tenant_id": "demo", "source": "ga4", "run_id": "sync-1"}
    states = []
    for _ in range(2):
        assert handle(pushed(message), clients).status_code == 204
        states.append(copy.deepcopy(world.ops.documents))
    progress = [state.pop("progress/etl-sync-1") for state in states]
    assert progress[1]["counts"] == {**progress[0]["counts"], "covered": 0}
    assert {each["status"] for each in progress} == {"done"}
    assert states[0] == states[1]


def test_pushed_message_that_cannot_be_read_is_set_aside(world: World, clients: Any):
    assert handle(pushed(b"{"), clients).status_code == 204
    assert handle(pushed({"tenant_id": "demo", "full": "perhaps"}, message_id="2"), clients).status_code == 204
    assert clients.dead_letters.count() == 2
    assert world.warehouse.queries == []


def test_only_after_a_sync_the_current_tables_are_merged(world: World):
    world.etl.run("demo", "etl-1")
    assert [type(message).__name__ for message in world.publisher.messages] == ["EtlFinished"]
    world.etl.run("demo", "etl-2", sync_run_id="sync-1")
    assert world.publisher.messages[-1] == MergeRequested(tenant_id="demo", force=True)


def test_syncs_that_ended_meanwhile_are_aggregated_together_once(world: World):
    world.write_ledger()
    for name, status in (("sync-2", "done"), ("sync-3", "running")):
        world.progress.request(name, "sync", "demo")
        world.ops.documents[f"progress/{name}"]["status"] = status
    world.etl.run("demo", "etl-sync-1", "sync-1")
    world.etl.run("demo", "etl-sync-2", "sync-2")
    assert [message.run_id for message in world.publisher.messages if isinstance(message, EtlFinished)] == [
        "etl-sync-1"
    ]
    assert len(world.since) == 1
    assert world.ops.documents["progress/etl-sync-2"]["counts"]["covered"] == 1
    world.etl.run("demo", "etl-sync-3", "sync-3")
    assert len(world.since) == 2


def test_a_run_that_died_before_it_said_so_says_it_when_it_is_repeated(world: World):
    world.write_ledger()
    world.etl.run("demo", "etl-sync-1", "sync-1")
    world.publisher.messages.clear()
    world.etl.run("demo", "etl-sync-1", "sync-1")
    assert [type(message) for message in world.publisher.messages] == [EtlFinished, MergeRequested]
    assert len(world.since) == 1


@pytest.mark.parametrize("day", ["(other)", "", "0000-00-00", NO_DAY])
def test_documents_whose_day_is_none_hold_up_nothing(world: World, day: str):
    world.write_ledger(days={"2026-01-04": 2, day: 1})
    world.arrived, world.refused = 2, 1
    assert world.etl.run("demo", "etl-1", "sync-1").leaks == ()
    [kept] = [values for sql, values in world.warehouse.executed if "arrival_ledger` AS target" in sql]
    assert [(row["date"], row["written"]) for row in orjson.loads(kept["rows"])] == [("2026-01-04", 2)]


@pytest.mark.parametrize(("documents", "loads"), [(0, 0), (3, 1)])
def test_what_a_source_refused_from_the_beginning_was_not_loaded(world: World, documents: int, loads: int):
    world.write_ledger(documents, failed="GA4 refused the request")
    counts = ArrivalCheck(world.warehouse, world.ops, lambda: world.now).check("demo", "sync-1")
    assert [count.subject for count in counts] == ["ga_page_performance"] * loads


def test_what_a_sync_lost_that_failed_is_told_once(world: World):
    world.write_ledger()
    world.arrived = 1
    world.progress.request("sync-1", "sync", "demo")
    world.ops.documents["progress/sync-1"]["status"] = "failed"
    world.now += PATIENCE
    lost = ("stream ga_page_performance: 2 of 3 documents did not arrive",)
    assert world.etl.run("demo", "etl-1").leaks == lost
    assert world.etl.run("demo", "etl-2").leaks == ()
    # It is tried again, fails once more, and at last ends well.
    world.ops.documents["progress/sync-1"]["updated_at"] = world.now
    assert world.etl.run("demo", "etl-3", "sync-unknown").leaks == lost
    world.arrived = 3
    assert world.etl.run("demo", "etl-sync-1", "sync-1").leaks == ()
    assert world.ops.documents["etl/demo"]["covered"]["sync-1"] == "etl-sync-1"


def test_what_a_sync_that_failed_was_yet_to_bring_is_not_lost(world: World):
    world.write_ledger()
    world.ops.documents["arrivals/sync-1:ga_page_performance"] |= {"reported": 9, "complete": False}
    counts = ArrivalCheck(world.warehouse, world.ops, lambda: world.now).check("demo", "sync-1")
    assert [(count.stage, count.note) for count in counts] == [("stream", None)]


@pytest.mark.parametrize("statement", ["AS arrived", "AS missing"])
def test_a_sync_that_goes_on_while_it_is_looked_at_keeps_its_own_ledger(world: World, statement: str):
    world.write_ledger(failed="GA4 refused the request")
    world.progress.request("sync-1", "sync", "demo")
    world.ops.documents["progress/sync-1"]["status"] = "failed"
    path = "arrivals/sync-1:ga_page_performance"
    went_on = Arrivals.model_validate(world.ops.documents[path]).model_copy(
        update={
            "pages": {"0": {"2026-01-04": 9}},
            "complete": True,
            "failed": None,
            "finished_at": world.now + PATIENCE,
        }
    )
    found = {"AS arrived": {"day": date(2026, 1, 4), "arrived": 3, "refused": 0}, "AS missing": {"missing": 5}}

    def meanwhile(**parameters: Any) -> list[dict[str, Any]]:
        world.ops.put(path, went_on.document())
        return [{"collection_name": "ga_page_performance", "unaggregated": 2, **found[statement]}]

    world.warehouse.answers[statement] = meanwhile
    world.etl.run("demo", "etl-1")
    assert world.ops.documents[path] == went_on.document()


def test_what_is_said_of_a_ledger_leaves_the_rest_of_it(world: World):
    world.write_ledger()
    before = dict(world.ops.documents["arrivals/sync-1:ga_page_performance"])
    missing = {"collection_name": "ga_page_performance", "missing": 5, "unaggregated": 2}
    world.warehouse.answers["AS missing"] = [missing]
    world.etl.run("demo", "etl-1", "sync-1")
    told = {"arrived": 3, "lost": 5, "unaggregated": 2}
    assert world.ops.documents["arrivals/sync-1:ga_page_performance"] == before | told


@pytest.mark.parametrize(
    "changes",
    [{"currency": "EUR"}, {"brand_terms": ["shop"]}, {"own_domains": ["shop.example"]}],
)
def test_settings_that_rows_depend_on_make_all_days_anew_once(world: World, changes: dict[str, Any]):
    world.etl.run("demo", "etl-1")
    world.etl._tenant = lambda tenant_id: Tenant(tenant_id=tenant_id, created_at=NOW, updated_at=NOW, **changes)
    world.etl.run("demo", "etl-2")
    world.etl.run("demo", "etl-3")
    assert world.since == [BEGINNING, BEGINNING, NOW - OVERLAP]


def test_statements_that_were_changed_make_the_days_of_their_group_anew(world: World):
    world.etl._groups = [*world.etl._groups, Group("site", SITE)]
    world.etl.run("demo", "etl-1")
    world.ops.documents["etl/demo"]["made_with"]["site"] = "another"
    world.days = []
    world.etl.run("demo", "etl-2")
    assert world.since == [BEGINNING, NOW - OVERLAP, BEGINNING]


def test_a_run_that_goes_on_past_midnight_makes_and_records_the_days_of_its_beginning(world: World):
    world.now = datetime(2026, 1, 5, 23, 59, tzinfo=UTC)
    world.etl._groups = [Group("web", tuple(entity for entity in WEB if entity.entity_type == "channel"))]
    execute = world.warehouse.execute

    def past_midnight(sql: str, **parameters: Any) -> int:
        world.now = datetime(2026, 1, 6, 0, 1, tzinfo=UTC)
        return execute(sql, **parameters)

    world.warehouse.execute = past_midnight  # type: ignore[method-assign]
    world.stands_on = "ga_traffic_sources"
    world.etl.run("demo", "etl-1")
    made = next(values for sql, values in world.warehouse.executed if "daily_entity_metrics` AS target" in sql)
    assert made["last_day"] == date(2026, 1, 4)
    assert world.ops.documents["etl/demo"]["stocks_until"] == {"web": "2026-01-04"}


def test_a_run_waits_for_what_is_on_its_way_and_for_sources_that_are_being_pulled(world: World):
    world.write_ledger()
    world.progress.request("sync-2", "sync", "demo")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            world.ops.documents["progress/sync-2"]["status"] = "done"

    world.etl._pauses, world.etl._sleep = (1.0, 2.0, 3.0, 4.0), sleep
    world.etl.run("demo", "etl-sync-1", "sync-1")
    assert slept == [1.0, 2.0]
    assert world.ops.documents["etl/demo"]["covered"] == {"sync-1": "etl-sync-1", "sync-2": "etl-sync-1"}


def test_a_source_that_is_pulled_for_ever_is_not_waited_for_so_long(world: World):
    world.write_ledger()
    world.progress.request("sync-2", "sync", "demo")
    slept: list[float] = []
    world.etl._pauses, world.etl._sleep = (1.0, 2.0), slept.append
    world.etl.run("demo", "etl-sync-1", "sync-1")
    assert slept == [1.0, 2.0]
    assert world.ops.documents["etl/demo"]["covered"] == {"sync-1": "etl-sync-1"}
