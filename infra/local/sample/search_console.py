"""Searches of the sample's shop: 35 of them, by day and page, for the days that the rest of the sample is served.

What is real and what is not stands in README.md.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np

from infra.local.sample.incident import Planted
from infra.local.sample.sample import dates_served

SITE = "https://shop.googlemerchandisestore.com"
SITE_URL = f"{SITE}/"
"""The property, as Search Console names it."""
QUERIES = Path(__file__).with_name("queries.csv")
VISITS = Path(__file__).with_name("sources.csv")
USUAL_VISITS = 1211
"""From organic search, a day."""
BRAND = "google"
"""No other search than one for the brand has it."""

CLICKS = {
    1: 0.3,
    2: 0.158,
    3: 0.119,
    4: 0.059,
    5: 0.036,
    6: 0.0286,
    7: 0.0157,
    8: 0.0142,
    9: 0.0078,
    10: 0.0055,
    20: 0.002,
}
"""Share of impressions that are clicked at a place: 2 to 10 as published, the others assumed."""
BRAND_CLICKS = 0.45
UNREST = 0.3
"""Standard deviation of a day's position around its usual one."""

FALLS = {"mens logo t shirt": (10, 6.0), "youtube hoodie": (8, 2.4), "malibu sunglasses": (20, 2.2)}
"""Query -> for how many days it has stood so many places lower."""
DULL = {"laptop backpack": 0.12}
"""Query -> what is left of its clicks."""
GROWS = {"bear baby blanket": 0.22}
"""Query -> its growth a week, over the last eight."""
RIVAL = ("logo mug", "/Google+Redesign/Lifestyle/Drinkware")
"""Every fourth day this page stands above the other one of the same query."""

PLANTED = (
    Planted("kw_rank_drop", "keyword", "mens logo t shirt", "The page has left the search index, others rank for it."),
    Planted("kw_lost_top3", "keyword", "youtube hoodie", "Two shops have moved past the product page."),
    Planted("kw_ctr_below_curve", "keyword", "laptop backpack", "The title is cut off: nearly nobody clicks it."),
    Planted("kw_cannibalisation", "keyword_page", " | ".join(RIVAL), "Two lists take turns for the same search."),
    Planted("kw_rising_demand", "keyword", "bear baby blanket", "A film has made the bear famous."),
)


@dataclass(frozen=True)
class Row:
    """What one page was shown and clicked for one search on one day."""

    date: str
    query: str
    page: str
    clicks: int
    impressions: int
    position: float


@cache
def rows(today: date) -> tuple[Row, ...]:
    """All rows as they are served on `today`, in order of day; a search that was not made that day has none."""
    weights = _weights(today)
    return tuple(row for day in sorted(weights) for row in _day(day, (today - day).days - 1, weights[day]))


def _day(day: date, ago: int, weight: float) -> Iterator[Row]:
    for line in queries():
        query, path = line["query"], line["path"]
        # Of the day, not of its distance from today: what was served of a day stays so, incidents aside.
        random = np.random.default_rng([crc32(f"{query}{path}".encode()), day.toordinal()])
        position, a_day = float(line["position"]), float(line["a_day"]) * weight
        unrest = float(random.normal(0, UNREST))
        days, places = FALLS.get(query, (0, 0.0))
        if ago < days:
            position, a_day = position + places, a_day * 0.5
        if (query, path) == RIVAL and day.toordinal() % 4 == 0:
            position -= 2.0
        a_day *= (1 + GROWS.get(query, 0.0)) ** max(0, 8 - ago // 7)
        position = max(1.0, position + (0.1 * abs(unrest) if BRAND in query else unrest))
        impressions = int(random.poisson(a_day))
        if impressions:
            clicks = int(random.binomial(impressions, _clicked(query, position)))
            yield Row(day.isoformat(), query, SITE + path, clicks, impressions, round(position, 4))


def _clicked(query: str, position: float) -> float:
    if BRAND in query:
        return BRAND_CLICKS
    return float(np.interp(position, list(CLICKS), list(CLICKS.values()))) * DULL.get(query, 1.0)


def _weights(today: date) -> dict[date, float]:
    """Days that are served -> how many visits from search they had, as a multiple of the usual."""
    dates = dates_served(today)
    with VISITS.open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if (line["source"], line["medium"]) == ("google", "organic")]
    served = ((dates.get(int(line["day"])), int(line["sessions"])) for line in lines)
    return {day: sessions / USUAL_VISITS for day, sessions in served if day is not None}


@cache
def queries() -> tuple[dict[str, str], ...]:
    """The searches, each with its page, its usual position, and how often it is made a day."""
    with QUERIES.open(newline="", encoding="utf-8") as file:
        return tuple(csv.DictReader(file))
