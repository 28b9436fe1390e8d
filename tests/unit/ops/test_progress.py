"""Progress of runs: at most a write a second, and always a last word."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.errors import Rejected
from shared.ops.progress import ProgressBook
from tests.fakes import FakeDocuments

PATH = "progress/run-1"


class Clock:
    """A clock that goes only when told."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 5, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def go(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def documents() -> FakeDocuments:
    return FakeDocuments()


@pytest.fixture
def book(documents: FakeDocuments, clock: Clock) -> ProgressBook:
    return ProgressBook(documents, clock)


def fail(book: ProgressBook, message: str, **step: Any) -> None:
    """A run that says how far it is, then raises."""
    with book.track("run-1", "sync", "demo") as run:
        run.step(**step)
        raise ValueError(message)


def test_request_is_seen_before_the_run_begins(book: ProgressBook):
    book.request("run-1", "sync", "demo", "someone@demo.test")
    found = book.get("run-1")
    assert found is not None
    assert (found.status, found.kind, found.requested_by) == ("requested", "sync", "someone@demo.test")


def test_request_that_comes_again_leaves_a_run_alone(book: ProgressBook):
    with book.track("run-1", "sync", "demo"):
        book.request("run-1", "sync", "demo")
        found = book.get("run-1")
    assert found is not None
    assert found.status == "running"


def test_run_keeps_who_asked_and_when(book: ProgressBook, clock: Clock):
    book.request("run-1", "sync", "demo", "someone@demo.test")
    asked = clock.at
    clock.go(60)
    with book.track("run-1", "sync", "demo"):
        pass
    found = book.get("run-1")
    assert found is not None
    assert (found.requested_by, found.started_at, found.finished_at) == ("someone@demo.test", asked, clock.at)


def test_run_that_ends_is_done(book: ProgressBook):
    with book.track("run-1", "sync", "demo") as run:
        run.step("reading", done=3, total=9)
    found = book.get("run-1")
    assert found is not None
    assert (found.status, found.step, found.done, found.total, found.error) == ("done", "", 3, 9, None)


def test_steps_within_a_second_are_one_write(book: ProgressBook, documents: FakeDocuments, clock: Clock):
    with book.track("run-1", "sync", "demo") as run:
        assert len(documents.writes) == 1
        for number in range(50):
            clock.go(0.01)
            run.step(done=number)
        assert len(documents.writes) == 1
        clock.go(0.5)
        run.step(done=50)
        assert len(documents.writes) == 2
        assert documents.documents[PATH]["done"] == 50
        run.step(done=51)
        assert len(documents.writes) == 2
    assert len(documents.writes) == 3
    assert documents.documents[PATH]["done"] == 51


def test_counts_add_up_over_steps(book: ProgressBook):
    with book.track("run-1", "sync", "demo") as run:
        run.step(counts={"a": 1})
        run.step(counts={"b": 2})
        run.step(counts={"a": 3})
        run.finish({"c": 4})
    found = book.get("run-1")
    assert found is not None
    assert found.counts == {"a": 3, "b": 2, "c": 4}


def test_run_that_raises_is_failed_and_the_error_goes_on(book: ProgressBook, documents: FakeDocuments):
    with pytest.raises(ValueError, match="boom"):
        fail(book, "boom" * 500, step="reading", done=7)
    stored = documents.documents[PATH]
    assert (stored["status"], stored["step"], stored["done"], stored["finished_at"]) == ("failed", "reading", 7, None)
    assert stored["error"] == "ValueError"


def test_error_of_scout_is_told_in_its_own_words(book: ProgressBook, documents: FakeDocuments):
    with pytest.raises(Rejected), book.track("run-1", "sync", "demo"):
        raise Rejected("GA4 refused the request" + "!" * 500, cause="secret")
    error = documents.documents[PATH]["error"]
    assert error.startswith("GA4 refused the request!")
    assert len(error) == 500


def test_failed_run_that_is_tried_again_is_no_longer_failed(book: ProgressBook):
    with pytest.raises(ValueError, match="boom"):
        fail(book, "boom", done=5, counts={"a": 5})
    with book.track("run-1", "sync", "demo") as run:
        assert (run.progress.status, run.progress.error) == ("running", None)
        assert (run.progress.done, run.progress.counts) == (5, {"a": 5})
    found = book.get("run-1")
    assert found is not None
    assert (found.status, found.error) == ("done", None)


def test_paused_run_stays_open_for_its_next_slice(book: ProgressBook, documents: FakeDocuments):
    with book.track("run-1", "sync", "demo") as run:
        run.step("reading", done=3)
        run.pause()
    assert documents.documents[PATH]["status"] == "running"
    assert documents.documents[PATH]["done"] == 3
    assert documents.documents[PATH]["finished_at"] is None
    with book.track("run-1", "sync", "demo") as run:
        run.step(done=run.progress.done + 4)
    assert documents.documents[PATH]["status"] == "done"
    assert documents.documents[PATH]["done"] == 7


def test_finished_early_is_not_finished_twice(book: ProgressBook, documents: FakeDocuments, clock: Clock):
    with book.track("run-1", "sync", "demo") as run:
        run.finish()
        finished = clock.at
        clock.go(5)
    assert documents.documents[PATH]["finished_at"] == finished


def test_latest_runs_are_a_tenants_own_newest_first(book: ProgressBook, clock: Clock):
    for number in range(3):
        book.request(f"run-{number}", "sync", "demo")
        book.request(f"other-{number}", "sync", "other")
        clock.go(1)
    assert [run.run_id for run in book.latest("demo", limit=2)] == ["run-2", "run-1"]


def test_unknown_run_has_no_progress(book: ProgressBook):
    assert book.get("nothing") is None
