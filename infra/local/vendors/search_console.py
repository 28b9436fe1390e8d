"""Search Console over the sample: searchAnalytics.query and sites.get, for the account of google_oauth.py.

https://developers.google.com/webmaster-tools/v1/searchanalytics/query
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from functools import partial
from typing import Any

from aiohttp import web

from infra.local.sample.search_console import SITE_URL, Row, rows
from infra.local.vendors.google_oauth import is_signed_in
from infra.local.vendors.server import page_cap

NAME = "search_console"
DIMENSIONS = ("date", "query", "page")
MOST_ROWS = 25_000
USUAL_ROWS = 1_000

SAYS = {
    400: ("badRequest", "INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("authError", "UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("forbidden", "PERMISSION_DENIED", f"User does not have sufficient permission for site '{SITE_URL}'."),
    404: ("notFound", "NOT_FOUND", "The site is not a verified Search Console site in this account."),
    429: ("rateLimitExceeded", "RESOURCE_EXHAUSTED", "Rate Limit Exceeded"),
    500: ("backendError", "INTERNAL", "Internal error encountered."),
    503: ("backendError", "UNAVAILABLE", "The service is currently unavailable."),
}


def routes(today: date) -> list[web.RouteDef]:
    site = "/webmasters/v3/sites/{site}"
    return [web.get(site, show_site), web.post(f"{site}/searchAnalytics/query", partial(query, today))]


def error(status: int, words: str = "") -> web.Response:
    """Google's error shape; what is out of quota is of the domain usageLimits."""
    reason, name, usual = SAYS.get(status, SAYS[400])
    domain = "usageLimits" if status == 429 else "global"
    message = words or usual
    errors = [{"message": message, "domain": domain, "reason": reason}]
    return web.json_response(
        {"error": {"code": status, "message": message, "errors": errors, "status": name}}, status=status
    )


async def show_site(request: web.Request) -> web.Response:
    if not is_signed_in(request):
        return error(401)
    if request.match_info["site"] != SITE_URL:
        return error(404)
    return web.json_response({"siteUrl": SITE_URL, "permissionLevel": "siteFullUser"})


async def query(today: date, request: web.Request) -> web.Response:
    if not is_signed_in(request):
        return error(401)
    if request.match_info["site"] != SITE_URL:
        return error(403)
    asked = await request.json()
    try:
        first, last = (date.fromisoformat(asked[name]) for name in ("startDate", "endDate"))
    except (KeyError, TypeError, ValueError):
        return error(400, "Dates are in the format YYYY-MM-DD.")
    dimensions, limit = tuple(asked.get("dimensions", ())), asked.get("rowLimit", USUAL_ROWS)
    if not set(dimensions) <= set(DIMENSIONS) or last < first:
        return error(400)
    if not 1 <= limit <= MOST_ROWS or asked.get("startRow", 0) < 0:
        return error(400, f"rowLimit must be between 1 and {MOST_ROWS}.")
    found = _grouped((row for row in rows(today) if first.isoformat() <= row.date <= last.isoformat()), dimensions)
    start, most = asked.get("startRow", 0), min(limit, page_cap(request) or limit)
    page = found[start : start + most]
    # An answer without rows has no `rows`.
    return web.json_response(({"rows": page} if page else {}) | {"responseAggregationType": "byPage"})


def _grouped(found: Iterable[Row], dimensions: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows by the values of their dimensions; those with the most clicks first."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in found:
        groups[tuple(getattr(row, name) for name in dimensions)].append(row)
    made = []
    for keys, group in groups.items():
        clicks, impressions = sum(row.clicks for row in group), sum(row.impressions for row in group)
        position = sum(row.position * row.impressions for row in group) / impressions
        numbers = {"clicks": clicks, "impressions": impressions, "ctr": clicks / impressions, "position": position}
        made.append({"keys": list(keys), **numbers})
    return sorted(made, key=lambda row: (-row["clicks"], row["keys"]))
