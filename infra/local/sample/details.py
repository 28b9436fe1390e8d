"""The finer reports: parts of the rows that the files hold, drawn from them when the sample is loaded.

A part's counts are drawn without replacement, so that parts and the rest add up to the row; each row has a seed of its
own, so that the same row is split alike whatever day it is. The shares are assumed: README.md lists them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from zlib import crc32

import numpy as np

from infra.local.sample.incident import Planted

Row = dict[str, object]
Tables = dict[str, list[Row]]

DETAIL_DAYS = 35
FEW_SESSIONS = 3
"""How far back the finest reports go, and how small their rows are: as far and as small as Scout asks for them."""
SEED = 2020
GOOGLE_STORE = "/Google+Redesign/Shop+by+Brand/Google"
YOUTUBE = "/Google+Redesign/Shop+by+Brand/YouTube"
DINO = "/Google+Redesign/Apparel/Google+Dino+Game+Tee"
BAGS = "/Google+Redesign/Lifestyle/Bags"
STATIONERY = "/Google+Redesign/Stationery"

COUNTRIES = {
    "United States": 0.440,
    "India": 0.095,
    "Canada": 0.075,
    "United Kingdom": 0.031,
    "Singapore": 0.008,
}
"""All others are the row `(other)`, as the Data API folds them."""
ORGANIC_AND_PAID = {
    "/": (0.30, 0.075),
    "/Google+Redesign/Apparel": (0.34, 0.0),
    YOUTUBE: (0.55, 0.0),
    DINO: (0.25, 0.32),
    GOOGLE_STORE: (0.35, 0.15),
    "/Google+Redesign/Apparel/Mens": (0.0, 0.55),
    "/Google+Redesign/Lifestyle/Drinkware": (0.0, 0.50),
    "/Google+Redesign/Clearance": (0.0, 0.70),
}
"""Of a landing page's sessions: from organic search, and from ads in it, about as many as Google Ads counts clicks."""
DECAY = 0.20
"""What is left of organic search's part at the end, where it decays."""
DIRECT = 0.6
"""Of a landing page's sessions that search did not bring: those that came directly."""
DEVICES = {
    "session_start": (205_899, 141_079, 7_879),
    "view_item": (44_819, 30_501, 1_700),
    "add_to_cart": (8_790, 6_077, 321),
    "begin_checkout": (6_392, 4_474, 240),
    "purchase": (2_749, 1_995, 104),
}
"""Published: sessions with the event over the three months on desktop, mobile, tablet."""
SCROLLED = {
    "/": 0.34,
    "/Google+Redesign/Apparel": 0.31,
    GOOGLE_STORE: 0.29,
    BAGS: 0.08,
}
"""Of a page's views: those that reached 90% of it."""
SECONDS_PER_SESSION = {"desktop": 118, "mobile": 74, "tablet": 88}
SECONDS_PER_VIEW = 23
SECONDS_PER_VIEW_OF = {BAGS: 8}
SECONDS_PER_VISIT = 92
ERROR_DAYS, REPEATED_DAYS = 8, 21


@dataclass(frozen=True)
class Change:
    """What is planted into a derived report: `factor` multiplies metrics of its rows in the last `days` days."""

    report: str
    where: Mapping[str, str]
    factors: Mapping[str, float]
    days: int


CHANGES = (
    Change("ga_countries", {"country": "United Kingdom"}, {"keyEvents": 6, "ecommercePurchases": 6}, 31),
    Change("ga_countries", {"country": "Singapore"}, {"sessions": 9, "screenPageViews": 3.2, "totalUsers": 9}, 10),
    Change(
        "ga_landing_page_sources", {"landingPage": "/", "sessionMedium": "organic"}, {"keyEvents": 0.1}, DETAIL_DAYS
    ),
    Change(
        "ga_landing_page_channels",
        {"landingPage": "/", "sessionDefaultChannelGroup": "Organic Search"},
        {"keyEvents": 0.1},
        DETAIL_DAYS,
    ),
    Change(
        "ga_funnel_event_devices",
        {"eventName": "purchase", "deviceCategory": "mobile"},
        {"sessions": 0.25, "eventCount": 0.25},
        31,
    ),
)
PLANTED = (
    Planted("revenue_geo_surge", "country", "United Kingdom", "A British magazine has written about the shop."),
    Planted("dq_bot_traffic", "country", "Singapore", "A crawler opens the site from a data centre."),
    Planted("lp_organic_entrance_decay", "landing_page", YOUTUBE, "The page loses its rankings week by week."),
    Planted(
        "lp_source_mismatch", "landing_page_source", "/|google / organic", "The page is not what the search promises."
    ),
    Planted("lp_404_entrances", "landing_page", STATIONERY, "The page was moved without a redirect."),
    Planted("lp_paid_low_cvr", "landing_page", DINO, "Nobody buys the tee that the ads lead to: that is real."),
    Planted("page_scroll_depth_low", "page", BAGS, "A picture fills the first screen."),
    Planted(
        "funnel_device_leak", "funnel_step_device", "purchase / mobile", "The checkout is broken on small screens."
    ),
    Planted("dq_duplicate_transactions", "property", "properties/213025502", "A reload of the thanks counts again."),
)


def add_details(tables: Tables, last_day: date) -> None:
    """Add the finer reports, and the time of engagement, to rows whose incidents are planted already."""
    recent = last_day - timedelta(days=DETAIL_DAYS - 1)
    landings = tables["ga_landing_pages"]
    tables["ga_countries"] = [part for row in tables["ga_property_totals"] for part in _countries(row)]
    tables["ga_landing_page_channels"] = [part for row in landings for part in _channels(row, last_day)]
    late = [row for row in landings if _day(row) >= recent]
    tables["ga_landing_page_sources"] = [part for row in late for part in _sources(row, last_day)]
    tables["ga_landing_page_devices"] = [part for row in late for part in _devices(row)]
    tables["ga_error_pages"] = [_error(row) for row in late if _is_error(row, last_day)]
    events = [row for row in tables["ga_funnel_events"] if _day(row) >= recent]
    tables["ga_funnel_event_devices"] = [part for row in events for part in _event_devices(row)]
    views = [row for row in tables["ga_page_performance"] if _day(row) >= recent]
    tables["ga_page_scrolls"] = [_scrolls(row) for row in views if row["pagePath"] in SCROLLED]
    totals = [row for row in tables["ga_property_totals"] if _day(row) > last_day - timedelta(days=REPEATED_DAYS)]
    tables["ga_repeated_transactions"] = [each for row in totals for each in _repeated(row)]
    _engage(tables)
    for change in CHANGES:
        _plant(change, tables[change.report], last_day)
        tables[change.report] = [row for row in tables[change.report] if row["sessions"]]
    for row in tables["ga_property_totals"]:
        row["ecommercePurchases"] = row["keyEvents"]


def _countries(row: Row) -> Iterator[Row]:
    shares = {**COUNTRIES, "(other)": 1 - sum(COUNTRIES.values())}
    for country, part in _split(row, "country", shares, ("keyEvents", "engagedSessions", "totalUsers")).items():
        yield {"country": country, **part, "ecommercePurchases": part["keyEvents"]}


def _searched(row: Row, last_day: date) -> dict[str, Row]:
    """A landing page's sessions by channel, and the rest."""
    organic, paid = ORGANIC_AND_PAID[str(row["landingPage"])]
    if row["landingPage"] == YOUTUBE:
        organic *= 1 - (1 - DECAY) * max(0.0, 1 - (last_day - _day(row)).days / 91)
    others = 1 - organic - paid
    shares = {"organic": organic, "cpc": paid, "(none)": DIRECT * others, "": (1 - DIRECT) * others}
    return _split(row, "source", shares, ("keyEvents", "engagedSessions", "totalUsers"))


def _channels(row: Row, last_day: date) -> Iterator[Row]:
    if row["landingPage"] in ORGANIC_AND_PAID:
        parts = _searched(row, last_day)
        for medium, group in (("organic", "Organic Search"), ("cpc", "Paid Search")):
            if medium in parts:
                yield {**parts[medium], "sessionDefaultChannelGroup": group}


def _sources(row: Row, last_day: date) -> Iterator[Row]:
    if row["landingPage"] in ("/", GOOGLE_STORE):
        parts = _searched(row, last_day)
        for source, medium in (("google", "organic"), ("google", "cpc"), ("(direct)", "(none)")):
            if _is_seen(parts.get(medium)):
                yield {**parts[medium], "sessionSource": source, "sessionMedium": medium}


def _devices(row: Row) -> Iterator[Row]:
    if row["landingPage"] in ("/", GOOGLE_STORE):
        starts = dict(zip(SECONDS_PER_SESSION, DEVICES["session_start"], strict=True))
        for device, part in _split(row, "device", starts, ("keyEvents", "engagedSessions", "totalUsers")).items():
            if _is_seen(part):
                yield {**part, "deviceCategory": device}


def _event_devices(row: Row) -> Iterator[Row]:
    counts = DEVICES.get(str(row["eventName"]))
    if counts is not None:
        shares = dict(zip(SECONDS_PER_SESSION, counts, strict=True))
        for device, part in _split(row, "device", shares, ()).items():
            yield {**part, "deviceCategory": device}


def _is_seen(part: Row | None) -> bool:
    """Pairs of fewer sessions a day are left out, as Scout does not ask for them."""
    return part is not None and _int(part["sessions"]) >= FEW_SESSIONS


def _scrolls(row: Row) -> Row:
    count = _random(row, "scroll").binomial(_int(row["screenPageViews"]), SCROLLED[str(row["pagePath"])])
    return {"date": row["date"], "pagePath": row["pagePath"], "eventName": "scroll", "eventCount": int(count)}


def _is_error(row: Row, last_day: date) -> bool:
    return row["landingPage"] == STATIONERY and _day(row) > last_day - timedelta(days=ERROR_DAYS)


def _error(row: Row) -> Row:
    views = {"pagePath": row["landingPage"], "screenPageViews": row["screenPageViews"]}
    return {"date": row["date"], "pageTitle": "404 - Page not found", **views}


def _repeated(row: Row) -> Iterator[Row]:
    """One in twenty of the day's purchases, and one at least, was counted once more."""
    orders, aov = _int(row["keyEvents"]), float(str(row["_aov"]))
    for number in range(min(orders, 1 + orders // 20)):
        name = f"{crc32(_key(row, 'order').encode()) % 900_000 + 100_000}-{number}"
        twice = {"ecommercePurchases": 2, "purchaseRevenue": round(2 * aov, 2)}
        yield {"date": row["date"], "transactionId": name, **twice}


def _split(row: Row, name: str, shares: Mapping[str, float], marked: Iterable[str]) -> dict[str, Row]:
    """Parts of a row that had sessions: these by the shares, the marked ones of them, views and events by sessions."""
    random = _random(row, name)
    weights = np.array(list(shares.values()), dtype=float)
    sessions = random.multinomial(_int(row["sessions"]), weights / weights.sum())
    counts = {"sessions": sessions}
    for metric in marked:
        counts[metric] = random.multivariate_hypergeometric(sessions, min(_int(row[metric]), int(sessions.sum())))
    for metric in ("screenPageViews", "eventCount"):
        if metric in row and sessions.sum():
            more = max(0, _int(row[metric]) - int(sessions.sum()))
            counts[metric] = sessions + random.multinomial(more, sessions / sessions.sum())
    return {
        share: {**row, **{metric: int(values[index]) for metric, values in counts.items()}}
        for index, share in enumerate(shares)
        if sessions[index]
    }


def _engage(tables: Tables) -> None:
    """Seconds of engagement: so many for each session or view, of each row a little more or less."""
    for name, metric, usual in (
        ("ga_device_metrics", "sessions", None),
        ("ga_page_performance", "screenPageViews", None),
        ("ga_landing_pages", "sessions", SECONDS_PER_VISIT),
        ("ga_countries", "sessions", SECONDS_PER_VISIT),
    ):
        for row in tables[name]:
            seconds = usual or SECONDS_PER_SESSION.get(
                str(row.get("deviceCategory")), SECONDS_PER_VIEW_OF.get(str(row.get("pagePath")), SECONDS_PER_VIEW)
            )
            noise = 0.85 + 0.3 * crc32(_key(row, name).encode()) / 2**32
            row["userEngagementDuration"] = round(_int(row[metric]) * seconds * noise)


def _plant(change: Change, rows: list[Row], last_day: date) -> None:
    """Multiply; rounding carries its remainder to the next row, so that small counts change by the whole factor too."""
    carried = dict.fromkeys(change.factors, 0.0)
    for row in rows:
        if _day(row) <= last_day - timedelta(days=change.days) or any(row[k] != v for k, v in change.where.items()):
            continue
        for metric, factor in change.factors.items():
            wanted = carried[metric] + _int(row[metric]) * factor
            row[metric] = max(0, round(wanted))
            carried[metric] = wanted - max(0, round(wanted))


def _random(row: Row, name: str) -> np.random.Generator:
    return np.random.default_rng([SEED, crc32(_key(row, name).encode())])


def _key(row: Row, name: str) -> str:
    told = (row.get(each) for each in ("landingPage", "pagePath", "eventName", "deviceCategory", "browser", "country"))
    return "|".join((name, str(row["_day"]), *(str(each) for each in told if each is not None)))


def _day(row: Row) -> date:
    day = row["date"]
    assert isinstance(day, date)
    return day


def _int(value: object) -> int:
    return int(str(value))
