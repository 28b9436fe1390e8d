"""The sample: its published sums, its dates on every weekday, and that its incidents can be found.

The finders below share no code with the product: they restate the detectors' rules for the last judged week.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from math import erfc, exp, log, sqrt
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.local.sample import REPORTS, Sample, details, google_ads

MONDAY = date(2026, 11, 16)
WEEK = [MONDAY + timedelta(days=offset) for offset in range(7)]
FOLDER = Path(__file__).parents[3] / "infra/local/sample"
COUNT_METRICS = {"sessions", "engagedSessions", "totalUsers", "newUsers", "screenPageViews", "keyEvents"}


@cache
def sample_on(today: date) -> Sample:
    return Sample.load(today=today)


@cache
def rows_of(sample: Sample, report: str) -> list[dict[str, Any]]:
    return sample.report(report)


def total(sample: Sample, report: str, metric: str) -> int:
    return sum(row[metric] for row in rows_of(sample, report))


# --- what is real -------------------------------------------------------------------------------------------


def test_property_totals_are_the_published_ones():
    sample = sample_on(MONDAY)
    assert total(sample, "ga_property_totals", "sessions") == 360_974
    assert total(sample, "ga_property_totals", "totalUsers") == 319_066
    assert total(sample, "ga_property_totals", "keyEvents") == 5_692


def test_source_days_are_the_published_ones():
    sample = sample_on(MONDAY)
    assert total(sample, "ga_traffic_sources", "sessions") == 354_857
    assert total(sample, "ga_traffic_sources", "keyEvents") == 4_851
    channels = {
        row["sessionSource"]: row["sessionDefaultChannelGroup"] for row in rows_of(sample, "ga_traffic_sources")
    }
    assert channels["(direct)"] == "Direct"
    assert channels["shop.googlemerchandisestore.com"] == "Referral"


def test_page_totals_are_the_published_ones_before_incidents():
    published = totals_of(read_csv("page_days.csv"), "page", "sessions", "purchases")
    declared = {row["page"]: (int(row["sessions"]), int(row["purchases"])) for row in read_csv("pages.csv")}
    assert published == declared
    assert sum(visits for visits, _ in declared.values()) == 238_379
    assert sum(orders for _, orders in declared.values()) == 3_653


def test_devices_split_the_days_and_keep_the_published_shares():
    days = {row["day"]: (int(row["sessions"]), int(row["purchases"])) for row in read_csv("days.csv")}
    devices = read_csv("device_days.csv")
    assert totals_of(devices, "day", "sessions", "purchases") == days
    by_device = totals_of(devices, "device", "sessions", "purchases")
    assert by_device["desktop"][0] / 360_974 == pytest.approx(208_942 / 360_129, abs=1e-4)
    assert by_device["mobile"][1] / 5_692 == pytest.approx(1_995 / 4_848, abs=1e-3)


def test_funnel_has_the_published_steps():
    steps = totals_of(read_csv("event_days.csv"), "event", "sessions", "events")
    reach = {name: sessions for name, (sessions, _) in steps.items() if name != "newsletter_signup"}
    assert reach == {
        "session_start": 354_857,
        "view_item": 77_020,
        "add_to_cart": 15_225,
        "begin_checkout": 11_123,
        "purchase": 4_851,
    }
    assert steps["purchase"][1] == 5_692


def test_weekly_revenue_survives_as_the_value_of_an_order():
    first_week = [row for row in read_csv("sources.csv") if int(row["day"]) < 7 and row["source"] == "google"]
    assert {row["aov"] for row in first_week if row["medium"] == "cpc"} == {"58.25"}
    assert {row["aov"] for row in first_week if row["medium"] == "organic"} == {"69.63"}


def test_every_field_says_whether_it_is_real_or_derived():
    said = {(row["report"], row["field"]): row["method"] for row in read_csv("fields.csv")}
    served = {(report.name, field) for report in REPORTS.values() for field in report.dimensions + report.metrics}
    assert set(said) == served
    assert set(said.values()) == {"real", "derived"}
    assert Sample.method("ga_property_totals", "keyEvents") == "real"


def test_sample_is_small():
    assert sum(file.stat().st_size for file in FOLDER.iterdir() if file.is_file()) < 1_000_000


# --- dates --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("today", WEEK, ids=lambda day: day.strftime("%A"))
def test_days_end_yesterday_without_a_gap_and_keep_their_weekday(today: date):
    sample = sample_on(today)
    rows = {as_date(row["date"]): row for row in rows_of(sample, "ga_property_totals")}
    assert max(rows) == sample.last_day == today - timedelta(days=1)
    assert min(rows) == sample.first_day
    assert sorted(rows) == [sample.first_day + timedelta(days=day) for day in range(len(rows))]
    assert len(rows) in (91, 92)
    published = {  # day 0 is a Sunday
        (int(row["sessions"]), int(row["users"])): int(row["day"]) % 7 for row in read_csv("days.csv")
    }
    for day, row in rows.items():
        assert published[row["sessions"], row["totalUsers"]] == day.isoweekday() % 7


@pytest.mark.parametrize("today", WEEK, ids=lambda day: day.strftime("%A"))
def test_sample_has_the_promised_volume_and_valid_rows(today: date):
    sample = sample_on(today)
    rows = {name: rows_of(sample, name) for name in REPORTS}
    assert 21_000 <= sum(len(report) for report in rows.values()) <= 25_000
    assert len({row["pagePath"] for row in rows["ga_page_performance"]}) > 1_000
    for name, report in rows.items():
        keys = [tuple(row[dimension] for dimension in REPORTS[name].dimensions) for row in report]
        assert len(set(keys)) == len(keys)
        for row in report:
            assert all(row[metric] >= 0 for metric in REPORTS[name].metrics)
            assert row.get("sessions", 1) > 0
            for part in ("engagedSessions", "totalUsers", "newUsers"):
                assert row.get(part, 0) <= row.get("sessions", 0)


def test_the_same_day_gives_the_same_sample():
    again = Sample.load(today=MONDAY)
    assert all(again.report(name) == sample_on(MONDAY).report(name) for name in REPORTS)


def test_dirty_sample_differs_in_one_row_that_no_record_accepts():
    dirty = Sample.load(today=MONDAY, variant="dirty")
    clean = sample_on(MONDAY)
    differing = [
        (name, bad)
        for name in REPORTS
        for good, bad in zip(clean.report(name), dirty.report(name), strict=True)
        if good != bad
    ]
    assert len(differing) == 1
    assert dirty.poison is not None
    assert clean.poison is None
    name, row = differing[0]
    assert name == dirty.poison.report
    assert row["sessions"] == dirty.poison.value == -5
    assert {"date": row["date"], "pagePath": row["pagePath"]} == dirty.poison.dimensions
    assert as_date(row["date"]) < dirty.last_day - timedelta(days=40)


# --- finer reports ------------------------------------------------------------------------------------------


def sums(sample: Sample, report: str, metric: str, *dimensions: str) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for row in rows_of(sample, report):
        found[tuple(row[name] for name in dimensions)] += row[metric]
    return found


def test_parts_add_up_to_what_they_are_parts_of():
    sample = sample_on(MONDAY)
    countries, days = (sums(sample, name, "sessions", "date") for name in ("ga_countries", "ga_property_totals"))
    calm = as_text(sample.last_day - timedelta(days=10))
    assert {day: count for day, count in countries.items() if day[0] <= calm} == {
        day: count for day, count in days.items() if day[0] <= calm
    }
    entered = sums(sample, "ga_landing_pages", "sessions", "date", "landingPage")
    for name in ("ga_landing_page_channels", "ga_landing_page_devices", "ga_landing_page_sources"):
        parts = sums(sample, name, "sessions", "date", "landingPage")
        assert parts
        assert all(count <= entered[key] for key, count in parts.items())
    views = sums(sample, "ga_page_performance", "screenPageViews", "date", "pagePath")
    assert all(row["eventCount"] <= views[row["date"], row["pagePath"]] for row in rows_of(sample, "ga_page_scrolls"))
    events = sums(sample, "ga_funnel_events", "sessions", "date", "eventName")
    by_device = sums(sample, "ga_funnel_event_devices", "sessions", "date", "eventName")
    assert all(count == events[key] for key, count in by_device.items() if key[1] != "purchase")


def test_paid_visits_of_a_page_are_about_the_clicks_that_lead_to_it():
    sample = sample_on(MONDAY)
    clicks: Counter[str] = Counter()
    for row in google_ads.reports(MONDAY)["landing_page_view"]:
        clicks[urlsplit(row["landing_page_view.unexpanded_final_url"]).path] += int(row["metrics.clicks"])
    recent = as_text(sample.last_day - timedelta(days=34))
    visits: Counter[str] = Counter()
    for row in rows_of(sample, "ga_landing_page_channels"):
        if row["sessionDefaultChannelGroup"] == "Paid Search" and row["date"] >= recent:
            visits[row["landingPage"]] += row["sessions"]
    assert visits.keys() == clicks.keys()
    assert all(0.35 < visits[page] / clicks[page] < 2.5 for page in clicks)


@pytest.mark.parametrize("today", WEEK, ids=lambda day: day.strftime("%A"))
def test_what_is_planted_into_the_finer_reports_stands_out(today: date):
    sample = sample_on(today)
    cur, base = ((as_text(sample.last_day - timedelta(days=first)), as_text(sample.last_day - timedelta(days=last)))
                 for first, last in ((29, 2), (57, 30)))  # fmt: skip

    def of(report: str, metric: str, window: tuple[str, str] = cur, **where: str) -> float:
        rows = [row for row in rows_of(sample, report) if window[0] <= row["date"] <= window[1]]
        return sum(row[metric] for row in rows if all(row[name] == value for name, value in where.items()))

    british = [of("ga_countries", "purchaseRevenue", window, country="United Kingdom") for window in (cur, base)]
    assert british[0] > 1.7 * british[1]
    week = cur[1], as_text(sample.last_day - timedelta(days=8))
    bots = [row for row in rows_of(sample, "ga_countries") if row["country"] == "Singapore" and row["date"] > week[1]]
    assert all(row["userEngagementDuration"] < 20 * row["sessions"] for row in bots)
    direct, organic = (
        of("ga_landing_page_sources", "keyEvents", landingPage="/", sessionMedium=medium)
        for medium in ("(none)", "organic")
    )
    assert direct >= 20
    assert 5 * organic < direct
    paid = {"sessionDefaultChannelGroup": "Paid Search"}
    dino = {"landingPage": details.DINO, **paid}
    rest = of("ga_landing_page_channels", "keyEvents", **paid), of("ga_landing_page_channels", "sessions", **paid)
    rate = rest[0] / (rest[1] - of("ga_landing_page_channels", "sessions", **dino))
    assert rate * of("ga_landing_page_channels", "sessions", **dino) > 11
    assert of("ga_landing_page_channels", "keyEvents", **dino) <= 2
    assert of("ga_repeated_transactions", "ecommercePurchases") > 28 * 2 * 62 * 0.01


def as_text(day: date) -> str:
    return f"{day:%Y%m%d}"


# --- incidents ----------------------------------------------------------------------------------------------


def test_incidents_touch_derived_series_only():
    calm = {
        "ga_property_totals": totals_of(read_csv("days.csv"), "", "sessions", "purchases")[""],
        "ga_traffic_sources": totals_of(read_csv("sources.csv"), "", "sessions", "purchases")[""],
    }
    sample = sample_on(MONDAY)
    for name, sums in calm.items():
        assert (total(sample, name, "sessions"), total(sample, name, "keyEvents")) == sums
        assert name not in {incident.report for incident in sample.incidents()}
    for incident in sample.incidents():
        assert (incident.factor is None) != (incident.points is None)


def test_ten_incidents_or_more_of_five_detectors_or_more():
    incidents = sample_on(MONDAY).incidents()
    assert len(incidents) >= 10
    assert len({incident.detector for incident in incidents}) >= 5
    assert len({incident.id for incident in incidents}) == len(incidents)


def test_readme_discloses_each_incident():
    readme = (FOLDER / "README.md").read_text()
    for incident in sample_on(MONDAY).incidents():
        line = next(
            line for line in readme.splitlines() if f"`{incident.entity}`" in line and incident.detector in line
        )
        span = (incident.last_day - incident.first_day).days + 1
        assert f"last {span} days" in line


@pytest.mark.parametrize("today", WEEK, ids=lambda day: day.strftime("%A"))
def test_each_incident_stands_out_and_nothing_else_does(today: date):
    sample = sample_on(today)
    expected = defaultdict(set)
    for incident in sample.incidents():
        expected[incident.detector].add(incident.entity)
    for detector, find in FINDERS.items():
        assert find(sample) == expected[detector], detector


@pytest.mark.parametrize("settling_days", [1, 3])
def test_incidents_stand_out_a_day_earlier_and_a_day_later(settling_days: int):
    for today in WEEK:
        sample = sample_on(today)
        found = {detector: find(sample, settling_days) for detector, find in FINDERS.items()}
        for incident in sample.incidents():
            assert incident.entity in found[incident.detector], (today, incident.id)


def find_page_cvr_drop(sample: Sample, settling_days: int = 2) -> set[str]:
    tests = {}
    for page, (now, before) in windows(sample, "ga_page_performance", "pagePath", settling_days).items():
        if now["sessions"] < 200 or before["keyEvents"] < 20:
            continue
        rate, base_rate = now["keyEvents"] / now["sessions"], before["keyEvents"] / before["sessions"]
        p_value = two_proportions(now["keyEvents"], now["sessions"], before["keyEvents"], before["sessions"])
        steady = now["sessions"] >= 0.5 * before["sessions"] / 28 * 7
        tests[page] = (p_value, rate < 0.75 * base_rate and steady)
    return significant(tests)


def find_page_engagement_drop(sample: Sample, settling_days: int = 2) -> set[str]:
    tests = {}
    for page, (now, before) in windows(sample, "ga_page_performance", "pagePath", settling_days).items():
        if now["sessions"] < 200 or not before["sessions"]:
            continue
        engaged, base_engaged = now["engagedSessions"], before["engagedSessions"]
        fell = engaged / now["sessions"] < base_engaged / before["sessions"] - 0.10
        p_value = two_proportions(engaged, now["sessions"], base_engaged, before["sessions"])
        tests[page] = (p_value, fell)
    return significant(tests)


def find_page_traffic_drop(sample: Sample, settling_days: int = 2) -> set[str]:
    as_of = sample.last_day - timedelta(days=settling_days - 1)
    [(site_now, site_before)] = windows(sample, "ga_property_totals", None, settling_days).values()
    site = 4 * site_now["sessions"] / site_before["sessions"]
    by_day: dict[str, Counter[date]] = defaultdict(Counter)
    for row in rows_of(sample, "ga_page_performance"):
        by_day[row["pagePath"]][as_date(row["date"])] += row["sessions"]
    tests = {}
    for page, (now, before) in windows(sample, "ga_page_performance", "pagePath", settling_days).items():
        if before["sessions"] < 280:
            continue
        eight_weeks = [by_day[page][as_of - timedelta(days=back)] for back in range(7, 63)]
        mean = sum(eight_weeks) / 56
        phi = max(1.0, sum((value - mean) ** 2 for value in eight_weeks) / 55 / mean)
        ratio = max(4 * now["sessions"], 0.5) / before["sessions"]
        z = log(ratio) / sqrt(phi * (1 / max(now["sessions"], 0.5) + 1 / before["sessions"]))
        tests[page] = (0.5 * erfc(-z / sqrt(2)), ratio < 0.65 and ratio / site < 0.75)
    return significant(tests)


def find_device_cvr_gap(sample: Sample, settling_days: int = 2) -> set[str]:
    as_of = sample.last_day - timedelta(days=settling_days - 1)
    month, quarter = (device_sums(sample, as_of, days) for days in (28, 90))
    if min(month["mobile"]["sessions"], month["desktop"]["sessions"]) < 1000:
        return set()
    ratio, usual = gap(month), gap(quarter)
    mobile, desktop = month["mobile"], month["desktop"]
    p_value = 2 * two_proportions(mobile["keyEvents"], mobile["sessions"], desktop["keyEvents"], desktop["sessions"])
    return significant({"mobile": (p_value, ratio < 0.45 and ratio < 0.8 * usual)})


def find_funnel_step_drop(sample: Sample, settling_days: int = 2) -> set[str]:
    steps = ["session_start", "view_item", "add_to_cart", "begin_checkout", "purchase"]
    counts = windows(sample, "ga_funnel_events", "eventName", settling_days)
    tests = {}
    for earlier, step in zip(steps, steps[1:], strict=False):
        (entered, base_entered), (done, base_done) = (
            tuple(window["sessions"] for window in counts[name]) for name in (earlier, step)
        )
        if entered < 200 or base_done < 50:
            continue
        p_value = two_proportions(done, entered, base_done, base_entered)
        tests[step] = (p_value, done / entered < 0.85 * base_done / base_entered)
    return significant(tests)


def find_dq_tracking_stopped(sample: Sample, settling_days: int = 2) -> set[str]:
    as_of = sample.last_day - timedelta(days=settling_days - 1)
    before: Counter[str] = Counter()
    now: Counter[str] = Counter()
    for row in rows_of(sample, "ga_funnel_events"):
        age = (as_of - as_date(row["date"])).days
        if 0 <= age < 2:
            now[row["eventName"]] += row["eventCount"]
        elif 2 <= age < 30:
            before[row["eventName"]] += row["eventCount"]
    return {
        event for event, count in before.items() if count / 28 >= 10 and not now[event] and exp(-2 * count / 28) < 1e-6
    }


FINDERS: dict[str, Callable[..., set[str]]] = {
    "page_cvr_drop": find_page_cvr_drop,
    "page_traffic_drop": find_page_traffic_drop,
    "page_engagement_drop": find_page_engagement_drop,
    "device_cvr_gap": find_device_cvr_gap,
    "funnel_step_drop": find_funnel_step_drop,
    "dq_tracking_stopped": find_dq_tracking_stopped,
}


# --- arithmetic ---------------------------------------------------------------------------------------------


def windows(
    sample: Sample, report: str, dimension: str | None, settling_days: int
) -> dict[str, tuple[Counter[str], Counter[str]]]:
    """Sums of the current 7 days and of the 28 days before, by entity."""
    as_of = sample.last_day - timedelta(days=settling_days - 1)
    sums: dict[str, tuple[Counter[str], Counter[str]]] = defaultdict(lambda: (Counter(), Counter()))
    for row in rows_of(sample, report):
        age = (as_of - as_date(row["date"])).days
        if 0 <= age < 35:
            window = sums[row[dimension] if dimension else "site"][0 if age < 7 else 1]
            window.update({metric: row[metric] for metric in COUNT_METRICS & row.keys()})
    return sums


def device_sums(sample: Sample, as_of: date, days: int) -> dict[str, Counter[str]]:
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows_of(sample, "ga_device_metrics"):
        if 0 <= (as_of - as_date(row["date"])).days < days:
            sums[row["deviceCategory"]].update({metric: row[metric] for metric in ("sessions", "keyEvents")})
    return sums


def gap(sums: dict[str, Counter[str]]) -> float:
    mobile, desktop = sums["mobile"], sums["desktop"]
    return (mobile["keyEvents"] / mobile["sessions"]) / (desktop["keyEvents"] / desktop["sessions"])


def two_proportions(hits: int, n: int, base_hits: int, base_n: int) -> float:
    """One-sided p-value that the first rate is not lower."""
    pooled = (hits + base_hits) / (n + base_n)
    spread = sqrt(pooled * (1 - pooled) * (1 / n + 1 / base_n))
    return 0.5 * erfc(-((hits / n - base_hits / base_n) / spread) / sqrt(2)) if spread else 1.0


def significant(tests: dict[str, tuple[float, bool]], level: float = 0.10) -> set[str]:
    """Benjamini-Hochberg over all guarded entities; of those, the ones with the effect."""
    ranked = sorted(tests, key=lambda entity: tests[entity][0])
    passing = [rank for rank, entity in enumerate(ranked, 1) if tests[entity][0] <= level * rank / len(ranked)]
    return {entity for entity in ranked[: max(passing, default=0)] if tests[entity][1]}


@cache
def as_date(text: str) -> date:
    return date.fromisoformat(text)


def read_csv(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def totals_of(rows: list[dict[str, str]], key: str, *columns: str) -> dict[str, tuple[int, ...]]:
    sums: dict[str, list[int]] = defaultdict(lambda: [0] * len(columns))
    for row in rows:
        for index, column in enumerate(columns):
            sums[row[key] if key else ""][index] += int(row[column])
    return {entity: tuple(values) for entity, values in sums.items()}
