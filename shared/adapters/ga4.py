"""The Google Analytics Data API through its official client, over REST."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import google.auth
from google.analytics.data_v1beta.services.beta_analytics_data import BetaAnalyticsDataClient
from google.analytics.data_v1beta.services.beta_analytics_data.transports.rest import BetaAnalyticsDataRestTransport
from google.analytics.data_v1beta.types import (
    DateRange,
    Dimension,
    Filter,
    FilterExpression,
    Metric,
    NumericValue,
    OrderBy,
    RunReportRequest,
    RunReportResponse,
)
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError, TransportError
from google.protobuf.json_format import ParseError
from requests.exceptions import RequestException

from shared.adapters.rest import PATIENCE_SECONDS, SAID, Later, given_up, patiently, retry_after
from shared.errors import CredentialsRefused, Rejected, Unavailable
from shared.sources.deadline import seconds_left
from shared.sources.reports import REPORTS, Only, Report, api_name
from shared.sources.source import Feed, Page, Pull

SCOPES = ("https://www.googleapis.com/auth/analytics.readonly",)
ROWS_PER_PAGE = 20_000
DAYS = 28
"""So many are asked for at once: the more there are, the sooner Google samples, or folds rare values into `(other)`."""
CALL_SECONDS = 60.0
# An answer that does not parse was cut off on its way, or is a page of some proxy.
TRANSIENT = (exceptions.TooManyRequests, exceptions.ServerError, RequestException, ParseError)
QUOTA_REASONS = frozenset(
    ("RATE_LIMIT_EXCEEDED", "rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded")
)
"""What Google calls a quota in answers that forbid."""

DISABLED = "SERVICE_DISABLED"
ENABLE = "gcloud services enable analyticsdata.googleapis.com"

Document = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Position:
    """Where a report goes on: a day, a row since it began, and how many rows the days before were reported to have.

    total: in the midst of a day, how many rows there were since it began.
    """

    day: date
    offset: int = 0
    reported: int = 0
    total: int = 0

    @classmethod
    def read(cls, text: str, first: date) -> "Position":
        """The position that a text says; of one of another form its day, else the first day."""
        day, *numbers = text.split("@")
        try:
            return cls(date.fromisoformat(day), *(map(int, numbers) if len(numbers) in (2, 3) else ()))
        except ValueError:
            return cls(first)

    def __str__(self) -> str:
        return f"{self.day}@{self.offset}@{self.reported}@{self.total}"


class Ga4Source:
    """GA4 reports (port `Source`).

    Quota and server errors are tried again when the answer says (Retry-After), or after growing pauses; Unavailable
    once that would last longer than `patience_seconds`.

    A day's rows come from one answer: rows that Google adds or takes away between two answers would move the others.
    Of an answer that does not hold all rows the last day is left to the next.
    """

    feeds = REPORTS

    def __init__(
        self,
        client: BetaAnalyticsDataClient,
        rows_per_page: int = ROWS_PER_PAGE,
        patience_seconds: float = PATIENCE_SECONDS,
        call_seconds: float = CALL_SECONDS,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._client = client
        self._rows_per_page = rows_per_page
        self._patience_seconds = patience_seconds
        self._call_seconds = call_seconds
        self._today = today

    @classmethod
    def connect(cls, endpoint: str, **options: Any) -> "Ga4Source":
        """A client; an endpoint that begins with http:// is plaintext and takes anonymous callers."""
        scheme, _, host = endpoint.partition("://")
        if scheme == "http":
            credentials: Any = AnonymousCredentials()
        else:
            credentials, _ = google.auth.default(scopes=SCOPES)
        transport = BetaAnalyticsDataRestTransport(host=host, url_scheme=scheme, credentials=credentials)
        return cls(BetaAnalyticsDataClient(transport=transport), **options)

    def pages(self, feed: Feed, pull: Pull, position: str) -> Iterator[Page]:
        """Pages of one report until the property's yesterday, in order of day."""
        report = _report(feed)
        if not position and pull.since >= self._today():
            yield Page([], None, 0)
            return
        began = Position.read(position, self._first_day(report, pull))
        following: Position | None = began
        before: set[str] = set()
        while following is not None:
            place, last = following, self._last_day(following.day)
            answer = self._run(_request(report, pull, place, last, self._rows_per_page))
            documents = list(_documents(report, answer, pull))
            names = {name for name, _ in documents}
            if any(fields["date"] < place.day.isoformat() for _, fields in documents) or (names and names == before):
                raise Unavailable("GA4 gave another answer's rows once more", report=report.collection.name)
            if place.total not in (0, answer.row_count):
                # What an earlier slice took of the day may have moved, and is told: the report is due again.
                error = Rejected if place is began else Unavailable
                raise error("GA4 changed a day while it was read", report=report.collection.name)
            before, total = names, int(answer.row_count)
            documents, following = _whole_days(documents, place, total, last)
            yield Page(documents, str(following) if following else None, place.reported + total)

    def _first_day(self, report: Report, pull: Pull) -> date:
        """Never later than the yesterday of any time zone: Google takes no range that ends before it begins."""
        back = report.reaches_back_days
        since = pull.since if back is None else max(pull.since, self._today() - timedelta(days=back))
        return min(since, self._today() - timedelta(days=2))

    def _last_day(self, first: date) -> date | None:
        """The last day to ask for; None is the property's yesterday, in its own time zone."""
        last = first + timedelta(days=DAYS - 1)
        return last if last < self._today() - timedelta(days=3) else None

    def check(self, pull: Pull) -> str:
        """Ask for a single number; the property with its currency and time zone."""
        yesterday = DateRange(start_date="yesterday", end_date="yesterday")
        answer = self._run(
            RunReportRequest(
                property=pull.settings.property_id, date_ranges=[yesterday], metrics=[Metric(name="sessions")], limit=1
            )
        )
        told = (pull.settings.property_id, answer.metadata.currency_code, answer.metadata.time_zone)
        return ", ".join(str(each) for each in told if each)

    def _run(self, request: RunReportRequest) -> Any:
        try:
            answer = patiently(lambda: self._once(request), self._patience_seconds)
        except Later as error:
            raise given_up("GA4", error) from error
        # proto-plus costs ten times the raw message per value read.
        return RunReportResponse.pb(answer)

    def _once(self, request: RunReportRequest) -> RunReportResponse:
        try:
            return self._client.run_report(request, retry=None, timeout=seconds_left(self._call_seconds))
        except TRANSIENT as error:
            raise later(error) from error
        except GoogleAuthError as error:
            if error.retryable or isinstance(error, TransportError) or isinstance(error.__cause__, TransportError):
                raise later(error) from error
            raise CredentialsRefused("Google gives no token for GA4", cause=str(error)[:SAID]) from error
        except exceptions.ClientError as error:
            if _is_quota(error):
                raise later(error) from error
            if error.reason == DISABLED:
                # Of Scout's project, and no fault of the credentials.
                raise Rejected("the Google Analytics Data API is not enabled", expected=f"`{ENABLE}`") from error
            said = {"status_given": error.code, "cause": str(error)[:SAID], "property": request.property}
            if isinstance(error, exceptions.Unauthorized | exceptions.Forbidden):
                raise CredentialsRefused("GA4 refused the credentials", **said) from error
            raise Rejected("GA4 refused the request", **said) from error


def _whole_days(
    documents: list[Document], place: Position, total: int, last: date | None
) -> tuple[list[Document], Position | None]:
    """What is taken of an answer that has so many rows in all, and where the next one begins."""
    if not documents or place.offset + len(documents) >= total:
        # What it reported and did not give is missed by the ledger.
        after = place.reported + total
        return documents, None if last is None else Position(last + timedelta(days=1), 0, after)
    open_day = documents[-1][1]["date"]
    if open_day == place.day.isoformat():
        # Larger than an answer: the one day that comes from several.
        return documents, Position(place.day, place.offset + len(documents), place.reported, total)
    taken = [each for each in documents if each[1]["date"] < open_day]
    return taken, Position(date.fromisoformat(open_day), 0, place.reported + place.offset + len(taken))


def _request(report: Report, pull: Pull, place: Position, last: date | None, limit: int) -> RunReportRequest:
    """One date range, always: several would add a dimension to the rows, and repeat their other ones."""
    only = report.only
    by_metric = only is not None and only.at_least > 0
    return RunReportRequest(
        property=pull.settings.property_id,
        date_ranges=[DateRange(start_date=str(place.day), end_date="yesterday" if last is None else str(last))],
        dimensions=[Dimension(name=api_name(name)) for name in report.dimensions],
        metrics=[Metric(name=api_name(name)) for name in report.metrics],
        dimension_filter=_filter(only) if only is not None and not by_metric else None,
        metric_filter=_filter(only) if only is not None and by_metric else None,
        order_bys=[
            OrderBy(dimension=OrderBy.DimensionOrderBy(dimension_name=api_name(name))) for name in report.dimensions
        ],
        limit=limit,
        offset=place.offset,
    )


def _filter(only: Only) -> FilterExpression:
    asked: dict[str, Any]
    if only.at_least:
        operation = Filter.NumericFilter.Operation.GREATER_THAN_OR_EQUAL
        value = NumericValue(int64_value=only.at_least)
        asked = {"numeric_filter": Filter.NumericFilter(operation=operation, value=value)}
    elif only.matches:
        match_type = Filter.StringFilter.MatchType.PARTIAL_REGEXP
        asked = {"string_filter": Filter.StringFilter(value=only.matches, match_type=match_type)}
    else:
        asked = {"in_list_filter": Filter.InListFilter(values=only.values, case_sensitive=True)}
    return FilterExpression(filter=Filter(field_name=api_name(only.field), **asked))


def _is_quota(error: Exception) -> bool:
    """True where Google forbids for want of quota, which comes back."""
    given = [getattr(error, "reason", None), *(each.get("reason") for each in getattr(error, "errors", ()))]
    return not QUOTA_REASONS.isdisjoint(given)


def later(error: Exception) -> Later:
    """An error that another try may mend, with when it says to come back."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return Later(str(error)[:SAID], retry_after(headers))


def _report(feed: Feed) -> Report:
    if not isinstance(feed, Report):
        raise TypeError(f"{feed.collection.name} is no report of GA4")
    return feed


def _documents(report: Report, answer: Any, pull: Pull) -> Iterator[Document]:
    dimensions = tuple(header.name for header in answer.dimension_headers)
    metrics = tuple(header.name for header in answer.metric_headers)
    if answer.rows and (dimensions, metrics) != (_api_names(report.dimensions), _api_names(report.metrics)):
        raise Unavailable("GA4 answered other columns than it was asked for", report=report.collection.name)
    flags = {
        "sampled": bool(answer.metadata.sampling_metadatas),
        "thresholded": bool(answer.metadata.subject_to_thresholding),
        "folded": bool(answer.metadata.data_loss_from_other_row),
    }
    for row in answer.rows:
        yield report.document(
            dict(zip(report.dimensions, (value.value for value in row.dimension_values), strict=True)),
            dict(zip(report.metrics, (value.value for value in row.metric_values), strict=True)),
            pull,
            **flags,
        )


def _api_names(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(api_name, fields))
