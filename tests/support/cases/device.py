"""Devices, browsers, and campaigns by device: one row per category and day. Sizes are per day."""

from collections.abc import Iterator

from tests.support.detector_cases import DAYS, Metrics, changed, ramp, steady
from tests.support.detectors import Row, series

FOUND = {
    ("device_browser_breakage", "browser", "Safari 19 / iOS", "down"),
    ("device_cvr_gap", "device", "mobile", "down"),
    ("device_cvr_sudden_drop", "device", "smart tv", "down"),
    ("device_engagement_gap", "device", "mobile", "level"),
    ("device_mix_shift", "device", "tablet", "up"),
    ("device_tablet_ad_waste", "campaign_device", "brand|tablet", "level"),
}


def _visits(sessions: int, conversions: float, seconds: int = 60, engaged: float = 0.6) -> Row:
    return {
        "sessions": sessions,
        "conversions": conversions,
        "engaged_sessions": round(sessions * engaged),
        "revenue": conversions * 50,
        "attributes": {"engagement_seconds": sessions * seconds},
    }


def _clicks(clicks: int, conversions: float, cost: float) -> Row:
    return {
        "clicks": clicks,
        "cost": cost,
        "attributes": {"ads_conversions": conversions, "ads_value": conversions * 50},
    }


def _ads(campaign: str, device: str, metrics: Metrics) -> Iterator[Row]:
    for row in series("campaign_device", f"{campaign}|{device}", DAYS, metrics):
        yield {**row, "attributes": {**row["attributes"], "campaign": campaign, "device": device}}


def _site() -> Iterator[Row]:
    yield from series("property", "properties/1", DAYS, steady(**_visits(20_000, 1_000)))
    yield from series("browser", "Chrome 141 / Windows", DAYS, steady(**_visits(5_000, 200)))
    yield from _ads("brand", "mobile", steady(**_clicks(100, 5, 100)))
    yield from _ads("brand", "desktop", steady(**_clicks(100, 5, 100)))


def found() -> Iterator[Row]:
    """One entity for each detector that it finds; mobile both converts worse and holds nobody."""
    yield from _site()
    before, after = _visits(1_000, 25, seconds=20, engaged=0.4), _visits(1_000, 8, seconds=20, engaged=0.4)
    yield from series("device", "mobile", DAYS, changed(before, after, days=28))
    yield from series("device", "desktop", DAYS, steady(**_visits(1_000, 40)))
    yield from series("device", "tablet", DAYS, changed(_visits(200, 4), _visits(600, 12), days=28))
    yield from series("device", "smart tv", DAYS, changed(_visits(500, 20), _visits(500, 5), days=3))
    yield from series("browser", "Safari 19 / iOS", DAYS, changed(_visits(100, 5), _visits(100, 1)))
    yield from _ads("brand", "tablet", steady(**_clicks(20, 0, 20)))


def edge(more: int) -> Iterator[Row]:
    """The same effects, each one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    yield from _site()
    # 1,000 sessions in 28 days are needed, for the conversion rate and for the engagement.
    thousand = ramp(999 + more, 28)
    yield from series("device", "mobile", DAYS, lambda ago: _visits(thousand(ago), 0 if ago < 28 else 2, seconds=5))
    yield from series("device", "desktop", DAYS, steady(**_visits(100, 4)))
    # 2,000 sessions of the device that grew are needed.
    grown = ramp(1_999 + more, 28)
    yield from series("device", "tablet", DAYS, lambda ago: _visits(grown(ago) if ago < 28 else 10, 0))
    # 300 sessions in three days are needed.
    few = ramp(299 + more, 3)
    yield from series("device", "smart tv", DAYS, lambda ago: _visits(few(ago), 0) if ago < 3 else _visits(100, 10))
    # 150 current sessions are needed.
    rare = ramp(149 + more, 7)
    yield from series(
        "browser", "Safari 19 / iOS", DAYS, lambda ago: _visits(rare(ago), 0) if ago < 7 else _visits(100, 10)
    )
    # 100 clicks in 30 days are needed.
    clicked = ramp(99 + more, 30)
    yield from _ads("brand", "tablet", lambda ago: _clicks(clicked(ago), 0, 10))
