"""Content: what decays, is thin, is not visited, or could bring more."""

from collections.abc import Callable, Iterator
from typing import Any

from tests.support.detector_cases import DAYS, changed, ramp, steady
from tests.support.detectors import Row, series

FOUND = {
    ("content_decay", "content", "decay", "down"),
    ("content_decay", "content", "unmeasured last year", "down"),
    ("content_thin_ranking", "content", "thin", "level"),
    ("content_no_traffic", "content", "unread", "level"),
    ("content_hub_orphan_spoke", "content", "spoke", "level"),
    ("content_high_engage_no_convert", "content", "well-read", "level"),
    ("content_topic_winner", "content_group", "winner", "level"),
    ("content_publishing_gap", "property", "properties/1", "down"),
    ("content_meta_missing", "content", "no description", "level"),
    ("content_meta_missing", "content", "twin 1", "level"),
    ("content_meta_missing", "content", "twin 2", "level"),
}
PEER = {"sessions": 20, "conversions": 0.4}
YEAR_AGO = range(364, 392)
LONG = (300, 600)
"""Pieces of these ages have rows since they were published, others those of the last three months."""
Number = Callable[[int], int]


def _piece(name: str, age: int, metrics: Callable[[int], Row], **more: Any) -> Iterator[Row]:
    """A piece that is `age` days old; `more` are further keys of its attributes."""

    def row(ago: int) -> Row:
        found = metrics(ago)
        sessions = found.get("sessions", 0)
        attributes = {
            "content_age_days": age - ago,
            "content_status": "published",
            "title": f"All that is known of {name}",
            "meta_description": "What it says.",
            "word_count": 2_000,
            "organic_sessions": sessions // 2,
            "engagement_seconds": sessions * 60,
        }
        return {
            "impressions": 0,
            "clicks": 0,
            "pageviews": sessions,
            **found,
            "attributes": attributes | more | found.get("attributes", {}),
        }

    yield from series("content", name, age if age in LONG else min(DAYS, age), row)


def _site(base_pieces: int) -> Iterator[Row]:
    """The site; old pieces of which nothing is to be said, and some of the months before the last two."""
    yield from series("property", "properties/1", DAYS, steady(sessions=2_000, conversions=40.0, revenue=2_000.0))
    for number in range(6):
        yield from _piece(f"old {number}", 900, steady(**PEER))
    for number in range(base_pieces):
        yield from _piece(f"recent {number}", 100 + number, steady(**PEER))
    yield from _piece("archived", 900, steady(sessions=0, conversions=0.0), content_status="archived")
    for number in range(3):
        pieces = {"conversions": 0.2, "sessions": 40, "attributes": {"pieces": 10}}
        yield from series("content_group", f"topic {number}", DAYS, steady(**pieces))


def _season(ago: int) -> Row:
    """As low a year ago as it is now."""
    low = ago < 90 or ago in YEAR_AGO
    return {"sessions": 20 if low else 80, "conversions": 1.0}


def _late(ago: int) -> Row:
    """It fell, and nobody measured where visits came from a year ago."""
    row: Row = {"sessions": 20 if ago < 90 else 80, "conversions": 1.0}
    return {**row, "attributes": {"organic_sessions": None}} if ago > 300 else row


def found() -> Iterator[Row]:
    """One entity for each detector that it finds."""
    yield from _site(base_pieces=8)
    fallen = changed({"sessions": 80, "conversions": 1.0}, {"sessions": 20, "conversions": 1.0}, days=90)
    yield from _piece("decay", 300, fallen)
    yield from _piece("season", 600, _season)
    yield from _piece("unmeasured last year", 600, _late)
    ranked = {**PEER, "impressions": 40, "position": 12.0}
    yield from _piece("thin", 900, steady(**ranked), word_count=400, ranking_position=12)
    yield from _piece("unread", 400, steady(sessions=0, conversions=0.0))
    yield from _piece("read on the way", 400, steady(sessions=0, conversions=0.0, pageviews=3))
    yield from _piece("hub", 900, steady(**PEER))
    yield from _piece("spoke", 900, steady(**PEER), hub_id="hub", hub_clicks=0)
    # Linked from its hub; and too young to have been found.
    yield from _piece("linked spoke", 900, steady(**PEER), hub_id="hub", hub_clicks=1)
    yield from _piece("new spoke", 30, steady(**PEER), hub_id="hub", hub_clicks=0, organic_sessions=0)
    yield from _piece("well-read", 900, lambda ago: _read(20), assisted_conversions=0)
    # Its readers buy later.
    yield from _piece("well-remembered", 900, lambda ago: _read(20), assisted_conversions=1)
    winner = {"conversions": 1.0, "sessions": 40, "attributes": {"pieces": 5}}
    yield from series("content_group", "winner", DAYS, steady(**winner))
    yield from _piece("no description", 900, steady(**ranked), meta_description="")
    for number in (1, 2):
        yield from _piece(f"twin {number}", 900, steady(**ranked), title="The same title of both")


def _read(sessions: int) -> Row:
    return {
        "sessions": sessions,
        "conversions": 0.0,
        "attributes": {"engagement_seconds": sessions * 300, "organic_sessions": 2},
    }


def edge(more: int) -> Iterator[Row]:
    """The same effects, one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    # Six pieces in the half year before the last two months, "unread" among them.
    yield from _site(base_pieces=4 + more)
    # A peak of 300 in 28 days is 325.7 in a month: here in June.
    peak = ramp(325 + more, 30)

    def fallen(ago: int) -> Row:
        organic = peak(ago - 110) if 110 <= ago < 140 else 0
        return {"sessions": 1, "conversions": 0.0, "attributes": {"organic_sessions": organic}}

    yield from _piece("decay", 300, fallen)
    # 300 impressions, and 100.
    few, fewer = ramp(299 + more, 28), ramp(99 + more, 28)
    thin = {"word_count": 400, "ranking_position": 12}
    yield from _piece("thin", 900, _shown(few), **thin)
    yield from _piece("no description", 900, _shown(fewer), meta_description="")
    # 120 days since it was published.
    yield from _piece("unread", 119 + more, steady(sessions=0, conversions=0.0))
    # 600 sessions of the hub, and 500 of a piece, in 90 days.
    hub, readers = ramp(599 + more, 90), ramp(499 + more, 90)
    yield from _piece("hub", 900, lambda ago: {"sessions": hub(ago), "conversions": 0.2})
    yield from _piece("spoke", 900, steady(**PEER), hub_id="hub", hub_clicks=0)
    yield from _piece("well-read", 900, lambda ago: _read(readers(ago)), assisted_conversions=0)
    # 20 conversions of a cluster.
    yield from series(
        "content_group",
        "winner",
        DAYS,
        lambda ago: {"conversions": 0.0 if ago else 19.0 + more, "sessions": 40, "attributes": {"pieces": 5}},
    )


def _shown(impressions: Number) -> Callable[[int], Row]:
    return lambda ago: {**PEER, "impressions": impressions(ago), "position": 12.0}
