from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from flask import Response

from functions.write_opportunities.main import handle
from shared.opportunities import lifecycle
from shared.runtime.clients import Clients
from tests.fakes import FakeDocuments, ScriptedWarehouse, fake_clients, posted, pushed
from tests.unit.opportunities.samples import finding, run

MESSAGE = {"tenant_id": "demo", "run_id": "run-0"}
OPPORTUNITY = f"tenants/demo/opportunities/{lifecycle.identity('demo', finding())}"


def clients_after(*findings: Any, day: int = 0, documents: FakeDocuments | None = None, **changes: Any) -> Clients:
    """Clients with the run of a day finished."""
    rows = [found.model_dump() for found in findings]
    ops = FakeDocuments()
    ops.documents[f"detector_runs/run-{day}"] = run(day, len(rows), **changes).document()
    made = fake_clients(
        "demo", "other", documents=documents or FakeDocuments(), ops=ops, warehouse=ScriptedWarehouse(findings=rows)
    )
    return made


def write(clients: Clients, day: int = 0) -> dict[str, Any]:
    response = handle(posted({"tenant_id": "demo", "run_id": f"run-{day}"}), clients)
    assert response.status_code == 200, response.data
    answer: dict[str, Any] = orjson.loads(response.data)
    return answer


def problem_of(response: Response) -> dict[str, Any]:
    assert response.content_type == "application/problem+json"
    found: dict[str, Any] = orjson.loads(response.data)
    return found


def test_handles_a_push():
    clients = clients_after(finding())
    assert handle(pushed(MESSAGE), clients).status_code == 204
    stored = clients.documents.get(OPPORTUNITY)
    assert stored is not None
    expected = {
        "detector_id", "entity_type", "entity_id", "direction", "confidence_score", "estimated_value", "severity",
        "recommendation", "evidence", "status", "detected_at", "updated_at",
    }  # fmt: skip
    assert expected <= stored.keys()
    progress = clients.progress.get("run-0-opportunities")
    assert progress is not None
    assert (progress.kind, progress.status, progress.counts["created"]) == ("opportunities", "done", 1)
    [(_, counts)] = clients.warehouse.executed  # type: ignore[attr-defined]
    assert orjson.loads(counts["counts"])[0]["stage"] == "opportunities"


def test_handling_twice_leaves_the_same_and_writes_nothing():
    documents = FakeDocuments()
    clients = clients_after(finding(), finding(entity_id="/about"), documents=documents)
    handle(pushed(MESSAGE), clients)
    before, writes = dict(documents.documents), len(documents.writes)
    handle(pushed(MESSAGE), clients)
    assert documents.documents == before
    assert len(documents.writes) == writes


def test_sets_aside_the_unreadable():
    clients = clients_after(finding())
    assert handle(pushed({"tenant_id": "demo", "run_id": 5}), clients).status_code == 204
    [letter] = [values for _, values in clients.ops.find("dead_letters")]
    assert letter["reason"] == "BadRequest"
    assert clients.documents.get(OPPORTUNITY) is None


def test_rerun_keeps_a_dismissed_opportunity_dismissed():
    documents = FakeDocuments()
    write(clients_after(finding(), documents=documents))
    documents.documents[OPPORTUNITY] |= {"status": "dismissed", "note": "seasonal"}
    answer = write(clients_after(finding(1), day=1, documents=documents), day=1)
    stored = documents.documents[OPPORTUNITY]
    assert (stored["status"], stored["note"], stored["as_of"]) == ("dismissed", "seasonal", "2026-03-03")
    assert answer["updated"] == 1


def test_decision_of_a_person_during_the_run_survives():
    documents = FakeDocuments()
    write(clients_after(finding(), documents=documents))

    def dismiss(path: str) -> None:
        documents.before_commit = None
        documents.put(path, {**documents.documents[path], "status": "dismissed"})

    documents.before_commit = dismiss
    write(clients_after(finding(1), day=1, documents=documents), day=1)
    stored = documents.documents[OPPORTUNITY]
    assert (stored["status"], stored["as_of"]) == ("dismissed", "2026-03-03")


def test_what_is_not_found_in_three_runs_is_closed():
    documents = FakeDocuments()
    write(clients_after(finding(), documents=documents))
    answers = [write(clients_after(day=day, documents=documents), day=day) for day in (1, 2, 3)]
    assert [(answer["cleared"], answer["closed"]) for answer in answers] == [(1, 0), (1, 0), (0, 1)]
    assert documents.documents[OPPORTUNITY]["status"] == "closed"


@pytest.mark.parametrize("changes", [{"ran": ["page_traffic_drop"]}, {"muted": {"page_cvr_drop": "stale source"}}])
def test_detector_that_did_not_judge_clears_nothing(changes: dict[str, Any]):
    documents = FakeDocuments()
    write(clients_after(finding(), documents=documents))
    write(clients_after(day=1, documents=documents, **changes), day=1)
    assert documents.documents[OPPORTUNITY]["clear_runs"] == 0


def test_missing_findings_are_waited_for():
    clients = clients_after(finding())
    clients.ops.documents["detector_runs/run-0"]["findings"] = 2  # type: ignore[attr-defined]
    response = handle(pushed(MESSAGE), clients)
    assert response.status_code == 503
    assert clients.documents.get(OPPORTUNITY) is None


def test_finding_that_does_not_fit_is_counted_and_its_neighbours_are_written():
    clients = clients_after(finding())
    clients.warehouse.answers["findings"].append({**finding().model_dump(), "severity": "huge"})  # type: ignore
    answer = write(clients)
    assert (answer["created"], answer["refused"]) == (1, 1)


def test_stored_opportunity_that_cannot_be_read_is_counted_and_its_neighbours_are_written():
    documents = FakeDocuments()
    write(clients_after(finding(), finding(entity_id="/about"), finding(entity_id="/gone"), documents=documents))
    gone = f"tenants/demo/opportunities/{lifecycle.identity('demo', finding(entity_id='/gone'))}"
    documents.documents[gone] |= {"judged_at": "yesterday"}
    broken = {**documents.documents[OPPORTUNITY], "as_of": None, "judged_as_of": {"a": 1}, "detector_id": {"a": 1}}
    documents.documents[OPPORTUNITY] = broken
    clients = clients_after(finding(1), finding(1, entity_id="/about"), day=1, documents=documents)
    answer = write(clients, day=1)
    assert (answer["found"], answer["updated"], answer["cleared"], answer["refused"]) == (2, 1, 0, 2)
    assert documents.documents[OPPORTUNITY] == broken
    [(_, counts)] = clients.warehouse.executed  # type: ignore[attr-defined]
    [count] = orjson.loads(counts["counts"])
    assert (count["rows_in"], count["rows_out"], count["rows_refused"]) == (2, 1, 1)
    assert count["note"] == "findings of opportunities that cannot be read"


def test_opportunity_that_becomes_unreadable_during_the_run_is_counted():
    documents = FakeDocuments()
    write(clients_after(finding(), documents=documents))
    transact = documents.transact

    def spoil(path: str, change: Any) -> Any:
        documents.documents[path]["as_of"] = documents.documents[path]["judged_as_of"] = "?"
        return transact(path, change)

    documents.transact = spoil  # type: ignore[method-assign]
    answer = write(clients_after(finding(1), day=1, documents=documents), day=1)
    assert (answer["updated"], answer["unchanged"], answer["refused"]) == (0, 0, 1)


def test_note_that_is_no_text_and_status_that_is_none_stop_nothing():
    documents = FakeDocuments()
    write(clients_after(finding(), documents=documents))
    documents.documents[OPPORTUNITY] |= {"note": {"a": "map"}, "status": {"b": 1}}
    assert write(clients_after(finding(1), day=1, documents=documents), day=1)["updated"] == 1
    stored = documents.documents[OPPORTUNITY]
    assert (stored["note"], stored["status"], stored["as_of"]) == ({"a": "map"}, {"b": 1}, "2026-03-03")


def test_run_of_another_tenant_is_not_found():
    clients = clients_after(finding())
    response = handle(posted({"tenant_id": "other", "run_id": "run-0"}), clients)
    assert (response.status_code, problem_of(response)["field"]) == (404, "run_id")


@pytest.mark.parametrize(
    ("body", "token", "status", "named"),
    [
        ({"tenant_id": "demo"}, "operator", 422, "run_id"),
        ({"run_id": "run-0"}, "operator", 422, "tenant_id"),
        ({"tenant_id": 5, "run_id": "run-0"}, "operator", 422, "tenant_id"),
        ({"tenant_id": "demo", "run_id": ["x"]}, "operator", 422, "run_id"),
        ({**MESSAGE, "more": 1}, "operator", 422, "more"),
        ({"tenant_id": "nobody", "run_id": "run-0"}, "operator", 404, "tenant_id"),
        (b"[]", "operator", 422, "body"),
        (b"{", "operator", 422, "body"),
        (b'{"x": "' + b"x" * (1 << 20) + b'"}', "operator", 413, "limit_bytes"),
        (MESSAGE, None, 401, "no token"),
        (MESSAGE, "forged", 401, "token"),
        (MESSAGE, "other", 403, "tenant_id"),
    ],
)
def test_bad_input_is_answered_with_what_is_wrong_and_writes_nothing(body, token, status, named):
    clients = clients_after(finding())
    response = handle(posted(body, token), clients)
    assert response.status_code == status
    assert problem_of(response)["status"] == status
    assert named in response.get_data(as_text=True)
    assert clients.documents.writes == []  # type: ignore[attr-defined]
    assert clients.ops.writes == []  # type: ignore[attr-defined]


def test_an_entity_whose_own_data_stopped_is_not_counted_as_clear():
    documents = FakeDocuments()
    write(clients_after(finding(), documents=documents))
    for day in (1, 2, 3):
        write(clients_after(day=day, documents=documents, unheard=["page:/pricing"]), day)
    stored = documents.get(OPPORTUNITY)
    assert stored is not None
    assert (stored["status"], stored["clear_runs"]) == ("new", 0)


def test_part_of_another_finding_gets_no_opportunity_and_loses_no_count():
    documents = FakeDocuments()
    clients = clients_after(finding(), finding(entity_id="/about", part_of="lead"), documents=documents)
    answer = write(clients)
    assert (answer["found"], answer["created"], answer["unchanged"]) == (2, 1, 1)


@pytest.mark.parametrize(
    "theirs",
    [
        {"status": "snoozed", "snoozed_until": "2026-12-01"},
        {"status": "dismissed", "note": "ours"},
        {"status": "completed"},
    ],
)
def test_whatever_a_person_decides_during_the_run_survives(theirs: dict[str, Any]):
    documents = FakeDocuments()
    write(clients_after(finding(change=40.0), documents=documents))

    def meanwhile(path: str) -> None:
        documents.before_commit = None
        documents.put(path, {**documents.documents[path], **theirs})

    documents.before_commit = meanwhile
    write(clients_after(finding(1, change=59.0), day=1, documents=documents), day=1)
    stored = documents.documents[OPPORTUNITY]
    assert theirs.items() <= stored.items()
    assert (stored["as_of"], stored["change"]) == ("2026-03-03", 59.0)
    assert stored["history"][-1]["to_status"] == theirs["status"]


# --- outcomes --------------------------------------------------------------------------------------------------------

COMPLETED = datetime(2026, 3, 3, 12, tzinfo=UTC)
RATE = "tenants/demo/detector_hit_rates/page_cvr_drop"


def completed_clients(documents: FakeDocuments, day: int, **changes: Any) -> Clients:
    """A run 30 days after a completion, with figures that say that it paid."""
    write(clients_after(finding(cause="revenue"), documents=documents))
    stored = documents.documents[OPPORTUNITY]
    documents.documents[OPPORTUNITY] = {
        **stored,
        **lifecycle.moved(stored, "completed", COMPLETED, "person"),
        **changes,
    }
    clients = clients_after(day=day, documents=documents)
    weeks = [
        {"opportunity_id": stored["opportunity_id"], "week": week, "own_numerator": 10.0 + week, "own_denominator": 7.0,
         "site_numerator": 90.0, "site_denominator": 7.0, "peers": 9, "mean": 0.0, "deviation": 0.01}
        for week in range(8)
    ]  # fmt: skip
    clients.warehouse.answers["daily_entity_metrics"] = weeks  # type: ignore[attr-defined]
    return clients


def test_completed_is_measured_when_it_is_due_and_a_repeat_changes_nothing():
    documents = FakeDocuments()
    assert write(completed_clients(documents, 30), 30)["measured"] == 0
    assert (documents.documents[RATE]["completed"], documents.documents[RATE]["hit_rate"]) == (1, None)
    answer = write(completed_clients(documents, 31), 31)
    stored = documents.documents[OPPORTUNITY]
    assert (answer["measured"], stored["status"], stored["outcome"]["verdict"]) == (1, "completed", "paid")
    assert stored["outcome"]["after_last"] == "2026-04-02"
    rate = documents.documents[RATE]
    assert (rate["measured"], rate["paid"], rate["hit_rate"]) == (1, 1, 1.0)
    before, writes = dict(documents.documents), len(documents.writes)
    clients = clients_after(day=31, documents=documents)
    assert write(clients, 31)["measured"] == 0
    assert (documents.documents, len(documents.writes)) == (before, writes)


def test_outcome_of_what_a_person_takes_up_again_meanwhile_is_not_written():
    documents = FakeDocuments()
    clients = completed_clients(documents, 31)

    def meanwhile(path: str) -> None:
        if path == OPPORTUNITY:
            documents.before_commit = None
            documents.put(path, {**documents.documents[path], "status": "in_progress"})

    documents.before_commit = meanwhile
    write(clients, 31)
    stored = documents.documents[OPPORTUNITY]
    assert (stored["status"], stored["outcome"]) == ("in_progress", None)


def test_found_again_after_its_outcome_it_is_new_and_still_counts():
    documents = FakeDocuments()
    write(completed_clients(documents, 31), 31)
    write(clients_after(finding(33), day=33, documents=documents), 33)
    stored = documents.documents[OPPORTUNITY]
    assert (stored["status"], stored["outcome"]["verdict"]) == ("new", "paid")
    assert documents.documents[RATE]["paid"] == 1
