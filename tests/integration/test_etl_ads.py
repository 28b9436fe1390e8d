"""Campaigns, ad groups and search terms out of raw documents: each metric as plain Python works it out, to the cent."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from infra.local.sample import Sample
from infra.local.sample.google_ads import CUSTOMER_ID, reports
from shared.adapters.bigquery import BigQueryWarehouse
from shared.analytics.entities import GROUPS
from shared.sources.google_ads import REPORTS
from shared.sources.row_id import row_id
from tests.support.bigquery import bigquery_emulator
from tests.support.etl import Lab

ADS = [group for group in GROUPS if group.name == "ads"]
TODAY = date(2026, 11, 21)
FIRST = TODAY - timedelta(days=3)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CAMPAIGNS, AD_GROUPS, SEARCH_TERMS, VISITS = (
    "google_ads_campaigns",
    "google_ads_ad_groups",
    "google_ads_search_terms",
    "ga_traffic_sources",
)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWarehouse]:
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as server:
        yield BigQueryWarehouse.connect(server.project, server.bigquery_endpoint, "US")


# --- the sample ------------------------------------------------------------------------------------------------------


def of_google_ads() -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Documents of the sample's last days, as the connector makes them."""
    rows = reports(TODAY)
    return {
        report.collection.name: [
            report.document(nested(row), CUSTOMER_ID)
            for row in rows[report.resource]
            if row["segments.date"] >= FIRST.isoformat()
        ]
        for report in REPORTS
    }


def nested(row: dict[str, Any]) -> dict[str, Any]:
    """A row as Google's JSON has it."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        *path, last = ["".join(w.capitalize() if i else w for i, w in enumerate(p.split("_"))) for p in name.split(".")]
        inner = found
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return found


def visit(day: date, campaign: str, sessions: int = 10, **fields: Any) -> tuple[str, dict[str, Any]]:
    """A row of Google Analytics."""
    made = {
        "property_id": "properties/1",
        "session_source": "google",
        "session_medium": "cpc",
        "session_default_channel_group": "Paid Search",
        "engaged_sessions": sessions - 1,
        "total_users": sessions,
        "new_users": 1,
        "key_events": 1.0,
        "purchase_revenue": 30.1,
    }
    fields = {"date": day.isoformat(), "session_campaign_name": campaign, "sessions": sessions} | made | fields
    return row_id(fields["date"], fields["session_source"], fields["session_medium"], campaign), fields


def of_google_analytics() -> list[tuple[str, dict[str, Any]]]:
    names = {"sessionSource": "session_source", "sessionMedium": "session_medium"}
    names |= {"engagedSessions": "engaged_sessions", "totalUsers": "total_users", "newUsers": "new_users"}
    names |= {"keyEvents": "key_events", "purchaseRevenue": "purchase_revenue"}
    return [
        visit(
            datetime.strptime(row["date"], "%Y%m%d").date(),
            str(row["sessionCampaignName"]),
            int(row["sessions"]),
            session_default_channel_group=row["sessionDefaultChannelGroup"],
            **{ours: row[theirs] for theirs, ours in names.items()},
        )
        for row in Sample.load(TODAY).report(VISITS)
        if row["date"] >= f"{FIRST:%Y%m%d}"
    ]


@pytest.fixture(scope="module")
def raw() -> dict[str, list[tuple[str, dict[str, Any]]]]:
    return of_google_ads() | {VISITS: of_google_analytics()}


@pytest.fixture(scope="module")
def lab(warehouse: BigQueryWarehouse, raw: dict[str, Any]) -> Lab:
    """A tenant after one run over the sample's last days and the odd ones before, only to be read."""
    made = Lab(warehouse, ADS, NOW, currency="USD")
    made.arrive(raw)
    made.arrive(ODD)
    assert made.run().leaks == ()
    return made


def of_sample(lab: Lab, entity_type: str) -> dict[tuple[date, str], dict[str, Any]]:
    """The metrics of the sample's days."""
    return {key: row for key, row in lab.metrics(entity_type).items() if key[0] >= FIRST}


SUMS = {
    "users": "total_users",
    "new_users": "new_users",
    "sessions": "sessions",
    "engaged_sessions": "engaged_sessions",
    "conversions": "key_events",
    "revenue": "purchase_revenue",
}
BOUGHT = {"impressions": "impressions", "clicks": "clicks", "cost": "cost"}
BROUGHT = {"ads_conversions": "conversions", "ads_value": "conversions_value"}


def summed(rows: list[dict[str, Any]], fields: dict[str, str]) -> dict[str, Decimal]:
    return {ours: sum((Decimal(str(row[raw])) for row in rows), Decimal(0)) for ours, raw in fields.items()}


def by(documents: list[tuple[str, dict[str, Any]]], *names: str) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Rows by day and these fields."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for _, fields in documents:
        found[date.fromisoformat(fields["date"]), *(fields[name] for name in names)].append(fields)
    return found


def is_(row: dict[str, Any], expected: dict[str, Decimal]) -> None:
    for name, value in expected.items():
        found = row[name] if name in row else row["attributes"][name]
        assert Decimal(str(found)) == value, (row["date"], row["entity_id"], name)


def test_a_campaigns_metrics_are_the_sums_of_both_sources(lab: Lab, raw: dict[str, Any]):
    metrics = of_sample(lab, "campaign")
    visits, bought = by(raw[VISITS], "session_campaign_name"), by(raw[CAMPAIGNS], "campaign_name")
    assert set(metrics) == set(visits) | set(bought)
    assert {name for _, name in bought} < {name for _, name in visits}
    for key, row in metrics.items():
        is_(row, summed(visits.get(key, []), SUMS))
        is_(row, summed(bought.get(key, []), BOUGHT | BROUGHT))
        assert row["bounces"] == row["sessions"] - row["engaged_sessions"]


def test_a_campaigns_budget_is_counted_once_and_its_lost_shares_by_what_could_be_had(lab: Lab, raw: dict[str, Any]):
    metrics = of_sample(lab, "campaign")
    for key, rows in by(raw[CAMPAIGNS], "campaign_name").items():
        told = metrics[key]["attributes"]
        assert told["daily_budget"] == rows[0]["daily_budget"]
        assert told["monthly_budget"] == pytest.approx(30.4 * rows[0]["daily_budget"])
        searched = [row for row in rows if row["search_lost_is_budget"] is not None]
        possible = [
            row["impressions"] / (1 - row["search_lost_is_budget"] - row["search_lost_is_rank"]) for row in searched
        ]
        for name, field in (("lost_is_budget", "search_lost_is_budget"), ("lost_is_rank", "search_lost_is_rank")):
            lost = sum(row[field] * had for row, had in zip(searched, possible, strict=True))
            expected = pytest.approx(lost / sum(possible), abs=1e-7) if possible else None
            assert told.get(name) == expected
    assert any(row["attributes"].get("lost_is_budget") is None for row in metrics.values())


def test_devices_and_ad_groups_add_up_to_their_campaigns(lab: Lab, raw: dict[str, Any]):
    devices, groups = of_sample(lab, "campaign_device"), of_sample(lab, "ad_group")
    for (day, campaign, device), rows in by(raw[CAMPAIGNS], "campaign_name", "device").items():
        row = devices.pop((day, f"{campaign} | {device.lower()}"))
        is_(row, summed(rows, BOUGHT | BROUGHT))
        assert (row["attributes"]["campaign"], row["attributes"]["device"]) == (campaign, device.lower())
    for (day, group), rows in by(raw[AD_GROUPS], "ad_group_id").items():
        row = groups.pop((day, group))
        is_(row, summed(rows, BOUGHT | BROUGHT))
        assert row["attributes"]["campaign"] == rows[0]["campaign_name"]
        assert row["attributes"]["title"] == rows[0]["ad_group_name"]
    assert (devices, groups) == ({}, {})


def test_a_search_is_one_in_each_ad_group(lab: Lab, raw: dict[str, Any]):
    terms = of_sample(lab, "search_term")
    for (day, term, group), rows in by(raw[SEARCH_TERMS], "search_term", "ad_group_id").items():
        row = terms.pop((day, f"{term} | {group}"))
        is_(row, summed(rows, BOUGHT | BROUGHT))
        told = row["attributes"]
        assert (told["ad_group"], told["campaign"]) == (group, rows[0]["campaign_name"])
        assert told["term_status"] == rows[0]["status"]
    assert terms == {}


def test_a_rerun_changes_nothing(lab: Lab):
    before = lab.metrics("campaign")
    result = lab.run(full=True)
    assert (result.changed, result.months_changed, result.leaks) == (0, 0, ())
    assert lab.metrics("campaign") == before


# --- what a sample does not hold -------------------------------------------------------------------------------------


def bought(day: date, campaign_id: str, name: str, device: str = "MOBILE", **fields: Any) -> tuple[str, dict[str, Any]]:
    """A row of Google Ads."""
    made = {
        "customer_id": "5550104100",
        "currency": "USD",
        "status": "ENABLED",
        "channel_type": "SEARCH",
        "impressions": 100,
        "clicks": 10,
        "cost": 2.345678,
        "conversions": 0.333333,
        "conversions_value": 9.99,
        "daily_budget": 20.0,
        "search_lost_is_budget": 0.0,
        "search_lost_is_rank": 0.0,
    }
    fields = (
        {"date": day.isoformat(), "campaign_id": campaign_id, "campaign_name": name, "device": device} | made | fields
    )
    return row_id(fields["date"], campaign_id, device), fields


FRIDAY, SATURDAY, SUNDAY, MONDAY = (date(2026, 11, day) for day in (13, 14, 15, 16))


ODD = {
    CAMPAIGNS: [
        bought(FRIDAY, "1", "Brand DE"),
        bought(MONDAY, "1", "Brand Germany"),
        bought(FRIDAY, "2", "Old shoes"),
        bought(MONDAY, "3", "Old shoes", daily_budget=5.0),
        bought(MONDAY, "3", "Old shoes", "TABLET", daily_budget=5.0),
        bought(MONDAY, "4", "Old shoes", search_lost_is_budget=None, search_lost_is_rank=None),
        bought(MONDAY, "55", "By its id"),
        bought(MONDAY, "6", "Never visited"),
        bought(MONDAY, "7", "Of another currency", currency="EUR"),
    ],
    VISITS: [
        visit(FRIDAY, "brand  de"),
        visit(SATURDAY, "Brand DE"),
        visit(SUNDAY, "(organic)"),
        visit(MONDAY, "BRAND GERMANY"),
        visit(MONDAY, "brand de", 5, session_source="bing"),
        visit(MONDAY, "55"),
        visit(MONDAY, "Autumn"),
        visit(MONDAY, "News 1"),
    ],
    "ac_campaigns": [
        ("mail", {"date": MONDAY.isoformat(), "campaign_id": "1", "name": "Mail", "utm_campaign": "news 1"})
    ],
    SEARCH_TERMS: [
        (
            "term",
            {name: value for name, value in bought(MONDAY, "1", "Brand Germany")[1].items()}
            | {"ad_group_id": "9", "search_term": "both", "status": "ADDED_EXCLUDED"},
        )
    ],
}
"""An account whose ads rest on weekends, with campaigns under several names."""


def test_a_campaign_stays_one_whatever_it_is_called(lab: Lab):
    aliases = lab.aliases()
    assert aliases["campaign", "google_ads", "1"] == ("Brand DE", "name")
    for name in ("brand  de", "Brand DE", "BRAND GERMANY", "brand de"):
        assert aliases["campaign", "ga4", name] == ("Brand DE", "name")
    metrics = lab.metrics("campaign")
    assert {day for day, name in metrics if name == "Brand DE"} == {FRIDAY, SATURDAY, MONDAY}
    assert metrics[MONDAY, "Brand DE"]["sessions"] == 15
    assert metrics[MONDAY, "Brand DE"]["clicks"] == 10
    assert {name for _, name in lab.metrics("campaign_device")} >= {"Brand DE | mobile", "Old shoes | tablet"}


def test_campaigns_are_matched_by_id_or_are_their_own(lab: Lab):
    aliases = lab.aliases()
    assert aliases["campaign", "google_ads", "55"] == ("By its id", "id")
    assert aliases["campaign", "ga4", "55"] == ("By its id", "id")
    assert aliases["campaign", "google_ads", "6"] == ("Never visited", "own")
    assert aliases["campaign", "ga4", "Autumn"] == ("Autumn", "own")
    assert aliases["campaign", "ga4", "News 1"] == ("News 1", "utm")
    assert not [key for key in aliases if key[2] == "(organic)"]


def test_campaigns_of_one_name_are_one(lab: Lab):
    row = lab.metrics("campaign")[MONDAY, "Old shoes"]
    assert (row["clicks"], row["cost"]) == (30, 7.037034)
    assert row["attributes"]["daily_budget"] == 25.0
    assert row["attributes"]["lost_is_budget"] == 0.0
    assert row["attributes"]["ads_conversions"] == 0.999999


def test_what_a_source_does_not_name_is_zero_on_days_that_it_tells_of(lab: Lab):
    metrics = lab.metrics("campaign")
    own = metrics[MONDAY, "Never visited"]
    assert (own["sessions"], own["revenue"], own["bounces"], own["clicks"]) == (0, 0.0, 0, 10)
    for key in ((SATURDAY, "Brand DE"), (SUNDAY, "(organic)")):
        rests = metrics[key]
        assert (rests["clicks"], rests["impressions"], rests["cost"]) == (0, 0, 0.0)
        assert (rests["attributes"]["ads_conversions"], rests["attributes"]["ads_value"]) == (0, 0)
        assert rests["attributes"].get("daily_budget") is None


def test_days_of_which_google_ads_tells_nothing_are_unknown_until_it_tells_of_a_later_one(warehouse: BigQueryWarehouse):
    lab = Lab(warehouse, ADS, NOW, currency="USD")

    def costs() -> list[float | None]:
        lab.run()
        metrics = lab.metrics("campaign")
        assert metrics[SATURDAY, "Brand"]["sessions"] == 10
        return [metrics[day, "Brand"]["cost"] for day in (FRIDAY, SATURDAY)]

    lab.arrive({VISITS: [visit(FRIDAY, "Brand"), visit(SATURDAY, "Brand")]})
    assert costs() == [None, None]
    lab.arrive({CAMPAIGNS: [bought(FRIDAY, "1", "Brand")]})
    assert costs() == [2.345678, None]
    lab.arrive({CAMPAIGNS: [bought(MONDAY, "1", "Brand")]})
    assert costs() == [2.345678, 0.0]


def test_money_of_another_currency_is_left_out_and_not_taken_for_nothing(lab: Lab):
    for row in (
        lab.metrics("campaign")[MONDAY, "Of another currency"],
        lab.metrics("campaign_device")[MONDAY, "Of another currency | mobile"],
    ):
        assert (row["clicks"], row["cost"], row["attributes"].get("ads_value")) == (10, None, None)
        assert row["attributes"]["ads_conversions"] == 0.333333


def test_a_search_that_is_both_a_keyword_and_a_negative_one_is_excluded(lab: Lab):
    assert lab.metrics("search_term")[MONDAY, "both | 9"]["attributes"]["term_status"] == "EXCLUDED"
