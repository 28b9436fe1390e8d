"""The Google Ads API, as far as Scout asks it: searchStream over the sample, in the REST interface's JSON.

https://developers.google.com/google-ads/api/rest/common/search. A query is read as far as Scout's queries go: fields, a
resource, a range of days, an order by day. The access token is that of google_oauth.py; another account than the
sample's is one that the token's owner may not read.
"""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from aiohttp import web

from infra.local.sample.google_ads import ACCOUNT_NAME, CUSTOMER_ID, reports
from infra.local.vendors.google_oauth import is_signed_in
from infra.local.vendors.server import page_cap

NAME = "google_ads"
VERSION = "v26"
ROWS_PER_CHUNK = 1_000

FAILURES = {
    400: ("INVALID_ARGUMENT", "queryError", "UNRECOGNIZED_FIELD", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "authenticationError", "OAUTH_TOKEN_INVALID", "Request had invalid credentials."),
    403: ("PERMISSION_DENIED", "authorizationError", "USER_PERMISSION_DENIED", "The caller does not have permission"),
    429: ("RESOURCE_EXHAUSTED", "quotaError", "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    500: ("INTERNAL", "internalError", "INTERNAL_ERROR", "Internal error encountered."),
    503: ("UNAVAILABLE", "internalError", "TRANSIENT_ERROR", "The service is currently unavailable."),
}
QUERY = re.compile(
    r"SELECT\s+(?P<fields>.+?)\s+FROM\s+(?P<resource>\w+)"
    r"(\s+WHERE\s+segments\.date\s+BETWEEN\s+'(?P<first>[\d-]+)'\s+AND\s+'(?P<last>[\d-]+)')?"
    r"(\s+ORDER\s+BY\s+segments\.date)?(\s+LIMIT\s+\d+)?\s*",
    re.DOTALL,
)


def routes(today: date) -> list[web.RouteDef]:
    async def search_stream(request: web.Request) -> web.Response:
        return await _search_stream(request, today)

    return [web.post(rf"/{VERSION}/customers/{{customer:\d+}}/googleAds:searchStream", search_stream)]


def error(status: int) -> web.Response:
    """A GoogleAdsFailure inside a google.rpc.Status, in a list as streams have it."""
    return _failure(status)


async def _search_stream(request: web.Request, today: date) -> web.Response:
    if not is_signed_in(request):
        return _failure(401)
    if request.match_info["customer"] != CUSTOMER_ID:
        return _failure(403)
    try:
        asked = QUERY.fullmatch(str(json.loads(await request.read())["query"]))
    except (ValueError, KeyError, TypeError):
        return _failure(400)
    if asked is None:
        return _failure(400)
    fields = [name.strip() for name in asked["fields"].split(",")]
    rows = _found(today, asked["resource"], asked["first"], asked["last"])
    if rows is None or not set(fields) <= _fields(today, asked["resource"]):
        return _failure(400)
    size = page_cap(request) or ROWS_PER_CHUNK
    return web.json_response(list(_chunks(fields, rows, size)))


@lru_cache(maxsize=4)
def _reports(today: date) -> dict[str, list[dict[str, Any]]]:
    customer = {"customer.id": CUSTOMER_ID, "customer.descriptive_name": ACCOUNT_NAME}
    return reports(today) | {"customer": [customer]}


def _found(today: date, resource: str, first: str | None, last: str | None) -> Sequence[dict[str, Any]] | None:
    rows = _reports(today).get(resource)
    if rows is None or first is None or last is None:
        return rows
    return [row for row in rows if first <= row["segments.date"] <= last]


@lru_cache(maxsize=20)
def _fields(today: date, resource: str) -> frozenset[str]:
    return frozenset(name for row in _reports(today)[resource] for name in row)


def _chunks(fields: Sequence[str], rows: Sequence[dict[str, Any]], size: int) -> Iterator[dict[str, Any]]:
    """The answer in chunks; one without results where there are none."""
    mask = ",".join(".".join(_camel(part) for part in name.split(".")) for name in fields)
    for start in range(0, max(len(rows), 1), size):
        results = [_nested(fields, row) for row in rows[start : start + size]]
        yield ({"results": results} if results else {}) | {"fieldMask": mask, "requestId": "sample-request"}


def _nested(fields: Sequence[str], row: dict[str, Any]) -> dict[str, Any]:
    """The row's fields that were asked for; what has no value on it is not there."""
    found: dict[str, Any] = {}
    for name in fields:
        if name in row:
            *path, last = [_camel(part) for part in name.split(".")]
            inner = found
            for part in path:
                inner = inner.setdefault(part, {})
            inner[last] = row[name]
    return found


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _failure(status: int) -> web.Response:
    name, kind, code, words = FAILURES.get(status, FAILURES[500])
    failure = {
        "@type": f"type.googleapis.com/google.ads.googleads.{VERSION}.errors.GoogleAdsFailure",
        "errors": [{"errorCode": {kind: code}, "message": words}],
        "requestId": "sample-request",
    }
    body = [{"error": {"code": status, "message": words, "status": name, "details": [failure]}}]
    return web.json_response(body, status=status)
