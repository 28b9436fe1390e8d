"""Traffic sources: what they bring, and what it is worth."""

from collections.abc import Iterator

from tests.support.detector_cases import DAYS, Metrics, changed, ramp, steady
from tests.support.detectors import Row, series

TENANT = {"own_domains": ["example.com"]}
FOUND = {
    ("source_traffic_drop", "source_medium", "news / referral", "down"),
    ("source_traffic_spike_quality", "source_medium", "spam / referral", "up"),
    ("source_new_valuable", "source_medium", "partner.net / referral", "up"),
    ("source_quality_decline", "source_medium", "tired / cpc", "down"),
    ("source_concentration_risk", "property", "properties/1", "level"),
    ("source_referral_self", "source_medium", "shop.example.com / referral", "level"),
    ("source_referral_self", "source_medium", "www.paypal.com / referral", "level"),
    ("source_high_cvr_underused", "source_medium", "niche / referral", "level"),
}


def _visits(sessions: float, conversions: float, engaged: float | None = None) -> Row:
    return {
        "sessions": sessions,
        "conversions": conversions,
        "engaged_sessions": round(sessions * 0.6) if engaged is None else engaged,
        "revenue": conversions * 50.0,
    }


def _tiring(sessions: Metrics, newest: float, weekly: float) -> Metrics:
    """A source whose engagement rate loses `weekly` a week, for eight weeks."""

    def day(ago: int) -> Row:
        visits = sessions(ago)
        return _visits(visits, visits * 0.02, round(visits * (newest + weekly * min(ago // 7, 7))))

    return day


def found() -> Iterator[Row]:
    """One entity for each detector that it finds."""
    yield from series("property", "properties/1", DAYS, steady(**_visits(20_000, 400)))
    # It also earns nearly all that the sources earn.
    yield from series("source_medium", "google / organic", DAYS, steady(**_visits(5_000, 100)))
    yield from series("source_medium", "news / referral", DAYS, changed(_visits(100, 2), _visits(30, 0.6)))
    yield from series("source_medium", "spam / referral", DAYS, changed(_visits(20, 0), _visits(200, 0, engaged=10)))
    yield from series("source_medium", "partner.net / referral", 20, steady(**_visits(50, 1.5)))
    yield from series("source_medium", "tired / cpc", DAYS, _tiring(lambda ago: 100, 0.4, 0.03))
    yield from series("source_medium", "www.paypal.com / referral", DAYS, steady(**_visits(10, 5)))
    yield from series("source_medium", "shop.example.com / referral", DAYS, steady(**_visits(10, 1)))
    yield from series("source_medium", "example.com / email", DAYS, steady(**_visits(10, 0.2)))
    yield from series("source_medium", "niche / referral", DAYS, steady(**_visits(20, 1.2)))


def edge(more: int) -> Iterator[Row]:
    """The same effects, one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    base, few, new = ramp(279 + more, 28), ramp(199 + more, 7), ramp(79 + more, 20)
    weekly, referred, niche = ramp(99 + more, 7), ramp(19 + more, 28), ramp(199 + more, 90)
    yield from series("property", "properties/1", DAYS, steady(**_visits(20_000, 400)))

    # 60 days with revenue are needed; the other sources are kept from earning anything.
    def free(row: Row) -> Row:
        return {**row, "revenue": 0.0}

    yield from series(
        "source_medium",
        "google / organic",
        DAYS,
        lambda ago: _visits(5_000, 100) if ago < 59 + more else free(_visits(5_000, 100)),
    )
    # 280 base sessions, 200 current ones, 80 in 28 days.
    yield from series(
        "source_medium", "news / referral", DAYS, lambda ago: free(_visits(1 if ago < 7 else base(ago - 7), 0))
    )
    yield from series(
        "source_medium", "spam / referral", DAYS, lambda ago: free(_visits(few(ago) if ago < 7 else 2, 0, engaged=1))
    )
    yield from series("source_medium", "partner.net / referral", 20, lambda ago: free(_visits(new(ago), 1)))
    # 100 sessions in each of eight weeks, 20 in 28 days, 200 in 90 days.
    yield from series(
        "source_medium", "tired / cpc", DAYS, lambda ago: free(_tiring(lambda ago: weekly(ago % 7), 0.2, 0.1)(ago))
    )
    yield from series("source_medium", "www.paypal.com / referral", 28, lambda ago: free(_visits(referred(ago), 0)))
    yield from series("source_medium", "niche / referral", 90, lambda ago: free(_visits(niche(ago), 0.3)))
