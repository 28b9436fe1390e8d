"""Search Console over real HTTP, played by the local server: every row once, whatever goes wrong on the way."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from infra.local.sample.search_console import SITE_URL, Row, rows
from infra.local.vendors.google_oauth import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from shared.adapters.google_oauth import GoogleOAuth
from shared.adapters.search_console import QUERIES, TRIES, SearchConsoleSource
from shared.errors import CredentialsRefused, Rejected, Unavailable
from shared.sources.catalogue import SOURCES
from shared.sources.cursors import Cursors
from shared.sources.records import SearchConsoleQuery
from shared.sources.source import Page, Pull
from shared.tenants.records import SourceSettings
from tests.fakes import FakeDocuments
from tests.support.vendor import Answer, Vendor, vendor
from tests.support.vendors import Vendors, vendors

TODAY = date(2026, 11, 21)
ACCOUNT = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": REFRESH_TOKEN}
TOKEN = Answer({"access_token": "t", "expires_in": 3599})
Documents = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def running() -> Iterator[Vendors]:
    with vendors(TODAY, "google_oauth", "search_console") as running:
        yield running


@pytest.fixture
def google(running: Vendors) -> Iterator[Vendors]:
    running.control("search_console", retry_after_seconds=0)
    yield running
    running.control("search_console", page_size=None)


def source(address: str, **options: Any) -> SearchConsoleSource:
    accounts = GoogleOAuth(f"{address}/token")
    return SearchConsoleSource(address, accounts, **({"today": lambda: TODAY} | options))


def pull(days: int = 3, site_url: str = SITE_URL, **account: str) -> Pull:
    settings = SourceSettings(site_url=site_url)
    return Pull("demo", "run-1", TODAY - timedelta(days=days), settings, json.dumps(ACCOUNT | account))


def documents(pages: list[Page]) -> Documents:
    return dict(one for page in pages for one in page.documents)


def served(days: int) -> list[Row]:
    return [row for row in rows(TODAY) if row.date >= (TODAY - timedelta(days=days)).isoformat()]


def assert_all(found: Documents, days: int = 3) -> None:
    """Every row that the vendor has, once, with its own numbers."""
    expected = {(row.date, row.query, row.page): row for row in served(days)}
    assert len(found) == len(expected) > 0
    for fields in found.values():
        row = expected[fields["date"], fields["query"], fields["page"]]
        assert (fields["clicks"], fields["impressions"]) == (row.clicks, row.impressions)
        assert (fields["ctr"], fields["position"]) == (row.clicks / row.impressions, pytest.approx(row.position))


def asked(google: Vendors) -> int:
    return len(google.served("search_console"))


def test_every_row_arrives_once_in_order_of_day_and_is_a_valid_record(google: Vendors):
    pages = list(source(google.address).pages(QUERIES, pull(), ""))
    found = documents(pages)
    assert_all(found)
    days = [fields["date"] for page in pages for _, fields in page.documents]
    assert days == sorted(days)
    assert [page.following is None for page in pages] == [False] * (len(pages) - 1) + [True]
    for fields in found.values():
        SearchConsoleQuery.model_validate({"tenant_id": "demo", **fields})
        assert {name: type(fields[name]) for name in ("clicks", "ctr", "position")} == {
            "clicks": int,
            "ctr": float,
            "position": float,
        }


def test_a_second_sync_gives_the_same_documents_under_the_same_ids(google: Vendors):
    first, second = (documents(list(source(google.address).pages(QUERIES, pull(), ""))) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("page_size", [9, 33])
def test_pages_that_are_smaller_than_was_asked_lose_nothing(google: Vendors, page_size: int):
    google.control("search_console", page_size=page_size)
    pages = list(source(google.address).pages(QUERIES, pull(), ""))
    assert max(len(page.documents) for page in pages) == page_size
    assert_all(documents(pages))


def test_it_goes_on_from_each_position_with_exactly_what_is_left(google: Vendors):
    pages = list(source(google.address, rows_per_page=20).pages(QUERIES, pull(), ""))
    for number, page in enumerate(pages[:-1]):
        assert page.following is not None
        left = list(source(google.address, rows_per_page=20).pages(QUERIES, pull(), page.following))
        assert documents(left) == documents(pages[number + 1 :])


def test_days_without_rows_are_not_asked_for(google: Vendors):
    before, first = asked(google), date.fromisoformat(rows(TODAY)[0].date)
    early = source(google.address, today=lambda: first + timedelta(days=2))
    found = {fields["date"] for fields in documents(list(early.pages(QUERIES, pull(days=400), ""))).values()}
    assert found == {str(first), str(first + timedelta(days=1))}
    # Which days there are, each of them, and whether this was all of it.
    assert asked(google) - before == 2 * (1 + len(found))


@pytest.mark.parametrize("days", [0, -3])
def test_a_pull_that_begins_today_or_later_is_empty(google: Vendors, days: int):
    assert list(source(google.address).pages(QUERIES, pull(days=days), "")) == [Page([], None, None)]


@pytest.mark.parametrize(("fault", "before"), [(429, 0), (500, 2), (503, 2), ("truncate", 2), ("html", 0)])
def test_what_may_pass_is_tried_again_and_costs_no_row(google: Vendors, fault: int | str, before: int):
    iterator = source(google.address, rows_per_page=20).pages(QUERIES, pull(), "")
    pages = [next(iterator) for _ in range(before)]
    google.control("search_console", fail_next=[fault])
    assert_all(documents([*pages, *iterator]))


def test_an_answer_given_once_more_is_not_taken_for_the_next(google: Vendors):
    iterator = source(google.address, rows_per_page=20).pages(QUERIES, pull(), "")
    pages = [next(iterator)]
    # In place of the rest of the day, and then, twice, of the answer that ends it.
    google.control("search_console", fail_next=["repeat"])
    pages.append(next(iterator))
    google.control("search_console", fail_next=["repeat", "repeat"])
    assert_all(documents([*pages, *iterator]))


def test_what_is_not_there_for_long_is_unavailable_and_what_came_before_is_kept(google: Vendors):
    iterator = source(google.address, rows_per_page=20, patience_seconds=0.1).pages(QUERIES, pull(), "")
    page = next(iterator)
    google.control("search_console", fail_next=[503], retry_after_seconds=60)
    with pytest.raises(Unavailable, match="Search Console is not available"):
        next(iterator)
    assert page.following is not None
    rest = source(google.address, rows_per_page=20).pages(QUERIES, pull(), page.following)
    assert_all(documents([page, *rest]))


def test_an_account_that_is_taken_no_more_is_refused(google: Vendors):
    with pytest.raises(CredentialsRefused) as refused:
        list(source(google.address).pages(QUERIES, pull(refresh_token="revoked"), ""))
    assert refused.value.fields["reason_given"] == "invalid_grant"


def test_a_token_that_ended_before_its_time_is_exchanged_again(google: Vendors):
    google.control("search_console", fail_next=[401])
    assert_all(documents(list(source(google.address).pages(QUERIES, pull(), ""))))
    google.control("search_console", fail_next=[401, 401])
    with pytest.raises(CredentialsRefused):
        list(source(google.address).pages(QUERIES, pull(), ""))


def test_a_site_that_the_account_may_not_read_is_refused_by_googles_name_of_it(google: Vendors):
    with pytest.raises(CredentialsRefused) as refused:
        list(source(google.address).pages(QUERIES, pull(site_url="https://example.com/"), ""))
    assert refused.value.fields["reason_given"] == "forbidden"


def test_a_question_that_is_wrong_is_rejected_in_googles_words(google: Vendors):
    with pytest.raises(Rejected, match="refused the request") as refused:
        list(source(google.address, rows_per_page=25_001).pages(QUERIES, pull(), ""))
    assert not isinstance(refused.value, CredentialsRefused)
    assert "rowLimit" in refused.value.fields["cause"]


def test_a_check_tells_the_site_and_what_the_account_may_do_there(google: Vendors):
    assert source(google.address).check(pull()) == f"{SITE_URL} (siteFullUser)"
    with pytest.raises(Rejected):
        source(google.address).check(pull(site_url="sc-domain:example.com"))


def test_days_that_google_has_not_settled_for_long_stay_due():
    cursors, kind = Cursors(FakeDocuments()), SOURCES["search_console"]
    cursors.move("demo", kind.name, QUERIES, SITE_URL, TODAY, newest=TODAY - timedelta(days=11))
    due = cursors.due("demo", kind, QUERIES, SITE_URL, TODAY)
    assert due == TODAY - timedelta(days=10 + kind.restated_days)


# --- answers that the sample's server does not give ------------------------------------------------------------------


@pytest.fixture
def odd() -> Iterator[Vendor]:
    with vendor() as server:
        yield server


def refusal(status: int, reason: str, domain: str) -> Answer:
    error = {"code": status, "message": reason, "errors": [{"message": reason, "domain": domain, "reason": reason}]}
    return Answer({"error": error}, status=status)


def row(*keys: str, **numbers: Any) -> dict[str, Any]:
    return {"keys": list(keys), **({"clicks": 1.0, "impressions": 4, "ctr": 0.25, "position": 3} | numbers)}


def answers(odd: Vendor, *given: Any) -> list[Page]:
    odd.answers = [TOKEN, *(one if isinstance(one, Answer) else Answer(one) for one in given)]
    return list(source(odd.address, patience_seconds=0.1).pages(QUERIES, pull(), ""))


@pytest.mark.parametrize("reason", ["rateLimitExceeded", "userRateLimitExceeded"])
def test_too_many_questions_are_asked_again_though_the_status_is_403(odd: Vendor, reason: str):
    odd.answers = [TOKEN, refusal(403, reason, "usageLimits"), Answer({})]
    assert list(source(odd.address).pages(QUERIES, pull(), "")) == [Page([], None, None)]


@pytest.mark.parametrize(
    ("status", "reason"), [(403, "quotaExceeded"), (429, "quotaExceeded"), (403, "dailyLimitExceeded")]
)
def test_a_spent_quota_is_unavailable_at_once(odd: Vendor, status: int, reason: str):
    odd.answers = [TOKEN, refusal(status, reason, "usageLimits")]
    with pytest.raises(Unavailable) as unavailable:
        list(source(odd.address).pages(QUERIES, pull(), ""))
    assert reason in unavailable.value.fields["cause"]
    assert unavailable.value.fields["retry_after_seconds"] >= 900
    assert len(odd.asked) == 2


def test_an_api_that_is_not_switched_on_is_no_passing_matter(odd: Vendor):
    with pytest.raises(CredentialsRefused):
        answers(odd, refusal(403, "accessNotConfigured", "usageLimits"))


def test_an_answer_that_does_not_come_is_unavailable_in_the_end(odd: Vendor):
    odd.answers = [TOKEN, Answer({}, wait=0.3)]
    with pytest.raises(Unavailable) as unavailable:
        list(source(odd.address, patience_seconds=0.1, call_seconds=0.1).pages(QUERIES, pull(), ""))
    assert unavailable.value.fields["cause"] == "ReadTimeout"


def test_nothing_in_all_days_is_one_empty_page(odd: Vendor):
    assert answers(odd, {"responseAggregationType": "byProperty"}) == [Page([], None, None)]


def test_a_number_that_is_none_is_kept_as_it_came(odd: Vendor):
    bad = row("2026-11-20", "shoes", "https://example.com/", clicks="many", ctr=None)
    found = answers(odd, {"rows": [row("2026-11-20")]}, {}, {"rows": [bad]}, {})
    [fields] = documents(found).values()
    assert (fields["clicks"], fields["ctr"], fields["impressions"], fields["position"]) == ("many", None, 4, 3.0)


@pytest.mark.parametrize(
    "other",
    [
        row("2026-11-19", "shoes", "https://example.com/"),
        row("2026-11-20", "shoes"),
        {"clicks": 1},
    ],
    ids=["of another day", "of fewer keys", "of none"],
)
def test_rows_that_were_not_asked_for_are_never_written(odd: Vendor, other: dict[str, Any]):
    with pytest.raises(Unavailable, match="other rows than were asked for"):
        answers(odd, {"rows": [row("2026-11-20")]}, {}, *[{"rows": [other]}] * TRIES)


def test_a_server_that_gives_the_same_page_for_ever_is_unavailable(odd: Vendor):
    page = {"rows": [row("2026-11-20", "shoes", "https://example.com/")]}
    with pytest.raises(Unavailable, match="other rows than were asked for"):
        answers(odd, {"rows": [row("2026-11-20")]}, {}, page)


def test_an_unverified_user_may_not_read(odd: Vendor):
    odd.answers = [TOKEN, Answer({"siteUrl": SITE_URL, "permissionLevel": "siteUnverifiedUser"})]
    with pytest.raises(CredentialsRefused, match="no verified user"):
        source(odd.address).check(pull())


def test_a_site_of_any_spelling_is_asked_for_whole(odd: Vendor):
    odd.answers = [TOKEN, Answer({"siteUrl": "sc-domain:example.com", "permissionLevel": "siteOwner"})]
    source(odd.address).check(pull(site_url="sc-domain:example.com"))
    odd.answers = [Answer({})]
    assert odd.asked[-1].path == "/webmasters/v3/sites/sc-domain%3Aexample.com"
