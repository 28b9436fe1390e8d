"""The shop's own content pieces and keywords: 30 and 40 documents that its people would have written."""

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from infra.local.sample.incident import Planted
from infra.local.sample.search_console import SITE, queries
from shared.content.records import ContentPiece, Keyword

FOLDER = Path(__file__).parent
WEEKS = 13
"""Somebody looks for keywords that do not rank, and for competitors, once a week."""
TRACKED_DAYS = 400
OVERTAKEN = ("malibu sunglasses", 4, 9.0)
"""Its competitor stood at this place until so many weeks ago."""

PLANTED = (
    Planted("kw_low_hanging_fruit", "keyword", "notebook set", "It ranks on page two for an easy search."),
    Planted("kw_kgr_opportunity", "keyword", "recycled polyester tote", "Few pages name it, and none of ours."),
    Planted("kw_content_gap", "keyword", "robot plush toy", "Three competitors rank for it; we have no page."),
    Planted("kw_competitor_overtook", "keyword_competitor", "malibu sunglasses | beach.example", "It has a new page."),
    Planted(
        "kw_wrong_intent_page",
        "keyword_page",
        "tech stickers | /Google+Redesign/Stationery/Stickers",
        "Who wants to buy stickers is told their story.",
    ),
    Planted("content_meta_missing", "content", "backpacks", "The import has lost its description."),
    Planted("content_thin_ranking", "content", "eco-friendly", "240 words, at the foot of page one."),
    Planted("content_no_traffic", "content", "neon-pen", "Five visits in three months."),
)


def pieces(today: date, tenant_id: str) -> list[ContentPiece]:
    """The content pieces as of `today`; traffic and conversions are those of their pages."""
    visits, places = _visits(), {line["query"]: round(float(line["position"])) for line in queries()}
    return [_piece(line, today, tenant_id, visits.get(line["path"], (0, 0)), places) for line in _read("pieces.csv")]


def keywords(today: date, tenant_id: str) -> list[Keyword]:
    """The keywords as of `today`, before any sync has told where they rank."""
    shown = {line["query"] for line in queries()}
    return [_keyword(line, today, tenant_id, line["keyword"] in shown) for line in _read("keywords.csv")]


def documents(today: date, tenant_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """All of them as Firestore's documents: path and fields."""
    for piece in pieces(today, tenant_id):
        yield f"{ContentPiece.collection.at(tenant_id=tenant_id)}/{piece.content_id}", piece.document()
    for keyword in keywords(today, tenant_id):
        name = keyword.keyword.replace(" ", "-")
        yield f"{Keyword.collection.at(tenant_id=tenant_id)}/{name}", keyword.document()


def _piece(
    line: dict[str, str], today: date, tenant_id: str, visits: tuple[int, int], places: dict[str, int]
) -> ContentPiece:
    sessions, purchases = visits
    written_at = _midnight(today - timedelta(days=int(line["age"])))
    return ContentPiece(
        content_id=line["content_id"],
        tenant_id=tenant_id,
        content_type="spoke" if line["hub"] else "hub",
        keyword_primary=line["keyword"],
        keyword_secondary=line["secondary"].split(";"),
        hub_id=line["hub"] or None,
        title=line["title"],
        meta_description=line["meta"] or None,
        url=SITE + line["path"] if line["path"] else None,
        word_count=int(line["words"]),
        status=line["status"],
        ranking_position=places.get(line["keyword"]),
        monthly_traffic=round(sessions / 3),
        monthly_conversions=round(purchases / 3),
        conversion_rate=round(purchases / sessions, 4) if sessions else None,
        created_at=written_at,
        published_at=None if line["status"] == "draft" else written_at,
        updated_at=written_at,
    )


def _keyword(line: dict[str, str], today: date, tenant_id: str, shown: bool) -> Keyword:
    # The newest check is of the last day that is served.
    looked = [today - timedelta(days=1 + 7 * week) for week in reversed(range(WEEKS))]
    return Keyword(
        keyword=line["keyword"],
        tenant_id=tenant_id,
        search_volume=int(line["volume"]),
        difficulty_score=float(line["difficulty"]),
        kgr_score=float(line["kgr"]) if line["kgr"] else None,
        intent=line["intent"],
        target_ranking=int(line["target"]),
        serp_history=[] if shown else [{"date": day, "position": None} for day in looked],
        competitor_rankings=list(_rivals(line, looked)),
        last_checked=None if shown else _midnight(looked[-1]),
        priority=line["priority"],
        content_id=line["content_id"] or None,
        created_at=_midnight(today - timedelta(days=TRACKED_DAYS)),
    )


def _rivals(line: dict[str, str], looked: list[date]) -> Iterator[dict[str, Any]]:
    keyword, weeks, before = OVERTAKEN
    for week, day in enumerate(looked):
        for rival in filter(None, line["rivals"].split(";")):
            name, place = rival.split()
            earlier = line["keyword"] == keyword and week < WEEKS - weeks
            yield {"competitor": name, "position": before if earlier else float(place), "date": day}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _visits() -> dict[str, tuple[int, int]]:
    """Page -> its sessions and purchases over the three months."""
    return {line["path"]: (int(line["sessions"]), int(line["purchases"])) for line in _read("pages.csv")}


@cache
def _read(name: str) -> tuple[dict[str, str], ...]:
    with (FOLDER / name).open(newline="", encoding="utf-8") as file:
        return tuple(csv.DictReader(file))
