"""The Google Analytics Data API through its official client, over REST."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import google.auth
import stamina
from google.analytics.data_v1beta.services.beta_analytics_data import BetaAnalyticsDataClient
from google.analytics.data_v1beta.services.beta_analytics_data.transports.rest import BetaAnalyticsDataRestTransport
from google.analytics.data_v1beta.types import (
    DateRange,
    Dimension,
    Metric,
    OrderBy,
    RunReportRequest,
    RunReportResponse,
)
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from requests.exceptions import RequestException

from shared.errors import Rejected, Unavailable
from shared.sources.reports import REPORTS, Report, api_name
from shared.sources.source import Feed, Page, Pull

SCOPES = ("https://www.googleapis.com/auth/analytics.readonly",)
ROWS_PER_PAGE = 5_000
PATIENCE_SECONDS = 60.0
ATTEMPTS = 5
"""Google blocks a project for the hour after ten server errors (https://developers.google.com/analytics/devguides/reporting/data/v1/quotas)."""
CALL_SECONDS = 60.0
TRANSIENT = (exceptions.TooManyRequests, exceptions.ServerError, RequestException)


class Ga4Source:
    """GA4 reports (port `Source`).

    Quota and server errors are tried again when the answer says (Retry-After), or after growing pauses; Unavailable
    once that would last longer than `patience_seconds`.
    """

    feeds = REPORTS

    def __init__(
        self,
        client: BetaAnalyticsDataClient,
        rows_per_page: int = ROWS_PER_PAGE,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._client = client
        self._rows_per_page = rows_per_page
        self._patience_seconds = patience_seconds

    @classmethod
    def connect(
        cls, endpoint: str, rows_per_page: int = ROWS_PER_PAGE, patience_seconds: float = PATIENCE_SECONDS
    ) -> "Ga4Source":
        """A client; an endpoint that begins with http:// is plaintext and takes anonymous callers."""
        scheme, _, host = endpoint.partition("://")
        if scheme == "http":
            credentials: Any = AnonymousCredentials()
        else:
            credentials, _ = google.auth.default(scopes=SCOPES)
        transport = BetaAnalyticsDataRestTransport(host=host, url_scheme=scheme, credentials=credentials)
        return cls(BetaAnalyticsDataClient(transport=transport), rows_per_page, patience_seconds)

    def pages(self, feed: Feed, pull: Pull, position: str) -> Iterator[Page]:
        """Pages of one report until yesterday, ordered by day and dimensions so that positions are stable."""
        report, offset = _report(feed), int(position or 0)
        while True:
            answer = self._ask(report, pull, offset)
            documents = list(_documents(report, answer, pull))
            reported = int(answer.row_count)
            following = offset + len(documents)
            more = bool(documents) and following < reported
            yield Page(documents, str(following) if more else None, reported)
            if not more:
                return
            offset = following

    def _ask(self, report: Report, pull: Pull, offset: int) -> Any:
        request = RunReportRequest(
            property=pull.settings.property_id,
            date_ranges=[DateRange(start_date=pull.since.isoformat(), end_date="yesterday")],
            dimensions=[Dimension(name=api_name(name)) for name in report.dimensions],
            metrics=[Metric(name=api_name(name)) for name in report.metrics],
            order_bys=[
                OrderBy(dimension=OrderBy.DimensionOrderBy(dimension_name=api_name(name))) for name in report.dimensions
            ],
            limit=self._rows_per_page,
            offset=offset,
            return_property_quota=True,
        )
        until = time.monotonic() + self._patience_seconds
        try:
            for attempt in stamina.retry_context(
                on=lambda error: _pause(error, until),
                attempts=ATTEMPTS,
                timeout=self._patience_seconds,
                wait_initial=0.5,
                wait_max=15.0,
            ):
                with attempt:
                    answer = self._client.run_report(request, retry=None, timeout=CALL_SECONDS)
        except (*TRANSIENT, GoogleAuthError) as error:
            raise Unavailable("GA4 is not available", cause=str(error)[:300]) from error
        except exceptions.ClientError as error:
            raise Rejected(
                "GA4 refused the request", cause=str(error)[:300], property=pull.settings.property_id
            ) from error
        # proto-plus costs ten times the raw message per value read.
        return RunReportResponse.pb(answer)


def _pause(error: Exception, until: float) -> bool | float:
    """Seconds to wait before trying again; True: as long as usual, False: trying again is no use before `until`."""
    if not isinstance(error, TRANSIENT):
        return False
    asked = _retry_after(error)
    if asked is None:
        return True
    return asked if time.monotonic() + asked <= until else False


def _retry_after(error: Exception) -> float | None:
    """What the answer's Retry-After header says, in seconds from now; None where it says nothing."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    said = str(headers.get("Retry-After", ""))
    if said.isdecimal():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _report(feed: Feed) -> Report:
    if not isinstance(feed, Report):
        raise TypeError(f"{feed.collection.name} is no report of GA4")
    return feed


def _documents(report: Report, answer: Any, pull: Pull) -> Iterator[tuple[str, dict[str, Any]]]:
    synced_at = datetime.now(UTC)
    sampled = bool(answer.metadata.sampling_metadatas)
    thresholded = bool(answer.metadata.subject_to_thresholding)
    for row in answer.rows:
        yield report.document(
            dict(zip(report.dimensions, (value.value for value in row.dimension_values), strict=True)),
            dict(zip(report.metrics, (value.value for value in row.metric_values), strict=True)),
            pull,
            synced_at=synced_at,
            sampled=sampled,
            thresholded=thresholded,
        )
