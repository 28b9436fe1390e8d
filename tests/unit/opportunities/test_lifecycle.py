import random
from datetime import timedelta
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from shared.detectors.catalogue import catalogue
from shared.opportunities import lifecycle
from shared.opportunities.records import Opportunity, PersonsStatus
from shared.schema.bigquery import columns
from tests.unit.opportunities.samples import FIRST_DAY, NOW, finding, run


def found(stored: dict[str, Any] | None, day: int, **changes: Any) -> dict[str, Any] | None:
    return lifecycle.found(stored, finding(day, **changes), run(day, 1), NOW + timedelta(days=day))


def decided(stored: dict[str, Any], status: str, **values: Any) -> dict[str, Any]:
    """As `decide` leaves it."""
    return {**stored, **lifecycle.moved(stored, status, NOW, "person"), **values}


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
    assert missed(decided(stored_after(), status), 1) is None


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


# --- snoozed ---------------------------------------------------------------------------------------------------------


def snoozed(*days: int) -> dict[str, Any]:
    """Snoozed until day 10; the run of a day finishes the day after."""
    until = (FIRST_DAY + timedelta(days=10)).isoformat()
    stored = decided(stored_after(), "snoozed", snoozed_until=until)
    for day in days:
        stored = (found(stored, day) if day > 0 else missed(stored, -day)) or stored
    return stored


def test_snoozed_stays_silent_with_fresh_evidence_until_its_day():
    stored = snoozed(8)
    assert (stored["status"], stored["evidence"]["day"], stored["snoozed_until"]) == ("snoozed", 8, "2026-03-12")
    assert len(stored["history"]) == 1


def test_snoozed_is_new_again_by_the_first_run_of_its_day_that_finds_it():
    stored = snoozed(8, 9)
    assert (stored["status"], stored["snoozed_until"]) == ("new", None)
    entry = stored["history"][-1]
    assert (entry["changed_by"], entry["from_status"], entry["to_status"]) == ("system", "snoozed", "new")
    assert "2026-03-12" in entry["why"]


def test_snoozed_that_is_no_longer_found_closes_after_its_day_and_not_before():
    assert missed(snoozed(), 5) is None
    assert (snoozed(-5, -6, -9, -10)["status"], snoozed(-5, -6, -9, -10)["clear_runs"]) == ("snoozed", 2)
    closed = snoozed(-9, -10, -11)
    assert (closed["status"], closed["snoozed_until"]) == ("closed", None)


@pytest.mark.parametrize("until", [None, "", "some day", {"a": 1}, 5])
def test_snooze_of_no_day_lasts_until_a_person_says_otherwise(until: Any):
    stored = decided(stored_after(), "snoozed", snoozed_until=until)
    changed = found(stored, 300)
    assert changed is not None
    assert (changed["status"], changed["snoozed_until"]) == ("snoozed", until)
    assert missed(stored, 300) is None


# --- dismissed -------------------------------------------------------------------------------------------------------


def test_dismissed_comes_back_only_once_it_grew_by_half():
    stored = decided(found(None, 0, change=40.0, cause="sessions") or {}, "dismissed")
    assert stored["decided_change"] == 40.0
    same = found(stored, 1, change=59.0)
    assert same is not None
    assert (same["status"], same["change"], same["decided_change"]) == ("dismissed", 59.0, 40.0)
    grown = found(same, 2, change=60.0, cause="sessions")
    assert grown is not None
    assert (grown["status"], grown["decided_change"]) == ("new", None)
    assert grown["history"][-1]["why"] == "sessions grew from 40 to 60"
    assert grown["detected_at"] == finding(0).found_at


def test_dismissed_again_is_measured_by_what_it_is_by_then():
    stored = decided(found(None, 0, change=40.0) or {}, "dismissed")
    grown = found(stored, 1, change=60.0) or {}
    later = found(decided(grown, "dismissed"), 2, change=80.0) or {}
    assert (later["status"], later["decided_change"]) == ("dismissed", 60.0)


def test_dismissal_that_a_client_wrote_is_measured_by_what_was_stored_before_the_run():
    stored = {**(found(None, 0, change=40.0) or {}), "status": "dismissed"}
    kept = found(stored, 1, change=50.0) or {}
    assert (kept["status"], kept["decided_change"]) == ("dismissed", 40.0)
    assert (kept["history"][-1]["changed_by"], kept["history"][-1]["to_status"]) == ("person", "dismissed")
    assert (found(stored, 1, change=60.0) or {})["status"] == "new"


def test_dismissal_of_before_there_was_a_change_is_measured_by_the_first_that_is_known():
    stored = decided(stored_after(), "dismissed")
    first = found(stored, 1, change=50.0) or {}
    assert (first["status"], first["decided_change"]) == ("dismissed", 50.0)
    assert (found(first, 2, change=75.0) or {})["status"] == "new"


def test_dismissed_without_a_change_stays_dismissed():
    assert (found(decided(stored_after(), "dismissed"), 1) or {})["status"] == "dismissed"


# --- completed -------------------------------------------------------------------------------------------------------


def test_completed_stays_while_its_outcome_is_not_measured():
    stored = decided(stored_after(), "completed")
    changed = found(stored, 40) or {}
    assert (changed["status"], changed["completed_at"], changed["evidence"]["day"]) == ("completed", NOW, 40)


def test_completed_that_is_found_after_its_outcome_is_new_and_keeps_the_outcome():
    outcome = {"verdict": "did_not_pay"}
    stored = decided(stored_after(), "completed", outcome=outcome)
    again = found(stored, 40) or {}
    assert (again["status"], again["outcome"], again["completed_at"]) == ("new", outcome, NOW)
    assert again["detected_at"] == finding(40).found_at
    assert again["history"][-1]["why"] == "found again after its outcome was measured"


def test_what_a_client_takes_up_again_is_closed_by_three_further_clear_runs():
    taken_up = {**stored_after(-1, -2, -3), "status": "in_progress"}
    stored = missed(taken_up, 4) or {}
    assert (stored["status"], stored["clear_runs"], stored["closed_at"]) == ("in_progress", 1, None)
    as_decided = missed(decided(taken_up | {"status": "closed"}, "in_progress"), 4) or {}
    assert stored == as_decided | {"history": stored["history"]}
    stored = missed(missed(stored, 5) or {}, 6) or {}
    assert (stored["status"], stored["clear_runs"]) == ("closed", 3)


def test_completion_that_a_client_wrote_is_dated_by_the_first_run_that_sees_it():
    stored = {**stored_after(), "status": "completed"}
    for changed in (found(stored, 1), missed(stored, 1)):
        assert changed is not None
        assert (changed["status"], changed["completed_at"]) == ("completed", NOW + timedelta(days=1))
        assert changed["history"][-1]["why"] == "noticed by a run"
        assert found(changed, 1) is None or missed(changed, 1) is None
    assert missed(missed(stored, 1), 1) is None


def test_completion_of_before_there_was_a_history_is_dated_by_its_decision():
    stored = {**stored_after(), "status": "completed", "decided_at": NOW - timedelta(days=50)}
    assert (missed(stored, 1) or {})["completed_at"] == NOW - timedelta(days=50)


def test_completion_anew_by_a_client_is_measured_anew():
    stored = decided(stored_after(), "completed", outcome={"verdict": "paid"})
    again = {**(found(stored, 40) or {}), "status": "completed"}
    changed = missed(again, 41) or {}
    assert (changed["outcome"], changed["completed_at"]) == (None, NOW + timedelta(days=41))


# --- part of another -------------------------------------------------------------------------------------------------


def test_part_of_another_gets_no_opportunity_of_its_own():
    assert found(None, 0, part_of="lead") is None


def test_open_one_that_becomes_a_part_is_kept_up_to_date_until_it_leads_itself_again():
    child = found(stored_after(), 1, part_of="lead") or {}
    assert (child["status"], child["part_of"], child["evidence"]["day"]) == ("new", "lead", 1)
    own = found(child, 2) or {}
    assert (own["status"], own["part_of"]) == ("new", None)


@pytest.mark.parametrize("status", ["in_progress", "completed", "dismissed", "snoozed"])
def test_part_of_another_keeps_its_status(status: str):
    stored = decided(found(None, 0, change=1.0) or {}, status, snoozed_until="2026-03-03", outcome={})
    child = found(stored, 40, part_of="lead", change=100.0) or {}
    assert (child["status"], child["part_of"], child["change"]) == (status, "lead", 100.0)


def test_closed_one_is_not_reopened_as_a_part():
    assert found(stored_after(-1, -2, -3), 4, part_of="lead") is None


def test_part_that_is_no_longer_found_closes_as_usual():
    stored = found(stored_after(), 1, part_of="lead")
    for day in (2, 3, 4):
        stored = missed(stored, day)
    assert stored is not None
    assert stored["status"] == "closed"


# --- all of it -------------------------------------------------------------------------------------------------------


def test_fields_come_from_the_finding():
    given = {
        "keyword": "blue shoes", "content_id": "c1", "estimated_traffic": 120, "estimated_difficulty": 0.4,
        "change": 3.5, "cause": "sessions", "ranking": 55.0,
    }  # fmt: skip
    assert given.items() <= (found(None, 0, **given) or {}).items()
    assert stored_after()["ranking"] == 80.0
    assert (found(None, 0, estimated_value={"reason": "none"}) or {})["ranking"] == 0


def test_history_keeps_the_newest_fifty():
    stored = stored_after()
    for number in range(60):
        stored = decided(stored, ("in_progress", "new")[number % 2])
    assert len(stored["history"]) == 50
    assert stored["history"][-1]["to_status"] == "new"


def test_history_that_is_not_one_is_begun_anew():
    changed = found({**stored_after(), "status": "dismissed", "history": "gone"}, 1) or {}
    assert [entry["to_status"] for entry in changed["history"]] == ["dismissed"]


def test_any_life_is_told_the_same_by_repeated_and_late_runs():
    """A thousand lives: after each step the same run again, and those of before the newest, change nothing."""
    for seed in range(1000):
        chance = random.Random(seed)
        stored: dict[str, Any] | None = None
        past: list[tuple[bool, int, dict[str, Any]]] = []
        day = 0
        for _ in range(12):
            day += chance.choice((1, 1, 1, 5, 20))
            if stored is not None and chance.random() < 0.4:
                status = chance.choice(get_args(PersonsStatus))
                until = (FIRST_DAY + timedelta(days=day + 4)).isoformat() if status == "snoozed" else None
                by_client = {**stored, "status": status, "snoozed_until": until}
                stored = decided(stored, status, snoozed_until=until) if chance.random() < 0.5 else by_client
            if stored is not None and stored["status"] == "completed" and chance.random() < 0.3:
                stored = {**stored, "outcome": {"verdict": "paid"}}
            changes = {"change": chance.choice((None, 1.0, 2.0)), "part_of": chance.choice((None, None, "lead"))}
            step = (chance.random() < 0.6, day, changes)
            theirs = None if stored is None else (stored["status"], stored.get("note"), stored.get("snoozed_until"))
            stored = _run(stored, *step) or stored
            past.append(step)
            if stored is None:
                continue
            # What leaves no trace (a run that does not find what is closed) orders nothing either.
            judged = [
                each for each in past if (FIRST_DAY + timedelta(days=each[1])).isoformat() <= stored["judged_as_of"]
            ]
            assert [each for each in (*judged, step) if _run(stored, *each) is not None] == []
            Opportunity.model_validate({**stored, "outcome": None})
            if theirs is not None and stored["status"] == theirs[0] != "closed":
                assert (stored.get("note"), stored.get("snoozed_until")) == theirs[1:]
            if theirs is not None and stored["status"] != theirs[0]:
                assert stored["status"] in ("new", "closed")
                assert stored["history"][-1]["changed_by"] == "system"


def _run(stored: dict[str, Any] | None, finds: bool, day: int, changes: dict[str, Any]) -> dict[str, Any] | None:
    return found(stored, day, **changes) if finds else missed(stored, day)


def test_the_table_of_opportunities_has_every_column_of_the_specification():
    declared = {column.name: (column.type, column.mode) for column in columns(Opportunity)}
    required = {"opportunity_id": "STRING", "opportunity_type": "STRING", "keyword": "STRING", "status": "STRING"}
    required |= {"detected_at": "TIMESTAMP", "created_at": "TIMESTAMP"}
    nullable = {"confidence_score": "FLOAT64", "estimated_traffic": "INT64", "estimated_difficulty": "FLOAT64"}
    nullable |= {"recommendation": "STRING", "content_id": "STRING"}
    assert {name: declared[name][0] for name in {**required, **nullable}} == {**required, **nullable}
    assert Opportunity.table.partition_by == "detected_at"
    assert Opportunity.table.cluster_by == ("status", "opportunity_type")
    types = {one.opportunity_type for one in catalogue()}
    assert {"low_hanging_fruit", "content_gap", "rank_improvement"} <= types
