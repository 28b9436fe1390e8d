"""What of a page counts as written, by the run that writes it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.sources.ledger import Tally
from shared.sources.raw import RawDocuments
from shared.sources.source import Page
from shared.sources.stripe.feeds import FEEDS
from shared.sources.sync import stamped
from tests.fakes import FakeDocuments

[REFUNDS] = [feed for feed in FEEDS if feed.collection.name == "stripe_refunds"]
NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)


class Run:
    """A run that is given one refund again and again, each time a second later."""

    def __init__(self) -> None:
        self.raw, self.asked_at = RawDocuments(FakeDocuments()), NOW

    def begin(self) -> Tally:
        """A slice begins."""
        self.asked_at += timedelta(seconds=1)
        return Tally(self.asked_at)

    def write(self, tally: Tally, run_id: str = "run-1", **changes: Any) -> tuple[int, int]:
        """Documents that were written, and that were there."""
        self.asked_at += timedelta(seconds=1)
        page = Page([("re_1", {"date": "2026-03-01", "amount": 5, **changes})], None, None)
        stamp = stamped("demo", "stripe", run_id, self.asked_at)
        told = self.raw.write(REFUNDS, "demo", page, stamp, False, tally)
        return len(told.written), len(told.unchanged)


def test_what_a_slice_is_given_once_more_counts_once():
    run = Run()
    tally = run.begin()
    assert [run.write(tally), run.write(tally)] == [(1, 0), (0, 0)]
    tally = run.begin()
    assert [run.write(tally, "run-2"), run.write(tally, "run-2")] == [(0, 1), (0, 0)]


def test_what_an_earlier_slice_wrote_is_not_counted_by_the_next():
    run = Run()
    assert run.write(run.begin()) == (1, 0)
    assert run.write(run.begin()) == (0, 0)


def test_a_slice_that_is_repeated_counts_again_what_it_wrote():
    run = Run()
    began_at = run.begin().began_at
    assert [run.write(Tally(began_at)), run.write(Tally(began_at))] == [(1, 0), (1, 0)]


def test_what_changes_while_it_is_pulled_counts_as_often_as_it_was_written():
    run = Run()
    tally = run.begin()
    assert [run.write(tally), run.write(tally, amount=6)] == [(1, 0), (1, 0)]
