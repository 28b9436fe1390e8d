"""The ETL on the emulated BigQuery: real SQL over the real views, the sample's own rows."""

import itertools
import re
from datetime import UTC, date, datetime, timedelta

import pytest

from infra.local.sample import Sample
from shared.adapters.bigquery import BigQueryWarehouse
from shared.analytics.entities import Group
from shared.analytics.entities.data import DATA
from shared.analytics.entities.email import EMAIL
from shared.analytics.entities.site import SITE
from shared.analytics.entities.web import WEB
from shared.analytics.etl import Etl
from shared.analytics.messages import EtlFinished
from shared.analytics.rebuild import Rebuild, Work
from shared.errors import Unavailable
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook
from shared.ops.records import Arrivals
from shared.sources.reports import REPORTS, api_name
from shared.sources.source import Pull
from shared.sources.standing import standings
from shared.sources.sync import stamped
from shared.tenants.provision import provision_tenant
from shared.tenants.records import SourceSettings
from shared.tenants.service import Tenants
from tests.fakes import FakeDocuments, FakePublisher
from tests.support.bigquery import bigquery_emulator

SOME = [Group("web", tuple(entity for entity in WEB if entity.entity_type == "page")), Group("site", SITE)]
"""Enough where a test is not about the entity types: the emulator takes seconds to translate the SQL of all."""

FLOWS = [Group("web", WEB)]
ALL = [Group("web", WEB), Group("site", SITE), Group("data", DATA, last=True)]
TODAY = date(2026, 11, 21)
LAST_DAYS = 3
numbers = itertools.count()


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as server:
        yield BigQueryWarehouse.connect(server.project, server.bigquery_endpoint, "US")


@pytest.fixture(scope="module")
def sample():
    return Sample.load(today=TODAY)


class Lab:
    """A tenant with the sample's last days in its logs."""

    def __init__(self, warehouse, sample):
        self.tenant_id = f"etl{next(numbers)}"
        self.dataset = f"aso_tenant_{self.tenant_id}"
        self.warehouse, self.sample = warehouse, sample
        self.documents, self.publisher = FakeDocuments(), FakePublisher()
        self.now = datetime.now(UTC)
        provision_tenant(self.documents, warehouse, self.tenant_id)
        self.first = (TODAY - timedelta(days=LAST_DAYS)).isoformat()

    def etl(self, **changes):
        ops = self.documents
        arguments = {"groups": ALL, "now": lambda: self.now, **changes}
        tenant = Tenants(ops).get
        return Etl(self.warehouse, ops, ProgressBook(ops), Leases(ops), self.publisher, tenant, **arguments)

    def arrive(self, run_id="sync-1", leave_out=(), changes=None, at=None):
        """Put the sample's rows into the logs, as the stream does; the documents written, by collection."""
        written = {}
        for report in REPORTS:
            rows = []
            for row in self.sample.report(report.collection.name):
                if row["date"] < self.first.replace("-", ""):
                    continue
                name, fields = report.document(
                    {field: str(row[api_name(field)]) for field in report.dimensions},
                    {field: str(row[api_name(field)]) for field in report.metrics},
                    Pull(self.tenant_id, run_id, self.now.date(), SourceSettings(property_id="properties/1")),
                )
                fields |= stamped(self.tenant_id, "ga4", run_id, self.now)
                fields |= changes(report, fields) if changes else {}
                written.setdefault(report.collection.name, []).append((name, fields))
                if (report.collection.name, fields["date"]) not in leave_out:
                    rows.append(_log_row(report.collection.name, name, fields, at or self.now))
            if rows:
                self.warehouse.load(f"{self.dataset}.{report.collection.name}_raw_changelog", rows)
        return written

    def ledger(self, run_id, written):
        for name, documents in written.items():
            days = {}
            for _, fields in documents:
                days[fields["date"]] = days.get(fields["date"], 0) + 1
            entry = Arrivals(
                run_id=run_id,
                tenant_id=self.tenant_id,
                source="ga4",
                collection_name=name,
                pages={"0": days},
                reported=len(documents),
                complete=True,
                finished_at=self.now,
            )
            self.documents.put(f"arrivals/{run_id}:{name}", entry.document())

    def rows(self, sql):
        return self.warehouse.query(sql.format(dataset=self.dataset))

    def metrics(self):
        return {
            (row["date"], row["entity_type"], row["entity_id"]): row
            for row in self.rows("SELECT * FROM `{dataset}.daily_entity_metrics`")
        }


def _last_days():
    return [TODAY - timedelta(days=number) for number in range(LAST_DAYS + 1)]


def _log_row(table, name, fields, at):
    return {
        "timestamp": at,
        "event_id": f"{table}-{name}-{at.timestamp()}",
        "document_name": f"projects/p/databases/(default)/documents/{table}/{name}",
        "operation": "CREATE",
        "version": at,
        "deleted": False,
        "appended_at": at,
        **fields,
    }


@pytest.fixture
def lab(warehouse, sample):
    return Lab(warehouse, sample)


@pytest.fixture(scope="module")
def loaded(warehouse, sample):
    """A tenant after one run over everything, only to be read; what was written and what the run said are with it."""
    made = Lab(warehouse, sample)
    made.written = made.arrive()
    made.result = made.etl().run(made.tenant_id, "etl-1")
    return made


def test_every_entity_type_of_the_loop_gets_rows_and_is_mapped(loaded):
    types = {kind for _, kind, _ in loaded.metrics()}
    assert types == {
        "page", "landing_page", "landing_page_device", "landing_page_source", "device", "browser", "country",
        "source_medium", "channel", "event", "funnel_step", "funnel_step_device", "funnel",
        "property", "source_table", "table_column", "utm_group",
    }  # fmt: skip
    mapped = loaded.rows("SELECT entity_type, entity_id, first_seen, last_seen FROM `{dataset}.entity_map`")
    assert {(row["entity_type"], row["entity_id"]) for row in mapped} == {
        (kind, name) for _, kind, name in loaded.metrics()
    }
    assert loaded.result.leaks == ()
    assert loaded.publisher.messages == [EtlFinished(tenant_id=loaded.tenant_id, run_id="etl-1")]


def test_metrics_are_the_sums_of_the_raw_rows(loaded):
    metrics = loaded.metrics()
    expected = {}
    for _, fields in loaded.written["ga_traffic_sources"]:
        key = (fields["date"], f"{fields['session_source']} / {fields['session_medium']}")
        sessions, revenue = expected.get(key, (0, 0.0))
        expected[key] = sessions + fields["sessions"], revenue + fields["purchase_revenue"]
    assert expected
    for (day, source), (sessions, revenue) in expected.items():
        row = metrics[date.fromisoformat(day), "source_medium", source]
        assert row["sessions"] == sessions
        assert row["revenue"] == pytest.approx(revenue)
        assert row["bounces"] == row["sessions"] - row["engaged_sessions"]
    for _, fields in loaded.written["ga_page_performance"]:
        row = metrics[date.fromisoformat(fields["date"]), "page", fields["page_path"]]
        assert row["pageviews"] == fields["screen_page_views"]
        assert row["attributes"]["page_template"] == "/" + fields["page_path"].strip("/").split("/")[0]


def test_a_funnel_step_is_entered_by_the_event_before_and_completed_by_its_own(loaded):
    sessions = {
        (fields["date"], fields["event_name"]): fields["sessions"] for _, fields in loaded.written["ga_funnel_events"]
    }
    day = max(day for day, _ in sessions)
    step = loaded.metrics()[date.fromisoformat(day), "funnel_step", "begin_checkout"]
    assert step["sessions"] == sessions[day, "add_to_cart"]
    assert step["conversions"] == sessions[day, "begin_checkout"]


def test_a_rerun_changes_nothing(lab):
    lab.arrive()
    lab.etl(groups=SOME).run(lab.tenant_id, "etl-1")
    before = lab.metrics()
    again = lab.etl(groups=SOME).run(lab.tenant_id, "etl-1", full=True)
    assert (again.changed, again.months_changed) == (0, 0)
    assert lab.metrics() == before


def test_only_days_that_changed_are_rebuilt(lab):
    written = lab.arrive()
    lab.now += timedelta(hours=1)
    lab.etl(groups=SOME).run(lab.tenant_id, "etl-1")
    assert lab.etl(groups=SOME).run(lab.tenant_id, "etl-2").days == 0
    yesterday = (TODAY - timedelta(days=1)).isoformat()
    late = [
        _log_row("ga_property_totals", name, fields | {"sessions": 7}, lab.now)
        for name, fields in written["ga_property_totals"]
        if fields["date"] == yesterday
    ]
    lab.warehouse.load(f"{lab.dataset}.ga_property_totals_raw_changelog", late)
    result = lab.etl(groups=SOME).run(lab.tenant_id, "etl-3")
    assert result.days == 1
    assert lab.metrics()[date.fromisoformat(yesterday), "property", "properties/1"]["sessions"] == 7


def test_a_row_that_is_gone_loses_its_metrics(lab):
    written = lab.arrive()
    lab.etl(groups=SOME).run(lab.tenant_id, "etl-1")
    name, fields = written["ga_page_performance"][0]
    gone = _log_row("ga_page_performance", name, fields, lab.now) | {"deleted": True, "operation": "DELETE"}
    lab.warehouse.load(f"{lab.dataset}.ga_page_performance_raw_changelog", [gone])
    lab.etl(groups=SOME).run(lab.tenant_id, "etl-2")
    assert (date.fromisoformat(fields["date"]), "page", fields["page_path"]) not in lab.metrics()


def test_rows_loaded_by_hand_for_other_days_are_left_alone(lab):
    lab.arrive()
    by_hand = {"tenant_id": lab.tenant_id, "date": "2020-01-01", "entity_type": "page", "entity_id": "/old"}
    lab.warehouse.load(f"{lab.dataset}.daily_entity_metrics", [by_hand])
    lab.etl(groups=SOME).run(lab.tenant_id, "etl-1", full=True)
    assert (date(2020, 1, 1), "page", "/old") in lab.metrics()


def test_months_are_those_of_the_days(loaded):
    months = {
        (row["month"], row["entity_type"], row["entity_id"]): row
        for row in loaded.rows("SELECT * FROM `{dataset}.monthly_entity_metrics`")
    }
    expected = {}
    for (day, kind, name), row in loaded.metrics().items():
        found = expected.setdefault((day.replace(day=1), kind, name), {"days": 0, "sessions": None})
        found["days"] += 1
        if row["sessions"] is not None:
            found["sessions"] = (found["sessions"] or 0) + row["sessions"]
    assert {key: {name: row[name] for name in ("days", "sessions")} for key, row in months.items()} == expected
    assert loaded.result.months_changed == len(expected)


def test_a_tenant_of_before_there_were_months_gets_them_all(lab):
    lab.arrive()
    by_hand = {
        "tenant_id": lab.tenant_id,
        "date": "2026-01-01",
        "entity_type": "keyword",
        "entity_id": "k",
        "clicks": 2,
    }
    lab.warehouse.load(f"{lab.dataset}.daily_entity_metrics", [by_hand])
    lab.warehouse.execute(f"DROP TABLE `{lab.dataset}.monthly_entity_metrics`")
    lab.etl(groups=SOME).run(lab.tenant_id, "etl-1")
    months = lab.rows("SELECT month, clicks FROM `{dataset}.monthly_entity_metrics` WHERE entity_type = 'keyword'")
    assert months == [{"month": date(2026, 1, 1), "clicks": 2}]


def test_what_was_renamed_is_called_by_its_newest_name(lab):
    rebuild = Rebuild(lab.warehouse, Tenants(lab.documents).get(lab.tenant_id), "etl-1", lab.now)
    for day, title in ((2, "Sping sale"), (3, "Spring sale"), (4, None), (1, "Unnamed")):
        row = {"tenant_id": lab.tenant_id, "date": f"2026-01-0{day}", "entity_type": "email_campaign", "entity_id": "1"}
        lab.warehouse.load(f"{lab.dataset}.daily_entity_metrics", [row | {"attributes": {"title": title}}])
        rebuild.map_entities([Work(Group("email", EMAIL), [date(2026, 1, day)], {})])
    assert lab.rows("SELECT name, first_seen, last_seen FROM `{dataset}.entity_map`") == [
        {"name": "Spring sale", "first_seen": date(2026, 1, 1), "last_seen": date(2026, 1, 4)}
    ]


class Losing:
    """A warehouse that loses the metrics of some entity types as soon as they are made, or never fills the map."""

    def __init__(self, warehouse, types=(), unmapped=False):
        self._warehouse, self._types, self._unmapped = warehouse, types, unmapped

    def __getattr__(self, name):
        return getattr(self._warehouse, name)

    def execute(self, sql, **parameters):
        if self._unmapped and "entity_map` AS target" in sql:
            return 0
        changed = self._warehouse.execute(sql, **parameters)
        found = re.search(r"MERGE `(\w+\.daily_entity_metrics)`", sql)
        if found:
            for entity_type in self._types:
                self._warehouse.execute(f"DELETE FROM `{found[1]}` WHERE entity_type = '{entity_type}'")
        return changed


@pytest.mark.parametrize(
    ("broken", "collection"),
    [
        (("device", "browser"), "ga_device_metrics"),
        (("funnel_step", "event"), "ga_funnel_events"),
        (("source_medium",), "ga_traffic_sources"),
    ],
)
def test_a_stage_that_does_not_aggregate_is_reported(lab, broken, collection):
    lab.arrive()
    lab.warehouse = Losing(lab.warehouse, broken)
    result = lab.etl(groups=FLOWS).run(lab.tenant_id, "etl-1")
    for entity_type in broken:
        assert any(leak.startswith(f"etl {entity_type}: ") for leak in result.leaks), result.leaks
    counted = lab.rows("SELECT subject, rows_in, rows_out, note FROM `{dataset}.stage_counts` WHERE note IS NOT NULL")
    assert {row["subject"] for row in counted} == set(broken)
    assert all(row["rows_in"] > 0 and row["rows_out"] == 0 for row in counted)
    assert lab.documents.get("progress/etl-1")["counts"]["leaks"] == len(broken)


def test_sources_that_never_became_entities_are_reported(lab):
    lab.arrive()
    lab.etl(groups=FLOWS).run(lab.tenant_id, "etl-1")
    lab.warehouse.execute(f"DELETE FROM `{lab.dataset}.entity_map` WHERE entity_type = 'source_medium'")
    lab.warehouse = Losing(lab.warehouse, unmapped=True)
    result = lab.etl(groups=FLOWS).run(lab.tenant_id, "etl-2", full=True)
    assert [leak.split(":")[0] for leak in result.leaks] == ["etl source_medium"]


def test_a_tenant_without_a_ledger_is_not_held_up(lab):
    lab.arrive()
    assert lab.etl(groups=SOME).run(lab.tenant_id, "etl-1", sync_run_id="sync-unknown").days == LAST_DAYS


def test_it_waits_for_documents_and_then_reports_those_that_never_came(lab):
    yesterday = (TODAY - timedelta(days=1)).isoformat()
    written = lab.arrive(leave_out={("ga_device_metrics", yesterday)})
    lab.ledger("sync-1", written)
    with pytest.raises(Unavailable) as waiting:
        lab.etl(groups=SOME).run(lab.tenant_id, "etl-1", sync_run_id="sync-1")
    assert waiting.value.fields["missing"] > 0
    assert lab.publisher.messages == []
    lab.now += timedelta(minutes=11)
    result = lab.etl(groups=SOME).run(lab.tenant_id, "etl-1", sync_run_id="sync-1")
    assert [leak.split(":")[0] for leak in result.leaks if leak.startswith("stream")] == ["stream ga_device_metrics"]


def test_rows_that_are_in_no_metrics_are_lost_until_they_are(lab):
    lab.documents.put(f"tenants/{lab.tenant_id}", lab.documents.get(f"tenants/{lab.tenant_id}") | {
        "sources": {"ga4": {"property_id": "properties/1"}},
    })  # fmt: skip
    told = [Group("site", SITE), Group("data", tuple(one for one in DATA if one.entity_type == "arrival"), last=True)]
    written = lab.arrive()
    lab.ledger("sync-1", {"ga_property_totals": written["ga_property_totals"]})
    whole, lab.warehouse = lab.warehouse, Losing(lab.warehouse, ("property",))
    lab.now += timedelta(minutes=1)

    def seen():
        """Of the days what came how far, of the collection what is missing, of the source what its lamp is red for."""
        days = lab.rows("SELECT arrived, row_count, aggregated FROM `{dataset}.arrival_ledger`")
        [newest] = lab.rows(
            "SELECT attributes FROM `{dataset}.daily_entity_metrics` WHERE entity_type = 'arrival' "
            "ORDER BY date DESC LIMIT 1"
        )
        [standing] = standings(lab.documents, Tenants(lab.documents).get(lab.tenant_id), lab.now)
        return [tuple(day.values()) for day in days], newest["attributes"], [each.what for each in standing.troubles]

    lab.etl(groups=told).run(lab.tenant_id, "etl-1", sync_run_id="sync-1")
    assert seen() == (
        [(1, 1, 0)] * LAST_DAYS,
        {"rows_expected": LAST_DAYS, "rows_missing": LAST_DAYS},
        ["ga_property_totals: 3 rows are in no metrics"],
    )
    lab.warehouse = whole
    lab.ledger("sync-2", {"ga_property_totals": []})
    lab.etl(groups=told).run(lab.tenant_id, "etl-2", sync_run_id="sync-2", full=True)
    assert seen() == ([(1, 1, 1)] * LAST_DAYS, {"rows_expected": 0, "rows_missing": 0}, [])


def test_what_arrives_late_of_a_day_long_ago_is_lost_no_more(lab):
    told = [Group("data", tuple(one for one in DATA if one.entity_type == "arrival"), last=True)]
    written = lab.arrive(leave_out=[("ga_property_totals", day.isoformat()) for day in _last_days()])
    [(name, fields), *_] = written["ga_property_totals"]
    old = [(name, {**fields, "date": (TODAY - timedelta(days=500)).isoformat()})]
    lab.ledger("sync-1", {"ga_property_totals": old})

    def missing():
        [row] = lab.rows(
            "SELECT DISTINCT attributes FROM `{dataset}.daily_entity_metrics` WHERE entity_type = 'arrival'"
        )
        return row["attributes"]["rows_missing"]

    lab.now += timedelta(minutes=11)
    lab.etl(groups=told).run(lab.tenant_id, "etl-1", sync_run_id="sync-1")
    assert missing() == 1
    late = [_log_row("ga_property_totals", name, fields, lab.now) for name, fields in old]
    lab.warehouse.load(f"{lab.dataset}.ga_property_totals_raw_changelog", late)
    lab.ledger("sync-2", {"ga_property_totals": []})
    lab.etl(groups=told).run(lab.tenant_id, "etl-2", sync_run_id="sync-2")
    assert missing() == 0


def test_documents_that_a_later_sync_wrote_again_have_arrived_all_the_same(lab):
    written = lab.arrive(run_id="sync-1")
    lab.ledger("sync-1", written)
    lab.arrive(run_id="sync-2", at=lab.now + timedelta(seconds=1))
    assert lab.etl(groups=SOME).run(lab.tenant_id, "etl-1", sync_run_id="sync-1").days == LAST_DAYS
    streamed = lab.rows("SELECT rows_in, rows_out, note FROM `{dataset}.stage_counts` WHERE stage = 'stream'")
    assert streamed
    assert all((row["rows_in"], row["note"]) == (row["rows_out"], None) for row in streamed)
