"""What the rows of Search Console say of tracked keywords once they are synced."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from shared.content.keywords import DocumentKeywords, Observation
from shared.content.rankings import ASKED_AT_ONCE, SearchRankings, observations
from shared.content.records import Keyword
from shared.sources.source import Pull
from shared.tenants.records import SourceSettings
from tests.fakes import FakeDocuments

SITE = "https://example.com/"
DAY = date(2026, 11, 18)


def row(query: str, ago: int = 0, page: str = "a", **numbers: Any) -> dict[str, Any]:
    given = {"impressions": 10, "position": 4.0, "site_url": SITE} | numbers
    return {"date": str(DAY - timedelta(days=ago)), "query": query, "page": f"{SITE}{page}", **given}


class World:
    """One tenant that tracks keywords, and its rows."""

    def __init__(self, *rows: dict[str, Any], tracks: tuple[str, ...] = ("red shoes", "blue shoes")) -> None:
        self.documents = FakeDocuments()
        for number, fields in enumerate(rows):
            self.documents.documents[f"tenants/demo/search_console_queries/{number}"] = fields
        for text in tracks:
            record = Keyword(keyword=text, tenant_id="demo", created_at=datetime(2026, 1, 1, tzinfo=UTC))
            self.documents.documents[f"tenants/demo/keywords/{text}"] = record.document()
        self.rankings = SearchRankings(self.documents, DocumentKeywords(self.documents))

    def after(self, days: int = 4) -> int:
        settings = SourceSettings(site_url=SITE)
        told = self.rankings.after(Pull("demo", "run-1", DAY - timedelta(days=days), settings))
        return told.get("keywords", 0)

    def keyword(self, text: str = "red shoes") -> dict[str, Any]:
        return self.documents.documents[f"tenants/demo/keywords/{text}"]


def test_the_newest_day_that_has_rows_tells_the_current_ranking():
    world = World(row("red shoes"), row("red shoes", ago=1, position=2.0), row("green shoes", position=1.0))
    assert world.after() == 1
    found = world.keyword()
    assert (found["current_ranking"], found["best_ranking"]) == (4, 2)
    assert found["last_checked"] == datetime(2026, 11, 18, tzinfo=UTC)
    assert [check["date"] for check in found["serp_history"]] == ["2026-11-17", "2026-11-18"]


def test_a_second_sync_changes_nothing():
    world = World(row("red shoes"), row("blue shoes", ago=1))
    assert world.after() == 2
    world.documents.writes.clear()
    assert world.after() == 0
    assert world.documents.writes == []


def test_a_keyword_that_was_not_shown_keeps_its_last_check():
    world = World(row("red shoes"), row("blue shoes", ago=3))
    world.after()
    assert world.keyword("blue shoes")["last_checked"] == datetime(2026, 11, 15, tzinfo=UTC)


def test_rows_from_before_the_pull_and_of_another_site_say_nothing():
    world = World(row("red shoes", ago=5), row("red shoes", site_url="https://other.example/"), row("blue shoes"))
    assert world.after() == 1
    assert world.keyword()["serp_history"] == []


def test_a_long_pull_reads_no_more_days_than_are_kept():
    world = World(*(row("red shoes", ago=ago) for ago in (0, 89, 90)))
    world.after(days=400)
    assert [check["date"] for check in world.keyword()["serp_history"]] == ["2026-08-21", "2026-11-18"]


def test_more_keywords_than_one_query_takes_are_all_looked_for():
    tracks = tuple(f"shoes {number}" for number in range(ASKED_AT_ONCE * 2 + 1))
    world = World(*map(row, tracks), tracks=tracks)
    assert world.after() == len(tracks)


@pytest.mark.parametrize("rows", [(), (row("green shoes"),)])
def test_without_rows_of_tracked_keywords_nothing_is_written(rows: tuple[dict[str, Any], ...]):
    world = World(*rows)
    assert world.after() == 0
    assert world.documents.writes == []


def test_a_day_is_the_mean_by_impressions_and_the_page_that_was_shown_most():
    rows = [row("shoes", page="b", impressions=30), row("shoes", page="a", impressions=10, position=8.0)]
    assert list(observations(rows)) == [Observation("shoes", DAY, 5.0, f"{SITE}b")]
    even = [row("shoes", page="b"), row("shoes", page="a")]
    assert [one.url for one in observations(even)] == [f"{SITE}a"]


def test_rows_whose_numbers_cannot_be_read_are_left_out():
    bad = [{"impressions": "many"}, {"position": None}, {"impressions": 0}]
    assert list(observations(row("shoes", **numbers) for numbers in bad)) == []
