"""Tracked keywords: what a check changes of them, in any order, and what it never touches."""

from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from shared.content.keywords import CHECKS_KEPT, DocumentKeywords, Observation, checked, place, spelled
from shared.content.records import Keyword
from tests.fakes import FakeDocuments

DAY = date(2026, 11, 20)
PATH = "tenants/demo/keywords/any-name"
PEOPLES = {
    "search_volume": 900,
    "difficulty_score": 31.0,
    "kgr_score": 0.2,
    "intent": "transactional",
    "target_ranking": 3,
    "competitor_rankings": [{"competitor": "rival.example", "position": 2.0, "date": None}],
    "priority": "tier1",
    "content_id": "shoes",
}


def seen(position: float, ago: int = 0, keyword: str = "red shoes") -> Observation:
    return Observation(keyword, DAY - timedelta(days=ago), position, "https://example.com/shoes")


def keyword(text: str = "Red  Shoes", **fields: Any) -> dict[str, Any]:
    record = Keyword(keyword=text, tenant_id="demo", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    return record.document() | PEOPLES | fields


def store(*keywords: dict[str, Any]) -> tuple[DocumentKeywords, FakeDocuments]:
    documents = FakeDocuments()
    for number, fields in enumerate(keywords):
        documents.documents[PATH if number == 0 else f"{PATH}-{number}"] = fields
    return DocumentKeywords(documents), documents


def test_a_check_sets_the_ranking_and_leaves_alone_what_people_set():
    keywords, documents = store(keyword())
    assert keywords.observe("demo", [seen(4.4)]).changed == 1
    found = documents.documents[PATH]
    assert found == keyword(
        current_ranking=4,
        best_ranking=4,
        last_checked=datetime(2026, 11, 20, tzinfo=UTC),
        serp_history=[{"date": "2026-11-20", "position": 4.4, "url": "https://example.com/shoes"}],
    )
    Keyword.model_validate(found)


def test_the_same_check_again_writes_nothing():
    keywords, documents = store(keyword())
    checks = [seen(4.4), seen(9.1, ago=1)]
    keywords.observe("demo", checks)
    documents.writes.clear()
    assert keywords.observe("demo", checks).changed == keywords.observe("demo", checks[1:]).changed == 0
    assert documents.writes == []


def test_days_in_any_order_end_in_the_same_keyword():
    ends = []
    for order in permutations([seen(8.0, ago=2), seen(3.2, ago=1), seen(12.6)]):
        keywords, documents = store(keyword())
        for check in order:
            keywords.observe("demo", [check])
        ends.append(documents.documents[PATH])
    assert all(end == ends[0] for end in ends)
    assert (ends[0]["current_ranking"], ends[0]["best_ranking"]) == (13, 3)
    assert [check["position"] for check in ends[0]["serp_history"]] == [8.0, 3.2, 12.6]


def test_an_older_day_never_overwrites_what_was_checked_later_elsewhere():
    later = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    changes = checked(keyword(last_checked=later, current_ranking=2, best_ranking=1), [seen(7.0)])
    assert changes == {"serp_history": [{"date": "2026-11-20", "position": 7.0, "url": "https://example.com/shoes"}]}


def test_a_day_that_is_told_otherwise_is_replaced():
    keywords, documents = store(keyword())
    keywords.observe("demo", [seen(8.0)])
    keywords.observe("demo", [seen(9.0)])
    found = documents.documents[PATH]
    assert (found["current_ranking"], found["best_ranking"]) == (9, 8)
    assert [check["position"] for check in found["serp_history"]] == [9.0]


def test_the_history_keeps_the_newest_checks():
    keywords, documents = store(keyword())
    assert keywords.observe("demo", [seen(5.0, ago) for ago in range(CHECKS_KEPT + 10)]).changed == 1
    history = documents.documents[PATH]["serp_history"]
    assert (len(history), history[-1]["date"]) == (CHECKS_KEPT, "2026-11-20")
    assert keywords.observe("demo", [seen(5.0, CHECKS_KEPT + 5)]).changed == 0


def test_only_tracked_keywords_are_written_in_whatever_spelling():
    keywords, documents = store(keyword("  RED shoes "), keyword("red SHOES"), keyword("blue shoes"))
    assert keywords.tracked("demo") == ["blue shoes", "red shoes"]
    assert keywords.observe("demo", [seen(3.0), seen(1.0, keyword="green shoes")]).changed == 2
    assert len(documents.documents) == 3
    assert documents.documents[f"{PATH}-2"] == keyword("blue shoes")


def test_what_a_person_changes_meanwhile_is_kept():
    keywords, documents = store(keyword())

    def person(path: str) -> None:
        documents.before_commit = None
        documents.put(path, {**documents.documents[path], "search_volume": 1_000})

    documents.before_commit = person
    assert keywords.observe("demo", [seen(4.0)]).changed == 1
    found = documents.documents[PATH]
    assert (found["search_volume"], found["current_ranking"]) == (1_000, 4)


def test_a_keyword_that_is_deleted_meanwhile_does_not_come_back():
    keywords, documents = store(keyword())

    def person(path: str) -> None:
        documents.before_commit = None
        documents.delete(path)

    documents.before_commit = person
    assert keywords.observe("demo", [seen(4.0)]).changed == 0
    assert documents.documents == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"serp_history": "none"},
        {"serp_history": [{"position": 3}]},
        {"serp_history": [{"date": "soon"}]},
        {"best_ranking": "3"},
        {"last_checked": "2026-11-20"},
    ],
)
def test_a_document_of_another_shape_is_left_as_it_is_and_counted(fields: dict[str, Any]):
    keywords, documents = store(keyword(**fields), keyword("blue shoes", serp_history=None))
    assert keywords.observe("demo", [seen(4.0), seen(4.0, keyword="blue shoes")]) == (1, 1)
    assert documents.documents[PATH] == keyword(**fields)


def test_a_document_without_a_keyword_is_none():
    keywords, _ = store({"tenant_id": "demo"}, keyword(keyword=7))
    assert keywords.tracked("demo") == []
    assert keywords.observe("demo", [seen(4.0)]).changed == 0


@pytest.mark.parametrize(("position", "at"), [(1.0, 1), (1.49, 1), (1.5, 2), (2.5, 3), (10.51, 11), (0.2, 1)])
def test_a_place_is_the_nearest_whole_one(position: float, at: int):
    assert place(position) == at


def test_keywords_are_spelled_as_searches_are():
    assert spelled("  Straßen\tSchuhe ") == "straßen schuhe"
