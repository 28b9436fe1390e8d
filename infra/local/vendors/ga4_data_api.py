"""A local server that plays the Google Analytics Data API v1beta over the sample.

Among the other vendors (server.py) it is `routes`, `error` and FAULTS; alone (`create_app`) it has a back door of its
own.

POST /v1beta/properties/{id}:runReport answers as Google does, errors and quota included; any property but
SAMPLE_PROPERTY is forbidden. No token is asked for. The sample is fixed when the server starts.

/_control is for tests only. POST a JSON object there with any of:
    fail_next            statuses (400, 401, 403, 429, 500, 503) for the next requests, so that retries can be seen
    retry_after_seconds  the Retry-After header of 429 and 503 answers (default 1)
    tokens_per_hour      what is left of the property's hourly quota; at 0 every request is 429
GET /_control tells the requests served so far, their statuses and the quota left. GET /healthz answers 200.
"""

import json
from collections import deque
from datetime import date
from functools import partial
from typing import Any

from aiohttp import web

from infra.local.sample import Sample, Variant
from infra.local.vendors.ga4_query import InvalidArgument, run_report
from infra.local.vendors.server import FAULT, VENDOR, page_cap

NAME = "ga4"
SAMPLE_PROPERTY = "properties/213025502"

TOKENS_PER_DAY, TOKENS_PER_HOUR, TOKENS_PER_PROJECT_PER_HOUR = 200_000, 40_000, 14_000
ROWS_PER_TOKEN = 2_000  # Google charges most requests 10 tokens or fewer, more for more rows.

FAULTS = ("sampled", "thresholded", "other", "empty", "quota403")
"""Answers from a sample, without rows of few people, with rare values as `(other)`, without any row; a spent quota that
is told as Google's own front end tells it.
"""
METADATA: dict[object, dict[str, Any]] = {
    "sampled": {"samplingMetadatas": [{"samplesReadCount": "500000", "samplingSpaceSize": "1500000"}]},
    "thresholded": {"subjectToThresholding": True},
    "other": {"dataLossFromOtherRow": True},
}
ERRORS = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "User does not have sufficient permissions for this property."),
    429: ("RESOURCE_EXHAUSTED", "Exhausted property tokens for a project per hour."),
    500: ("INTERNAL", "Internal error encountered."),
    503: ("UNAVAILABLE", "The service is currently unavailable."),
}


class State:
    """What the server remembers between requests: quota, ordered failures, and what it served."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.fail_next: deque[int] = deque()
        self.retry_after_seconds = 1
        self.spent = 0
        self.tokens_per_hour = TOKENS_PER_HOUR
        self.server_errors = 0
        self.served: list[dict[str, Any]] = []

    def spend(self, rows_read: int) -> int:
        """Charge a request; returns its tokens. Counts never go below 0."""
        tokens = 1 + rows_read // ROWS_PER_TOKEN
        self.spent += tokens
        self.tokens_per_hour = max(0, self.tokens_per_hour - tokens)
        return tokens

    def quota(self, consumed: int) -> dict[str, dict[str, int]]:
        """The propertyQuota block after a request that consumed so many tokens."""
        return {
            "tokensPerDay": {"consumed": consumed, "remaining": max(0, TOKENS_PER_DAY - self.spent)},
            "tokensPerHour": {"consumed": consumed, "remaining": self.tokens_per_hour},
            "concurrentRequests": {"remaining": 10},
            "serverErrorsPerProjectPerHour": {"remaining": max(0, 10 - self.server_errors)},
            "potentiallyThresholdedRequestsPerHour": {"remaining": 120},
            "tokensPerProjectPerHour": {
                "consumed": consumed,
                "remaining": max(0, min(self.tokens_per_hour, TOKENS_PER_PROJECT_PER_HOUR - self.spent)),
            },
        }


STATE = web.AppKey("state", State)


def routes(today: date, variant: Variant = "clean") -> list[web.RouteDef]:
    """What it answers among the other vendors."""
    return _routes(State(Sample.load(today=today, variant=variant)))


def error(status: int) -> web.Response:
    """Google's error shape."""
    return _error(status)


def _routes(state: State) -> list[web.RouteDef]:
    return [web.post(r"/v1beta/{property:properties/[^/:]+}:runReport", partial(handle_run_report, state))]


def create_app(sample: Sample) -> web.Application:
    """The server alone, as an aiohttp application."""
    app = web.Application()
    app[STATE] = State(sample)
    app.router.add_routes(_routes(app[STATE]))
    app.router.add_get("/_control", show_control)
    app.router.add_post("/_control", set_control)
    app.router.add_get("/healthz", healthy)
    return app


async def handle_run_report(state: State, request: web.Request) -> web.Response:
    response = await _respond(request, state)
    state.served.append({"property": request.match_info["property"], "status": response.status})
    return response


async def _respond(request: web.Request, state: State) -> web.Response:
    if state.fail_next:
        status = state.fail_next.popleft()
        state.server_errors += status >= 500
        return _error(status, retry_after_seconds=state.retry_after_seconds)
    fault = request.get(FAULT)
    if fault == "quota403":
        return _spent()
    if request.match_info["property"] != SAMPLE_PROPERTY:
        return _error(403)
    if state.tokens_per_hour <= 0:
        return _error(429, retry_after_seconds=state.retry_after_seconds)
    try:
        asked = json.loads(await request.read() or b"{}")
    except ValueError:
        return _error(400, "Invalid JSON payload received.")
    if not isinstance(asked, dict):
        return _error(400, "Invalid JSON payload received. The root must be an object.")
    cap = page_cap(request) if VENDOR in request else None
    if cap is not None:
        asked["limit"] = min(int(asked.get("limit") or cap), cap)
    try:
        answer = run_report(asked, state.sample, enums_as_numbers="enum-encoding=int" in request.query.get("$alt", ""))
    except InvalidArgument as error:
        return _error(400, str(error))
    except (AttributeError, TypeError):
        return _error(400, "Invalid JSON payload received. A field has the wrong type.")
    consumed = state.spend(answer.rows_read)
    answer.body["metadata"] |= METADATA.get(fault, {})
    if fault == "empty":
        answer.body.pop("rows", None)
        answer.body.pop("rowCount", None)
    if asked.get("returnPropertyQuota"):
        answer.body["propertyQuota"] = state.quota(consumed)
    return web.json_response(answer.body)


async def show_control(request: web.Request) -> web.Response:
    state = request.app[STATE]
    return web.json_response(
        {
            "requests": state.served,
            "fail_next": list(state.fail_next),
            "tokens_per_hour": state.tokens_per_hour,
            "first_day": state.sample.first_day.isoformat(),
            "last_day": state.sample.last_day.isoformat(),
        }
    )


async def set_control(request: web.Request) -> web.Response:
    state = request.app[STATE]
    orders = await request.json()
    unknown = set(orders) - {"fail_next", "retry_after_seconds", "tokens_per_hour"}
    statuses = orders.get("fail_next", [])
    if unknown or not set(statuses) <= set(ERRORS):
        return web.json_response({"error": f"unknown: {sorted(unknown) or statuses}"}, status=400)
    state.fail_next.extend(statuses)
    state.retry_after_seconds = int(orders.get("retry_after_seconds", state.retry_after_seconds))
    state.tokens_per_hour = int(orders.get("tokens_per_hour", state.tokens_per_hour))
    return await show_control(request)


async def healthy(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def _spent() -> web.Response:
    """A quota of requests, told with 403: https://cloud.google.com/apis/design/errors#error_info."""
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
        "metadata": {"service": "analyticsdata.googleapis.com"},
    }
    told = {"code": 403, "message": "Quota exceeded.", "status": "PERMISSION_DENIED", "details": [info]}
    return web.json_response({"error": told}, status=403, headers={"Retry-After": "0"})


def _error(status: int, message: str | None = None, retry_after_seconds: int = 1) -> web.Response:
    """Google's error shape; quota and outage answers say when to come back."""
    name, usual = ERRORS[status]
    headers = {"Retry-After": str(retry_after_seconds)} if status in (429, 503) else {}
    body = {"error": {"code": status, "message": message or usual, "status": name}}
    return web.json_response(body, status=status, headers=headers)
