"""Pages: one row per page path and day. Sizes are per day."""

from collections.abc import Iterator

from tests.support.detector_cases import DAYS, changed, ramp, steady
from tests.support.detectors import Row, series

FOUND = {
    ("page_bounce_outlier", "page", "/shop/bounce", "level"),
    ("page_cvr_drop", "page", "/shop/cvr", "down"),
    ("page_cvr_gain_to_replicate", "page", "/offer/gain", "up"),
    ("page_engagement_drop", "page", "/shop/engagement", "down"),
    ("page_exit_spike", "page", "/shop/exit", "up"),
    ("page_hidden_gem", "page", "/gem/small", "level"),
    ("page_high_traffic_low_cvr", "page", "/shop/heavy", "level"),
    ("page_scroll_depth_low", "page", "/read/long", "level"),
    ("page_traffic_drop", "page", "/shop/traffic", "down"),
}


def _page(
    sessions: int, conversions: float, engaged: int | None = None, views: int | None = None, **more: float
) -> Row:
    """A day of a page: 60 of 100 sessions engage, 40 of 100 views are the last, 50 are scrolled to the end."""
    engaged = sessions * 3 // 5 if engaged is None else engaged
    views = sessions if views is None else views
    read = {"exits": views * 0.4, "scroll_90_events": views * 0.5, "engagement_seconds": views * 40}
    return {
        "sessions": sessions,
        "conversions": conversions,
        "engaged_sessions": engaged,
        "bounces": sessions - engaged,
        "pageviews": views,
        "revenue": conversions * 50,
        "attributes": read | more,
    }


def _site() -> Iterator[Row]:
    yield from series("property", "properties/1", DAYS, steady(**_page(20_000, 1_000)))
    for number in range(8):
        yield from series("page", f"/shop/{number}", DAYS, steady(**_page(100, 5)))


def found() -> Iterator[Row]:
    """One entity for each detector that it finds."""
    usual = _page(100, 5)
    yield from _site()
    yield from series("page", "/shop/cvr", DAYS, changed(usual, _page(100, 1)))
    yield from series("page", "/shop/traffic", DAYS, changed(usual, _page(30, 1.5)))
    yield from series("page", "/shop/engagement", DAYS, changed(usual, _page(100, 5, engaged=30)))
    yield from series("page", "/shop/exit", DAYS, changed(usual, _page(100, 5, exits=70)))
    yield from series("page", "/shop/bounce", DAYS, steady(**_page(100, 5, engaged=30)))
    yield from series("page", "/shop/heavy", DAYS, steady(**_page(1_000, 5)))
    yield from series("page", "/read/long", DAYS, steady(**_page(100, 5, scroll_90_events=5, engagement_seconds=1_000)))
    # It has siblings that can copy what it did.
    yield from series("page", "/offer/gain", DAYS, changed(_page(100, 3), _page(100, 7), days=14))
    yield from series("page", "/offer/sibling", DAYS, steady(**_page(200, 6)))
    # A few visits, of which every fifth converts; the thanks page converts too, and is no gem.
    yield from series("page", "/gem/small", DAYS, steady(**_page(5, 1)))
    yield from series("page", "/shop/thank-you", DAYS, steady(**_page(5, 5)))


def edge(more: int) -> Iterator[Row]:
    """The same effects, each one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    yield from _site()
    for number in range(45):
        yield from series("page", f"/blog/{number}", DAYS, steady(**_page(10, 1)))
    # 200 current sessions are needed.
    few = ramp(199 + more, 7)
    yield from series("page", "/shop/cvr", DAYS, lambda ago: _page(few(ago), 0 if ago < 7 else 3))
    yield from series("page", "/shop/engagement", DAYS, lambda ago: _page(few(ago), 0, engaged=3 if ago < 7 else 20))
    # 280 base sessions are needed.
    base = ramp(279 + more, 28)
    yield from series("page", "/shop/traffic", DAYS, lambda ago: _page(1 if ago < 7 else base(ago - 7), 0))
    # 1,000 sessions in 28 days are needed; its peers have fewer, and so have most pages.
    thousand = ramp(999 + more, 28)
    yield from series("page", "/blog/heavy", DAYS, lambda ago: _page(thousand(ago), 0))
    # 400 sessions in 14 days are needed.
    risen = ramp(399 + more, 14)
    yield from series("page", "/offer/gain", DAYS, lambda ago: _page(risen(ago), 10 if ago < 14 else 1))
    yield from series("page", "/offer/sibling", DAYS, steady(**_page(50, 2)))
    # 150 sessions in 90 days are needed.
    rare = ramp(149 + more, 90)
    yield from series("page", "/gem/small", DAYS, lambda ago: _page(rare(ago), 0.5))
    # 500 sessions, or page views, in 28 days are needed.
    half = ramp(499 + more, 28)
    yield from series("page", "/shop/bounce", DAYS, lambda ago: _page(half(ago), 1, engaged=0))
    unread = {"scroll_90_events": 0, "engagement_seconds": 20}
    yield from series("page", "/read/long", DAYS, lambda ago: _page(half(ago), 1, **unread))
    # 300 current page views are needed.
    viewed = ramp(299 + more, 7)
    yield from series(
        "page",
        "/shop/exit",
        DAYS,
        lambda ago: _page(50, 2, views=viewed(ago), exits=viewed(ago) * (0.9 if ago < 7 else 0.3)),
    )
