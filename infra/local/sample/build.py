"""Make the sample's CSV files from aggregates of Google's public sample dataset.

Usage: python -m infra.local.sample.build INPUT, where INPUT/ga4 holds the gms_ga4_*.csv aggregates of
`bigquery-public-data.ga4_obfuscated_sample_ecommerce` and INPUT/reference holds Google's default channel
rules and source categories. The same input gives the same files: every draw is seeded.

README.md says which figures are real and which are derived; fields.csv says it for each field.
"""

import csv
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

FIRST_DAY = date(2020, 11, 1)
DAYS = 92
OUTPUT = Path(__file__).parent

# Assumed where the public aggregates say nothing. README.md lists them.
ENGAGED_RATE = 0.65
ENGAGED_RATE_BY_MEDIUM = {"organic": 0.66, "(none)": 0.62, "referral": 0.72, "cpc": 0.60}
PAGE_ENGAGED_RATE = (0.60, 0.70)
PAGEVIEWS_PER_SESSION = 3.7
PAGEVIEWS_PER_PAGE_SESSION = 1.35
BROWSER_SHARES = {
    "desktop": {"Chrome": 0.78, "Safari": 0.11, "Firefox": 0.04, "Edge": 0.04, "<Other>": 0.03},
    "mobile": {"Chrome": 0.53, "Safari": 0.38, "Android Webview": 0.05, "<Other>": 0.04},
    "tablet": {"Chrome": 0.50, "Safari": 0.45, "<Other>": 0.05},
}
EVENTS_PER_SESSION = {"view_item": 5.0, "add_to_cart": 3.8, "begin_checkout": 3.5}
NEWSLETTER_RATE = 0.008

PAID = r".*cp.*|ppc|retargeting|paid.*"
SHOP_CAMPAIGN = r".*(([^a-df-z]|^)shop|shopping).*"
Array = np.ndarray[Any, np.dtype[np.int64]]


def main() -> None:
    """Read the aggregates and write the sample beside this file."""
    source = Path(sys.argv[1])
    days = read(source / "ga4/gms_ga4_daily_totals.csv")
    weekly = read(source / "ga4/gms_ga4_weekly_source_medium_revenue.csv")
    raw_sources = read(source / "ga4/gms_ga4_daily_source_medium_campaign.csv")
    categories = {row["source"]: row["source_category"] for row in read(source / "reference/ga4_source_categories.csv")}
    assert [parse_day(row["date"]) for row in days] == list(range(DAYS))
    users = integers(row["users"] for row in days)
    sessions = integers(row["sessions"] for row in days)
    purchases = integers(row["purchases"] for row in days)

    sources = source_rows(raw_sources, weekly, categories, users / sessions)
    week_aov = aov_by_week(weekly)
    new_users: Counter[int] = Counter()
    for row in sources:
        new_users[int(str(row["day"]))] += int(str(row["new_users"]))
    write("sources.csv", sources)
    random = np.random.default_rng([2020, 1])
    write(
        "days.csv",
        [
            {
                "day": day,
                "users": users[day],
                "new_users": new_users[day],
                "sessions": sessions[day],
                "engaged_sessions": random.binomial(sessions[day], ENGAGED_RATE),
                "pageviews": sessions[day] + random.poisson(sessions[day] * (PAGEVIEWS_PER_SESSION - 1)),
                "purchases": purchases[day],
                "aov": week_aov[week_of(day)],
            }
            for day in range(DAYS)
        ],
    )
    pages, page_days = page_rows(read(source / "ga4/gms_ga4_landing_pages.csv"), sessions, users / sessions)
    write("pages.csv", pages)
    write("page_days.csv", page_days)
    funnel = read(source / "ga4/gms_ga4_funnel_metrics.csv")
    write("device_days.csv", device_rows(funnel, sessions, purchases, users / sessions, new_users))
    write("event_days.csv", event_rows(funnel, raw_sources, sessions, purchases, users / sessions))


def source_rows(
    raw: list[dict[str, str]],
    weekly: list[dict[str, str]],
    categories: Mapping[str, str],
    users_per_session: np.ndarray[Any, np.dtype[np.float64]],
) -> list[dict[str, object]]:
    """One row per day, source, medium and campaign with sessions; revenue as the week's value per order."""
    random = np.random.default_rng([2020, 2])
    week_aov = aov_by_week(weekly)
    group_aov = {
        (row["week"], row["source"], row["medium"]): float(row["avg_order_value"])
        for row in weekly
        if row["avg_order_value"]
    }
    rows: list[dict[str, object]] = []
    groups: dict[tuple[str, str, str], list[dict[str, object]]] = defaultdict(list)
    for line in raw:
        count = int(line["sessions_start_count"])
        if count == 0:
            continue  # The API has no row for what did not happen.
        day = (date.fromisoformat(line["event_date"]) - FIRST_DAY).days
        source, medium, campaign = line["source"], line["medium"], line["campaign"]
        group = (week_of(day), *first_source(source, medium))
        row: dict[str, object] = {
            "day": day,
            "source": source,
            "medium": medium,
            "campaign": campaign,
            "channel": default_channel(source, medium, campaign, categories),
            "sessions": count,
            "engaged_sessions": random.binomial(count, ENGAGED_RATE_BY_MEDIUM.get(medium, 0.60)),
            "users": max(1, random.binomial(count, users_per_session[day])),
            "new_users": 0,
            "purchases": reached(line, "visit_to_purchase"),
            "aov": group_aov.get(group, week_aov[week_of(day)]),
        }
        groups[group].append(row)
        rows.append(row)
    for line in weekly:
        members = groups.get((line["week"], line["source"], line["medium"]), [])
        shares = spread(int(line["new_users"]), [int(str(row["users"])) for row in members])
        for row, share in zip(members, shares, strict=True):
            row["new_users"] = min(share, int(str(row["users"])))
    return rows


def page_rows(
    raw: list[dict[str, str]], sessions: Array, users_per_session: np.ndarray[Any, np.dtype[np.float64]]
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Page totals (page 0 is the landing page `(not set)`) and their days.

    A page's sessions are spread over the days in proportion to the site's; its purchases are drawn from its
    own sessions, so its conversion rate does not move by itself.
    """
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for line in raw:
        total = totals[page_path(line["page_path"])]
        total[0] += int(line["total_sessions"])
        total[1] += int(line["total_purchases"])
    unset = totals.pop("(not set)")
    ranked = sorted(totals.items(), key=lambda item: (-item[1][0], item[0]))
    random = np.random.default_rng([2020, 3])
    pages: list[dict[str, object]] = []
    days: list[dict[str, object]] = []
    for page, (path, (visits, orders)) in enumerate([("(not set)", unset), *ranked]):
        pages.append({"page": page, "path": path, "sessions": visits, "purchases": orders})
        rate = random.uniform(*PAGE_ENGAGED_RATE)
        by_day = random.multinomial(visits, sessions / sessions.sum())
        bought = random.multivariate_hypergeometric(by_day, orders)
        for day in np.flatnonzero(by_day):
            count = int(by_day[day])
            days.append(
                {
                    "day": day,
                    "page": page,
                    "sessions": count,
                    "engaged_sessions": max(int(bought[day]), random.binomial(count, rate)),
                    "users": max(1, random.binomial(count, users_per_session[day])),
                    "pageviews": count + random.poisson(count * (PAGEVIEWS_PER_PAGE_SESSION - 1)),
                    "purchases": bought[day],
                }
            )
    return pages, sorted(days, key=lambda row: (row["day"], row["page"]))


def device_rows(
    funnel: list[dict[str, str]],
    sessions: Array,
    purchases: Array,
    users_per_session: np.ndarray[Any, np.dtype[np.float64]],
    new_users: Mapping[int, int],
) -> list[dict[str, object]]:
    """Days by device and browser: draws without replacement that keep both the days' and the devices' sums."""
    random = np.random.default_rng([2020, 4])
    cells = [(device, browser) for device, shares in BROWSER_SHARES.items() for browser in shares]

    def split(by_day: Array, column: str) -> list[Array]:
        total: Counter[str] = Counter()
        for line in funnel:
            total[line["device_category"]] += int(line[column])
        weights = [total[device] * BROWSER_SHARES[device][browser] for device, browser in cells]
        left = integers(spread(int(by_day.sum()), weights))
        drawn = []
        for count in by_day:
            drawn.append(random.multivariate_hypergeometric(left, int(count)))
            left = left - drawn[-1]
        return drawn

    visits, orders = split(sessions, "total_sessions"), split(purchases, "n_purchase")
    rows: list[dict[str, object]] = []
    for day in range(DAYS):
        users = [max(1, random.binomial(int(count), users_per_session[day])) if count else 0 for count in visits[day]]
        firsts = spread(new_users[day], users)
        for cell, (device, browser) in enumerate(cells):
            if visits[day][cell] == 0:
                continue
            rows.append(
                {
                    "day": day,
                    "device": device,
                    "browser": browser,
                    "sessions": visits[day][cell],
                    "engaged_sessions": random.binomial(int(visits[day][cell]), ENGAGED_RATE),
                    "users": users[cell],
                    "new_users": min(firsts[cell], users[cell]),
                    "purchases": orders[day][cell],
                }
            )
    return rows


def event_rows(
    funnel: list[dict[str, str]],
    raw_sources: list[dict[str, str]],
    sessions: Array,
    purchases: Array,
    users_per_session: np.ndarray[Any, np.dtype[np.float64]],
) -> list[dict[str, object]]:
    """Days by event. Sessions of all steps but view_item are the real source-days'; no row where none."""
    random = np.random.default_rng([2020, 5])
    reach = {
        name: np.zeros(DAYS, dtype=np.int64)
        for name in ("session_start", "view_item", "add_to_cart", "begin_checkout", "purchase")
    }
    for line in raw_sources:
        day = (date.fromisoformat(line["event_date"]) - FIRST_DAY).days
        reach["session_start"][day] += int(line["sessions_start_count"])
        reach["add_to_cart"][day] += reached(line, "visit_to_cart")
        reach["begin_checkout"][day] += reached(line, "visit_to_checkout")
        reach["purchase"][day] += reached(line, "visit_to_purchase")
    viewed = sum(int(line["n_view_item"]) for line in funnel)
    reach["view_item"] = random.multivariate_hypergeometric(reach["session_start"], viewed)
    # Not part of the sample dataset: a small event of its own, so that a stopped tag can be shown.
    reach["newsletter_signup"] = random.binomial(sessions, NEWSLETTER_RATE)
    rows: list[dict[str, object]] = []
    for day in range(DAYS):
        for name, by_day in reach.items():
            count = int(by_day[day])
            if count == 0:
                continue
            if name == "purchase":
                events = int(purchases[day])
            else:
                events = count + random.poisson(count * (EVENTS_PER_SESSION.get(name, 1.0) - 1))
            users = max(1, random.binomial(count, users_per_session[day]))
            rows.append({"day": day, "event": name, "events": events, "sessions": count, "users": users})
    return rows


def default_channel(source: str, medium: str, campaign: str, categories: Mapping[str, str]) -> str:
    """Google's default channel group for manual traffic; first match wins, case does not matter.

    Source: https://support.google.com/analytics/answer/9756891
    """
    source, medium, campaign = source.lower(), medium.lower(), campaign.lower()
    category = categories.get(source, "").removeprefix("SOURCE_CATEGORY_")
    paid = re.fullmatch(PAID, medium) is not None
    shop = category == "SHOPPING" or re.fullmatch(SHOP_CAMPAIGN, campaign) is not None
    social = {"social", "social-network", "social-media", "sm", "social network", "social media"}
    mail = {"email", "e-mail", "e_mail", "e mail"}
    rules: list[tuple[str, bool]] = [
        ("Direct", source == "(direct)" and medium in {"(not set)", "(none)"}),
        ("Cross-network", "cross-network" in campaign),
        ("Paid Shopping", shop and paid),
        ("Paid Search", category == "SEARCH" and paid),
        ("Paid Social", category == "SOCIAL" and paid),
        ("Paid Video", category == "VIDEO" and paid),
        ("Display", medium in {"display", "banner", "expandable", "interstitial", "cpm"}),
        ("Paid Other", paid),
        ("Organic Shopping", shop),
        ("Organic Social", category == "SOCIAL" or medium in social),
        ("Organic Video", category == "VIDEO" or "video" in medium),
        ("Organic Search", category == "SEARCH" or medium == "organic"),
        ("Referral", medium in {"referral", "app", "link"}),
        ("Email", source in mail or medium in mail),
        ("Affiliates", medium == "affiliate"),
        ("Audio", medium == "audio"),
        ("SMS", "sms" in (source, medium)),
        (
            "Mobile Push Notifications",
            medium.endswith("push") or "mobile" in medium or "notification" in medium or source == "firebase",
        ),
    ]
    return next((name for name, matches in rules if matches), "Unassigned")


def page_path(raw: str) -> str:
    """The path GA4 would show. The aggregates cut the shop's own host off and leave other hosts whole."""
    raw = raw.strip()
    if raw == "":
        return "(not set)"
    if raw.startswith(("http://", "https://")):
        return urlsplit(raw).path or "/"
    return "/" + raw


def first_source(source: str, medium: str) -> tuple[str, str]:
    """The group of the weekly figures, which know neither the shop's own referrals nor deleted sources."""
    if medium == "referral":
        return "<Other>", "referral"
    if "(data deleted)" in (source, medium):
        return "<Other>", "<Other>"
    return source, medium


def aov_by_week(weekly: list[dict[str, str]]) -> dict[str, float]:
    """Average order value of each week in US dollars: its revenue over its purchases."""
    revenue: Counter[str] = Counter()
    purchases: Counter[str] = Counter()
    for row in weekly:
        revenue[row["week"]] += round(float(row["total_revenue"]))
        purchases[row["week"]] += int(row["purchases"])
    return {week: round(revenue[week] / purchases[week], 2) for week in purchases}


def reached(line: Mapping[str, str], share: str) -> int:
    """Sessions that reached a step: the published percentage of the published sessions."""
    return round(int(line["sessions_start_count"]) * float(line[share] or 0) / 100)


def spread(total: int, weights: Sequence[float]) -> list[int]:
    """Split `total` in proportion to `weights`; the largest remainders take what rounding leaves."""
    if not weights:
        return []
    whole = sum(weights)
    exact = [total * weight / whole for weight in weights]
    shares = [int(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda index: shares[index] - exact[index])
    for index in by_remainder[: total - sum(shares)]:
        shares[index] += 1
    return shares


def week_of(day: int) -> str:
    """The Sunday that opens the week of a sample day, as the weekly figures name it."""
    return (FIRST_DAY + timedelta(days=day - day % 7)).isoformat()


def parse_day(text: str) -> int:
    """The sample day of a date such as `Nov 01, 2020`."""
    return (datetime.strptime(text, "%b %d, %Y").date() - FIRST_DAY).days


def integers(values: Iterable[object]) -> Array:
    return np.array([int(str(value)) for value in values], dtype=np.int64)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(name: str, rows: Sequence[Mapping[str, object]]) -> None:
    with (OUTPUT / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
