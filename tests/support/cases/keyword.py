"""Keyword: rankings, snippets, demand, competitors."""

from collections.abc import Callable, Iterator

from tests.support.detector_cases import DAYS, changed, ramp, steady
from tests.support.detectors import Row, series

TENANT = {"brand_terms": ["Acme"]}
FOUND = {
    ("kw_low_hanging_fruit", "keyword", "running shoes", "level"),
    ("kw_striking_distance", "keyword", "trail shoes", "level"),
    ("kw_ctr_below_curve", "keyword", "road shoes", "level"),
    ("kw_rank_drop", "keyword", "red shoes", "down"),
    ("kw_lost_top3", "keyword", "blue shoes", "down"),
    ("kw_kgr_opportunity", "keyword", "shoes for flat feet", "level"),
    ("kw_cannibalisation", "keyword_page", "hiking shoes | /blog/hiking", "level"),
    ("kw_competitor_overtook", "keyword_competitor", "green shoes | rival.example", "down"),
    ("kw_content_gap", "keyword", "shoe sizes", "level"),
    ("kw_rising_demand", "keyword", "barefoot shoes", "up"),
    ("kw_branded_drop", "keyword_group", "brand", "down"),
    ("kw_paid_organic_overlap", "keyword", "acme shoes", "level"),
    ("kw_wrong_intent_page", "keyword_page", "buy shoes | /blog/shoes", "level"),
}
Number = Callable[[int], int]


def _site() -> Iterator[Row]:
    """The site, its pages, and keywords of which nothing is to be said."""
    yield from series("property", "properties/1", DAYS, steady(sessions=20_000, conversions=400.0, revenue=20_000.0))
    yield from series("landing_page", "/shop", DAYS, steady(sessions=100, conversions=3.0))
    yield from series("landing_page", "/blog/shoes", DAYS, steady(sessions=100, conversions=0.0))
    product = {"sessions": 100, "conversions": 6.0, "attributes": {"page_type": "product"}}
    yield from series("landing_page", "/product/1", DAYS, steady(**product))
    yield from series("campaign", "1", DAYS, steady(cost=50.0))
    yield from _keyword("shoes", position=2, impressions=5_000, clicks=750)
    # A difficulty of 0 is a number, page 3 is beyond the low-hanging fruit, and what no check knows is no content gap.
    yield from _keyword("shoe shop", position=31, search_volume=900, difficulty=0)
    yield from _keyword("shoe laces", search_volume=900)
    # Its best check is from 40 days ago.
    yield from series("keyword", "shoe trees", 91, lambda ago: _volume(900) | {"position": 12.0} if ago == 40 else None)


def _volume(search_volume: int) -> Row:
    return {"search_volume": search_volume, "difficulty": 80.0}


def _keyword(name: str, position: float | None = None, **metrics: float) -> Iterator[Row]:
    found = _volume(40) | {"attributes": {"page": "/shop"}} | metrics
    yield from series("keyword", name, DAYS, steady(**found if position is None else found | {"position": position}))


def _moved(name: str, before: float, after: float, search_volume: int, days: int = 7) -> Iterator[Row]:
    always = _volume(search_volume) | {"attributes": {"page": "/shop"}}
    yield from series("keyword", name, DAYS, changed(always | {"position": before}, always | {"position": after}, days))


def _overtaken(search_volume: int) -> Iterator[Row]:
    yield from _moved("green shoes", 5.0, 6.0, search_volume, days=20)
    theirs = [
        {"attributes": {"keyword": "green shoes", "competitor": "rival.example", "competitor_position": place}}
        for place in (8, 3)
    ]
    yield from series("keyword_competitor", "green shoes | rival.example", DAYS, changed(*theirs, 20))


def _two_pages(main: Number, weaker: Number) -> Iterator[Row]:
    """The weaker page stands above the other one on every fourth day."""
    for page, impressions, turn in (("/shop", main, (1, 2, 3)), ("/blog/hiking", weaker, (0,))):
        labels = {"keyword": "hiking shoes", "page": page}

        def row(ago: int, impressions: Number = impressions, turn: tuple[int, ...] = turn, labels: Row = labels) -> Row:
            first = ago % 4 in turn
            shown = {"impressions": impressions(ago), "position": 8.0 if first else 11.0, "clicks": 0}
            return shown | {"attributes": {**labels, "best_placed": int(first)}}

        yield from series("keyword_page", f"hiking shoes | {page}", DAYS, row)


def _guide(impressions: Number) -> Iterator[Row]:
    labels = {"keyword": "buy shoes", "page": "/blog/shoes", "intent": "transactional", "page_type": "blog"}
    yield from series(
        "keyword_page",
        "buy shoes | /blog/shoes",
        DAYS,
        lambda ago: {"impressions": impressions(ago), "clicks": 1, "position": 8.0, "attributes": labels},
    )


def _rising(impressions: Number) -> Iterator[Row]:
    yield from series(
        "keyword", "barefoot shoes", DAYS, lambda ago: _volume(40) | {"position": 12.0, "impressions": impressions(ago)}
    )


def _paid(cost: Callable[[int], float]) -> Iterator[Row]:
    yield from series(
        "keyword",
        "acme shoes",
        DAYS,
        lambda ago: {
            "position": 1.0,
            "impressions": 40,
            "clicks": 20,
            "cost": cost(ago),
            "attributes": {"ads_clicks": 10, "page": "/shop"},
        },
    )


def found() -> Iterator[Row]:
    """One entity for each detector that it finds."""
    yield from _site()
    yield from _keyword("running shoes", position=14, search_volume=500, difficulty=30, kgr=0.5)
    yield from _keyword("trail shoes", position=6, impressions=30, clicks=1)
    yield from _keyword("road shoes", position=2, impressions=100, clicks=2)
    yield from _moved("red shoes", 5, 12, search_volume=400)
    yield from _moved("blue shoes", 2, 4, search_volume=400)
    yield from _keyword("shoes for flat feet", search_volume=200, kgr=0.0, difficulty=0)
    # Its page is written already.
    yield from _keyword("shoes for wide feet", search_volume=200, kgr=0.1, attributes={"content_id": "wide-feet"})
    yield from _two_pages(lambda ago: 10, lambda ago: 5)
    yield from _overtaken(400)
    yield from _keyword("shoe sizes", search_volume=400, attributes={"competitors_top10": 3})
    yield from _rising(lambda ago: 40 - ago // 7 * 3)
    yield from series(
        "keyword_group",
        "brand",
        DAYS,
        changed({"impressions": 100, "clicks": 50}, {"impressions": 60, "clicks": 30}, days=28),
    )
    yield from _paid(lambda ago: 5.0)
    yield from _guide(lambda ago: 20)


def edge(more: int) -> Iterator[Row]:
    """The same effects, one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    yield from _site()
    # Searches a month: more than 100, or at least 50 or 100.
    yield from _keyword("running shoes", position=14, search_volume=100 + more, difficulty=30)
    yield from _moved("red shoes", 5, 12, search_volume=49 + more)
    yield from _moved("blue shoes", 2, 4, search_volume=99 + more)
    yield from _keyword("shoes for flat feet", search_volume=49 + more, kgr=0.1)
    yield from _keyword("shoe sizes", search_volume=99 + more, attributes={"competitors_top10": 2})
    yield from _overtaken(99 + more)
    # 500 impressions in 28 days.
    few = ramp(499 + more, 28)
    for name, position in (("trail shoes", 6.0), ("road shoes", 2.0)):
        yield from series(
            "keyword",
            name,
            DAYS,
            lambda ago, position=position: _volume(40) | {"impressions": few(ago), "clicks": 0, "position": position},
        )
    # 200 of a keyword's pages, and of one page.
    yield from _two_pages(ramp(120, 28), ramp(79 + more, 28))
    yield from _guide(ramp(199 + more, 28))
    # 800 in eight weeks: 65, 75, ... 135, on one day of each week.
    yield from _rising(lambda ago: 0 if ago % 7 else 135 - ago // 7 * 10 - (ago == 49) * (1 - more))
    # 1,000 of the brand in the base.
    base = ramp(999 + more, 28)
    yield from series(
        "keyword_group", "brand", DAYS, lambda ago: {"impressions": 1 if ago < 28 else base(ago), "clicks": 1}
    )
    # A cost of 50.
    yield from _paid(lambda ago: 0.0 if ago else 49.0 + more)
