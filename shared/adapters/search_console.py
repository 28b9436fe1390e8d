"""Search Console over REST: what the site was shown and clicked for, by day, query and page.

https://developers.google.com/webmaster-tools/v1/searchanalytics/query
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from shared.adapters.google_oauth import GoogleOAuth
from shared.adapters.rest import PATIENCE_SECONDS, Reason, Rest
from shared.errors import CredentialsRefused, Unavailable
from shared.sources.records import SearchConsoleQuery
from shared.sources.row_id import row_id
from shared.sources.source import Feed, Page, Pull

QUERIES = Feed(SearchConsoleQuery, restates=True, account=("site_url",), lags=True)
DIMENSIONS = ("date", "query", "page")
ROWS_PER_PAGE = 25_000
"""The most that one answer holds; of a day it tells at most 50,000 rows, those with the most clicks."""
PER_SECOND = 20
"""1,200 a minute are allowed of one site, or by one user."""
TRIES = 3
CALL_SECONDS = 60.0
"""Grouped by page and query, a question is of the dearest kind."""
QUOTA_REASONS = {"quotaExceeded": 900.0, "dailyLimitExceeded": 3600.0}
"""Seconds until a quota that was used up may have some left; shorter ones are counted in 10 minutes."""
RATE_REASONS = ("rateLimitExceeded", "userRateLimitExceeded")

Row = dict[str, Any]


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
        call_seconds: float = CALL_SECONDS,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._endpoint = endpoint
        self._accounts = accounts
        self._rows_per_page = rows_per_page
        self._patience_seconds = patience_seconds
        self._call_seconds = call_seconds
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
        """Pages of settled rows until yesterday, in order of day; the newest two or three days are not settled yet."""
        first, start = _read(position) if position else (pull.since, 0)
        with closing(self._connect(pull)) as rest:
            for day in self._days(rest, pull, first):
                offset = start if day == first else 0
                for rows in self._answers(rest, pull, DIMENSIONS, day, day, offset):
                    offset += len(rows)
                    yield Page([_document(row, pull) for row in rows], f"{day}:{offset}", None)
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
            call_seconds=self._call_seconds,
        )

    def _days(self, rest: Rest, pull: Pull, first: date) -> list[date]:
        """The days that have rows: a year of others need not be asked for one by one."""
        last = self._today() - timedelta(days=1)
        answers = self._answers(rest, pull, DIMENSIONS[:1], first, last) if first <= last else ()
        return sorted(date.fromisoformat(row["keys"][0]) for rows in answers for row in rows)

    def _answers(
        self, rest: Rest, pull: Pull, dimensions: Sequence[str], first: date, last: date, start: int = 0
    ) -> Iterator[list[Row]]:
        """The rows of some days by dimensions, the date first, as many at a time as an answer has."""
        asked = {
            "startDate": first.isoformat(),
            "endDate": last.isoformat(),
            "dimensions": dimensions,
            "type": "web",
            "dataState": "final",
            "rowLimit": self._rows_per_page,
        }
        seen: set[tuple[str, ...]] = set()
        while rows := _ask(rest, f"{_path(pull)}/searchAnalytics/query", {**asked, "startRow": start}, seen):
            yield rows
            seen.update(tuple(row["keys"]) for row in rows)
            start += len(rows)


def _ask(rest: Rest, path: str, asked: Mapping[str, Any], seen: Collection[tuple[str, ...]]) -> list[Row]:
    """The rows of one answer.

    With rows of other days, or none that are new, it answers another question: one that a cache on the way remembers,
    say. Taken for the answer to this one, the rows that belong in its place would be lost.
    """
    for _ in range(TRIES):
        rows: list[Row] = rest.post(path, asked).get("rows", [])
        keys = [tuple(row.get("keys", ())) for row in rows]
        fit = all(
            len(key) == len(asked["dimensions"]) and asked["startDate"] <= key[0] <= asked["endDate"] for key in keys
        )
        if fit and (not rows or any(key not in seen for key in keys)):
            return rows
    day, start = asked["startDate"], asked["startRow"]
    raise Unavailable("Search Console gives other rows than were asked for", day=day, start=start)


def _document(row: Row, pull: Pull) -> tuple[str, dict[str, Any]]:
    """Id and fields of one row: the id is made of the site, the day, the query and the page.

    Raw is raw: a number that is none is kept as it came.
    """
    day, query, page = row["keys"]
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
