from shared.dashboard.cards import card, ranked
from tests.unit.dashboard.samples import opportunity


def test_order_is_value_times_confidence_then_severity():
    stored = {
        "sure": opportunity(confidence_score=0.9),
        "worth": opportunity(estimated_value={"mid": 200.0, "currency": "USD"}, confidence_score=0.5),
        "quiet": opportunity(estimated_value={"reason": "none"}, severity="low"),
        "broken": opportunity(estimated_value={"reason": "none"}, severity="critical"),
    }
    assert [one["id"] for one in ranked([card(key, values) for key, values in stored.items()])] == [
        "worth",
        "sure",
        "broken",
        "quiet",
    ]


def test_document_that_lacks_everything_is_still_a_card():
    bare = card("x", {})
    assert (bare["title"], bare["status"], bare["rank"], bare["value"]["mid"]) == ("x", "new", 0.0, None)


def test_stored_ranking_is_the_rank():
    assert card("a", opportunity(ranking=7.5))["rank"] == 7.5
    assert card("a", opportunity(ranking="?"))["rank"] == 80.0


def test_parts_are_those_that_can_be_read():
    children = [{"title": "Sessions fell", "entity_id": "/a"}, "?", {"detector_id": "page_cvr_drop"}, {}]
    found = card("a", opportunity(evidence={"children": children}))["parts"]
    assert [part["title"] for part in found] == ["Sessions fell", "page_cvr_drop", ""]
    assert card("a", opportunity(evidence={"children": {"a": 1}}))["parts"] == []
