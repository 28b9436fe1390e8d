"""What the GA4 adapter makes of answers that are none: of refusals, of quota, of other columns than it asked for."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest
import requests
from google.analytics.data_v1beta.types import RunReportRequest, RunReportResponse
from google.api_core import exceptions

from shared.adapters.ga4 import Ga4Source, later
from shared.errors import CredentialsRefused, Rejected, Unavailable
from shared.sources.reports import REPORTS, Report
from shared.sources.source import Pull
from shared.tenants.records import SourceSettings

TODAY = datetime.now(UTC).date()
PULL = Pull("demo", "run-1", TODAY - timedelta(days=400), SourceSettings(property_id="properties/1"))
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


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_are_refused_are_not_tried_again(status: int):
    played, client = source(refused(status, {"error": {"message": "no"}}))
    with pytest.raises(CredentialsRefused) as error:
        list(played.pages(DEVICES, PULL, ""))
    assert error.value.fields["status_given"] == status
    assert len(client.asked) == 1


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
    assert [page.documents for page in played.pages(DEVICES, PULL, "")] == [[]]
    assert len(client.asked) == 2


@pytest.mark.parametrize("status", [400, 404])
def test_what_else_is_refused_is_refused_for_good(status: int):
    played, client = source(refused(status))
    with pytest.raises(Rejected) as error:
        list(played.pages(DEVICES, PULL, ""))
    assert not isinstance(error.value, CredentialsRefused)
    assert len(client.asked) == 1


def test_empty_report_is_one_page_of_nothing():
    played, _ = source({"metadata": {"currency_code": "USD"}})
    [page] = played.pages(DEVICES, PULL, "")
    assert (page.documents, page.following, page.reported) == ([], None, 0)


def test_one_date_range_is_asked_for_and_an_answer_of_several_is_not_taken():
    several = answer(DEVICES, ["20260105"], 1)
    several["dimension_headers"].append({"name": "dateRange"})
    several["rows"][0]["dimension_values"].append({"value": "date_range_0"})
    played, client = source(several)
    with pytest.raises(Unavailable, match="other columns"):
        list(played.pages(DEVICES, PULL, ""))
    assert len(client.asked[0].date_ranges) == 1


def test_what_the_answer_says_of_all_its_rows_is_kept_with_each():
    told = {
        "data_loss_from_other_row": True,
        "sampling_metadatas": [{"samples_read_count": 500_000, "sampling_space_size": 1_500_000}],
        "subject_to_thresholding": True,
    }
    played, _ = source(answer(DEVICES, ["20260105"], 1, **told))
    [page] = played.pages(DEVICES, PULL, "")
    [(_, fields)] = page.documents
    assert (fields["folded"], fields["sampled"], fields["thresholded"]) == (True, True, True)


def test_page_that_comes_twice_is_not_taken_for_the_next():
    page = answer(DEVICES, ["20260105", "20260106"], 4)
    played, _ = source(page, page)
    pages = played.pages(DEVICES, PULL, "")
    assert next(pages).following is not None
    with pytest.raises(Unavailable, match="twice"):
        next(pages)


def test_page_that_is_shorter_than_asked_is_followed_where_it_ended():
    played, client = source(answer(DEVICES, ["20260105"], 2), answer(DEVICES, ["20260106"], 2))
    assert len([name for page in played.pages(DEVICES, PULL, "") for name, _ in page.documents]) == 2
    assert [request.offset for request in client.asked] == [0, 1]


def test_fine_reports_are_pulled_of_recent_days_only():
    played, client = source(answer(FINE, [], 0))
    list(played.pages(FINE, PULL, ""))
    list(played.pages(DEVICES, PULL, ""))
    recent = TODAY - timedelta(days=FINE.reaches_back_days or 0)
    assert [request.date_ranges[0].start_date for request in client.asked] == [str(recent), str(PULL.since)]


def test_position_keeps_the_first_day_so_that_midnight_moves_no_row():
    played, client = source(answer(FINE, ["20260105", "20260106"], 3))
    page = next(played.pages(FINE, PULL, "2026-01-01@4"))
    assert (client.asked[0].date_ranges[0].start_date, client.asked[0].offset) == ("2026-01-01", 4)
    assert page.following is None
    page = next(played.pages(FINE, PULL, "2026-01-01@0"))
    assert page.following == "2026-01-01@2"


def test_position_of_before_there_were_first_days_is_understood():
    played, client = source(answer(DEVICES, [], 0))
    list(played.pages(DEVICES, PULL, "150"))
    assert (client.asked[0].date_ranges[0].start_date, client.asked[0].offset) == (str(PULL.since), 150)


def test_check_tells_the_property_and_what_it_counts_in():
    played, client = source({"metadata": {"currency_code": "USD", "time_zone": "America/Los_Angeles"}})
    assert played.check(PULL) == "properties/1, USD, America/Los_Angeles"
    assert client.asked[0].limit == 1
