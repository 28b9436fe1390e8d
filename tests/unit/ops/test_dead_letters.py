"""Setting aside: nothing is lost, nothing is counted twice."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.errors import BadRequest, TenantNotProvisioned, Unavailable
from shared.ops.dead_letters import DeadLetters, EventGone
from shared.ops.records import DeadLetter
from tests.fakes import FakeDocuments, FakeObjects

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
EVENT: dict[str, Any] = {
    "function": "stream_document",
    "event_id": "event-1",
    "error": BadRequest("no good", field="day"),
    "headers": {"ce-id": "event-1"},
    "body": bytes(range(256)),
    "subject": "documents/tenants/demo/notes/a",
    "tenant_id": "demo",
    "correlation_id": "c-1",
}


@pytest.fixture
def objects() -> FakeObjects:
    return FakeObjects()


@pytest.fixture
def documents() -> FakeDocuments:
    return FakeDocuments()


@pytest.fixture
def letters(objects: FakeObjects, documents: FakeDocuments) -> DeadLetters:
    return DeadLetters(objects, documents, lambda: AT)


def test_event_is_kept_to_the_byte_with_its_headers(letters: DeadLetters):
    letter = letters.set_aside(**EVENT)
    assert letters.event(letter) == (EVENT["headers"], EVENT["body"])


def test_summary_says_what_happened_and_where_the_bytes_are(letters: DeadLetters, documents: FakeDocuments):
    letter = letters.set_aside(**EVENT)
    stored = DeadLetter.model_validate(documents.documents[f"dead_letters/{letter.dead_letter_id}"])
    assert stored == letter
    assert (stored.reason, stored.message, stored.fields) == ("BadRequest", "no good", {"field": "day"})
    assert (stored.status, stored.tenant_id, stored.set_aside_at) == ("waiting", "demo", AT)


def test_summary_holds_nothing_of_the_event_itself(letters: DeadLetters, documents: FakeDocuments):
    letters.set_aside(**{**EVENT, "body": b"somebody@example.com"})
    assert "somebody@example.com" not in str(documents.documents)


def test_same_event_again_changes_nothing(letters: DeadLetters, objects: FakeObjects, documents: FakeDocuments):
    letters.set_aside(**EVENT)
    before = (dict(objects.objects), dict(documents.documents), len(documents.writes))
    letters.set_aside(**EVENT)
    assert (objects.objects, documents.documents, len(documents.writes)) == before


def test_replayed_letter_does_not_wait_again_when_its_event_is_delivered_once_more(
    letters: DeadLetters, documents: FakeDocuments
):
    letter = letters.set_aside(**EVENT)
    documents.documents[f"dead_letters/{letter.dead_letter_id}"]["status"] = "replayed"
    letters.set_aside(**EVENT)
    assert letters.count() == 0


def test_crash_between_bytes_and_summary_is_mended_by_the_redelivery(
    letters: DeadLetters, objects: FakeObjects, documents: FakeDocuments
):
    documents.down = True
    with pytest.raises(Unavailable):
        letters.set_aside(**EVENT)
    assert len(objects.objects) == 1
    documents.down = False
    assert letters.count() == 0
    letter = letters.set_aside(**EVENT)
    assert list(objects.objects) == [letter.object_name]
    assert letters.count() == 1


@pytest.mark.parametrize(
    "change",
    [
        {"event_id": "event-2"},
        {"function": "run_etl"},
        {"subject": "documents/tenants/demo/notes/b"},
        {"error": TenantNotProvisioned("no tables")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_event_function_subject_or_reason_is_another_letter(letters: DeadLetters, change: dict[str, Any]):
    assert letters.set_aside(**EVENT).dead_letter_id != letters.set_aside(**{**EVENT, **change}).dead_letter_id
    assert letters.count() == 2


def test_events_without_an_id_are_told_apart_by_their_bytes(letters: DeadLetters):
    for body in (b"one", b"two", b"one"):
        letters.set_aside(**{**EVENT, "event_id": "", "body": body})
    assert letters.count() == 2


def test_fields_that_json_cannot_hold_become_text(letters: DeadLetters):
    letter = letters.set_aside(**{**EVENT, "error": BadRequest("no", at=AT, kind=int)})
    assert letter.fields == {"at": "2026-01-05T12:00:00+00:00", "kind": "<class 'int'>"}


def test_count_is_of_one_tenant_or_of_all(letters: DeadLetters):
    letters.set_aside(**EVENT)
    letters.set_aside(**{**EVENT, "event_id": "event-2", "tenant_id": "other"})
    letters.set_aside(**{**EVENT, "event_id": "event-3", "tenant_id": None})
    assert (letters.count(), letters.count("demo"), letters.count("nobody")) == (3, 1, 0)


def test_letter_whose_object_is_gone_says_so(letters: DeadLetters, objects: FakeObjects):
    letter = letters.set_aside(**EVENT)
    objects.objects.clear()
    with pytest.raises(EventGone) as gone:
        letters.event(letter)
    assert gone.value.fields == {"object_name": letter.object_name}


def test_a_replay_that_fails_again_goes_back_to_its_letter_and_another_functions_is_a_letter_of_its_own(
    letters: DeadLetters, documents: FakeDocuments
):
    """Every function that listens to the topic gets the replay, with the id of the letter that was replayed."""
    first = letters.set_aside(**EVENT)
    before = documents.documents[f"dead_letters/{first.dead_letter_id}"]
    replay = {**EVENT, "event_id": "event-2", "replay_of": first.dead_letter_id}
    others = letters.set_aside(**{**replay, "function": "run_etl", "body": b"the other's", "error": Unavailable("no")})
    assert others.dead_letter_id != first.dead_letter_id
    assert letters.event(others)[1] == b"the other's"
    assert documents.documents[f"dead_letters/{first.dead_letter_id}"] == before
    again = letters.set_aside(**replay)
    assert (again.dead_letter_id, again.attempts) == (first.dead_letter_id, 1)
    assert letters.count() == 2
