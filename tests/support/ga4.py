"""Answers of the Google Analytics Data API, restated for tests.

Their shapes are those of its reference (https://developers.google.com/analytics/devguides/reporting/data/v1/rest,
CC BY 4.0). The sessions are those of the Google Merchandise Store on the first two days of November 2020, from Google's
public sample (`bigquery-public-data.ga4_obfuscated_sample_ecommerce`), which obfuscates them: `<Other>` and
`(data deleted)` are Google's own.
"""

from typing import Any

from shared.schema.record import Collection
from shared.sources.records.ga4 import GaRow
from shared.sources.reports import Report, api_name

Json = dict[str, Any]

STORE = (
    ("20201101", "(data deleted)", "(data deleted)", "(data deleted)", "122"),
    ("20201101", "(direct)", "(none)", "(direct)", "611"),
    ("20201101", "<Other>", "organic", "(organic)", "88"),
    ("20201101", "google", "cpc", "<Other>", "108"),
    ("20201101", "google", "organic", "(organic)", "824"),
    ("20201101", "shop.googlemerchandisestore.com", "referral", "(referral)", "212"),
    ("20201102", "(data deleted)", "(data deleted)", "(data deleted)", "254"),
    ("20201102", "(direct)", "(none)", "(direct)", "821"),
    ("20201102", "<Other>", "organic", "(organic)", "109"),
    ("20201102", "google", "cpc", "<Other>", "175"),
    ("20201102", "google", "organic", "(organic)", "1099"),
    ("20201102", "shop.googlemerchandisestore.com", "referral", "(referral)", "321"),
)
"""Day, source, medium, campaign, sessions."""

NO_ROWS: Json = {
    "dimensionHeaders": [{"name": "date"}],
    "metricHeaders": [{"name": "activeUsers", "type": "TYPE_INTEGER"}],
    "metadata": {"currencyCode": "USD", "timeZone": "America/Los_Angeles"},
    "kind": "analyticsData#runReport",
}
"""A report of days before there was anything: it has neither rows nor their number."""
DISTORTED: Json = {
    "dataLossFromOtherRow": True,
    "samplingMetadatas": [{"samplesReadCount": "500000", "samplingSpaceSize": "1500000"}],
    "subjectToThresholding": True,
}
TWO_RANGES: Json = {
    "dimensionHeaders": [{"name": "deviceCategory"}, {"name": "dateRange"}],
    "metricHeaders": [{"name": "sessions", "type": "TYPE_INTEGER"}],
    "rows": [{"dimensionValues": [{"value": "desktop"}, {"value": "date_range_0"}], "metricValues": [{"value": "10"}]}],
    "rowCount": 1,
}
"""Of several ranges of days each row says whose it is, by a dimension that nobody asked for."""


class StoreSessions(GaRow):
    """Sessions by where they came from."""

    session_source: str
    session_medium: str
    session_campaign_name: str
    sessions: int

    collection = Collection("tenants/{tenant_id}/store_sessions")


SESSIONS = Report(StoreSessions)


def answer(
    rows: tuple[tuple[str, ...], ...], count: int | None = None, report: Report = SESSIONS, **metadata: Any
) -> Json:
    """What is answered to a report: these rows, of so many in all."""
    dimensions = [{"name": api_name(name)} for name in report.dimensions]
    metrics = [{"name": api_name(name), "type": "TYPE_INTEGER"} for name in report.metrics]

    def values(cells: tuple[str, ...]) -> list[Json]:
        return [{"value": cell} for cell in cells]

    given = [
        {"dimensionValues": values(row[: len(dimensions)]), "metricValues": values(row[len(dimensions) :])}
        for row in rows
    ]
    return NO_ROWS | {
        "dimensionHeaders": dimensions,
        "metricHeaders": metrics,
        **({"rows": given, "rowCount": len(rows) if count is None else count} if rows else {}),
        "metadata": NO_ROWS["metadata"] | metadata,
    }
