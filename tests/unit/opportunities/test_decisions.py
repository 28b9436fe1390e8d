from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from shared.errors import BadRequest, NotFound
from shared.opportunities.decisions import Decision, decide
from tests.fakes import FakeDocuments
from tests.unit.opportunities.samples import NOW

PATH = "tenants/demo/opportunities/a"


def decided(documents: FakeDocuments, **decision: Any) -> dict[str, Any]:
    return decide(documents, "demo", "a", Decision(**decision), "ann@demo.test", now=lambda: NOW)


def with_status(status: str) -> FakeDocuments:
    documents = FakeDocuments()
    documents.documents[PATH] = {
        "status": status, "note": "first", "clear_runs": 3, "closed_at": NOW, "title": "t", "change": 2.0,
    }  # fmt: skip
    return documents


def test_decision_changes_its_fields_alone():
    documents = with_status("new")
    decided(documents, status="dismissed")
    assert documents.get(PATH) == {
        "status": "dismissed",
        "note": "first",
        "clear_runs": 3,
        "closed_at": None,
        "title": "t",
        "change": 2.0,
        "decided_change": 2.0,
        "completed_at": None,
        "snoozed_until": None,
        "history": [
            {"changed_at": NOW, "changed_by": "person", "from_status": "new", "to_status": "dismissed", "why": ""}
        ],
        "decided_at": NOW,
        "decided_by": "ann@demo.test",
        "updated_at": NOW,
    }


def test_same_decision_again_writes_nothing():
    documents = with_status("dismissed")
    decided(documents, status="dismissed")
    assert documents.writes == []


def test_person_may_take_up_what_the_system_closed():
    documents = with_status("closed")
    result = decided(documents, status="in_progress")
    assert (result["clear_runs"], result["closed_at"]) == (0, None)


def test_note_of_null_removes_it():
    assert decided(with_status("new"), note=None)["note"] is None


def test_snooze_lasts_until_its_day_and_says_so():
    documents = with_status("new")
    result = decided(documents, status="snoozed", snoozed_until="2026-06-20")
    assert (result["status"], result["snoozed_until"]) == ("snoozed", "2026-06-20")
    assert result["history"][-1]["why"] == "until 2026-06-20"
    decided(documents, status="snoozed", snoozed_until="2026-06-20")
    assert len(documents.writes) == 1
    longer = decided(documents, status="snoozed", snoozed_until="2026-07-01")
    assert (longer["snoozed_until"], len(longer["history"])) == ("2026-07-01", 2)
    assert decided(documents, status="new")["snoozed_until"] is None


@pytest.mark.parametrize(
    "decision",
    [
        {"status": "snoozed"},
        {"status": "snoozed", "snoozed_until": NOW.date()},
        {"status": "snoozed", "snoozed_until": "2020-01-01"},
        {"status": "dismissed", "snoozed_until": "2026-06-20"},
        {"note": "x", "snoozed_until": "2026-06-20"},
    ],
)
def test_snooze_without_a_day_to_come_is_refused_by_the_name_of_its_field(decision: dict[str, Any]):
    documents = with_status("new")
    with pytest.raises(BadRequest) as refused:
        decided(documents, **decision)
    assert refused.value.fields["field"] == "snoozed_until"
    assert documents.writes == []


def test_completion_is_dated_and_taken_back_while_it_is_not_measured():
    documents = with_status("in_progress")
    assert decided(documents, status="completed")["completed_at"] == NOW
    assert decided(documents, status="in_progress")["completed_at"] is None


def test_measured_completion_stays_until_the_next():
    documents = with_status("new")
    documents.documents[PATH] |= {"completed_at": NOW - timedelta(days=60), "outcome": {"verdict": "paid"}}
    assert decided(documents, status="in_progress")["outcome"] == {"verdict": "paid"}
    again = decided(documents, status="completed")
    assert (again["completed_at"], again["outcome"]) == (NOW, None)


def test_note_alone_is_no_part_of_the_history():
    assert "history" not in decided(with_status("new"), note="x")


def test_what_does_not_exist_is_not_found():
    documents = FakeDocuments()
    with pytest.raises(NotFound):
        decided(documents, status="new")
    assert documents.writes == []


@pytest.mark.parametrize("body", [{}, {"status": "closed"}, {"status": 1}, {"note": "x" * 2001}, {"title": "x"}])
def test_other_bodies_are_refused(body: dict[str, Any]):
    with pytest.raises(ValidationError):
        Decision.model_validate(body)
