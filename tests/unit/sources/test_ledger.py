"""The ledger of a sync: what it says of itself, and what others say of it."""

from datetime import UTC, date, datetime

import pytest

from shared.sources.ledger import Entry, Ledger, Tally, Written
from shared.sources.source import Page
from tests.fakes import FakeDocuments

BEGAN = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = date(2026, 1, 4)
LOOKED = {"arrived": 1, "lost": 3, "unaggregated": 2}
"""What the ETL said of an attempt that failed."""


@pytest.mark.parametrize("refused", [False, True])
def test_what_was_found_of_an_attempt_is_not_said_of_the_one_that_goes_on(refused: bool):
    ops = FakeDocuments()
    ledger, tally = Ledger(ops), Tally(BEGAN)
    entry = Entry("run-1", "demo", "ga4", "ga_page_performance", BEGAN, 0)
    tally.add("", Written([DAY]))
    ledger.add(entry, tally, Page([], "1", 4))
    ops.documents[entry.path] |= LOOKED
    if refused:
        ledger.refuse(entry, "GA4 refused the request")
    else:
        ledger.add(entry, tally, Page([], None, 4))
    [found] = ledger.of("run-1").values()
    assert (found.arrived, found.lost, found.unaggregated) == (None, None, 0)
