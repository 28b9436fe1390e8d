"""Rows that each detector finds, and rows that lie just below one of its guards; sizes are per day."""

from collections.abc import Callable, Iterator

from tests.support.detectors import Row, series

DAYS = 91
Metrics = Callable[[int], Row | None]


def steady(**metrics: float) -> Metrics:
    """The same every day."""
    return lambda ago: dict(metrics)


def changed(before: Row, after: Row, days: int = 7) -> Metrics:
    """One figure up to `days` days before the end, another since."""
    return lambda ago: dict(after if ago < days else before)


def _traffic(sessions: float, conversions: float, engaged: float | None = None, aov: float = 50.0) -> Row:
    return {
        "sessions": sessions,
        "conversions": conversions,
        "engaged_sessions": sessions * 0.6 if engaged is None else engaged,
        "revenue": conversions * aov,
    }


def site() -> Iterator[Row]:
    """What a site has besides: its totals, and entities on which nothing happens."""
    yield from series("property", "properties/1", DAYS, steady(**_traffic(20_000, 400)))
    for number in range(8):
        yield from series("page", f"/shop/{number}", DAYS, steady(**_traffic(100, 5)))
    yield from series("source_medium", "google / organic", DAYS, steady(**_traffic(5_000, 100)))
    yield from series("channel", "Organic Search", DAYS, steady(**_traffic(5_000, 100)))
    yield from series("event", "page_view", DAYS, steady_attribute("event_count", 9_000))
    yield from series("funnel_step", "purchase", DAYS, steady(sessions=300, conversions=200.0))
    yield from series("source_table", "ga_page_performance", DAYS, steady_attribute("row_count", 100))


def steady_attribute(name: str, value: float) -> Metrics:
    """A metric that is a key of `attributes`."""
    return lambda ago: {"attributes": {name: value}}


def _gone(name: str, value: float, days: range) -> Metrics:
    return lambda ago: None if ago in days else {"attributes": {name: value}}


def found() -> Iterator[Row]:
    """One entity for each detector that it finds."""
    yield from site()
    yield from series("page", "/shop/cvr", DAYS, changed(_traffic(100, 5), _traffic(100, 1)))
    yield from series("page", "/shop/traffic", DAYS, changed(_traffic(100, 5), _traffic(30, 1.5)))
    yield from series("page", "/shop/engagement", DAYS, changed(_traffic(100, 5), _traffic(100, 5, engaged=30)))
    yield from series("page", "/shop/heavy", DAYS, steady(**_traffic(1_000, 5)))
    yield from series("landing_page", "/", DAYS, steady(sessions=900))
    yield from series("landing_page", "(not set)", DAYS, steady(sessions=60))
    yield from series("landing_page", "", DAYS, steady(sessions=40))
    yield from series("device", "mobile", DAYS, changed(_traffic(1_000, 25), _traffic(1_000, 8), days=28))
    yield from series("device", "desktop", DAYS, steady(**_traffic(1_000, 40)))
    yield from series("source_medium", "news / referral", DAYS, changed(_traffic(100, 2), _traffic(30, 0.6)))
    yield from series("source_medium", "spam / referral", DAYS, changed(_traffic(20, 0), _traffic(200, 0, engaged=10)))
    yield from series("channel", "Email", DAYS, changed(_traffic(200, 10), _traffic(100, 4)))
    worse = changed({"sessions": 1_000, "conversions": 400.0}, {"sessions": 1_000, "conversions": 250.0})
    yield from series("funnel_step", "view_item", DAYS, worse)
    yield from series("source_table", "ga_other_report", DAYS, _gone("row_count", 40, range(4, 5)))
    yield from series("event", "newsletter_signup", DAYS, _gone("event_count", 50, range(0, 2)))


FOUND = {
    ("channel_revenue_drop", "channel", "Email", "down"),
    ("device_cvr_gap", "device", "mobile", "down"),
    ("dq_missing_day", "source_table", "ga_other_report", "level"),
    ("dq_tracking_stopped", "event", "newsletter_signup", "down"),
    ("funnel_step_drop", "funnel_step", "view_item", "down"),
    ("lp_not_set_share", "property", "properties/1", "level"),
    ("page_cvr_drop", "page", "/shop/cvr", "down"),
    ("page_engagement_drop", "page", "/shop/engagement", "down"),
    ("page_high_traffic_low_cvr", "page", "/shop/heavy", "level"),
    ("page_traffic_drop", "page", "/shop/traffic", "down"),
    ("source_traffic_drop", "source_medium", "news / referral", "down"),
    ("source_traffic_spike_quality", "source_medium", "spam / referral", "up"),
}


def ramp(total: int, days: int) -> Callable[[int], int]:
    """`total` spread over `days` days as evenly as whole numbers allow."""
    return lambda ago: total // days + (1 if ago % days < total % days else 0)


def edge(more: int) -> Iterator[Row]:
    """The same effects, each one unit below its guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    yield from site()
    few, base, thousand = ramp(199 + more, 7), ramp(279 + more, 28), ramp(999 + more, 28)

    def lost(ago: int) -> Row:
        return _traffic(1 if ago < 7 else base(ago - 7), 0)

    # 200 current sessions are needed.
    yield from series("page", "/shop/cvr", DAYS, lambda ago: _traffic(few(ago), 0 if ago < 7 else 3))
    yield from series("page", "/shop/engagement", DAYS, lambda ago: _traffic(few(ago), 0, 3 if ago < 7 else 20))
    yield from series(
        "source_medium", "spam / referral", DAYS, lambda ago: _traffic(few(ago) if ago < 7 else 2, 0, engaged=1)
    )
    yield from series(
        "funnel_step",
        "view_item",
        DAYS,
        lambda ago: {"sessions": few(ago) if ago < 7 else 100, "conversions": 1.0 if ago < 7 else 50.0},
    )
    # 280 base sessions are needed.
    yield from series("page", "/shop/traffic", DAYS, lost)
    yield from series("source_medium", "news / referral", DAYS, lost)
    # 1,000 sessions in 28 days are needed; its peers have fewer, and so have most pages.
    yield from series("page", "/blog/heavy", DAYS, lambda ago: _traffic(thousand(ago), 0))
    for number in range(45):
        yield from series("page", f"/blog/{number}", DAYS, steady(**_traffic(10, 1)))
    yield from series("device", "mobile", DAYS, lambda ago: _traffic(thousand(ago), 0 if ago < 28 else 2))
    yield from series("device", "desktop", DAYS, steady(**_traffic(1_000, 40)))
    # 500 sessions of landing pages are needed.
    entrances, unset = ramp(399 + more, 28), ramp(100, 28)
    yield from series("landing_page", "/", DAYS, lambda ago: {"sessions": entrances(ago)})
    yield from series("landing_page", "(not set)", DAYS, lambda ago: {"sessions": unset(ago)})
    # 30 base conversions are needed.
    buyers = ramp(29 + more, 28)
    yield from series("channel", "Email", DAYS, lambda ago: _traffic(100, 0.1 if ago < 7 else buyers(ago - 7)))
    # 10 rows a day are needed; 10 events a day, 20 over the two days.
    yield from series("source_table", "ga_other_report", DAYS, _gone("row_count", 9 + more, range(4, 5)))
    yield from series("event", "newsletter_signup", DAYS, _gone("event_count", 9.9 + more * 0.1, range(0, 2)))
