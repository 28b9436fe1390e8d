"""The local Data API server, asked over the wire by Google's own client."""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from aiohttp import web
from google.analytics.data_v1beta import BetaAnalyticsDataClient
from google.analytics.data_v1beta.services.beta_analytics_data.transports import BetaAnalyticsDataRestTransport
from google.analytics.data_v1beta.types import (
    DateRange,
    Dimension,
    Filter,
    FilterExpression,
    FilterExpressionList,
    Metric,
    MetricType,
    NumericValue,
    OrderBy,
    RunReportRequest,
    RunReportResponse,
)
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials

from infra.local.sample import REPORTS, Sample
from infra.local.vendors.ga4_data_api import SAMPLE_PROPERTY, create_app

TODAY = date(2026, 11, 19)
EVER = {"start_date": "2020-01-01", "end_date": "today"}
StringFilter = Filter.StringFilter
MatchType = StringFilter.MatchType


@pytest.fixture(scope="module")
def sample() -> Sample:
    return Sample.load(today=TODAY)


@pytest.fixture(scope="module")
def address(sample: Sample) -> Iterator[str]:
    """A running server; its event loop lives in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = web.AppRunner(create_app(sample))

    async def start() -> str:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"127.0.0.1:{runner.addresses[0][1]}"

    yield asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture(scope="module")
def client(address: str) -> BetaAnalyticsDataClient:
    transport = BetaAnalyticsDataRestTransport(host=address, credentials=AnonymousCredentials(), url_scheme="http")
    return BetaAnalyticsDataClient(transport=transport)


def is_plain_html(path: str) -> bool:
    name = path.lower().removeprefix("/").removesuffix(".html")
    return path.lower() == f"/{name}.html" and name.isascii() and name.isalpha()


def request_for(dimensions: str, metrics: str, **more: Any) -> RunReportRequest:
    return RunReportRequest(
        property=more.pop("property", SAMPLE_PROPERTY),
        dimensions=[Dimension(name=name) for name in dimensions.split()],
        metrics=[Metric(name=name) for name in metrics.split()],
        date_ranges=more.pop("date_ranges", [DateRange(**EVER)]),
        **more,
    )


def values(response: RunReportResponse) -> list[tuple[str, ...]]:
    raw = RunReportResponse.pb(response)  # reading values through proto-plus is ten times slower
    return [tuple(cell.value for cell in (*row.dimension_values, *row.metric_values)) for row in raw.rows]


def text_filter(field: str, value: str, match_type: MatchType = MatchType.EXACT) -> FilterExpression:
    return FilterExpression(
        filter=Filter(field_name=field, string_filter=StringFilter(value=value, match_type=match_type))
    )


def number_filter(field: str, operation: Filter.NumericFilter.Operation, value: int) -> FilterExpression:
    numeric = Filter.NumericFilter(operation=operation, value=NumericValue(int64_value=value))
    return FilterExpression(filter=Filter(field_name=field, numeric_filter=numeric))


def control(address: str, body: dict[str, object] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"http://{address}/_control", data=data) as response:
        return json.load(response)


# --- answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_comes_over_the_wire_as_the_sample_holds_it(client, sample, name):
    report = REPORTS[name]
    request = request_for(" ".join(report.dimensions), " ".join(report.metrics), limit=250_000)
    response = client.run_report(request)
    rows = sample.report(name)
    assert response.row_count == len(rows)
    fields = report.dimensions + report.metrics
    assert sorted(values(response)) == sorted(tuple(str(row[field]) for field in fields) for row in rows)


def test_pages_by_limit_and_offset_make_the_whole(client):
    whole = client.run_report(request_for("date deviceCategory browser", "sessions"))
    pages: list[tuple[str, ...]] = []
    while True:
        request = request_for("date deviceCategory browser", "sessions", limit=250, offset=len(pages))
        response = client.run_report(request)
        assert response.row_count == whole.row_count
        pages += values(response)
        if len(response.rows) < 250:
            break
    assert pages == values(whole)
    past_the_end = client.run_report(request_for("date", "sessions", offset=5_000))
    assert not past_the_end.rows
    assert past_the_end.row_count == 91


def test_limit_is_ten_thousand_unless_asked_and_never_more_than_250_000(address):
    asked = {
        "dimensions": [{"name": "date"}, {"name": "pagePath"}],
        "metrics": [{"name": "sessions"}],
        "dateRanges": [{"startDate": "90daysAgo", "endDate": "today"}],
    }
    _, usual = post(address, asked)
    assert len(usual["rows"]) == 10_000
    _, everything = post(address, asked | {"limit": "1000000"})
    assert len(everything["rows"]) == everything["rowCount"] > 10_000


def test_dimensions_left_out_are_summed(client, sample):
    response = client.run_report(request_for("deviceCategory", "sessions keyEvents"))
    rows = sample.report("ga_device_metrics")
    assert len(response.rows) == 3
    for device, sessions, key_events in values(response):
        of_device = [row for row in rows if row["deviceCategory"] == device]
        assert int(sessions) == sum(row["sessions"] for row in of_device)
        assert int(key_events) == sum(row["keyEvents"] for row in of_device)


def test_relative_dates_count_from_the_day_of_the_sample(client):
    for start, end, days in (("yesterday", "today", 1), ("7daysAgo", "yesterday", 7), ("today", "today", 0)):
        date_range = DateRange(start_date=start, end_date=end)
        response = client.run_report(request_for("date", "sessions", date_ranges=[date_range]))
        assert response.row_count == days
    newest = client.run_report(request_for("date", "sessions")).rows[-1].dimension_values[0].value
    assert newest == f"{TODAY - timedelta(days=1):%Y%m%d}"


def test_several_date_ranges_add_the_date_range_dimension(client):
    ranges = [
        DateRange(start_date="7daysAgo", end_date="yesterday"),
        DateRange(start_date="14daysAgo", end_date="8daysAgo", name="before"),
    ]
    response = client.run_report(request_for("deviceCategory", "sessions", date_ranges=ranges))
    assert [header.name for header in response.dimension_headers] == ["deviceCategory", "dateRange"]
    assert {row[1] for row in values(response)} == {"date_range_0", "before"}
    assert response.row_count == 6


def test_headers_carry_types_and_metadata_the_currency(client):
    response = client.run_report(request_for("date", "sessions keyEvents purchaseRevenue"))
    types = {header.name: header.type_ for header in response.metric_headers}
    assert types == {
        "sessions": MetricType.TYPE_INTEGER,
        "keyEvents": MetricType.TYPE_FLOAT,
        "purchaseRevenue": MetricType.TYPE_CURRENCY,
    }
    assert response.metadata.currency_code == "USD"
    assert response.metadata.time_zone == "America/Los_Angeles"
    assert response.kind == "analyticsData#runReport"


def test_an_empty_report_has_no_rows_key(address):
    status, body = post(address, {"metrics": [{"name": "sessions"}], "dateRanges": [OLD]})
    assert status == 200
    assert "rows" not in body
    assert "rowCount" not in body
    assert body["metricHeaders"] == [{"name": "sessions", "type": "TYPE_INTEGER"}]


def test_the_quota_counts_down(client):
    request = request_for("date", "sessions", return_property_quota=True)
    first, second = (client.run_report(request).property_quota for _ in range(2))
    assert first.tokens_per_hour.consumed >= 1
    assert first.tokens_per_hour.remaining - second.tokens_per_hour.remaining == second.tokens_per_hour.consumed
    assert not client.run_report(request_for("date", "sessions")).property_quota.tokens_per_hour.remaining


# --- filters and order --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match_type", "value", "matches"),
    [
        (MatchType.EXACT, "/store.html", lambda path: path == "/store.html"),
        (MatchType.BEGINS_WITH, "/google+redesign/bags", lambda path: path.lower().startswith("/google+redesign/bags")),
        (MatchType.ENDS_WITH, ".html", lambda path: path.lower().endswith(".html")),
        (MatchType.CONTAINS, "DINO", lambda path: "dino" in path.lower()),
        (MatchType.FULL_REGEXP, r"/[a-z]+\.html", is_plain_html),
    ],
)
def test_string_filters_match_as_asked_and_ignore_case(client, sample, match_type, value, matches):
    response = client.run_report(
        request_for("pagePath", "sessions", dimension_filter=text_filter("pagePath", value, match_type))
    )
    expected = {row["pagePath"] for row in sample.report("ga_page_performance") if matches(row["pagePath"])}
    assert {row[0] for row in values(response)} == expected
    assert expected


def test_filters_combine_by_and_or_and_not(client):
    either = FilterExpression(
        or_group=FilterExpressionList(
            expressions=[text_filter("deviceCategory", "mobile"), text_filter("deviceCategory", "tablet")]
        )
    )
    listed = Filter.InListFilter(values=["Chrome", "Safari"], case_sensitive=True)
    combined = FilterExpression(
        and_group=FilterExpressionList(
            expressions=[
                either,
                FilterExpression(filter=Filter(field_name="browser", in_list_filter=listed)),
                FilterExpression(not_expression=text_filter("browser", "safari")),
            ]
        )
    )
    response = client.run_report(request_for("deviceCategory browser", "sessions", dimension_filter=combined))
    assert {row[:2] for row in values(response)} == {("mobile", "Chrome"), ("tablet", "Chrome")}


def test_metric_filters_apply_after_summing(client, sample):
    sums: Counter[str] = Counter()
    for row in sample.report("ga_page_performance"):
        sums[row["pagePath"]] += row["sessions"]
    over = number_filter("sessions", Filter.NumericFilter.Operation.GREATER_THAN, 10_000)
    response = client.run_report(request_for("pagePath", "sessions", metric_filter=over))
    assert {row[0] for row in values(response)} == {page for page, count in sums.items() if count > 10_000}
    assert response.row_count > 1
    between = FilterExpression(
        filter=Filter(
            field_name="sessions",
            between_filter=Filter.BetweenFilter(
                from_value=NumericValue(int64_value=9_000), to_value=NumericValue(double_value=9_999.5)
            ),
        )
    )
    response = client.run_report(request_for("pagePath", "sessions", metric_filter=between))
    assert [row[0] for row in values(response)] == ["/store.html"]
    assert 9_000 <= sums["/store.html"] <= 9_999


def test_rows_come_in_the_order_asked(client):
    orders = [
        OrderBy(dimension=OrderBy.DimensionOrderBy(dimension_name="deviceCategory"), desc=True),
        OrderBy(metric=OrderBy.MetricOrderBy(metric_name="sessions"), desc=True),
    ]
    rows = values(client.run_report(request_for("deviceCategory browser", "sessions", order_bys=orders)))
    assert rows == sorted(rows, key=lambda row: (row[0], int(row[2])), reverse=True)


def test_rows_without_any_activity_are_left_out_unless_kept(client):
    week = [DateRange(start_date="7daysAgo", end_date="yesterday")]
    dropped = client.run_report(request_for("date pagePath", "keyEvents", date_ranges=week))
    kept = client.run_report(request_for("date pagePath", "keyEvents", date_ranges=week, keep_empty_rows=True))
    assert 0 < dropped.row_count < kept.row_count


# --- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (request_for("date", "session"), "Field session is not a valid metric"),
        (request_for("planet", "sessions"), "Field planet is not a valid dimension"),
        (request_for("pagePath browser", "sessions"), "Please remove browser, pagePath"),
        (request_for("pagePath", "newUsers"), "incompatible"),
        (request_for("", ""), "at least one dimension or metric"),
        (request_for("date date", "sessions"), "Duplicate"),
        (request_for("date", "sessions", date_ranges=[]), "A dateRange is required"),
        (
            request_for("date", "sessions", date_ranges=[DateRange(start_date="soon", end_date="today")]),
            "Invalid date: 'soon'",
        ),
        (
            request_for("date", "sessions", date_ranges=[DateRange(start_date="today", end_date="2daysAgo")]),
            "must be before",
        ),
        (request_for("date", "sessions", limit=-1), "limit must be a non-negative number"),
        (
            request_for(
                "date",
                "sessions",
                order_bys=[OrderBy(metric=OrderBy.MetricOrderBy(metric_name="keyEvents"))],
            ),
            "Order by field keyEvents",
        ),
        (
            request_for(
                "pagePath",
                "sessions",
                dimension_filter=text_filter("pagePath", "(", MatchType.FULL_REGEXP),
            ),
            "Invalid regular expression",
        ),
    ],
)
def test_a_wrong_request_is_400_and_says_why(client, request_, said):
    with pytest.raises(exceptions.BadRequest) as refused:
        client.run_report(request_)
    assert said in str(refused.value)


def test_another_property_is_forbidden(client):
    with pytest.raises(exceptions.Forbidden, match="sufficient permissions"):
        client.run_report(request_for("date", "sessions", property="properties/1"))


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"dimensions": "date"}', b'{"dimensions": [1]}'])
def test_an_unreadable_body_is_400_in_googles_shape(address, body):
    status, answer = post(address, body)
    assert status == 400
    assert answer["error"]["status"] == "INVALID_ARGUMENT"


# --- control ------------------------------------------------------------------------------------------------


def test_failures_can_be_ordered_and_say_when_to_come_back(address, client):
    served = len(control(address)["requests"])
    control(address, {"fail_next": [429, 500, 403], "retry_after_seconds": 7})
    expected = (exceptions.TooManyRequests, exceptions.InternalServerError, exceptions.Forbidden)
    for error in expected:
        with pytest.raises(error):
            client.run_report(request_for("date", "sessions"), retry=None)
    assert client.run_report(request_for("date", "sessions"), retry=None).row_count == 91
    statuses = [request["status"] for request in control(address)["requests"][served:]]
    assert statuses == [429, 500, 403, 200]
    control(address, {"fail_next": [429]})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://{address}/v1beta/{SAMPLE_PROPERTY}:runReport", data=b"{}")
    assert refused.value.headers["Retry-After"] == "7"


def test_a_spent_quota_is_429_until_it_is_given_back(address, client):
    control(address, {"tokens_per_hour": 1})
    assert client.run_report(request_for("date", "sessions"), retry=None).row_count == 91
    with pytest.raises(exceptions.TooManyRequests, match="Exhausted"):
        client.run_report(request_for("date", "sessions"), retry=None)
    control(address, {"tokens_per_hour": 40_000})
    assert client.run_report(request_for("date", "sessions"), retry=None).row_count == 91


def test_an_unknown_order_is_refused(address):
    with pytest.raises(urllib.error.HTTPError):
        control(address, {"explode": True})


OLD = {"startDate": "2019-01-01", "endDate": "2019-01-02"}


def post(address: str, body: object) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = f"http://{address}/v1beta/{SAMPLE_PROPERTY}:runReport"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data)) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
