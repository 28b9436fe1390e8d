"""A small world of searches, visits, ads, keywords and content pieces, as raw documents, full of corners."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

TODAY = date(2026, 11, 21)
"""Search Console tells of the days 60 to 3 days ago but one, Google Analytics of 45 to 1, Google Ads of 30 to 1."""
SEARCHED, VISITED, ADVERTISED = range(3, 61), range(1, 46), range(1, 31)
SILENT = 20
"""So many days ago nothing was shown at all."""
BRAND_TERMS, OWN_DOMAINS = ["Acme"], ["shop.example"]
SITE = "https://www.shop.example"
Documents = dict[str, list[dict[str, Any]]]

QUERIES = (
    # Search, page, impressions a day, on which days: variants of one search and of one page are the same.
    ("red shoes", f"{SITE}/a/?utm_source=x#top", 40, 1),
    ("Red  Shoes ", "http://shop.example/a/index.html", 6, 2),
    ("red shoes", f"{SITE}/blog/red", 25, 1),
    ("red shoes", f"{SITE}/A", 3, 5),
    ("blue shoes", f"{SITE}/blue", 12, 3),
    ("acme", SITE, 30, 1),
    ("acme shoes", f"{SITE}/", 9, 2),
    # Shown 100 times in four weeks, hardly, and never so.
    ("shoe polish", f"{SITE}/polish", 5, 1),
    ("shoe trees", f"{SITE}/polish", 1, 1),
)


def ago(days: int) -> date:
    """The day so many days ago."""
    return TODAY - timedelta(days=days)


def at(days: int) -> datetime:
    """Eight o'clock of that day."""
    return datetime.combine(ago(days), time(8), UTC)


def documents() -> Documents:
    """All of them, by collection."""
    draw = random.Random(11)
    return {
        "search_console_queries": [*_queries(draw)],
        "ga_landing_pages": [*_visits(draw, "ga_landing_pages")],
        "ga_landing_page_channels": [*_visits(draw, "ga_landing_page_channels")],
        "ga_page_performance": [*_visits(draw, "ga_page_performance")],
        "google_ads_campaigns": [{**_ad(day, 1), "status": "ENABLED", **_CAMPAIGN} for day in ADVERTISED],
        "google_ads_search_terms": [*_terms()],
        "google_ads_keywords": [*_bought()],
        "keywords": [*_keywords()],
        "content_pieces": [*_pieces()],
    }


def _queries(draw: random.Random) -> Iterator[dict[str, Any]]:
    for day in SEARCHED:
        for query, page, usual, every in QUERIES:
            impressions = draw.randrange(1, 2 * usual)
            clicks = draw.randrange(impressions // 3 + 1)
            if day != SILENT and day % every == 0:
                yield {
                    "source": "search_console",
                    "date": ago(day),
                    "site_url": "sc-domain:shop.example",
                    "query": query,
                    "page": page,
                    "clicks": clicks,
                    "impressions": impressions,
                    "ctr": clicks / impressions,
                    "position": round(1 + draw.random() * 15, 4),
                }


def _visits(draw: random.Random, report: str) -> Iterator[dict[str, Any]]:
    for day in VISITED:
        for page, usual in (("/a/", 60), ("/a", 4), ("/blog/red", 30), ("/", 90), ("(not set)", 5), ("/once", 9)):
            if page == "/once" and day != 7:
                continue
            for channel in ("Organic Search", "Paid Search") if report == "ga_landing_page_channels" else ("",):
                sessions = draw.randrange(1, usual)
                row = {
                    "source": "ga4",
                    "date": ago(day),
                    "property_id": "properties/1",
                    "sampled": False,
                    "thresholded": False,
                    "folded": False,
                    "sessions": sessions,
                    "engaged_sessions": sessions // 2,
                    "total_users": sessions,
                    # Other key events than purchases may count for a part of one.
                    "key_events": draw.randrange(0, 8) / 4,
                    "purchase_revenue": 0.0,
                }
                if report == "ga_page_performance":
                    yield {**row, "page_path": page, "screen_page_views": sessions * 2}
                elif channel:
                    yield {**row, "landing_page": page, "session_default_channel_group": channel}
                else:
                    # What was pulled long ago lacks it.
                    seconds = None if (day, page) == (44, "/a") else sessions * 31
                    yield {**row, "landing_page": page, "user_engagement_duration": seconds}


_CAMPAIGN = {"channel_type": "SEARCH", "device": "MOBILE"}


def _ad(day: int, impressions: int, clicks: int = 0, cost: float = 0.0, currency: str = "USD") -> dict[str, Any]:
    return {
        "source": "google_ads",
        "date": ago(day),
        "customer_id": "1234567890",
        "currency": currency,
        "campaign_id": "1",
        "campaign_name": "Shoes",
        "impressions": impressions,
        "clicks": clicks,
        "cost": cost,
        "conversions": 0.0,
        "conversions_value": 0.0,
    }


def _terms() -> Iterator[dict[str, Any]]:
    for day in ADVERTISED:
        for group, term, clicks in (("1", "Red Shoes", 3), ("2", "RED  SHOES", 2), ("1", "acme", 1)):
            # One account's currency is not the tenant's: its money is left out.
            ad = _ad(day, 10 * clicks, clicks, clicks * 0.37, "EUR" if day == 9 and group == "2" else "USD")
            if term != "acme" or day % 2:
                yield {**ad, "ad_group_id": group, "search_term": term, "status": "NONE"}


def _bought() -> Iterator[dict[str, Any]]:
    for day in ADVERTISED:
        # Told of as a search, bought as another way to match: neither counts twice.
        for term, match_type in (("red shoes", "EXACT"), ("Blue shoes", "EXACT"), ("blue shoes", "BROAD")):
            row = {"ad_group_id": "1", "criterion_id": f"{term}{match_type}", "keyword_text": term, "status": "ENABLED"}
            yield {**_ad(day, 7, 2, 1.11), **row, "match_type": match_type}


def _keywords() -> Iterator[dict[str, Any]]:
    checks = [
        {"competitor": "Rival.example", "position": 4, "date": ago(10).isoformat()},
        {"competitor": "rival.example", "position": 12.5, "date": ago(40).isoformat()},
        {"competitor": "other.example", "position": None, "date": ago(10).isoformat()},
        {"competitor": "third.example", "position": 10},
    ]
    red = {"search_volume": 900, "difficulty_score": 33.5, "kgr_score": 0.2, "intent": "transactional"}
    yield {"keyword": "RED shoes", **red, "competitor_rankings": checks, "last_checked": at(5), "created_at": at(80)}
    # Entered twice: the first counts.
    yield {"keyword": "red  shoes", "search_volume": 1, "created_at": at(12)}
    yield {"keyword": "Blue Shoes", "search_volume": 50, "content_id": "blue", "created_at": at(33)}
    yield {"keyword": "green shoes", "content_id": "red", "intent": "commercial", "created_at": at(25)}
    yield {"keyword": "unpublished", "content_id": "planned", "created_at": at(25)}


def _pieces() -> Iterator[dict[str, Any]]:
    hub = {"content_type": "hub", "title": "All about shoes", "meta_description": "Of shoes.", "word_count": 900}
    yield {**hub, "content_id": "shoes", "keyword_primary": "Red Shoes", "url": f"{SITE}/a", **_published(100)}
    spoke = {"content_type": "spoke", "hub_id": "shoes", "keyword_primary": "red shoes", "ranking_position": 9}
    yield {**spoke, "content_id": "red", "title": "Red", "url": "/blog/red/?a=b", **_published(40)}
    # A second piece on the hub's page, one without a page, one on another site, one that nobody visits.
    yield {**spoke, "content_id": "more", "title": "More", "url": f"{SITE}/a/index.html", **_published(30)}
    yield {**spoke, "content_id": "paper", "title": "On paper", "url": "", **_published(30)}
    yield {**spoke, "content_id": "guest", "title": "Elsewhere", "url": "https://magazine.example/a", **_published(30)}
    # Written down long after it was published.
    imported = {"created_at": at(2), "published_at": at(50), "status": "published", "url": f"{SITE}/imported"}
    yield {**spoke, "content_id": "imported", "title": "Imported", **imported}
    yield {**spoke, "content_id": "blue", "title": "Blue", "url": f"{SITE}/blue", **_published(15)}
    yield {
        **spoke,
        "content_id": "planned",
        "title": "To come",
        "url": f"{SITE}/b",
        "status": "draft",
        "created_at": at(9),
    }
    yield {**spoke, "content_id": "old", "title": "Old", "url": f"{SITE}/", **_published(60), "status": "archived"}
    # Published, and nobody wrote down when; of no topic.
    alone = {"content_type": "spoke", "keyword_primary": "acme", "title": "Alone", "url": "https://shop.example/once"}
    yield {**alone, "content_id": "alone", "status": "published", "created_at": at(11)}


def _published(days: int) -> dict[str, Any]:
    return {"status": "published", "created_at": at(days + 9), "published_at": at(days)}
