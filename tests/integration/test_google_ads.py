"""Reports of Google Ads over HTTP: windows of days, what goes wrong on the way, and every figure as it was given."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from infra.local.sample.google_ads import ACCOUNT_NAME, CUSTOMER_ID
from infra.local.sample.google_ads import reports as read_reports
from infra.local.vendors.google_oauth import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from shared.adapters.google_ads import VERSION, GoogleAdsSource
from shared.adapters.google_oauth import GoogleOAuth
from shared.errors import CredentialsRefused, Rejected, Unavailable
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook
from shared.sources.google_ads import REPORTS, Report
from shared.sources.messages import SyncRequested
from shared.sources.slices import SLICE_SECONDS
from shared.sources.source import Page, Pull
from shared.sources.sync import Sync
from shared.tenants.records import SourceSettings, Tenant
from shared.tenants.service import Tenants
from tests.fakes import FakeDocuments, FakePublisher, FakeSecrets
from tests.support.vendor import Answer, Vendor, vendor
from tests.support.vendors import Vendors, vendors

TODAY = date(2026, 11, 21)
YESTERDAY = TODAY - timedelta(days=1)
NOW = datetime(2026, 11, 21, 5, 5, tzinfo=UTC)
"""When the scheduler asks."""
CREDENTIALS = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": REFRESH_TOKEN}
CAMPAIGNS, AD_GROUPS, KEYWORDS, SEARCH_TERMS, LANDING_PAGES = REPORTS


@pytest.fixture(scope="module")
def google() -> Iterator[Vendors]:
    with vendors(TODAY, "google_oauth", "google_ads") as running:
        yield running


@pytest.fixture
def source(google: Vendors) -> Iterator[GoogleAdsSource]:
    yield at(google)
    google.control("google_ads", retry_after_seconds=1, page_size=None)


def at(google: Vendors, endpoint: str = "", **options: Any) -> GoogleAdsSource:
    accounts = GoogleOAuth(f"{google.address}/token")
    return GoogleAdsSource(endpoint or google.address, accounts, **{"now": lambda: NOW, **options})


def pull(days: int = 30, run_id: str = "run-1", customer_id: str = CUSTOMER_ID, **changed: str) -> Pull:
    settings = SourceSettings(customer_id=customer_id)
    return Pull("demo", run_id, TODAY - timedelta(days=days), settings, json.dumps({**CREDENTIALS, **changed}))


def documents(pages: list[Page]) -> dict[str, dict[str, Any]]:
    return {name: fields for page in pages for name, fields in page.documents}


@cache
def reports() -> dict[str, list[dict[str, Any]]]:
    return read_reports(TODAY)


def served(report: Report, days: int) -> list[dict[str, Any]]:
    first = (TODAY - timedelta(days=days)).isoformat()
    return [row for row in reports()[report.resource] if row["segments.date"] >= first]


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.resource)
def test_every_row_arrives_in_windows_of_days(google: Vendors, source: GoogleAdsSource, report: Report):
    before = len(google.served("google_ads"))
    pages = list(source.pages(report, pull(), ""))
    assert len(pages) == len(google.served("google_ads")) - before == -(-30 // report.days)
    found, expected = documents(pages), served(report, 30)
    assert len(found) == sum(len(page.documents) for page in pages) == len(expected) > 0
    for field, name in (("clicks", "clicks"), ("impressions", "impressions")):
        assert sum(one[field] for one in found.values()) == sum(int(row[f"metrics.{name}"]) for row in expected)
    assert [page.following for page in pages[:-1]] == [
        (TODAY - timedelta(days=30 - report.days * number)).isoformat() for number in range(1, len(pages))
    ]
    assert (pages[-1].following, {page.reported for page in pages}) == (None, {None})
    days = [fields["date"] for page in pages for _, fields in page.documents]
    assert days == sorted(days)
    assert days[-1] == YESTERDAY.isoformat()


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.resource)
def test_documents_are_valid_rows_of_their_records(source: GoogleAdsSource, report: Report):
    for name, fields in documents(list(source.pages(report, pull(3), ""))).items():
        row = report.record.model_validate({**fields, "tenant_id": "demo"})
        assert name.startswith(f"{row.date}-")
        assert set(fields) == set(report.record.model_fields) - {"tenant_id", "source", "sync_run_id", "synced_at"}


def test_micros_become_the_accounts_currency_once_and_exactly(source: GoogleAdsSource):
    found = documents(list(source.pages(CAMPAIGNS, pull(), "")))
    expected = served(CAMPAIGNS, 30)
    micros = sum(int(row["metrics.cost_micros"]) for row in expected)
    assert sum(round(one["cost"] * 1_000_000) for one in found.values()) == micros
    budgets = {int(row["campaign_budget.amount_micros"]) for row in expected}
    assert {one["daily_budget"] * 1_000_000 for one in found.values()} == budgets


def test_conversions_stay_fractions_and_what_is_not_measured_stays_unknown(source: GoogleAdsSource):
    found = documents(list(source.pages(CAMPAIGNS, pull(), ""))).values()
    assert any(one["conversions"] % 1 for one in found)
    expected = sum(row["metrics.conversions"] for row in served(CAMPAIGNS, 30))
    assert sum(one["conversions"] for one in found) == pytest.approx(expected)
    for one in found:
        known = one["channel_type"] != "DISPLAY"
        assert (one["search_lost_is_budget"] is not None, one["search_lost_is_rank"] is not None) == (known, known)


def test_a_pull_goes_on_at_its_position(source: GoogleAdsSource):
    pages = list(source.pages(AD_GROUPS, pull(), ""))
    rest = list(source.pages(AD_GROUPS, pull(), pages[0].following or ""))
    assert rest == pages[1:]


def test_a_second_pull_gives_the_same_documents(source: GoogleAdsSource):
    for report in REPORTS:
        first, second = (documents(list(source.pages(report, pull(7, run), ""))) for run in ("run-1", "run-2"))
        assert first == second


def test_the_same_row_of_another_account_is_another_document():
    [row] = reports()[AD_GROUPS.resource][:1]
    nested = {"segments": {"date": row["segments.date"]}, "adGroup": {"id": row["ad_group.id"]}}
    assert AD_GROUPS.document(nested, "1111111111")[0] != AD_GROUPS.document(nested, "2222222222")[0]


def test_an_answer_in_many_chunks_is_read_whole(google: Vendors, source: GoogleAdsSource):
    whole = list(source.pages(SEARCH_TERMS, pull(5), ""))
    google.control("google_ads", page_size=2)
    assert list(source.pages(SEARCH_TERMS, pull(5), "")) == whole


def test_days_without_anything_are_empty_pages(source: GoogleAdsSource):
    assert list(source.pages(CAMPAIGNS, pull(0), "")) == [Page([], None, None)]
    first, *_ = source.pages(CAMPAIGNS, pull(200), "")
    assert (first.documents, first.following) == ([], (TODAY - timedelta(days=186)).isoformat())


def test_an_answer_that_is_given_twice_makes_the_same_documents(google: Vendors, source: GoogleAdsSource):
    whole = documents(list(source.pages(AD_GROUPS, pull(14), "")))
    google.control("google_ads", fail_next=["repeat"])
    assert documents(list(source.pages(AD_GROUPS, pull(14), ""))) == whole


@pytest.mark.parametrize("fault", [429, 500, 503, "truncate", "html"])
def test_what_may_pass_is_asked_again(google: Vendors, source: GoogleAdsSource, fault: int | str):
    whole = list(source.pages(CAMPAIGNS, pull(3), ""))
    google.control("google_ads", fail_next=[fault], retry_after_seconds=0)
    before = len(google.served("google_ads"))
    assert list(source.pages(CAMPAIGNS, pull(3), "")) == whole
    assert len(google.served("google_ads")) - before == 2


def test_an_answer_that_does_not_come_is_unavailable(google: Vendors):
    google.control("google_ads", fail_next=["timeout"])
    with pytest.raises(Unavailable, match="Google Ads is not available"):
        list(at(google, patience_seconds=0.1, call_seconds=0.1).pages(CAMPAIGNS, pull(3), ""))


def test_a_quota_that_is_back_later_than_one_can_wait_is_unavailable_at_once(google: Vendors, source: GoogleAdsSource):
    google.control("google_ads", fail_next=[429], retry_after_seconds=3600)
    before = len(google.served("google_ads"))
    with pytest.raises(Unavailable) as gone:
        list(source.pages(CAMPAIGNS, pull(3), ""))
    assert gone.value.fields["cause"] == "HTTP 429 RESOURCE_EXHAUSTED"
    assert len(google.served("google_ads")) - before == 1


def test_an_account_that_may_not_be_read_is_told_by_googles_name_of_it(google: Vendors, source: GoogleAdsSource):
    with pytest.raises(CredentialsRefused, match="Google Ads refused the credentials") as refused:
        list(source.pages(CAMPAIGNS, pull(3, customer_id="1234567890"), ""))
    assert refused.value.fields == {"status_given": 403, "reason_given": "USER_PERMISSION_DENIED"}


def test_a_token_that_was_revoked_is_told_without_asking_for_a_report(google: Vendors, source: GoogleAdsSource):
    before = len(google.served("google_ads"))
    with pytest.raises(CredentialsRefused) as refused:
        list(source.pages(CAMPAIGNS, pull(3, refresh_token="revoked"), ""))
    assert refused.value.fields["reason_given"] == "invalid_grant"
    assert len(google.served("google_ads")) == before


def test_a_401_is_met_with_a_new_token_once(google: Vendors, source: GoogleAdsSource):
    google.control("google_ads", fail_next=[401])
    assert list(source.pages(CAMPAIGNS, pull(3), ""))[0].documents
    google.control("google_ads", fail_next=[401, 401])
    with pytest.raises(CredentialsRefused) as refused:
        list(source.pages(CAMPAIGNS, pull(3), ""))
    assert refused.value.fields["reason_given"] == "OAUTH_TOKEN_INVALID"


def test_a_query_that_google_does_not_take_is_rejected(google: Vendors, source: GoogleAdsSource):
    odd = replace(CAMPAIGNS, own={**CAMPAIGNS.own, "device": "segments.divice"})
    with pytest.raises(Rejected, match="Google Ads refused the request") as refused:
        list(source.pages(odd, pull(3), ""))
    assert refused.value.fields["reason_given"] == "UNRECOGNIZED_FIELD"


def test_a_connection_is_tested_with_the_accounts_name(source: GoogleAdsSource):
    assert source.check(pull()) == ACCOUNT_NAME
    with pytest.raises(CredentialsRefused):
        source.check(pull(customer_id="1234567890"))


@pytest.fixture
def played() -> Iterator[Vendor]:
    with vendor() as server:
        yield server


def test_a_manager_account_is_named_in_a_header_and_no_developer_token_is_sent(google: Vendors, played: Vendor):
    played.answers = [Answer([{}])]
    by_manager = replace(pull(), settings=SourceSettings(customer_id=CUSTOMER_ID, login_customer_id="9999999999"))
    assert at(google, played.address).check(by_manager) == CUSTOMER_ID
    [asked] = played.asked
    assert asked.path == f"/{VERSION}/customers/{CUSTOMER_ID}/googleAds:searchStream"
    assert asked.headers["login-customer-id"] == "9999999999"
    assert "developer-token" not in asked.headers


def test_what_is_zero_may_be_absent_and_what_is_no_number_stays_as_it_was_given(google: Vendors, played: Vendor):
    row = {
        "segments": {"date": "2026-11-20", "device": "MOBILE"},
        "campaign": {"id": "7", "name": "Brand"},
        "customer": {"currencyCode": "EUR"},
        "metrics": {"clicks": "many", "impressions": "9007199254740993", "costMicros": "1"},
    }
    played.answers = [Answer([{"results": [row]}])]
    [page] = at(google, played.address).pages(CAMPAIGNS, pull(1), "")
    [(_, fields)] = page.documents
    assert fields == {
        "date": "2026-11-20",
        "customer_id": CUSTOMER_ID,
        "currency": "EUR",
        "campaign_id": "7",
        "campaign_name": "Brand",
        "impressions": 9007199254740993,
        "clicks": "many",
        "cost": 0.000001,
        "conversions": 0.0,
        "conversions_value": 0.0,
        "status": "",
        "channel_type": "",
        "device": "MOBILE",
        "daily_budget": None,
        "search_lost_is_budget": None,
        "search_lost_is_rank": None,
    }


@pytest.mark.parametrize(
    ("zone", "newest"),
    [
        ("Pacific/Honolulu", "2026-11-19"),
        ("America/Mexico_City", "2026-11-19"),
        ("America/New_York", "2026-11-20"),
        ("Etc/UTC", "2026-11-20"),
        ("Pacific/Auckland", "2026-11-20"),
        ("Atlantis/Poseidonis", "2026-11-20"),
        ("../etc/passwd", "2026-11-20"),
        (None, "2026-11-20"),
    ],
)
def test_a_day_that_is_not_over_where_the_account_is_is_left_to_the_next_sync(
    google: Vendors, played: Vendor, zone: str | None, newest: str
):
    rows = [
        {"segments": {"date": day}, "campaign": {"id": "7"}, "customer": {"timeZone": zone} if zone else {}}
        for day in ("2026-11-19", "2026-11-20")
    ]
    played.answers = [Answer([{"results": rows}])]
    [page] = at(google, played.address).pages(CAMPAIGNS, pull(2), "")
    assert max(fields["date"] for _, fields in page.documents) == newest
    assert "timeZone" not in str(page.documents)
    assert b"customer.time_zone" in played.asked[0].body


def test_an_answer_that_breaks_off_in_words_is_unavailable(google: Vendors, played: Vendor):
    broken = {"error": {"code": 500, "status": "INTERNAL", "message": "..."}}
    played.answers = [Answer([{"results": []}, broken])]
    with pytest.raises(Unavailable, match="broke off") as gone:
        list(at(google, played.address).pages(CAMPAIGNS, pull(1), ""))
    assert gone.value.fields == {"cause": "INTERNAL"}


def test_a_delay_that_the_failure_asks_for_is_kept(google: Vendors, played: Vendor):
    details = {"quotaErrorDetails": {"rateScope": "DEVELOPER", "rateName": "Operations a day", "retryDelay": "3600s"}}
    failure = {"errors": [{"errorCode": {"quotaError": "RESOURCE_EXHAUSTED"}, "details": details}]}
    played.answers = [Answer([{"error": {"code": 429, "details": [failure]}}], status=429)]
    with pytest.raises(Unavailable):
        list(at(google, played.address).pages(CAMPAIGNS, pull(1), ""))
    assert len(played.asked) == 1


# --- a sync ----------------------------------------------------------------------------------------------------------


class World:
    """One tenant, its stores in memory, its account at the vendor."""

    def __init__(self, source: GoogleAdsSource) -> None:
        self.documents, self.ops = FakeDocuments(), FakeDocuments()
        self.slow, self.now = False, 0.0
        sources: Any = {"google_ads": {"customer_id": CUSTOMER_ID}}
        at_ = datetime(2026, 1, 1, tzinfo=UTC)
        tenant = Tenant(tenant_id="demo", sources=sources, created_at=at_, updated_at=at_)
        self.documents.documents["tenants/demo"] = tenant.document()
        self.publisher = FakePublisher()
        self.sync = Sync(
            {"google_ads": lambda tenant_id: source},
            self.documents,
            self.ops,
            ProgressBook(self.ops),
            Leases(self.ops),
            self.publisher,
            Tenants(self.documents),
            FakeSecrets(demo_google_ads=json.dumps(CREDENTIALS)),
            clock=self.clock,
        )

    def clock(self) -> float:
        """Seconds; where it is slow, so many more each time that a slice is over once it has asked."""
        self.now += SLICE_SECONDS if self.slow else 0
        return self.now

    def run(self, run_id: str, days: int = 20) -> dict[str, int]:
        since = TODAY - timedelta(days=days)
        return self.sync.run(SyncRequested(tenant_id="demo", source="google_ads", since=since, run_id=run_id))

    def raw(self) -> dict[str, Any]:
        found = {path: fields for path, fields in self.documents.documents.items() if path.startswith("tenants/demo/")}
        return {path: {**fields, "sync_run_id": "", "synced_at": ""} for path, fields in found.items()}


def test_a_second_sync_writes_nothing_new(source: GoogleAdsSource):
    world = World(source)
    first, before = world.run("run-1"), world.raw()
    assert first["documents"] == len(before) == sum(len(served(report, 20)) for report in REPORTS)
    second = world.run("run-2")
    assert (second["documents"], second["unchanged"], second["removed"]) == (0, len(before), 0)
    assert world.raw() == before


def test_a_sync_that_is_cut_into_slices_writes_the_same_and_removes_what_is_reported_no_more(source: GoogleAdsSource):
    world = World(source)
    world.run("run-1")
    whole = world.raw()
    gone = f"tenants/demo/{SEARCH_TERMS.collection.name}/2026-11-10-gone"
    fields = {"date": "2026-11-10", "customer_id": CUSTOMER_ID, "tenant_id": "demo"}
    world.documents.documents[gone] = fields
    other = gone.replace("gone", "of-another-account")
    world.documents.documents[other] = fields | {"customer_id": "1111111111"}
    world.publisher.messages.clear()
    world.slow = True
    outcomes = [world.run("run-2")]
    while isinstance(world.publisher.messages[-1], SyncRequested):
        outcomes.append(world.sync.run(world.publisher.messages[-1]))
    assert len(outcomes) > len(REPORTS)
    assert sum(one["removed"] for one in outcomes) == 1
    assert set(world.raw()) == {*whole, other}
