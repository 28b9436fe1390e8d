"""The Google Ads API over REST: reports by searchStream, some days an answer.

Google's client library takes longer to import than a function may take to start. Developer tokens are no more: since
September 2026 the project of the OAuth client says what an account's calls may do, and the header is ignored
(https://developers.google.com/google-ads/api/docs/api-policy/developer-token).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.adapters.google_oauth import GoogleOAuth
from shared.adapters.rest import PATIENCE_SECONDS, Reason, Rest
from shared.errors import Unavailable
from shared.sources.google_ads import DATE, REPORTS, TIME_ZONE, Report, found
from shared.sources.source import Feed, Page, Pull

VERSION = "v26"
"""Of October 2026; each is served for a year: https://developers.google.com/google-ads/api/docs/sunset-dates."""
CALL_SECONDS = 120.0
NAME = "SELECT customer.id, customer.descriptive_name FROM customer LIMIT 1"


class GoogleAdsSource:
    """Reports of Google Ads (port `Source`).

    A position is the day, in ISO, with which the next answer begins. An answer has no total of its own, and none is
    made up: a stream that ends before its time is no JSON, and is asked for again.
    """

    feeds = REPORTS

    def __init__(
        self,
        endpoint: str,
        accounts: GoogleOAuth,
        patience_seconds: float = PATIENCE_SECONDS,
        call_seconds: float = CALL_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._endpoint = endpoint
        self._accounts = accounts
        self._patience_seconds = patience_seconds
        self._call_seconds = call_seconds
        self._now = now

    @classmethod
    def connect(
        cls, endpoint: str, token_endpoint: str, patience_seconds: float = PATIENCE_SECONDS
    ) -> "GoogleAdsSource":
        """A client of all tenants: credentials come with each pull."""
        return cls(endpoint, GoogleOAuth(token_endpoint, patience_seconds), patience_seconds)

    def pages(self, feed: Feed, pull: Pull, position: str) -> Iterator[Page]:
        """Pages of one report until yesterday, each of whole days, in order of day.

        Yesterday is that of UTC. Where it is not over yet in the account's own time zone it is left to the next sync.
        """
        report, customer_id = _report(feed), pull.settings.customer_id or ""
        yesterday = self._now().date() - timedelta(days=1)
        first = date.fromisoformat(position) if position else self._first_day(report, pull)
        with self._api(pull) as api:
            while True:
                last = min(first + timedelta(days=report.days - 1), yesterday)
                rows = _rows(api, customer_id, report.query(first, last)) if first <= last else []
                documents = [report.document(row, customer_id) for row in _over(rows, self._now())]
                following = (last + timedelta(days=1)).isoformat() if last < yesterday else None
                yield Page(documents, following, reported=None)
                if following is None:
                    return
                first = last + timedelta(days=1)

    def _first_day(self, report: Report, pull: Pull) -> date:
        if report.reaches_back_days is None:
            return pull.since
        return max(pull.since, self._now().date() - timedelta(days=report.reaches_back_days))

    def check(self, pull: Pull) -> str:
        """The account's name."""
        customer_id = pull.settings.customer_id or ""
        with self._api(pull) as api:
            rows = _rows(api, customer_id, NAME)
        return str(rows[0].get("customer", {}).get("descriptiveName") or customer_id) if rows else customer_id

    @contextmanager
    def _api(self, pull: Pull) -> Iterator[Rest]:
        manager = pull.settings.login_customer_id
        api = Rest(
            "Google Ads",
            self._endpoint,
            {"login-customer-id": manager} if manager else {},
            auth=self._accounts.auth(pull.credentials),
            reason=_reason,
            patience_seconds=self._patience_seconds,
            call_seconds=self._call_seconds,
        )
        try:
            yield api
        finally:
            api.close()


def _rows(api: Rest, customer_id: str, query: str) -> list[Mapping[str, Any]]:
    """The rows of all chunks of an answer."""
    chunks = api.post(f"/{VERSION}/customers/{customer_id}/googleAds:searchStream", {"query": query})
    rows: list[Mapping[str, Any]] = []
    for chunk in chunks:
        if "error" in chunk:
            # Told in the middle of an answer that had begun well: HTTP has no status for that.
            raise Unavailable("Google Ads broke off its answer", cause=_reason([chunk]).code)
        rows += chunk.get("results", [])
    return rows


def _over(rows: list[Mapping[str, Any]], now: datetime) -> list[Mapping[str, Any]]:
    """The rows of days that are over where the account is; where it does not say, or nobody knows, in UTC."""
    zones = {str(found(row, TIME_ZONE) or "UTC") for row in rows}
    today = min((_day(zone, now) for zone in zones), default="")
    return [row for row in rows if str(found(row, DATE) or "") < today]


def _day(zone: str, now: datetime) -> str:
    try:
        return now.astimezone(ZoneInfo(zone)).date().isoformat()
    except (ZoneInfoNotFoundError, ValueError):
        return now.date().isoformat()


def _reason(body: Any) -> Reason:
    """What a google.rpc.Status with a GoogleAdsFailure says; where streams are asked for it comes in a list.

    https://developers.google.com/google-ads/api/docs/best-practices/understand-api-errors
    """
    status = (body[0] if isinstance(body, list) and body else body) or {}
    status = status.get("error", {}) if isinstance(status, dict) else {}
    errors = [one for detail in status.get("details", []) for one in detail.get("errors", [])]
    codes = [str(code) for one in errors for code in one.get("errorCode", {}).values()]
    delays = [one.get("details", {}).get("quotaErrorDetails", {}).get("retryDelay") for one in errors]
    return Reason(
        code=codes[0] if codes else status.get("status"),
        pause_seconds=max((_seconds(delay) for delay in delays if delay), default=None),
    )


def _seconds(duration: str) -> float:
    """`3.5s`, as JSON spells a google.protobuf.Duration, in seconds."""
    try:
        return float(duration.removesuffix("s"))
    except ValueError:
        return 0.0


def _report(feed: Feed) -> Report:
    if not isinstance(feed, Report):
        raise TypeError(f"{feed.collection.name} is no report of Google Ads")
    return feed
