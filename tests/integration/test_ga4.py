"""Reports of GA4 over HTTP through Google's own client: every row once, whatever goes wrong on the way."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from typing import Any

import orjson
import pytest

from infra.local.sample import Sample
from infra.local.vendors.ga4_data_api import SAMPLE_PROPERTY
from shared.adapters.ga4 import DAYS, Ga4Source
from shared.errors import CredentialsRefused, Rejected, Unavailable
from shared.sources.reports import REPORTS, Only, Report
from shared.sources.source import Page, Pull
from shared.tenants.records import SourceSettings
from tests.support.ga4 import DISTORTED, NO_ROWS, SESSIONS, STORE, TWO_RANGES, answer
from tests.support.vendor import Answer, Vendor, vendor
from tests.support.vendors import Vendors, vendors

TODAY = date(2026, 11, 21)
WHOLE = 90
PROPERTY = "properties/1"
NAMED = {report.collection.name: report for report in REPORTS}
SOURCES, DEVICES, PAGES = (NAMED[name] for name in ("ga_traffic_sources", "ga_device_metrics", "ga_landing_pages"))
FLAGS = ("sampled", "thresholded", "folded")
STORE_TODAY = date(2020, 11, 3)


@pytest.fixture(scope="module")
def running() -> Iterator[Vendors]:
    with vendors(TODAY, "ga4_data_api") as running:
        yield running


@pytest.fixture
def google(running: Vendors) -> Iterator[Vendors]:
    running.control("ga4", retry_after_seconds=0)
    yield running
    running.control("ga4", page_size=None)


@cache
def sample() -> Sample:
    return Sample.load(today=TODAY)


def source(address: str, **options: Any) -> Ga4Source:
    return Ga4Source.connect(address, **{"today": lambda: TODAY} | options)


def pull(days: int = 3, property_id: str = SAMPLE_PROPERTY, today: date = TODAY) -> Pull:
    return Pull("demo", "run-1", today - timedelta(days=days), SourceSettings(property_id=property_id))


def documents(pages: list[Page]) -> dict[str, dict[str, Any]]:
    found = [one for page in pages for one in page.documents]
    assert len(dict(found)) == len(found), "a row came twice"
    return dict(found)


def assert_all(report: Report, pages: list[Page], days: int) -> None:
    """Every row of these days, once, in order of day, with its own numbers; and that was what was reported."""
    first = max(TODAY - timedelta(days=days), sample().first_day)
    served = sample().between(report.collection.name, f"{first:%Y%m%d}", f"{sample().last_day:%Y%m%d}")
    found = documents(pages)
    assert len(found) == len(served) == pages[-1].reported
    assert sum(one["sessions"] for one in found.values()) == sum(int(str(row["sessions"])) for row in served) > 0
    dates = [fields["date"] for page in pages for _, fields in page.documents]
    assert dates == sorted(dates)
    assert [page.following is None for page in pages] == [False] * (len(pages) - 1) + [True]


def asked(google: Vendors) -> int:
    return len(google.served("ga4"))


@pytest.mark.parametrize("rows", [7, 30, 20_000])
def test_every_row_arrives_once_in_answers_of_any_size(google: Vendors, rows: int):
    pages = list(source(google.address, rows_per_page=rows).pages(DEVICES, pull(3), ""))
    assert max(len(page.documents) for page in pages) <= rows
    assert_all(DEVICES, pages, 3)


def test_history_is_asked_for_in_ranges_of_days(google: Vendors):
    before = asked(google)
    pages = list(source(google.address).pages(DEVICES, pull(WHOLE), ""))
    assert_all(DEVICES, pages, WHOLE)
    spans = [[date.fromisoformat(fields["date"]) for _, fields in page.documents] for page in pages]
    assert [(max(span) - min(span)).days + 1 for span in spans[:-1]] == [DAYS] * (len(spans) - 1)
    assert len(pages) == asked(google) - before == 4


def test_a_day_comes_from_one_answer_where_one_can_hold_it(google: Vendors):
    pages = list(source(google.address, rows_per_page=150).pages(PAGES, pull(10), ""))
    assert len(pages) > 3
    dates = [{fields["date"] for _, fields in page.documents} for page in pages]
    assert all(one.isdisjoint(other) for one, other in zip(dates, dates[1:], strict=False))
    assert_all(PAGES, pages, 10)


def test_it_goes_on_from_each_position_with_exactly_what_is_left(google: Vendors):
    at = source(google.address, rows_per_page=7)
    pages = list(at.pages(SOURCES, pull(3), ""))
    assert len(pages) > 3
    for number, page in enumerate(pages[:-1], 1):
        assert page.following is not None
        assert list(at.pages(SOURCES, pull(3), page.following)) == pages[number:]


@pytest.mark.parametrize("position", ["2026-11-18@4", "150", "2026-11-18", "2026-11-18@0@0"])
def test_a_position_of_another_form_loses_nothing(google: Vendors, position: str):
    assert_all(DEVICES, list(source(google.address).pages(DEVICES, pull(3), position)), 3)


@pytest.mark.parametrize("page_size", [9, 40])
def test_answers_that_are_shorter_than_was_asked_lose_nothing(google: Vendors, page_size: int):
    iterator = source(google.address, rows_per_page=100).pages(DEVICES, pull(3), "")
    pages = [next(iterator)]
    google.control("ga4", page_size=page_size)
    assert_all(DEVICES, [*pages, *iterator], 3)


@pytest.mark.parametrize("days", [0, -3])
def test_days_that_are_not_over_ask_nothing(google: Vendors, days: int):
    before = asked(google)
    assert list(source(google.address).pages(DEVICES, pull(days), "")) == [Page([], None, 0)]
    assert asked(google) == before


@pytest.mark.parametrize("ahead", [-1, 0, 1])
def test_yesterday_is_the_propertys_own(google: Vendors, ahead: int):
    """A property may be a day behind of UTC, or ahead: a range never ends before it begins."""
    at = source(google.address, today=lambda: TODAY - timedelta(days=ahead))
    newest = max(fields["date"] for fields in documents(list(at.pages(DEVICES, pull(2 + ahead), ""))).values())
    assert newest == str(TODAY - timedelta(days=1))


def test_a_report_without_rows_is_one_empty_page(google: Vendors):
    google.control("ga4", fail_next=["empty"])
    assert list(source(google.address).pages(DEVICES, pull(3), "")) == [Page([], None, 0)]


@pytest.mark.parametrize(
    ("fault", "flag"), [("sampled", "sampled"), ("thresholded", "thresholded"), ("other", "folded")]
)
def test_what_google_did_to_an_answer_reaches_its_rows_and_no_others(google: Vendors, fault: str, flag: str):
    iterator = source(google.address, rows_per_page=30).pages(DEVICES, pull(9), "")
    plain = next(iterator)
    google.control("ga4", fail_next=[fault])
    told = next(iterator)
    assert {tuple(fields[name] for name in FLAGS) for _, fields in plain.documents} == {(False, False, False)}
    assert {tuple(name for name in FLAGS if fields[name]) for _, fields in told.documents} == {(flag,)}
    for _, fields in told.documents:
        DEVICES.record.model_validate({"tenant_id": "demo", **fields})


@pytest.mark.parametrize("fault", [429, 500, 503, "quota403", "truncate", "html"])
def test_what_may_pass_is_asked_again_and_costs_no_row(google: Vendors, fault: int | str):
    iterator = source(google.address, rows_per_page=30).pages(DEVICES, pull(9), "")
    pages, before = [next(iterator)], asked(google)
    google.control("ga4", fail_next=[fault])
    pages += iterator
    assert_all(DEVICES, pages, 9)
    assert asked(google) - before == len(pages)


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_are_refused_are_not_tried_again(google: Vendors, status: int):
    before = asked(google)
    google.control("ga4", fail_next=[status])
    with pytest.raises(CredentialsRefused):
        list(source(google.address).pages(DEVICES, pull(3), ""))
    assert asked(google) - before == 1


def test_a_field_that_google_does_not_know_is_rejected_in_its_words(google: Vendors):
    with pytest.raises(Rejected, match="refused the request") as refused:
        list(source(google.address).pages(Report(SESSIONS.record, only=Only("no_such", ("x",))), pull(3), ""))
    assert "noSuch is not a valid dimension" in refused.value.fields["cause"]


def test_a_quota_that_is_back_later_than_one_can_wait_is_unavailable_at_once(google: Vendors):
    before = asked(google)
    google.control("ga4", fail_next=[429], retry_after_seconds=3600)
    with pytest.raises(Unavailable, match="GA4 is not available"):
        list(source(google.address).pages(DEVICES, pull(3), ""))
    assert asked(google) - before == 1


def test_an_answer_that_does_not_come_is_unavailable(google: Vendors):
    google.control("ga4", fail_next=["timeout"])
    with pytest.raises(Unavailable, match="GA4 is not available"):
        list(source(google.address, patience_seconds=0.1, call_seconds=0.1).pages(DEVICES, pull(3), ""))


@pytest.mark.parametrize("rows", [30, 150])
def test_an_answer_that_is_given_once_more_is_not_taken_for_the_next(google: Vendors, rows: int):
    """Of the same day, or of days before."""
    at = source(google.address, rows_per_page=rows)
    pages = at.pages(PAGES, pull(10), "")
    first = next(pages)
    google.control("ga4", fail_next=["repeat"])
    with pytest.raises(Unavailable, match="once more"):
        next(pages)
    assert_all(PAGES, [first, *at.pages(PAGES, pull(10), first.following or "")], 10)


def test_an_answer_to_another_report_is_not_taken(google: Vendors):
    next(source(google.address).pages(PAGES, pull(3), ""))
    google.control("ga4", fail_next=["repeat"])
    with pytest.raises(Unavailable, match="other columns"):
        next(source(google.address).pages(DEVICES, pull(3), ""))


def test_a_check_tells_the_property_and_what_it_counts_in(google: Vendors):
    assert source(google.address).check(pull()) == f"{SAMPLE_PROPERTY}, USD, America/Los_Angeles"


@pytest.mark.parametrize(
    ("only", "keeps"),
    [
        (Only("sessions", at_least=100), lambda row: row["sessions"] >= 100),
        (Only("landing_page", ("/", "/store.html")), lambda row: row["landingPage"] in ("/", "/store.html")),
        (Only("landing_page", matches="shop|STORE"), lambda row: re.search("shop|store", row["landingPage"], re.I)),
    ],
)
def test_a_report_holds_what_it_asks_for_only(google: Vendors, only: Only, keeps: Any):
    found = documents(list(source(google.address).pages(replace(PAGES, only=only), pull(2), "")))
    served = sample().between("ga_landing_pages", f"{TODAY - timedelta(days=2):%Y%m%d}", f"{TODAY:%Y%m%d}")
    expected = sorted((row["landingPage"], row["sessions"]) for row in served if keeps(row))
    assert sorted((fields["landing_page"], fields["sessions"]) for fields in found.values()) == expected
    assert 0 < len(expected) < len(served)


# --- answers that the sample's server does not give ------------------------------------------------------------------


@pytest.fixture
def odd() -> Iterator[Vendor]:
    with vendor() as server:
        yield server


def answers(odd: Vendor, *given: Any, rows: int = 100, days: int = 2) -> Iterator[Page]:
    odd.answers = [Answer(one) for one in given]
    at = source(odd.address, rows_per_page=rows, patience_seconds=0.1, today=lambda: STORE_TODAY)
    return at.pages(SESSIONS, pull(days, PROPERTY, STORE_TODAY), "")


def test_the_stores_sessions_are_mapped_row_for_row(odd: Vendor):
    [page] = answers(odd, answer(STORE))
    names = ("session_source", "session_medium", "session_campaign_name")
    expected = [
        {
            "date": f"{day[:4]}-{day[4:6]}-{day[6:]}",
            "property_id": PROPERTY,
            **dict.fromkeys(FLAGS, False),
            **dict(zip(names, came_from, strict=True)),
            "sessions": int(sessions),
        }
        for day, *came_from, sessions in STORE
    ]
    assert [fields for _, fields in page.documents] == expected
    assert len({name for name, _ in page.documents}) == len(STORE) == page.reported
    for _, fields in page.documents:
        SESSIONS.record.model_validate({"tenant_id": "demo", **fields})
    [request] = [orjson.loads(one.body) for one in odd.asked]
    assert request["dateRanges"] == [{"startDate": "2020-11-01", "endDate": "yesterday"}]
    assert request["dimensions"] == answer(STORE)["dimensionHeaders"]


def test_rows_of_an_answer_that_was_cut_are_taken_as_far_as_days_are_whole(odd: Vendor):
    first, second = (tuple(row for row in STORE if row[0] == day) for day in ("20201101", "20201102"))
    pages = list(answers(odd, answer(STORE[:8], 12), answer(second), rows=8))
    assert [len(page.documents) for page in pages] == [len(first), len(second)]
    assert [page.reported for page in pages] == [12, 12]
    [_, request] = [orjson.loads(one.body) for one in odd.asked]
    assert (request["dateRanges"][0]["startDate"], request.get("offset")) == ("2020-11-02", None)


def test_a_day_that_changes_between_its_answers_is_unavailable(odd: Vendor):
    pages = answers(odd, answer(STORE[:2], 12), answer(STORE[2:4], 11), rows=2)
    assert next(pages).following == "2020-11-01@2@0@12"
    with pytest.raises(Unavailable, match="changed a day"):
        next(pages)


def test_what_is_reported_and_not_given_is_missed(odd: Vendor):
    [page] = answers(odd, answer((), 0) | {"rowCount": 5})
    assert (page.documents, page.reported) == ([], 5)


def test_an_answer_has_all_flags_at_once(odd: Vendor):
    [page] = answers(odd, answer(STORE[:1], **DISTORTED))
    [(_, fields)] = page.documents
    assert [fields[name] for name in FLAGS] == [True] * 3


def test_nothing_ever_is_one_empty_page(odd: Vendor):
    assert list(answers(odd, NO_ROWS)) == [Page([], None, 0)]


def test_an_answer_about_several_ranges_is_not_taken(odd: Vendor):
    with pytest.raises(Unavailable, match="other columns"):
        list(answers(odd, TWO_RANGES))


def test_a_number_that_is_none_is_kept_as_it_came(odd: Vendor):
    [page] = answers(odd, answer(((*STORE[0][:4], "many"),)))
    assert page.documents[0][1]["sessions"] == "many"
