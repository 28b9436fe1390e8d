"""One local server that plays every vendor, over the sample, as their documents say that they answer.

    python -m infra.local.vendors --port 8091 [--sample clean|dirty] [--today YYYY-MM-DD]

Each vendor is a module beside this one: NAME, `routes(today)` and `error(status)` in its own shape. What may go wrong
goes wrong here, alike for all of them. /_control/<vendor> is for tests and the local cloud only, never for product
code. POST a JSON object there with any of:

    fail_next            what becomes of the next requests: a status, one of FAULTS, or of the vendor's own
    retry_after_seconds  the Retry-After header of 429 and 503 answers (default 1)
    page_size            no page is longer than this, whatever was asked

GET /_control/<vendor> tells the requests served so far. GET /healthz answers 200.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib import import_module
from typing import Any, Protocol

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

VENDORS = ("google_oauth", "google_ads", "search_console", "stripe", "activecampaign")
FAULTS = ("timeout", "truncate", "repeat", "html")
"""No answer at all; half of one; the one before once more; a page of some proxy."""
SILENCE_SECONDS = 60.0


class Vendor(Protocol):
    """What a vendor's module has; FAULTS, too, where it has some of its own: handlers find theirs as request[FAULT]."""

    @property
    def NAME(self) -> str: ...

    def routes(self, today: date) -> list[web.RouteDef]: ...

    def error(self, status: int) -> web.Response: ...


@dataclass
class Control:
    """What the server was told about one vendor, and what it served."""

    faults: Collection[str] = FAULTS
    fail_next: deque[int | str] = field(default_factory=deque)
    retry_after_seconds: int = 1
    page_size: int | None = None
    served: list[dict[str, Any]] = field(default_factory=list)
    last: dict[str, bytes] = field(default_factory=dict)


CONTROLS = web.AppKey("controls", dict[str, Control])
VENDOR = "vendor"
FAULT = "fault"


def create_app(today: date, vendors: Sequence[str | Vendor] = VENDORS) -> web.Application:
    """The server of some vendors (of these modules, or of what is like one), as an aiohttp application."""
    app = web.Application()
    app[CONTROLS] = {}
    for vendor in vendors:
        module = import_module(f"infra.local.vendors.{vendor}") if isinstance(vendor, str) else vendor
        app[CONTROLS][module.NAME] = Control(faults=(*FAULTS, *getattr(module, "FAULTS", ())))
        for route in module.routes(today):
            app.router.add_route(route.method, route.path, _played(module, route.handler))
    app.router.add_get("/_control/{vendor}", show_control)
    app.router.add_post("/_control/{vendor}", set_control)
    app.router.add_get("/healthz", healthy)
    return app


def page_cap(request: web.Request) -> int | None:
    """The longest page that the vendor of this request was told to give; None where it gives what was asked."""
    return request.app[CONTROLS][request[VENDOR]].page_size


def _played(module: Vendor, handler: Handler) -> Handler:
    """A vendor's handler, with the faults that were asked for."""

    async def play(request: web.Request) -> web.StreamResponse:
        request[VENDOR] = module.NAME
        control = request.app[CONTROLS][module.NAME]
        fault = control.fail_next.popleft() if control.fail_next else None
        response = await _answer(module, handler, request, control, fault)
        control.served.append({"method": request.method, "path": request.path_qs, "status": response.status})
        return response

    return play


async def _answer(
    module: Vendor, handler: Handler, request: web.Request, control: Control, fault: int | str | None
) -> web.StreamResponse:
    if isinstance(fault, int):
        refused: web.Response = module.error(fault)
        if fault in (429, 503):
            refused.headers["Retry-After"] = str(control.retry_after_seconds)
        return refused
    request[FAULT] = fault
    if fault == "timeout":
        await asyncio.sleep(SILENCE_SECONDS)
    if fault == "html":
        return web.Response(text="<html><body>Please stand by.</body></html>", content_type="text/html")
    if fault == "repeat" and request.path in control.last:
        return web.Response(body=control.last[request.path], content_type="application/json")
    response = await handler(request)
    body = getattr(response, "body", None)
    if isinstance(body, bytes):
        control.last[request.path] = body
        if fault == "truncate":
            return await _half(request, body)
    return response


async def _half(request: web.Request, body: bytes) -> web.StreamResponse:
    """Half of what was promised, and then the connection is gone."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def show_control(request: web.Request) -> web.Response:
    control = _control(request)
    return web.json_response(
        {"requests": control.served, "fail_next": list(control.fail_next), "page_size": control.page_size}
    )


async def set_control(request: web.Request) -> web.Response:
    control, orders = _control(request), await request.json()
    unknown = set(orders) - {"fail_next", "retry_after_seconds", "page_size"}
    wrong = [each for each in orders.get("fail_next", []) if not isinstance(each, int) and each not in control.faults]
    if unknown or wrong:
        return web.json_response({"error": f"unknown: {sorted(unknown) or wrong}"}, status=400)
    control.fail_next.extend(orders.get("fail_next", []))
    control.retry_after_seconds = int(orders.get("retry_after_seconds", control.retry_after_seconds))
    control.page_size = orders.get("page_size", control.page_size)
    return await show_control(request)


def _control(request: web.Request) -> Control:
    found = request.app[CONTROLS].get(request.match_info["vendor"])
    if found is None:
        raise web.HTTPNotFound(text=json.dumps({"error": "no such vendor"}), content_type="application/json")
    return found


async def healthy(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})
