"""What the GA4 adapter makes of answers that are none: of refusals, of quota, of other columns than it asked for."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import orjson
import pytest
import requests
from google.analytics.data_v1beta.types import RunReportRequest, RunReportResponse
from google.api_core import exceptions

from shared.adapters.ga4 import DAYS, Ga4Source, later
from shared.errors import CredentialsRefused, Rejected
from shared.sources.reports import REPORTS, Report
from shared.sources.source import Pull
from shared.tenants.records import SourceSettings

TODAY = datetime.now(UTC).date()
PULL = Pull("demo", "run-1", TODAY - timedelta(days=400), SourceSettings(property_id="properties/1"))
RECENT = replace(PULL, since=TODAY - timedelta(days=3))
DEVICES = next(report for report in REPORTS if report.collection.name == "ga_device_metrics")
FINE = next(report for report in REPORTS if report.reaches_back_days is not None)


def refused(status: int, body: Any = None, **headers: str) -> Exception:
    """An answer as Google's client raises it."""
    response: Any = requests.Response()
    response.status_code = status
    response._content = orjson.dumps(body) if body else b""
    response.request = requests.Request("POST", "http://ga4.test/").prepare()
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    error: Exception = exceptions.from_http_response(response)
    return error


class PlayedClient:
    """Google's client: it gives these answers in order, the last for ever, and remembers what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[RunReportRequest] = []

    def run_report(self, request: RunReportRequest, **options: Any) -> RunReportResponse:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return RunReportResponse(answer)


def source(*answers: Any) -> tuple[Ga4Source, PlayedClient]:
    client: Any = PlayedClient(*answers)
    return Ga4Source(client, rows_per_page=2, patience_seconds=0.01), client


def answer(report: Report, days: list[str], rows: int, **metadata: Any) -> dict[str, Any]:
    """What the API answers to one report: a row a day."""
    dimensions, metrics = ([camel(name) for name in names] for names in (report.dimensions, report.metrics))
    return {
        "dimension_headers": [{"name": name} for name in dimensions],
        "metric_headers": [{"name": name} for name in metrics],
        "rows": [
            {
                "dimension_values": [{"value": day if name == "date" else name} for name in dimensions],
                "metric_values": [{"value": "10"} for _ in metrics],
            }
            for day in days
        ],
        "row_count": rows,
        "metadata": metadata,
    }


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(map(str.capitalize, rest))


def test_answer_that_says_when_to_come_back_is_believed():
    assert later(refused(429, retry_after="7")).pause_seconds == 7.0
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 0 < (later(refused(503, retry_after=soon)).pause_seconds or 0) <= 30


@pytest.mark.parametrize("error", [refused(429), refused(503, retry_after="soon"), requests.ConnectionError()])
def test_answer_that_does_not_say_when_leaves_it_open(error: Exception):
    assert later(error).pause_seconds is None


@pytest.mark.parametrize(
    "body",
    [
        {"errors": [{"reason": "userRateLimitExceeded"}]},
        {"details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"}]},
    ],
)
def test_quota_that_google_forbids_is_no_refusal_of_credentials(body: dict[str, Any]):
    played, client = source(
        refused(403, {"error": {"message": "quota", **body}}, retry_after="0"), answer(DEVICES, [], 0)
    )
    assert [page.documents for page in played.pages(DEVICES, RECENT, "")] == [[]]
    assert len(client.asked) == 2


def test_an_api_that_is_not_enabled_is_no_refusal_of_credentials_and_says_what_enables_it():
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}
    played, client = source(refused(403, {"error": {"message": "has not been used", "details": [info]}}))
    with pytest.raises(Rejected, match="not enabled") as error:
        played.check(PULL)
    assert not isinstance(error.value, CredentialsRefused)
    assert "gcloud services enable analyticsdata.googleapis.com" in error.value.fields["expected"]
    assert len(client.asked) == 1


@pytest.mark.parametrize("status", [400, 404])
def test_what_else_is_refused_is_refused_for_good(status: int):
    played, client = source(refused(status))
    with pytest.raises(Rejected) as error:
        list(played.pages(DEVICES, PULL, ""))
    assert not isinstance(error.value, CredentialsRefused)
    assert len(client.asked) == 1


def test_fine_reports_are_pulled_of_recent_days_only():
    played, client = source(answer(FINE, [], 0))
    list(played.pages(FINE, PULL, ""))
    list(played.pages(DEVICES, PULL, ""))
    starts = [request.date_ranges[0].start_date for request in client.asked]
    recent = TODAY - timedelta(days=FINE.reaches_back_days or 0)
    assert starts[: starts.index(str(PULL.since))] == [str(recent), str(recent + timedelta(days=DAYS))]


def test_ranges_follow_each_other_until_the_propertys_yesterday():
    played, client = source(answer(DEVICES, [], 0))
    list(played.pages(DEVICES, PULL, ""))
    spans = [(request.date_ranges[0].start_date, request.date_ranges[0].end_date) for request in client.asked]
    assert spans[0] == (str(PULL.since), str(PULL.since + timedelta(days=DAYS - 1)))
    for (_, end), (start, _) in pairwise(spans):
        assert date.fromisoformat(end) + timedelta(days=1) == date.fromisoformat(start)
    assert (len(spans), spans[-1][1]) == (15, "yesterday")


@pytest.mark.parametrize("days", range(1, 90))
def test_no_range_ends_before_it_begins_in_any_time_zone(days: int):
    played, client = source(answer(DEVICES, [], 0))
    list(played.pages(DEVICES, replace(PULL, since=TODAY - timedelta(days=days)), ""))
    last = client.asked[-1].date_ranges[0]
    assert last.end_date == "yesterday"
    assert date.fromisoformat(last.start_date) <= TODAY - timedelta(days=2)


def test_check_tells_the_property_and_what_it_counts_in():
    played, client = source({"metadata": {"currency_code": "USD", "time_zone": "America/Los_Angeles"}})
    assert played.check(PULL) == "properties/1, USD, America/Los_Angeles"
    assert client.asked[0].limit == 1


def test_a_day_that_changed_since_an_earlier_slice_took_a_part_of_it_is_due_again():
    days = [f"{TODAY - timedelta(days=3):%Y%m%d}"] * 2
    at, client = source(answer(DEVICES, days, 4))
    position = next(at.pages(DEVICES, RECENT, "")).following or ""
    assert [page.following for page in at.pages(DEVICES, RECENT, position)] == [None]
    client.answers = [answer(DEVICES, days, 5)]
    with pytest.raises(Rejected, match="changed a day"):
        list(at.pages(DEVICES, RECENT, position))
