"""The sample of Google Ads: its reports agree, with one another and with Google Analytics, and its incidents stand out.

The finders share no code with the product: they restate what each detector is after, for the days that are judged.
"""

from collections import defaultdict
from datetime import date, timedelta
from functools import cache
from typing import Any

import pytest

from infra.local.sample import Sample
from infra.local.sample.campaigns import CAMPAIGNS
from infra.local.sample.google_ads import PLANTED, reports

TODAYS = [date(2026, 11, 16), date(2026, 11, 21)]
SETTLED = 2
MEASURES = ("impressions", "clicks", "cost_micros", "conversions", "conversions_value")
DAY, CAMPAIGN, GROUP = "segments.date", "campaign.name", "ad_group.id"

pytestmark = pytest.mark.parametrize("today", TODAYS, ids=lambda day: day.strftime("%A"))


@cache
def rows(today: date) -> dict[str, list[dict[str, Any]]]:
    return reports(today)


def measured(row: dict[str, Any]) -> list[float]:
    return [float(row[f"metrics.{name}"]) for name in MEASURES]


def sums(today: date, report: str, *fields: str, days: range | None = None) -> dict[Any, list[float]]:
    """Measures by these fields, of rows so many days before the last one."""
    found: dict[Any, list[float]] = defaultdict(lambda: [0.0] * len(MEASURES))
    for row in rows(today)[report]:
        if days is None or (today - timedelta(days=1) - date.fromisoformat(row[DAY])).days in days:
            values = tuple(row[field] for field in fields)
            key = values if len(values) > 1 else values[0]
            found[key] = [before + value for before, value in zip(found[key], measured(row), strict=True)]
    return found


def judged(first: int, last: int) -> range:
    return range(first + SETTLED, last + SETTLED + 1)


def test_sample_is_as_small_as_promised_and_ends_yesterday(today: date):
    assert sum(len(found) for found in rows(today).values()) <= 4_200
    for found in rows(today).values():
        assert [row[DAY] for row in found] == sorted(row[DAY] for row in found)
        assert found[-1][DAY] == (today - timedelta(days=1)).isoformat()


def test_the_same_day_gives_the_same_sample(today: date):
    assert reports(today) == rows(today)


def test_devices_and_ad_groups_add_up_to_the_same_campaigns_each_day(today: date):
    devices, groups = (sums(today, report, CAMPAIGN, DAY) for report in ("campaign", "ad_group"))
    assert set(devices) == set(groups)
    for key, expected in devices.items():
        assert groups[key] == pytest.approx(expected), key


def test_searches_are_no_more_than_their_keywords_and_these_than_their_ad_groups(today: date):
    group, keyword, search = (
        sums(today, report, GROUP, DAY) for report in ("ad_group", "keyword_view", "search_term_view")
    )
    for key, found in search.items():
        assert all(few <= more + 1e-6 for few, more in zip(found, keyword[key], strict=True)), key
    for key, found in keyword.items():
        assert all(few <= more + 1e-6 for few, more in zip(found, group[key], strict=True)), key


def test_every_campaigns_clicks_arrive_as_visits_of_google_analytics(today: date):
    visits: dict[str, int] = defaultdict(int)
    for row in Sample.load(today).report("ga_traffic_sources"):
        if row["sessionMedium"] == "cpc":
            visits[str(row["sessionCampaignName"])] += int(str(row["sessions"]))
    clicks = {name: found[1] for name, found in sums(today, "campaign", CAMPAIGN).items()}
    assert set(clicks) == {campaign.name for campaign in CAMPAIGNS} <= set(visits)
    assert all(0.8 < visits[name] / clicks[name] < 0.95 for name in clicks)
    # Shared out without rest: what Google published of google / cpc, all but the day that may be dropped.
    assert sum(visits[name] for name in clicks) >= 15_300


def test_what_is_planted_stands_out(today: date):
    month = sums(today, "campaign", CAMPAIGN, days=judged(0, 29))
    groups = sums(today, "ad_group", GROUP, days=judged(0, 29))
    quarter = sums(today, "search_term_view", "search_term_view.search_term", GROUP, days=judged(0, 89))
    of_group = {row[GROUP]: row[CAMPAIGN] for row in rows(today)["ad_group"]}
    found = {("campaign_zero_conversions", name) for name, one in month.items() if one[1] >= 100 and not one[3]}
    week, before = (sums(today, "campaign", CAMPAIGN, days=days) for days in (judged(0, 6), judged(7, 34)))
    found |= {
        ("campaign_cpa_spike", name)
        for name, (_, _, cost, conversions, _) in week.items()
        if before[name][3] >= 100 and cost / conversions > 1.9 * before[name][2] / before[name][3]
    }
    fortnight, earlier = (sums(today, "campaign", CAMPAIGN, days=days) for days in (judged(0, 13), judged(14, 69)))
    found |= {
        ("campaign_roas_drop", name)
        for name, one in fortnight.items()
        if one[3] and one[4] / one[2] < 0.55 * earlier[name][4] / earlier[name][2]
    }
    cur, base = (sums(today, "campaign", CAMPAIGN, days=days) for days in (judged(0, 27), judged(28, 55)))
    found |= {
        ("campaign_ctr_decline", name)
        for name, one in cur.items()
        if base[name][1] >= 500 and one[1] / one[0] < 0.7 * base[name][1] / base[name][0]
    }
    for group, (impressions, clicks, cost, conversions, _) in groups.items():
        whole = month[of_group[group]]
        if whole[3] and not conversions:
            found.add(("adgroup_zero_conv_waste", group))
        if clicks / impressions < 0.45 * whole[1] / whole[0]:
            found.add(("adgroup_ctr_low", group))
        if conversions >= 15 and cost / conversions < 0.5 * whole[2] / whole[3] and cost < 0.15 * whole[2]:
            found.add(("adgroup_star_isolated", group))
    status = {
        (row["search_term_view.search_term"], row[GROUP]): row["search_term_view.status"]
        for row in rows(today)["search_term_view"]
    }
    for (term, group), (_, clicks, _, conversions, _) in quarter.items():
        if status[term, group] == "NONE" and clicks >= 60:
            kind = "harvest" if conversions / clicks > 0.2 else "negative" if not conversions else ""
            found |= {(f"adgroup_search_term_{kind}", f"{term} | {group}")} if kind else set()
    devices = sums(today, "campaign", CAMPAIGN, "segments.device", days=judged(0, 29))
    found |= {
        ("device_tablet_ad_waste", f"{name} | {device.lower()}")
        for (name, device), one in devices.items()
        if one[1] >= 100 and month[name][3] and one[3] / one[1] < 0.2 * month[name][3] / month[name][1]
    }
    days = sums(today, "campaign", CAMPAIGN, DAY, days=judged(0, 27))
    budgets = {row[CAMPAIGN]: int(row["campaign_budget.amount_micros"]) for row in rows(today)["campaign"]}
    spent = {name: sum(one[2] >= 0.95 * budgets[name] for (of, _), one in days.items() if of == name) for name in month}
    found |= {("campaign_budget_limited_profitable", name) for name, full in spent.items() if full >= 20}
    assert found == {(one.detector, one.entity) for one in PLANTED}
