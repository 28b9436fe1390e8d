"""Campaigns: what Google Ads costs and brings, budgets, impression share."""

from collections.abc import Iterator

from tests.support.detector_cases import DAYS, Metrics, changed, ramp, steady
from tests.support.detectors import Row, series

TENANT = {"target_cpa": 20.0, "target_roas": 3.0}
FOUND = {
    ("campaign_roas_drop", "campaign", "roas", "down"),
    ("campaign_cpa_spike", "campaign", "cpa", "up"),
    ("campaign_zero_conversions", "campaign", "zero", "level"),
    ("campaign_budget_limited_profitable", "campaign", "limited", "level"),
    ("campaign_budget_shift", "campaign", "weak", "level"),
    ("campaign_ctr_decline", "campaign", "tired", "down"),
    ("campaign_cpc_inflation", "campaign", "dear", "up"),
    ("campaign_pacing_over", "campaign", "over", "up"),
    ("campaign_pacing_under", "campaign", "under", "down"),
    ("campaign_conversions_stopped", "campaign", "stopped", "down"),
    ("campaign_rank_lost_is", "campaign", "ranked", "level"),
}


def ads(
    conversions: float, value: float, cost: float = 100.0, clicks: int = 100, impressions: int = 2_000, **more: float
) -> Row:
    """A campaign's day as Google Ads tells it; GA4 is not connected."""
    return {
        "cost": cost,
        "clicks": clicks,
        "impressions": impressions,
        "attributes": {"ads_conversions": conversions, "ads_value": value, **more},
    }


def _campaign(name: str, metrics: Metrics) -> Iterator[Row]:
    yield from series("campaign", name, DAYS, metrics)


def _account() -> Iterator[Row]:
    """The campaign that is most of the account: a conversion costs 20 and brings 80."""
    yield from _campaign("brand", steady(**ads(50.0, 4_000.0, cost=1_000.0, clicks=1_000, impressions=20_000)))


def found() -> Iterator[Row]:
    """One campaign for each detector that it finds."""
    yield from _account()
    yield from _campaign("roas", changed(ads(5.0, 400.0), ads(5.0, 200.0), days=14))
    yield from _campaign("cpa", changed(ads(5.0, 400.0), ads(2.0, 400.0)))
    yield from _campaign("zero", steady(**ads(0.0, 0.0)))
    yield from _campaign("limited", steady(**ads(5.0, 400.0, daily_budget=100.0, lost_is_budget=0.3)))
    yield from _campaign("weak", steady(**ads(15.0, 600.0, cost=400.0, clicks=400)))
    yield from _campaign("tired", changed(ads(5.0, 400.0), ads(3.0, 240.0, cost=60.0, clicks=60), days=28))
    yield from _campaign("dear", changed(ads(5.0, 400.0), ads(5.0, 400.0, cost=130.0), days=28))
    yield from _campaign("over", steady(**ads(5.0, 400.0, monthly_budget=1_000.0)))
    yield from _campaign("under", steady(**ads(5.0, 400.0, monthly_budget=10_000.0)))
    yield from _campaign("stopped", changed(ads(2.0, 160.0, 40.0, 40), ads(0.0, 0.0, 40.0, 40), days=3))
    yield from _campaign("ranked", steady(**ads(5.0, 400.0, lost_is_rank=0.5)))


def edge(more: int) -> Iterator[Row]:
    """The same effects, one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    yield from _account()
    # Twenty times the target CPA, 400, in 14 days.
    cost = ramp(399 + more, 14)
    yield from _campaign("roas", lambda ago: ads(1.0, 10.0 if ago < 14 else 40.0, cost=float(cost(ago))))
    # 25 conversions expected in 7 days: 100 in the 28 before.
    base = ramp(99 + more, 28)
    yield from _campaign("cpa", lambda ago: ads(0.2, 400.0) if ago < 7 else ads(float(base(ago - 7)), 400.0))
    # 100 clicks in 30 days.
    clicks = ramp(99 + more, 30)
    yield from _campaign("zero", lambda ago: ads(0.0, 0.0, clicks=clicks(ago)))
    # 20 conversions in 28 days; of the weakest campaign in 30, while another can take its budget.
    few = ramp(19 + more, 28)
    yield from _campaign("limited", lambda ago: ads(float(few(ago)), 400.0, daily_budget=100.0, lost_is_budget=0.3))
    least = ramp(19 + more, 30)
    yield from _campaign("best", steady(**ads(5.0, 400.0, lost_is_budget=0.3)))
    yield from _campaign("weak", lambda ago: ads(float(least(ago)), 600.0, cost=400.0))
    # 5,000 impressions, 500 clicks in 28 days.
    shown = ramp(4_999 + more, 28)
    yield from _campaign(
        "tired", lambda ago: ads(5.0, 400.0, clicks=5, impressions=shown(ago)) if ago < 28 else ads(5.0, 400.0)
    )
    clicked = ramp(499 + more, 28)
    yield from _campaign(
        "dear", lambda ago: ads(0.5, 200.0, cost=50.0, clicks=clicked(ago)) if ago < 28 else ads(1.0, 80.0, 20.0, 20)
    )
    # A budget of 100; 10 conversions since the first, 18 days ago.
    yield from _campaign("over", steady(**ads(0.5, 40.0, cost=10.0, clicks=10, monthly_budget=99.0 + more)))
    buyers = ramp(9 + more, 18)
    yield from _campaign("under", lambda ago: ads(float(buyers(ago)), 400.0, monthly_budget=10_000.0))
    # 6 conversions expected in 3 days.
    daily = 1.99 + more * 0.01
    yield from _campaign("stopped", lambda ago: ads(0.0 if ago < 3 else daily, 0.0 if ago < 3 else 160.0, 40.0, 40))
    # 2,000 impressions in 28 days.
    seen = ramp(1_999 + more, 28)
    yield from _campaign("ranked", lambda ago: ads(5.0, 400.0, impressions=seen(ago), lost_is_rank=0.5))
