"""Ad groups and search terms, beside their campaign and their account."""

from collections.abc import Iterator

from tests.support.detector_cases import DAYS, Metrics, ramp, steady
from tests.support.detectors import Row, series

FOUND = {
    ("adgroup_zero_conv_waste", "ad_group", "waste", "level"),
    ("adgroup_cpa_outlier", "ad_group", "outlier", "level"),
    ("adgroup_star_isolated", "ad_group", "star", "level"),
    ("adgroup_ctr_low", "ad_group", "dull", "level"),
    ("adgroup_search_term_negative", "search_term", "free shoes", "level"),
    ("adgroup_search_term_harvest", "search_term", "red shoes", "level"),
}
OF_CAMPAIGN = {"campaign": "shoes"}
OF_GROUP = {"campaign": "shoes", "ad_group": "plain"}


def _day(labels: dict[str, str], clicks: int, conversions: float, cost: float, impressions: int | None = None) -> Row:
    """A day as Google Ads tells it: a conversion is worth 80, 20 impressions bring a click."""
    return {
        "cost": cost,
        "clicks": clicks,
        "impressions": 20 * clicks if impressions is None else impressions,
        "attributes": {**labels, "ads_conversions": conversions, "ads_value": 80.0 * conversions},
    }


def _group(name: str, metrics: Metrics) -> Iterator[Row]:
    yield from series("ad_group", name, DAYS, metrics)


def _term(name: str, status: str, clicks: int, conversions: float, cost: float) -> Iterator[Row]:
    labels = {**OF_GROUP, "term_status": status}
    yield from series("search_term", name, DAYS, steady(**_day(labels, clicks, conversions, cost)))


def _account() -> Iterator[Row]:
    """A campaign in which a conversion costs 20, and its largest ad group, which is like it."""
    yield from series("campaign", "shoes", DAYS, steady(**_day({}, 1_000, 50.0, 1_000.0)))
    yield from _group("plain", steady(**_day(OF_CAMPAIGN, 700, 35.0, 700.0)))


def found() -> Iterator[Row]:
    """One ad group or search term for each detector that it finds; terms that are dealt with are none."""
    yield from _account()
    yield from _group("waste", steady(**_day(OF_CAMPAIGN, 10, 0.0, 10.0)))
    yield from _group("outlier", steady(**_day(OF_CAMPAIGN, 20, 0.4, 20.0)))
    yield from _group("star", steady(**_day(OF_CAMPAIGN, 50, 10.0, 50.0)))
    yield from _group("dull", steady(**_day(OF_CAMPAIGN, 10, 0.5, 10.0, impressions=1_000)))
    yield from _term("free shoes", "ADDED", 2, 0.0, 2.0)
    yield from _term("torn shoes", "EXCLUDED", 2, 0.0, 2.0)
    yield from _term("red shoes", "NONE", 2, 0.5, 2.0)
    yield from _term("blue shoes", "ADDED", 2, 0.5, 2.0)


def edge(more: int) -> Iterator[Row]:
    """The same effects, one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    yield from _account()
    # 60 clicks in 30 days, in a campaign of which every fifth click converts.
    clicks = ramp(59 + more, 30)
    yield from series("campaign", "boots", DAYS, steady(**_day({}, 100, 20.0, 100.0)))
    yield from _group("waste", lambda ago: _day({"campaign": "boots"}, clicks(ago), 0.0, 10.0))
    # 150 clicks; 15 conversions.
    clicked = ramp(149 + more, 30)
    yield from _group("outlier", lambda ago: _day(OF_CAMPAIGN, clicked(ago), 0.2, 20.0))
    buyers = ramp(14 + more, 30)
    yield from _group("star", lambda ago: _day(OF_CAMPAIGN, 5, float(buyers(ago)), 2.0))
    # 2,000 impressions in 28 days.
    shown = ramp(1_999 + more, 28)
    yield from _group("dull", lambda ago: _day(OF_CAMPAIGN, 0, 0.0, 0.0, impressions=shown(ago)))
    # 30 and 20 clicks in 90 days, in an ad group of which every fifth click converts.
    yield from _group("sale", steady(**_day(OF_CAMPAIGN, 100, 20.0, 200.0)))
    labels = {"campaign": "shoes", "ad_group": "sale", "term_status": "NONE"}
    few, bought = ramp(29 + more, 90), ramp(19 + more, 90)
    yield from series("search_term", "free shoes", DAYS, lambda ago: _day(labels, few(ago), 0.0, 1.0))
    yield from series("search_term", "red shoes", DAYS, lambda ago: _day(labels, bought(ago), 0.1, 0.5))
