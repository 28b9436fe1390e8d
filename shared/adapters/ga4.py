"""The Google Analytics Data API through its official client, over REST."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import google.auth
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
from google.api_core import exceptions, retry
from google.auth.credentials import AnonymousCredentials
from requests.exceptions import RequestException

from shared.errors import Rejected, Unavailable
from shared.sources.reports import Report, api_name
from shared.sources.sync import Page
from shared.tenants.records import SourceSettings

SCOPES = ("https://www.googleapis.com/auth/analytics.readonly",)
ROWS_PER_PAGE = 5_000
RETRY = retry.Retry(
    predicate=retry.if_exception_type(
        exceptions.TooManyRequests, exceptions.ServiceUnavailable, exceptions.InternalServerError, RequestException
    ),
    initial=0.5,
    maximum=15.0,
    timeout=60.0,
)


class Ga4Source:
    """GA4 reports (port `Source`). Quota and server errors are retried for a minute, then Unavailable."""

    def __init__(self, client: BetaAnalyticsDataClient) -> None:
        self._client = client

    @classmethod
    def connect(cls, endpoint: str) -> "Ga4Source":
        """A client; an endpoint that begins with http:// is plaintext and takes anonymous callers."""
        scheme, _, host = endpoint.partition("://")
        if scheme == "http":
            credentials: Any = AnonymousCredentials()
        else:
            credentials, _ = google.auth.default(scopes=SCOPES)
        transport = BetaAnalyticsDataRestTransport(host=host, url_scheme=scheme, credentials=credentials)
        return cls(BetaAnalyticsDataClient(transport=transport))

    def pages(
        self, report: Report, settings: SourceSettings, tenant_id: str, run_id: str, since: date, offset: int
    ) -> Iterator[Page]:
        """Pages of one report, ordered by day and dimensions so that offsets are stable."""
        while True:
            answer = self._ask(report, settings, since, offset)
            documents = list(_documents(report, answer, settings, tenant_id, run_id))
            reported = int(answer.row_count)
            following = offset + len(documents)
            more = bool(documents) and following < reported
            yield Page(documents, following if more else None, reported)
            if not more:
                return
            offset = following

    def _ask(self, report: Report, settings: SourceSettings, since: date, offset: int) -> Any:
        request = RunReportRequest(
            property=settings.property_id,
            date_ranges=[DateRange(start_date=since.isoformat(), end_date="yesterday")],
            dimensions=[Dimension(name=api_name(name)) for name in report.dimensions],
            metrics=[Metric(name=api_name(name)) for name in report.metrics],
            order_bys=[
                OrderBy(dimension=OrderBy.DimensionOrderBy(dimension_name=api_name(name))) for name in report.dimensions
            ],
            limit=ROWS_PER_PAGE,
            offset=offset,
            return_property_quota=True,
        )
        try:
            # proto-plus costs ten times the raw message per value read.
            return RunReportResponse.pb(self._client.run_report(request, retry=RETRY, timeout=60.0))
        except (exceptions.TooManyRequests, exceptions.ServerError, exceptions.RetryError, RequestException) as error:
            raise Unavailable("GA4 is not available", cause=str(error)[:300]) from error
        except exceptions.ClientError as error:
            raise Rejected("GA4 refused the request", cause=str(error)[:300], property=settings.property_id) from error


def _documents(
    report: Report, answer: Any, settings: SourceSettings, tenant_id: str, run_id: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    synced_at = datetime.now(UTC)
    sampled = bool(answer.metadata.sampling_metadatas)
    thresholded = bool(answer.metadata.subject_to_thresholding)
    for row in answer.rows:
        yield report.document(
            dict(zip(report.dimensions, (value.value for value in row.dimension_values), strict=True)),
            dict(zip(report.metrics, (value.value for value in row.metric_values), strict=True)),
            tenant_id=tenant_id,
            property_id=settings.property_id or "",
            run_id=run_id,
            synced_at=synced_at,
            sampled=sampled,
            thresholded=thresholded,
        )
