"""What is told of the data themselves: raw tables, their columns, loads, spellings of campaigns."""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from statistics import median_high

import pytest

from shared.adapters.bigquery import BigQueryWarehouse
from shared.analytics.days import is_dated
from shared.analytics.entities import GROUPS, RAW_TABLES
from shared.analytics.raw import raw_tables
from shared.ops.records import StageCount
from shared.ops.stage_counts import record_counts
from tests.support.bigquery import bigquery_emulator
from tests.support.etl_lab import EtlLab

GROUP = [group for group in GROUPS if group.name == "data"]
TODAY = date(2026, 3, 10)
GAP = 2
"""Nothing came of these days."""


def ago(days):
    return (TODAY - timedelta(days=days)).isoformat()


DAYS = [ago(number) for number in range(35, 0, -1)]
TOLD = [day for day in DAYS if day != ago(GAP)]
LOADS = [datetime.combine(TODAY - timedelta(days=number), time(4), UTC) for number in (9, 8, 7, 6, 5, 4, 3, 1)]
SPELLINGS = ("Spring_Sale", "spring-sale ", "SPRING-SALE")


def documents():
    raw = defaultdict(list)

    def add(collection, day, **fields):
        raw[collection].append({"id": f"{day}-{len(raw[collection])}", "date": day, **fields})

    for number, day in enumerate(TOLD):
        for place, name in enumerate(("(direct)", "(not set)", "", *SPELLINGS[: 2 + (number > 20)])):
            add("ga_traffic_sources", day, session_source="google", session_medium=("cpc", "")[place == 1],
                session_campaign_name=name, session_default_channel_group="Paid Search", new_users=1,
                sessions=10 * (number + 1) + place, engaged_sessions=1, total_users=1, key_events=0.0,
                purchase_revenue=1.1 * place)  # fmt: skip
        for place, (campaign, currency) in enumerate((("1", "USD"), ("2", "USD"), ("3", "USD"), ("1", "EUR"))):
            add("google_ads_campaigns", day, customer_id="1", currency=currency, campaign_id=campaign,
                campaign_name="c", impressions=1, clicks=1, cost=0.1 * number + place, conversions=0.0,
                conversions_value=0.0, status="ENABLED", channel_type="SEARCH", device=str(place))  # fmt: skip
    for number, day in enumerate(TOLD[20:]):
        add("stripe_charges", day, charge_id=f"ch_{number}", created_at=f"{day}T08:00:00+00:00", currency="USD",
            amount=f"{number}.99", amount_captured="0", amount_refunded="0", status="succeeded", paid=True,
            captured=True, refunded=False, disputed=False, customer_id=None if number % 3 else "cus_1",
            email="x" if number % 2 else None, payment_method_type="card", product_id="")  # fmt: skip
    return raw


RAW = documents()
ALIASES = {"1": "id", "2": "own", "3": "own"}


def count(run_id, stage, at, subject="ga_traffic_sources", note=None):
    return StageCount(run_id=run_id, stage=stage, subject=subject, tenant_id="t", rows_in=1, rows_out=1,
                      rows_refused=0, note=note, counted_at=at)  # fmt: skip


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as server:
        yield BigQueryWarehouse.connect(server.project, server.bigquery_endpoint, "US")


@pytest.fixture(scope="module")
def lab(warehouse):
    made = EtlLab(warehouse, GROUP, TODAY, currency="USD")
    made.arrive(RAW)
    aliases = [
        {"tenant_id": made.tenant_id, "entity_type": "campaign", "source": "google_ads", "alias": name,
         "entity_id": name, "how": how, "made_by": "ads"}
        for name, how in ALIASES.items()
    ]  # fmt: skip
    warehouse.load(f"{made.dataset}.entity_aliases", aliases)
    runs = [count(f"sync-{number}", "stream", at) for number, at in enumerate(LOADS)]
    lost = count("sync-lost", "stream", LOADS[0] + timedelta(days=7), note="3 of 5 documents did not arrive")
    other = count("etl-1", "etl", LOADS[0], subject="page")
    record_counts(warehouse, made.tenant_id, [*runs, lost, other])
    made.run("etl-1")
    return made


@pytest.fixture(scope="module")
def tables(lab):
    return {(day, name): row for (kind, day, name), row in lab.metrics().items() if kind == "source_table"}


def of_day(collection, day):
    return [row for row in RAW[collection] if row["date"] == day]


def test_every_raw_table_that_is_dated_is_known():
    assert [table.name for table in raw_tables()] == sorted(filter(is_dated, RAW_TABLES))


def test_a_table_has_a_row_for_every_day_since_its_first(tables):
    firsts = {"ga_traffic_sources": DAYS[0], "google_ads_campaigns": DAYS[0], "stripe_charges": TOLD[20]}
    assert set(tables) == {(day, name) for name, first in firsts.items() for day in DAYS if day >= first}
    for (day, name), row in tables.items():
        assert row["row_count"] == len(of_day(name, day)), (day, name)


def test_sessions_cost_and_revenue_are_those_of_the_rows(tables):
    for day in DAYS:
        visits, spent = of_day("ga_traffic_sources", day), of_day("google_ads_campaigns", day)
        row = tables[day, "ga_traffic_sources"]
        assert row["sessions"] == sum(each["sessions"] for each in visits)
        assert row["revenue"] == pytest.approx(sum(each["purchase_revenue"] for each in visits), abs=1e-9)
        assert not {"cost", "foreign_rows", "currencies", "unmapped_sessions"} & set(row)
        row, ours = tables[day, "google_ads_campaigns"], [each for each in spent if each["currency"] == "USD"]
        assert row["cost"] == pytest.approx(sum(each["cost"] for each in ours), abs=1e-9)
        own = [each["cost"] for each in ours if ALIASES[each["campaign_id"]] == "own"]
        assert row["unmapped_cost"] == pytest.approx(sum(own), abs=1e-9)
        assert row["foreign_rows"] == len(spent) - len(ours)
        assert row.get("currencies") == (2 if spent else None)
        assert row.get("median_amount") == (median_high([each["cost"] for each in spent]) if spent else None)


def test_loads_are_those_of_syncs_that_arrived_whole(tables):
    for day in DAYS:
        ends = datetime.combine(date.fromisoformat(day), time(0), UTC) + timedelta(days=1)
        past = [at for at in LOADS if at < ends]
        row = tables[day, "ga_traffic_sources"]
        assert row["loads"] == len(past)
        assert row.get("hours_since_load") == ((ends - past[-1]).total_seconds() / 3600 if past else None)
        hours = [(later - earlier).total_seconds() / 3600 for earlier, later in zip(past, past[1:], strict=False)]
        assert row.get("usual_interval_hours") == (median_high(hours) if hours else None)
        assert tables[day, "google_ads_campaigns"]["loads"] == 0


def test_what_a_day_was_at_first_is_remembered_when_it_is_restated(lab, tables):
    day, late = TOLD[-1], ago(GAP)
    changed = of_day("ga_traffic_sources", day)[0]
    lab.arrive({"ga_traffic_sources": [{**changed, "sessions": changed["sessions"] + 500}]}, run_id="sync-2")
    came = {**changed, "id": f"{late}-late", "date": late, "sessions": 77}
    lab.arrive({"ga_traffic_sources": [came]}, run_id="sync-2")
    lab.run("etl-2")
    made = lab.metrics()
    before = tables[day, "ga_traffic_sources"]
    assert before["first_metric"] == before["restated_metric"] == before["sessions"]
    after = made["source_table", day, "ga_traffic_sources"]
    assert (after["first_metric"], after["restated_metric"]) == (before["sessions"], before["sessions"] + 500)
    assert "first_metric" not in tables[late, "ga_traffic_sources"]
    filled = made["source_table", late, "ga_traffic_sources"]
    assert (filled["first_metric"], filled["restated_metric"], filled["row_count"]) == (77, 77, 1)
    assert lab.run("etl-3", full=True).changed == 0


def test_columns_that_are_hardly_ever_empty_are_counted(lab):
    found = {(day, name): row for (kind, day, name), row in lab.metrics().items() if kind == "table_column"}
    day = TOLD[25]
    rows = of_day("ga_traffic_sources", day)
    named = found[day, "ga_traffic_sources.session_campaign_name"]
    assert named == {"row_count": len(rows), "null_count": 2}
    assert found[day, "ga_traffic_sources.session_medium"] == {"row_count": len(rows), "null_count": 1}
    for column, empty in (("customer_id", None), ("email", None), ("product_id", "")):
        for each in TOLD[20:]:
            charges = of_day("stripe_charges", each)
            nulls = sum(row[column] == empty for row in charges)
            assert found[each, f"stripe_charges.{column}"] == {"row_count": len(charges), "null_count": nulls}


def test_campaigns_that_are_written_several_ways_are_one_group(lab):
    found = {day: row for (kind, day, _), row in lab.metrics().items() if kind == "utm_group"}
    assert {name for kind, _, name in lab.metrics() if kind == "utm_group"} == {"spring-sale"}
    for place, day in enumerate(DAYS[-28:], len(DAYS) - 28):
        window = set(DAYS[max(0, place - 27) : place + 1])
        lately = defaultdict(int)
        for row in RAW["ga_traffic_sources"]:
            if row["date"] in window and row["session_campaign_name"] in SPELLINGS:
                lately[row["session_campaign_name"]] += row["sessions"]
        main = max(sorted(lately), key=lambda name: lately[name])
        rows = [row for row in of_day("ga_traffic_sources", day) if row["session_campaign_name"] in SPELLINGS]
        assert found[day] == {
            "sessions": sum(row["sessions"] for row in rows),
            "minor_sessions": sum(row["sessions"] for row in rows if row["session_campaign_name"] != main),
            "spellings": len(lately),
        }
