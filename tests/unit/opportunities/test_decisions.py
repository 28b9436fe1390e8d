from typing import Any

import pytest
from pydantic import ValidationError

from shared.errors import NotFound
from shared.opportunities.decisions import Decision, decide
from tests.fakes import FakeDocuments
from tests.unit.opportunities.samples import NOW

PATH = "tenants/demo/opportunities/a"


def decided(documents: FakeDocuments, **decision: Any) -> dict[str, Any]:
    return decide(documents, "demo", "a", Decision(**decision), "ann@demo.test", now=lambda: NOW)


def with_status(status: str) -> FakeDocuments:
    documents = FakeDocuments()
    documents.documents[PATH] = {"status": status, "note": "first", "clear_runs": 3, "closed_at": NOW, "title": "t"}
    return documents


def test_decision_changes_its_fields_alone():
    documents = with_status("new")
    decided(documents, status="dismissed")
    assert documents.get(PATH) == {
        "status": "dismissed",
        "note": "first",
        "clear_runs": 3,
        "closed_at": NOW,
        "title": "t",
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


def test_what_does_not_exist_is_not_found():
    documents = FakeDocuments()
    with pytest.raises(NotFound):
        decided(documents, status="new")
    assert documents.writes == []


@pytest.mark.parametrize("body", [{}, {"status": "closed"}, {"status": 1}, {"note": "x" * 2001}, {"title": "x"}])
def test_other_bodies_are_refused(body: dict[str, Any]):
    with pytest.raises(ValidationError):
        Decision.model_validate(body)
