"""Landing pages, and their pairs with a source or a device: one row per entrance page and day. Sizes are per day."""

from collections.abc import Iterator

from tests.support.detector_cases import DAYS, Metrics, changed, ramp, steady
from tests.support.detectors import Row, series

FOUND = {
    ("lp_404_entrances", "landing_page", "/gone", "level"),
    ("lp_device_gap", "landing_page_device", "/app|mobile", "level"),
    ("lp_new_page_underperforms", "landing_page", "/new", "down"),
    ("lp_not_set_share", "property", "properties/1", "level"),
    ("lp_organic_entrance_decay", "landing_page", "/guide", "down"),
    ("lp_paid_low_cvr", "landing_page", "/ads", "level"),
    ("lp_source_mismatch", "landing_page_source", "/home|facebook / paid", "level"),
}


def _entrances(sessions: int, conversions: float, **attributes: float | str) -> Row:
    return {
        "sessions": sessions,
        "conversions": conversions,
        "revenue": conversions * 50,
        "attributes": attributes,
    }


def _paid(sessions: int, conversions: float, cost: float) -> Row:
    """Clicks on ads; how many entrances there are in all is not measured."""
    return {"cost": cost, "attributes": {"paid_sessions": sessions, "paid_conversions": conversions}}


def _organic(sessions: int) -> Row:
    """Entrances from search; how many there are in all is not measured."""
    return {"attributes": {"organic_sessions": sessions, "organic_conversions": sessions * 0.05}}


def _pair(page: str, second: str, kind: str, metrics: Metrics) -> Iterator[Row]:
    for row in series(f"landing_page_{kind}", f"{page}|{second}", DAYS, metrics):
        yield {**row, "attributes": {"landing_page": page, kind: second}}


def _site() -> Iterator[Row]:
    yield from series("property", "properties/1", DAYS, steady(**_entrances(20_000, 1_000)))
    yield from series("device", "mobile", DAYS, steady(**_entrances(12_000, 400)))
    yield from series("device", "desktop", DAYS, steady(**_entrances(8_000, 600)))
    # Ads and search bring entrances to a page where nothing happens.
    yield from series("landing_page", "/steady/ads", DAYS, steady(**_paid(500, 25, 500)))
    yield from series("landing_page", "/steady/search", DAYS, steady(**_organic(500)))


def found() -> Iterator[Row]:
    """One entity for each detector that it finds."""
    yield from _site()
    yield from series("landing_page", "/", DAYS, steady(**_entrances(900, 45)))
    yield from series("landing_page", "(not set)", DAYS, steady(**_entrances(60, 3)))
    yield from series("landing_page", "", DAYS, steady(**_entrances(40, 2)))
    yield from series("landing_page", "/ads", DAYS, steady(**_paid(80, 0.5, 80)))
    yield from series("landing_page", "/gone", DAYS, steady(**_entrances(20, 0, page_title="404 - page not found")))
    yield from series("landing_page", "/peugeot", DAYS, steady(**_entrances(20, 1, page_title="Spares, type 14045")))
    yield from series("landing_page", "/guide", DAYS, lambda ago: _organic(40 + 6 * (ago // 7)))
    # The old page gives most of its entrances to the new one.
    yield from series("landing_page", "/old", DAYS, changed(_entrances(120, 6), _entrances(20, 1), days=14))
    yield from series("landing_page", "/new", 14, steady(**_entrances(100, 1)))
    for source, conversions in (("google / cpc", 5), ("facebook / paid", 1), ("news / email", 5)):
        yield from _pair("/home", source, "source", steady(**_entrances(100, conversions)))
        yield from _pair("/quiet", source, "source", steady(**_entrances(100, 4)))
    for device, conversions, usual in (("mobile", 1, 5), ("desktop", 14, 12)):
        yield from _pair("/app", device, "device", steady(**_entrances(200, conversions)))
        yield from _pair("/quiet", device, "device", steady(**_entrances(200, usual)))


def edge(more: int) -> Iterator[Row]:
    """The same effects, each one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    yield from _site()
    # 300 sessions in 14 days are needed; the old page has none since.
    few = ramp(299 + more, 14)
    yield from series("landing_page", "/new", 14, lambda ago: _entrances(few(ago), 0))
    yield from series("landing_page", "/old", DAYS, lambda ago: None if ago < 28 else _entrances(40, 4))
    # 20 sessions are needed.
    gone = ramp(19 + more, 28)
    yield from series("landing_page", "/gone", DAYS, lambda ago: _entrances(gone(ago), 0, page_title="Not found"))
    # 500 sessions of landing pages are needed: these, 300 and 20.
    unset, home = ramp(100, 28), ramp(81 - more, 28)
    yield from series("landing_page", "(not set)", DAYS, lambda ago: _entrances(unset(ago), 0))
    yield from series("landing_page", "/", DAYS, lambda ago: _entrances(home(ago), 0))
    # 300 paid sessions in 28 days are needed.
    clicks = ramp(299 + more, 28)
    yield from series("landing_page", "/ads", DAYS, lambda ago: _paid(clicks(ago), 0, 20))
    # 600 organic sessions in 12 weeks are needed; each week has five more than the one after it.
    weeks = [ramp(22 + 5 * week + (5 + more if week == 11 else 0), 7) for week in range(13)]
    yield from series("landing_page", "/guide", DAYS, lambda ago: _organic(weeks[ago // 7](ago)))
    # 200 sessions of a source are needed.
    weak = ramp(199 + more, 28)
    yield from _pair("/home", "google / cpc", "source", steady(**_entrances(1_000, 50)))
    yield from _pair("/home", "facebook / paid", "source", lambda ago: _entrances(weak(ago), 0))
    # 300 mobile sessions are needed.
    phones = ramp(299 + more, 28)
    yield from _pair("/app", "mobile", "device", lambda ago: _entrances(phones(ago), 0))
    yield from _pair("/app", "desktop", "device", steady(**_entrances(100, 7)))
