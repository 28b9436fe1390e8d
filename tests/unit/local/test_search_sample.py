"""The sample's searches, keywords and pieces: what is planted into them stands out, on each weekday.

The rules are restated here from docs/detectors, over plain rows; nothing of the detectors' own code is used.
"""

from collections import Counter, defaultdict
from datetime import date, timedelta
from functools import cache
from statistics import median

import numpy as np
import pytest

from infra.local.sample import Sample, content, search_console
from infra.local.sample.sample import dates_served
from infra.local.sample.search_console import SITE, Row
from shared.content.records import ContentPiece, Keyword

MONDAY = date(2026, 11, 16)
DAYS = [MONDAY + timedelta(days=offset) for offset in (0, 3, 6)]
CURVE = {1: 0.28, 2: 0.15, 3: 0.11, 4: 0.08, 5: 0.06, 6: 0.045, 7: 0.035, 8: 0.03, 9: 0.025, 10: 0.02, 20: 0.01}
"""Clicks by position where a site's own are not known."""
EVERY_DAY = pytest.mark.parametrize("today", DAYS, ids=str)


@cache
def by_query(today: date) -> dict[str, list[tuple[int, Row]]]:
    """Query -> how many days before the last one served, and its row."""
    found = defaultdict(list)
    for row in search_console.rows(today):
        found[row.query].append(((today - date.fromisoformat(row.date)).days - 1, row))
    return found


def pieces(today: date) -> dict[str, ContentPiece]:
    return {piece.content_id: piece for piece in content.pieces(today, "demo")}


def keywords(today: date) -> dict[str, Keyword]:
    return {keyword.keyword: keyword for keyword in content.keywords(today, "demo")}


def positions(today: date, query: str, first: int, last: int) -> list[float]:
    """Mean position of each day on which it was shown."""
    days = defaultdict(list)
    for ago, row in by_query(today)[query]:
        if first <= ago <= last:
            days[ago].append(row)
    return [
        sum(row.position * row.impressions for row in rows) / sum(row.impressions for row in rows)
        for rows in days.values()
    ]


def impressions(today: date, query: str, first: int = 0, last: int = 27) -> int:
    return sum(row.impressions for ago, row in by_query(today)[query] if first <= ago <= last)


def entity_of(module: object, detector: str) -> str:
    return next(one.entity for one in module.PLANTED if one.detector == detector)  # type: ignore[attr-defined]


# --- its size and its dates -----------------------------------------------------------------------------------------


@EVERY_DAY
def test_it_is_small_and_ends_yesterday(today: date):
    rows = search_console.rows(today)
    assert 2_500 < len(rows) + len(list(content.documents(today, "demo"))) < 4_000
    assert {row.date for row in rows} == {str(day) for day in dates_served(today).values()}
    assert rows[-1].date == str(today - timedelta(days=1))
    assert len({(row.date, row.query, row.page) for row in rows}) == len(rows)


def test_a_day_says_the_same_the_next_day_where_nothing_is_planted():
    planted = {one.entity.split(" | ")[0] for one in search_console.PLANTED} | {"malibu sunglasses"}
    early, late = (
        {row for row in search_console.rows(today) if row.query not in planted}
        for today in (MONDAY + timedelta(days=1), MONDAY + timedelta(days=2))
    )
    # One day comes, and the one that ended the sample's own three months moves or goes.
    assert len({row.date for row in early ^ late}) <= 3


@cache
def visits() -> Counter[str]:
    """Page -> its visits over the three months."""
    found: Counter[str] = Counter()
    for row in Sample.load(MONDAY).report("ga_page_performance"):
        found[SITE + str(row["pagePath"])] += int(str(row["sessions"]))
    return found


def test_its_pages_are_those_of_the_shop_and_get_no_more_clicks_than_visits():
    clicks: Counter[str] = Counter()
    for row in search_console.rows(MONDAY):
        clicks[row.page] += row.clicks
    assert {page for page in clicks if clicks[page] > visits()[page]} == set()
    urls = {piece.url for piece in pieces(MONDAY).values() if piece.url and piece.status == "published"}
    assert urls <= visits().keys()


def test_searches_are_less_clicked_the_lower_they_stand():
    shares = list(search_console.CLICKS.values())
    assert shares == sorted(shares, reverse=True)


# --- what is planted ------------------------------------------------------------------------------------------------


@EVERY_DAY
def test_rankings_fell(today: date):
    for detector, most, least_fall in (("kw_rank_drop", 10, 3), ("kw_lost_top3", 3, 1)):
        query = entity_of(search_console, detector)
        now, before = median(positions(today, query, 0, 6)), median(positions(today, query, 7, 34))
        assert before <= most
        assert now - before >= least_fall
        assert (keywords(today)[query].search_volume or 0) >= 100
    assert now <= 10, "beyond the tenth place it is a rank drop"


@EVERY_DAY
def test_rankings_of_others_did_not_fall(today: date):
    fell = {entity_of(search_console, "kw_rank_drop"), entity_of(search_console, "kw_lost_top3")}
    for query in by_query(today).keys() - fell - {"malibu sunglasses"}:
        now, before = positions(today, query, 0, 6), positions(today, query, 7, 34)
        assert not now or median(now) - median(before) < 1.5


@EVERY_DAY
def test_a_snippet_is_hardly_clicked_and_no_other_is_that_dull(today: date):
    dull = set()
    for query in by_query(today):
        shown = impressions(today, query)
        rows = [row for ago, row in by_query(today)[query] if ago < 28]
        position = sum(row.position * row.impressions for row in rows) / shown
        due = shown * float(np.interp(position, list(search_console.CLICKS), list(search_console.CLICKS.values())))
        if shown >= 500 and due >= 15 and sum(row.clicks for row in rows) < 0.6 * due:
            dull.add(query)
    assert dull == {entity_of(search_console, "kw_ctr_below_curve")}


@EVERY_DAY
def test_two_pages_take_turns_for_one_search(today: date):
    query, path = search_console.RIVAL
    shown: Counter[str] = Counter()
    best: dict[int, str] = {}
    for ago in range(28):
        rows = [row for back, row in by_query(today)[query] if back == ago]
        for row in rows:
            shown[row.page] += row.impressions
        if rows:
            best[ago] = min(rows, key=lambda row: row.position).page
    weaker = SITE + path
    assert sum(shown.values()) >= 200
    assert shown[weaker] >= 40
    assert 0.2 <= shown[weaker] / sum(shown.values()) < 0.5
    assert min(sum(best.get(ago) == weaker for ago in half) for half in (range(14), range(14, 28))) >= 1
    assert sum(page == weaker for page in best.values()) >= 3


@EVERY_DAY
def test_demand_rises_where_the_position_stays(today: date):
    query = entity_of(search_console, "kw_rising_demand")
    weeks = [impressions(today, query, 7 * week, 7 * week + 6) for week in reversed(range(8))]
    slope = np.polyfit(range(8), weeks, 1)[0]
    assert sum(weeks) >= 800
    assert slope / np.mean(weeks) > 0.07
    # Mann and Kendall: 20 of 28 pairs that rise, less those that fall, is p < 0.01.
    assert sum(np.sign(weeks[late] - weeks[early]) for early in range(8) for late in range(early + 1, 8)) >= 18
    assert abs(median(positions(today, query, 0, 27)) - median(positions(today, query, 28, 55))) < 1


@EVERY_DAY
def test_a_keyword_on_page_two_is_easy(today: date):
    query = entity_of(content, "kw_low_hanging_fruit")
    found = positions(today, query, 0, 27)
    keyword = keywords(today)[query]
    assert len(found) >= 3
    assert 10 < median(found) <= 30
    assert (keyword.search_volume or 0) > 100
    assert (keyword.difficulty_score or 100) < 50


@EVERY_DAY
def test_keywords_without_a_page_are_told_from_those_that_rank(today: date):
    golden = keywords(today)[entity_of(content, "kw_kgr_opportunity")]
    assert golden.kgr_score is not None
    assert golden.kgr_score < 0.25
    assert golden.search_volume is not None
    assert 50 <= golden.search_volume <= 250
    gap = keywords(today)[entity_of(content, "kw_content_gap")]
    newest = str(today - timedelta(days=1))
    ahead = [one for one in gap.document()["competitor_rankings"] if one["date"] == newest and one["position"] <= 10]
    assert len(ahead) >= 2
    for keyword in (golden, gap):
        assert keyword.content_id is None
        assert keyword.keyword not in by_query(today)
        assert {check.position for check in keyword.serp_history or ()} == {None}


@EVERY_DAY
def test_a_competitor_has_moved_past_us(today: date):
    query, competitor = entity_of(content, "kw_competitor_overtook").split(" | ")
    theirs = {
        (today - date.fromisoformat(one["date"])).days - 1: one["position"]
        for one in keywords(today)[query].document()["competitor_rankings"]
        if one["competitor"] == competitor
    }
    ours_now, ours_then = median(positions(today, query, 0, 6)), median(positions(today, query, 28, 34))
    assert theirs[28] > ours_then
    assert ours_now - theirs[0] >= 2
    assert ours_now - ours_then >= 1
    assert sum(ago <= 34 for ago in theirs) >= 4


@EVERY_DAY
def test_pieces_lack_what_is_planted_and_others_do_not(today: date):
    published = [piece for piece in pieces(today).values() if piece.status == "published"]
    assert [piece.content_id for piece in published if not piece.meta_description] == [
        entity_of(content, "content_meta_missing")
    ]
    assert len({piece.title for piece in published}) == len(published)
    assert min(len(piece.title) for piece in published) >= 15
    for piece in published:
        shown = impressions(today, piece.keyword_primary) if piece.keyword_primary in by_query(today) else 0
        thin = shown >= 300 and (piece.word_count or 0) < 600 and 8 <= (piece.ranking_position or 0) <= 25
        assert thin == (piece.content_id == entity_of(content, "content_thin_ranking"))
    meta = pieces(today)[entity_of(content, "content_meta_missing")]
    assert impressions(today, meta.keyword_primary) >= 100


@EVERY_DAY
def test_one_search_to_buy_leads_to_a_story(today: date):
    written = {piece.url for piece in pieces(today).values()}
    wrong = {
        f"{query} | {row.page.removeprefix(SITE)}"
        for query, keyword in keywords(today).items()
        for _, row in by_query(today).get(query, ())
        if keyword.intent == "transactional" and row.page in written
    }
    planted = entity_of(content, "kw_wrong_intent_page")
    assert wrong == {planted}
    assert impressions(today, planted.split(" | ")[0]) >= 200


def test_nobody_visits_one_old_piece():
    unread = {
        piece.content_id
        for piece in pieces(MONDAY).values()
        if piece.status == "published"
        and (MONDAY - piece.created_at.date()).days >= 120
        and visits()[str(piece.url)] < 10
    }
    assert unread == {entity_of(content, "content_no_traffic")}


@EVERY_DAY
def test_pieces_and_keywords_name_each_other(today: date):
    known, tracked = pieces(today), keywords(today)
    assert (len(known), len(tracked)) == (30, 40)
    assert {keyword.content_id for keyword in tracked.values()} - known.keys() == {None}
    hubs = {piece.content_id for piece in known.values() if piece.content_type == "hub"}
    assert {piece.hub_id for piece in known.values()} - hubs == {None}
