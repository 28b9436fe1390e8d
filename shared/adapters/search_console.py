"""Search Console over REST: what the site was shown and clicked for, by day, query and page.

https://developers.google.com/webmaster-tools/v1/searchanalytics/query
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from shared.adapters.google_oauth import GoogleOAuth
from shared.adapters.rest import PATIENCE_SECONDS, Reason, Rest
from shared.errors import CredentialsRefused, Rejected, Unavailable
from shared.sources.records import SearchConsoleQuery
from shared.sources.row_id import row_id
from shared.sources.source import Feed, Page, Pull

QUERIES = Feed(SearchConsoleQuery, restates=True, account=("site_url",))
DIMENSIONS = ("date", "query", "page")
ROWS_PER_PAGE = 25_000
"""The most that one answer holds; of a day it tells at most 50,000 rows, those with the most clicks."""
PER_SECOND = 15
"""1,200 a minute are allowed of one site, or by one user."""
TRIES = 3
QUOTA_REASONS = {"quotaExceeded": 900.0, "dailyLimitExceeded": 3600.0}
"""Seconds until a quota that was used up may have some left; shorter ones are counted in 10 minutes."""
RATE_REASONS = ("rateLimitExceeded", "userRateLimitExceeded")

Document = tuple[str, dict[str, Any]]


class SearchConsoleSource:
    """Search Console (port `Source`). A position is a day and the row in it: `2026-11-01:25000`.

    A day is asked for until an answer has no rows: one that has fewer than were asked for may not be the last.
    """

    feeds = (QUERIES,)

    def __init__(
        self,
        endpoint: str,
        accounts: GoogleOAuth,
        rows_per_page: int = ROWS_PER_PAGE,
        patience_seconds: float = PATIENCE_SECONDS,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._endpoint = endpoint
        self._accounts = accounts
        self._rows_per_page = rows_per_page
        self._patience_seconds = patience_seconds
        self._today = today

    @classmethod
    def connect(
        cls,
        endpoint: str,
        token_endpoint: str,
        rows_per_page: int = ROWS_PER_PAGE,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> "SearchConsoleSource":
        """A client of all tenants: credentials come with each pull."""
        return cls(endpoint, GoogleOAuth(token_endpoint, patience_seconds), rows_per_page, patience_seconds)

    def pages(self, feed: Feed, pull: Pull, position: str) -> Iterator[Page]:
        """Pages of settled rows until yesterday; newer days, which are not settled yet, have none."""
        day, start = _read(position) if position else (pull.since, 0)
        seen: set[str] = set()
        with closing(self._connect(pull)) as rest:
            while day < self._today():
                documents = self._ask(rest, pull, day, start, seen)
                start += len(documents)
                if documents:
                    seen.update(name for name, _ in documents)
                    yield Page(documents, f"{day}:{start}", None)
                    continue
                day += timedelta(days=1)
                if start == 0:
                    yield Page([], f"{day}:0", None)
                start, seen = 0, set()
        yield Page([], None, None)

    def check(self, pull: Pull) -> str:
        """The site, and what the account may do there."""
        with closing(self._connect(pull)) as rest:
            found = rest.get(_path(pull))
        level = str(found.get("permissionLevel"))
        if level == "siteUnverifiedUser":
            raise CredentialsRefused("the account is no verified user of the site", site_url=pull.settings.site_url)
        return f"{found.get('siteUrl')} ({level})"

    def _connect(self, pull: Pull) -> Rest:
        return Rest(
            "Search Console",
            self._endpoint,
            {},
            auth=self._accounts.auth(pull.credentials),
            reason=_reason,
            per_second=PER_SECOND,
            patience_seconds=self._patience_seconds,
        )

    def _ask(self, rest: Rest, pull: Pull, day: date, start: int, seen: Collection[str]) -> list[Document]:
        """Documents of one answer.

        Of another day, or without anything new of this one, it is an answer to another question: given once more by a
        cache on the way, say. Taken for this one's, the rows in its place would be lost.
        """
        asked = {
            "startDate": day.isoformat(),
            "endDate": day.isoformat(),
            "dimensions": DIMENSIONS,
            "type": "web",
            "dataState": "final",
            "rowLimit": self._rows_per_page,
            "startRow": start,
        }
        for _ in range(TRIES):
            answer = rest.post(f"{_path(pull)}/searchAnalytics/query", asked)
            documents = [_document(row, pull) for row in answer.get("rows", ())]
            new = not documents or any(name not in seen for name, _ in documents)
            if new and all(fields["date"] == asked["startDate"] for _, fields in documents):
                return documents
        raise Unavailable("Search Console gives other rows than were asked for", day=asked["startDate"], start=start)


def _document(row: dict[str, Any], pull: Pull) -> Document:
    """Id and fields of one row: the id is made of the site, the day, the query and the page.

    Raw is raw: a number that is none is kept as it came.
    """
    try:
        day, query, page = row["keys"]
    except (KeyError, TypeError, ValueError) as error:
        raise Rejected("Search Console's rows have other keys", expected=", ".join(DIMENSIONS)) from error
    site_url = pull.settings.site_url or ""
    fields = {
        "date": day,
        "site_url": site_url,
        "query": query,
        "page": page,
        "clicks": _whole(row.get("clicks")),
        "impressions": _whole(row.get("impressions")),
        "ctr": _fraction(row.get("ctr")),
        "position": _fraction(row.get("position")),
    }
    return row_id(day, site_url, query, page), fields


def _whole(value: Any) -> Any:
    """Counts are doubles in the API: 12.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _fraction(value: Any) -> Any:
    """JSON writes a whole double without a point; one field is of one type."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _path(pull: Pull) -> str:
    return f"/webmasters/v3/sites/{quote(pull.settings.site_url or '', safe='')}"


def _read(position: str) -> tuple[date, int]:
    day, _, start = position.rpartition(":")
    return date.fromisoformat(day), int(start)


def _reason(body: Any) -> Reason:
    """Google's name of an error; spent quotas are told by 403 as well, https://developers.google.com/webmaster-tools/limits."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return Reason()
    first = next(iter(error.get("errors") or ()), None)
    code = str((first or {}).get("reason") or error.get("status"))
    pause = QUOTA_REASONS.get(code)
    return Reason(code=code, passes=pause is not None or code in RATE_REASONS, pause_seconds=pause)
