from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from shared.opportunities import lifecycle
from tests.unit.opportunities.samples import NOW, finding, run


def found(stored: dict[str, Any] | None, day: int, **changes: Any) -> dict[str, Any] | None:
    return lifecycle.found(stored, finding(day, **changes), run(day, 1), NOW + timedelta(days=day))


def missed(stored: dict[str, Any] | None, day: int) -> dict[str, Any] | None:
    return lifecycle.not_found(stored, run(day), NOW + timedelta(days=day))


def stored_after(*days: int) -> dict[str, Any]:
    """Found on the days given, positive; not found on those given as negative."""
    stored = found(None, 0)
    for day in days:
        changed = found(stored, day) if day > 0 else missed(stored, -day)
        stored = changed or stored
    assert stored is not None
    return stored


def test_first_finding_makes_a_new_opportunity():
    made = found(None, 0)
    assert made is not None
    assert made["status"] == "new"
    assert made["opportunity_id"] == lifecycle.identity("demo", finding(0)) == lifecycle.identity("demo", finding(5))
    assert made["detected_at"] == finding(0).found_at
    assert made["as_of"] == "2026-03-02"
    assert made["estimated_value"]["mid"] == 100.0


@pytest.mark.parametrize("field", ["detector_id", "entity_type", "entity_id", "direction"])
def test_identity_tells_findings_apart(field: str):
    other = finding(0, **{field: "up" if field == "direction" else "other"})
    assert lifecycle.identity("demo", other) != lifecycle.identity("demo", finding(0))
    assert lifecycle.identity("other", finding(0)) != lifecycle.identity("demo", finding(0))


def test_same_run_again_changes_nothing():
    assert found(stored_after(), 0) is None


def test_another_run_of_the_same_day_with_the_same_finding_changes_nothing():
    assert lifecycle.found(stored_after(), finding(0), run(0, 1, run_id="again", minute=5), NOW) is None


def test_next_day_updates_in_place():
    stored = stored_after(1)
    assert (stored["as_of"], stored["evidence"], stored["detected_at"]) == (
        "2026-03-03",
        {"day": 1, "q_value": 0.01},
        finding(0).found_at,
    )


def test_older_run_never_overwrites_a_newer_one():
    stored = stored_after(5)
    assert found(stored, 3) is None
    assert missed(stored, 3) is None


@pytest.mark.parametrize("status", ["dismissed", "completed", "snoozed", "in_progress"])
def test_a_run_that_finds_it_keeps_what_a_person_decided(status: str):
    changed = found({**stored_after(), "status": status, "note": "we know"}, 1)
    assert changed is not None
    assert (changed["status"], changed["note"]) == (status, "we know")


@pytest.mark.parametrize(
    "theirs", [{"note": {"a": "map"}}, {"note": "x" * 3000}, {"status": {"a": 1}}, {"status": 5}, {"decided_at": "?"}]
)
def test_a_persons_field_that_is_not_valid_is_carried_through_unread(theirs: dict[str, Any]):
    changed = found({**stored_after(), **theirs}, 1)
    assert changed is not None
    assert changed["as_of"] == "2026-03-03"
    assert theirs.items() <= changed.items()


def test_an_opportunity_of_no_known_status_is_not_closed():
    assert missed({**stored_after(), "status": ["garbage"]}, 1) is None


@pytest.mark.parametrize("broken", [{"as_of": "?"}, {"judged_as_of": []}, {"judged_at": {}}, {"clear_runs": "many"}])
def test_a_judgement_that_cannot_be_read_is_an_error(broken: dict[str, Any]):
    for change in (found, missed):
        with pytest.raises(ValidationError):
            change({**stored_after(), **broken}, 1)


def test_fields_of_later_versions_survive():
    changed = found({**stored_after(), "assigned_to": "x"}, 1)
    assert changed is not None
    assert changed["assigned_to"] == "x"


def test_three_clear_runs_close():
    assert stored_after(-1, -2)["status"] == "new"
    closed = stored_after(-1, -2, -3)
    assert (closed["status"], closed["clear_runs"], closed["closed_at"]) == ("closed", 3, NOW + timedelta(days=3))


def test_clear_runs_of_one_day_count_once():
    stored = stored_after(-1)
    assert lifecycle.not_found(stored, run(1, run_id="again", minute=9), NOW) is None


def test_figures_that_were_corrected_the_same_day_count_as_a_clear_run():
    changed = lifecycle.not_found(stored_after(), run(0, run_id="again", minute=9), NOW)
    assert changed is not None
    assert changed["clear_runs"] == 1


def test_found_again_starts_the_clear_runs_anew():
    assert stored_after(-1, -2, 3)["clear_runs"] == 0
    assert stored_after(-1, -2, 3, -4, -5)["status"] == "new"


@pytest.mark.parametrize("status", ["dismissed", "completed", "snoozed", "closed"])
def test_clear_runs_close_only_what_is_open(status: str):
    assert missed({**stored_after(), "status": status}, 1) is None


def test_found_within_14_days_of_closing_reopens_it_as_it_was():
    stored = stored_after(-1, -2, -3, 17)
    assert (stored["status"], stored["closed_at"], stored["clear_runs"]) == ("new", None, 0)
    assert stored["detected_at"] == finding(0).found_at


def test_found_later_than_14_days_after_closing_is_detected_afresh():
    stored = stored_after(-1, -2, -3, 18)
    assert stored["status"] == "new"
    assert stored["detected_at"] == finding(18).found_at
    assert stored["created_at"] == NOW


def test_what_never_was_stays_absent():
    assert missed(None, 1) is None
