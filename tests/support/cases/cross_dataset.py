"""Two sources on the same thing: Ads and GA4, GA4 and Stripe, rankings and sales, mails and visits."""

from collections.abc import Iterator

from tests.support.detector_cases import DAYS, Metrics, changed, ramp, steady
from tests.support.detectors import Row, series

FOUND = {
    ("x_ads_conv_vs_ga4", "campaign", "gap", "level"),
    ("x_ga4_revenue_vs_stripe", "property", "properties/1", "level"),
    ("x_paid_lp_slow_leads", "campaign", "slow", "level"),
    ("x_keyword_rank_to_revenue", "keyword_page", "red shoes /guide", "level"),
    ("x_email_to_site_dropoff", "email_campaign", "untagged", "level"),
    ("x_email_to_site_dropoff", "email_campaign", "boring", "level"),
    ("x_organic_keyword_for_ads", "keyword", "blue shoes", "level"),
    ("x_ltv_by_channel_reallocate", "channel", "Display", "level"),
    ("x_content_to_pipeline", "content", "guide", "level"),
}
SENT = 10
"""Days since the mails were sent."""


def _campaign(clicks: int, sessions: int, ads_conversions: float, conversions: float) -> Row:
    return {
        "cost": float(clicks),
        "clicks": clicks,
        "sessions": sessions,
        "engaged_sessions": sessions // 2,
        "conversions": conversions,
        "attributes": {"ads_conversions": ads_conversions},
    }


def _site() -> Iterator[Row]:
    """What nothing happens to: a campaign, organic search, visits from mails, search terms."""
    yield from series("campaign", "brand", DAYS, steady(**_campaign(1_000, 900, 50.0, 48.0)))
    yield from _channel("Organic Search", steady(sessions=5_000, conversions=150.0, revenue=7_500.0))
    mails = steady(sessions=500, engaged_sessions=300, conversions=20.0, revenue=1_000.0)
    yield from _channel("Email", mails)
    yield from series("search_term", "shoes", DAYS, steady(cost=100.0, clicks=100, impressions=2_000))
    yield from series("content", "news", DAYS, steady(sessions=1_000, attributes=_credit(10, 2.0)))


def _property(revenue: float, charges: int) -> Metrics:
    return steady(
        sessions=20_000,
        conversions=200.0,
        revenue=revenue,
        charges=charges,
        charge_amount=10_500.0,
        refund_amount=500.0,
    )


def _channel(name: str, metrics: Metrics) -> Iterator[Row]:
    yield from series("channel", name, DAYS, metrics)


def _paid(cost: float, customers: float, ltv: float, retention: float) -> Row:
    return {
        "sessions": 200,
        "conversions": 4.0,
        "revenue": 200.0,
        "cost": cost,
        "attributes": {"new_customers": customers, "ltv_12m": ltv, "m3_retention": retention},
    }


def _credit(journeys: float, conversions: float) -> Row:
    return {"journeys": journeys, "linear_conversions": conversions, "linear_value": 50.0 * conversions}


def _organic(sessions: float, conversions: float) -> Row:
    return {"attributes": {"organic_sessions": sessions, "organic_conversions": conversions}}


def _ranked(position: float, clicks: int) -> Row:
    labels = {"page": "/guide", "keyword": "red shoes"}
    return {"position": position, "impressions": 100, "clicks": clicks, "attributes": labels}


def _keyword(clicks: int, conversions: float, shown: float) -> Row:
    return {
        "position": 6.0,
        "impressions": 50,
        "clicks": clicks,
        "search_volume": 2_000,
        "attributes": {"organic_conversions": conversions, "ads_impressions": shown},
    }


def _mail(name: str, clicks: int, sessions: int, engaged: int) -> Iterator[Row]:
    """A mail and the visits of three days that its links brought."""
    sent = {"clicks_email": clicks, "attributes": {"utm_campaign": f"mail-{name}"}}
    visits = {"sessions": sessions, "engaged_sessions": engaged, "conversions": 0.0, "revenue": 0.0}
    yield from series("email_campaign", name, DAYS, lambda ago: sent if ago == SENT else None)
    yield from series("campaign", f"mail-{name}", DAYS, lambda ago: visits if SENT - 3 < ago <= SENT else None)


def _channels(customers: Metrics) -> Iterator[Row]:
    """Four channels; Display has the cheapest customers, and the poorest."""
    yield from _channel("Display", customers)
    yield from _channel("Paid Social", steady(**_paid(100.0, 2.0, 300.0, 0.5)))
    yield from _channel("Paid Search", steady(**_paid(120.0, 2.0, 400.0, 0.6)))
    yield from _channel("Affiliates", steady(**_paid(140.0, 2.0, 500.0, 0.6)))


def found() -> Iterator[Row]:
    """One entity for each detector that it finds, and others that are as they should be."""
    yield from _site()
    yield from series("property", "properties/1", DAYS, _property(8_000.0, 100))
    moved = changed(_campaign(100, 90, 10.0, 9.0), _campaign(100, 90, 10.0, 4.0), days=28)
    yield from series("campaign", "gap", DAYS, moved)
    yield from series("campaign", "slow", DAYS, steady(**_campaign(100, 50, 5.0, 5.0)))
    yield from series("campaign", "named otherwise", DAYS, steady(**_campaign(100, 0, 5.0, 5.0)))
    yield from series("page", "/guide", DAYS, changed(_organic(50, 2.0), _organic(100, 2.0), days=28))
    yield from series("keyword_page", "red shoes /guide", DAYS, changed(_ranked(9.0, 3), _ranked(4.0, 20), days=28))
    yield from series("keyword_page", "red shoe /guide", DAYS, changed(_ranked(9.0, 2), _ranked(4.0, 10), days=28))
    yield from _mail("untagged", 300, 20, 12)
    yield from _mail("boring", 300, 90, 10)
    for number in range(4):
        yield from _mail(f"good {number}", 300, 90, 54)
    yield from series("keyword", "blue shoes", DAYS, steady(**_keyword(10, 0.5, 0.0)))
    yield from series("keyword", "green shoes", DAYS, steady(**_keyword(10, 0.5, 30.0)))
    yield from _channels(steady(**_paid(80.0, 2.0, 100.0, 0.2)))
    yield from series("content", "guide", DAYS, steady(sessions=50, attributes=_credit(5, 1.0)))


def edge(more: int) -> Iterator[Row]:
    """The same effects, one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    yield from _site()
    # 50 charges, 30 conversions, 300 clicks in 28 days.
    charged, counted, clicked = ramp(49 + more, 28), ramp(29 + more, 28), ramp(299 + more, 28)
    yield from series(
        "property", "properties/1", DAYS, lambda ago: {**(_property(8_000.0, 1)(ago) or {}), "charges": charged(ago)}
    )
    yield from series(
        "campaign",
        "gap",
        DAYS,
        lambda ago: _campaign(100, 90, float(counted(ago)), 0.1 if ago < 28 else float(counted(ago))),
    )
    yield from series("campaign", "slow", DAYS, lambda ago: _campaign(clicked(ago), clicked(ago) // 2, 5.0, 5.0))
    # 150 more sessions than in the 28 days before.
    before, gained = ramp(400, 28), ramp(549 + more, 28)
    yield from series(
        "page", "/guide", DAYS, lambda ago: _organic(gained(ago), 0.0) if ago < 28 else _organic(before(ago), 2.0)
    )
    yield from series("keyword_page", "red shoes /guide", DAYS, changed(_ranked(9.0, 3), _ranked(4.0, 20), days=28))
    # 100 clicks of a mail; of a keyword in 90 days.
    yield from _mail("untagged", 99 + more, 2, 1)
    few = ramp(99 + more, 90)
    yield from series("keyword", "blue shoes", DAYS, lambda ago: _keyword(few(ago), 0.5, 0.0))
    # 30 new customers, 50 journeys in 90 days.
    won, read = ramp(29 + more, 90), ramp(49 + more, 90)
    yield from _channels(lambda ago: _paid(12.0, won(ago), 100.0, 0.2))
    yield from series("content", "guide", DAYS, lambda ago: {"sessions": 50, "attributes": _credit(read(ago), 1.0)})
