"""What a source has no more is asked for, and removed where there is no doubt."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date

import pytest

from shared.schema.record import Mark
from shared.sources.activecampaign import CONTACTS, KINDS, Kind
from shared.sources.gone import EACH, ONE_BY_ONE, with_gone
from shared.sources.source import Feed, Page, Pull
from shared.tenants.records import SourceSettings
from tests.fakes import FakeDocuments

PULL = Pull("demo", "run-1", date(2026, 1, 1), SourceSettings(account_id="shop"))
PATH = "tenants/demo/ac_contacts"
STORED = 2 * EACH + 30


class Played:
    """A source whose feed is one page; it has what is not in `lacks`, and says that it has `total`.

    left_out: what it has, too, and does not list.
    """

    feeds = (CONTACTS,)

    def __init__(self, lacks: set[str], total: int | None) -> None:
        self.lacks, self.total = lacks, total
        self.left_out = set[str]()
        self.asked = 0

    def pages(self, feed: Feed, pull: Pull, position: str) -> Iterator[Page]:
        yield Page([("1", {})], None, 7)

    def check(self, pull: Pull) -> str:
        return "Played"

    def held(self, feed: Feed, pull: Pull) -> int | None:
        return self.total

    def missing(self, feed: Feed, pull: Pull, ids: Sequence[str]) -> Sequence[str]:
        self.asked += len(ids)
        return [one for one in ids if one in self.lacks | self.left_out]

    def is_gone(self, feed: Feed, pull: Pull, object_id: str) -> bool:
        return object_id in self.lacks


@pytest.fixture
def documents() -> FakeDocuments:
    found = FakeDocuments()
    for number in range(1, STORED + 1):
        found.documents[f"{PATH}/{number}"] = {"contact_id": str(number), "account_id": "shop"}
    return found


Ask = Callable[..., list[Page]]


@pytest.fixture
def ask(documents: FakeDocuments) -> Ask:
    def pages(source: Played, position: str = "", feed: Feed = CONTACTS) -> list[Page]:
        return list(with_gone(source, documents, feed, PULL, position))

    return pages


def gone(pages: list[Page]) -> set[str]:
    return {name for page in pages for name in page.gone}


def test_those_that_the_source_lacks_are_gone_and_each_position_goes_on(ask: Ask):
    pages = ask(Played({"7", "99", "230"}, STORED - 3))
    assert gone(pages) == {"7", "99", "230"}
    assert pages[0].documents == [("1", {})]
    assert {page.reported for page in pages} == {7}
    assert pages[-1].following is None
    for number, page in enumerate(pages[:-1]):
        rest = ask(Played({"7", "99", "230"}, STORED - 3), page.following or "")
        assert [one.gone for one in rest if one.gone] == [one.gone for one in pages[number + 1 :] if one.gone]


def test_it_is_asked_no_further_than_until_all_that_are_too_many_are_found(ask: Ask):
    source = Played({"10"}, STORED - 1)
    assert gone(ask(source)) == {"10"}
    assert source.asked == EACH


@pytest.mark.parametrize("total", [STORED, STORED + 5, None])
def test_where_nothing_is_too_many_nobody_is_asked_about(ask: Ask, total: int | None):
    source = Played({"10"}, total)
    assert gone(ask(source)) == set()
    assert source.asked == 0


def test_where_more_are_gone_than_are_too_many_something_is_wrong_and_none_is(ask: Ask):
    assert gone(ask(Played({"10", "11"}, STORED - 1))) == set()


def test_what_is_only_left_out_stays_whatever_else_is_gone(ask: Ask):
    source = Played({"10", "99"}, STORED - 4)
    source.left_out = {"11", "12"}
    assert gone(ask(source)) == {"10", "99"}


def test_many_that_are_gone_are_told_in_pages_between_which_a_slice_can_end(ask: Ask):
    lacks = set(map(str, range(1, EACH)))
    pages = ask(Played(lacks, STORED - len(lacks)))
    assert gone(pages) == lacks
    assert max(len(page.gone) for page in pages) == ONE_BY_ONE
    for number, page in enumerate(pages[:-1]):
        rest = ask(Played(lacks, STORED - len(lacks)), page.following or "")
        assert gone(rest) == gone(pages[number + 1 :])


def test_documents_of_another_account_are_none_of_its_business(ask: Ask, documents: FakeDocuments):
    documents.documents[f"{PATH}/10"]["account_id"] = "another"
    assert gone(ask(Played({"10", "11"}, STORED - 2))) == {"11"}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.listed], ids=lambda kind: kind.collection.name)
def test_what_a_feed_names_are_fields_of_its_record(kind: Kind):
    assert {kind.listed, *kind.account} <= set(kind.record.model_fields)
    assert kind.listed in kind.record.marked(Mark.KEY)


def test_a_feed_that_is_not_listed_is_given_as_it_is(ask: Ask):
    feed = Kind(CONTACTS.record)
    assert ask(Played({"10"}, 0), feed=feed) == [Page([("1", {})], None, 7)]
