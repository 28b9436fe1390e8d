"""Channels: what they earn, and whether visits are credited to the right one."""

from collections.abc import Iterator

from tests.support.detector_cases import DAYS, Metrics, changed, ramp, steady
from tests.support.detectors import Row, series

YEAR = range(364, 392)
"""The days of a year ago that are compared with the last 28."""
TENANT = {"detectors": {"channel_unassigned_share": {"thresholds": {"min_sessions": 2000}}}}
"""Two verdicts on all channels: with one least volume both are on its edge at once."""
FOUND = {
    ("channel_revenue_drop", "channel", "Email", "down"),
    ("channel_cvr_divergence", "channel", "Paid Social", "down"),
    ("channel_unassigned_share", "property", "properties/1", "level"),
    ("channel_direct_inflation", "property", "properties/1", "up"),
    ("channel_assist_undervalued", "channel", "Display", "level"),
    ("channel_yoy_organic_loss", "channel", "Organic Search", "down"),
}


def _visits(sessions: float, conversions: float, revenue: float | None = None) -> Row:
    return {
        "sessions": sessions,
        "conversions": conversions,
        "revenue": conversions * 50.0 if revenue is None else revenue,
    }


def _journeys(first: float, linear: float, last: float) -> Row:
    return {
        "attributes": {
            "first_touch_conversions": first,
            "linear_conversions": linear,
            "last_touch_conversions": last,
        }
    }


def _with_a_year_ago(channel: Metrics, year_ago: Metrics) -> Metrics:
    return lambda ago: channel(ago) if ago < DAYS else year_ago(ago - YEAR.start) if ago in YEAR else None


def _property() -> Iterator[Row]:
    whole = steady(**_visits(20_000, 400))
    yield from series("property", "properties/1", YEAR.stop, _with_a_year_ago(whole, whole))


def found() -> Iterator[Row]:
    """One entity for each detector that it finds."""
    yield from _property()
    yield from series("channel", "Email", DAYS, changed(_visits(200, 10), _visits(100, 4)))
    # Fewer of them buy, and they pay more: the revenue stays.
    yield from series(
        "channel", "Paid Social", DAYS, changed(_visits(500, 20, revenue=1_000), _visits(500, 8, revenue=1_000))
    )
    yield from series("channel", "Unassigned", DAYS, changed(_visits(100, 2), _visits(800, 16), days=28))
    yield from series("channel", "Direct", DAYS, changed(_visits(1_000, 20), _visits(2_000, 40), days=28))
    organic = changed(_visits(3_500, 70, revenue=3_000), _visits(2_000, 40, revenue=3_000), days=28)
    year_ago = steady(**_visits(5_000, 100))
    yield from series("channel", "Organic Search", YEAR.stop, _with_a_year_ago(organic, year_ago))
    yield from series("channel", "Display", DAYS, steady(**_visits(100, 0.5), **_journeys(3, 2, 0.5)))


def edge(more: int) -> Iterator[Row]:
    """The same effects, one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    buyers, few = ramp(99 + more, 28), ramp(299 + more, 7)
    shared, organic = ramp(19 + more, 90), ramp(1_999 + more, 28)
    yield from _property()
    # 100 base conversions are needed.
    yield from series("channel", "Email", DAYS, lambda ago: _visits(5, 0.1 if ago < 7 else buyers(ago - 7)))
    # 300 current sessions.
    yield from series(
        "channel",
        "Paid Social",
        DAYS,
        lambda ago: _visits(few(ago) if ago < 7 else 15, 0 if ago < 7 else 3, revenue=50),
    )
    # 20 conversions with a known journey.
    yield from series(
        "channel", "Display", 90, lambda ago: {**_visits(1, 0), **_journeys(3 * shared(ago), shared(ago), 0)}
    )
    # 2,000 sessions a year ago.
    yield from series(
        "channel",
        "Organic Search",
        YEAR.stop,
        _with_a_year_ago(steady(**_visits(10, 0)), lambda ago: _visits(organic(ago), 1)),
    )
    # 2,000 sessions of all channels in 28 days: 1,343 - 1 are those above and of Unassigned, and Direct has 657.
    direct = ramp(657, 28)
    yield from series("channel", "Unassigned", DAYS, changed(_visits(1, 0), _visits(10, 0), days=28))
    yield from series("channel", "Direct", DAYS, lambda ago: _visits(direct(ago), 0) if ago < 28 else _visits(4, 0))
    yield from series("channel", "Referral", DAYS, lambda ago: _visits(0 if ago < 28 else 40, 0))
