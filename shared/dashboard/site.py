"""The dashboard's routes: pages, live events, the series of a plot, decisions, sessions."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from shared.dashboard.cards import card
from shared.dashboard.live import Board
from shared.dashboard.needs import Needs, Viewer
from shared.dashboard.pages import Pages
from shared.dashboard.series import series
from shared.dashboard.sources import days, sources
from shared.dashboard.web import COOKIE, SecurityHeaders, answer, body, problem, secure, viewer, wants_page
from shared.errors import AppError, NotFound, UnknownTenant
from shared.opportunities.decisions import Decision, decide
from shared.schema.names import TENANT
from shared.sources.messages import CheckAsked, SyncAsked
from shared.sources.sync import kind_of
from shared.tenants.records import Tenant

# A stream ends after this long, and the browser's next one shows its token again.
STREAM_SECONDS = 900.0
PING_SECONDS = 15
RETRY_MILLISECONDS = 1000
OPPORTUNITY = re.compile(r"^[\w-]{1,128}$")

Values = dict[str, Any]


class Token(BaseModel):
    """The body of a sign-in."""

    model_config = ConfigDict(extra="forbid")

    token: str


class Pressed(BaseModel):
    """The body of a button: nothing."""

    model_config = ConfigDict(extra="forbid")


class Site:
    """The handlers. Calls that wait on a store run in threads: one slow answer holds up no other."""

    def __init__(self, needs: Needs, pages: Pages, board: Board) -> None:
        self._needs = needs
        self._pages = pages
        self._board = board

    async def home(self, request: Request) -> Response:
        """The way in: a tenant's own list, or for an operator the choice of tenants."""
        who = await viewer(request, self._needs.verifier)
        if not who.operator:
            return RedirectResponse(f"/t/{who.tenant(None)}/", 303)
        found = await run_in_threadpool(lambda: [values for _, values in self._needs.documents.find("tenants")])
        if len(found) == 1:
            return RedirectResponse(f"/t/{found[0]['tenant_id']}/", 303)
        return self._pages.tenants(found)

    async def sign_in(self, request: Request) -> Response:
        """Keep a token that verifies in a cookie that scripts cannot read."""
        token = (await body(request, Token)).token.strip()
        who = await run_in_threadpool(self._needs.verifier.verify_token, token)
        response = answer({"operator": who.operator, "tenant_id": who.tenant_id})
        response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure(request), path="/")
        return response

    async def sign_out(self, request: Request) -> Response:
        """Forget the token."""
        response = answer({})
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=secure(request), path="/")
        return response

    async def opportunities(self, request: Request) -> Response:
        """The live list."""
        tenant, who = await self._tenant(request)
        return self._pages.opportunities(tenant, who, await run_in_threadpool(self._hit_rates, tenant.tenant_id))

    async def opportunity(self, request: Request) -> Response:
        """One opportunity, with its evidence."""
        tenant, who = await self._tenant(request)
        stored = await self._stored(request)
        lead, parts = await run_in_threadpool(self._kin, stored)
        return self._pages.opportunity(tenant, who, stored, lead, parts)

    async def series(self, request: Request) -> Response:
        """The metrics of one opportunity by day."""
        await self._tenant(request)
        stored = await self._stored(request)
        return answer(await run_in_threadpool(series, self._needs, stored))

    async def decide(self, request: Request) -> Response:
        """Store a person's decision; the list hears of it through Firestore, like everybody."""
        tenant, who = await self._tenant(request)
        decision = await body(request, Decision)
        opportunity_id = _opportunity_id(request)
        stored = await run_in_threadpool(
            decide, self._needs.documents, tenant.tenant_id, opportunity_id, decision, who.subject
        )
        return answer(card(opportunity_id, stored))

    async def sync(self, request: Request) -> Response:
        """Ask for a sync of one source; how the sources stand with it."""
        tenant, who = await self._tenant(request)
        await body(request, Pressed)
        asked = SyncAsked(tenant_id=tenant.tenant_id, source=_source(request))
        await run_in_threadpool(self._needs.sync.ask, asked, who.subject)
        return await self._standing(tenant.tenant_id)

    async def check(self, request: Request) -> Response:
        """Ask for a test of one source's connection; how the sources stand with it."""
        tenant, who = await self._tenant(request)
        await body(request, Pressed)
        asked = CheckAsked(tenant_id=tenant.tenant_id, source=_source(request))
        await run_in_threadpool(self._needs.checks.ask, asked, who.subject)
        return await self._standing(tenant.tenant_id)

    async def _standing(self, tenant_id: str) -> Response:
        self._board.hurry(tenant_id)
        return answer(await run_in_threadpool(sources, self._needs, tenant_id), 202)

    async def days(self, request: Request) -> Response:
        """What one source brought, by day."""
        tenant, _ = await self._tenant(request)
        return answer(await run_in_threadpool(days, self._needs, tenant.tenant_id, _source(request)))

    async def events(self, request: Request) -> Response:
        """A snapshot, then every change."""
        tenant, _ = await self._tenant(request)
        return EventSourceResponse(
            self._stream(tenant.tenant_id), ping=PING_SECONDS, headers={"cache-control": "no-store"}
        )

    async def _stream(self, tenant_id: str) -> AsyncIterator[ServerSentEvent]:
        until = asyncio.get_running_loop().time() + STREAM_SECONDS
        try:
            async with self._board.watch(tenant_id) as watcher:
                while not (watcher.lost and watcher.queue.empty()):
                    try:
                        async with asyncio.timeout_at(until):
                            event = await watcher.queue.get()
                    except TimeoutError:
                        return
                    yield ServerSentEvent(data=event.data, event=event.name, retry=RETRY_MILLISECONDS)
        except AppError as error:
            yield ServerSentEvent(data=error.message, event="unavailable", retry=RETRY_MILLISECONDS * 5)

    async def _tenant(self, request: Request) -> tuple[Tenant, Viewer]:
        """The tenant of the path, where the caller may see it."""
        who = await viewer(request, self._needs.verifier)
        named = request.path_params["tenant_id"]
        tenant_id = who.tenant(named)
        if not TENANT.match(tenant_id):
            raise UnknownTenant("no such tenant", field="tenant_id", expected="a provisioned tenant")
        return await run_in_threadpool(self._needs.tenants.get, tenant_id), who

    def _hit_rates(self, tenant_id: str) -> list[Values]:
        """Those of detectors of which something was completed, the best first."""
        found = [values for _, values in self._needs.documents.find(f"tenants/{tenant_id}/detector_hit_rates")]
        return sorted(found, key=lambda one: (-(one.get("hit_rate") or 0), -one.get("completed", 0)))

    def _kin(self, stored: Values) -> tuple[Values | None, list[Values]]:
        """The opportunity that this one is part of, and those that are part of it."""
        opportunities = f"tenants/{stored['tenant_id']}/opportunities"
        lead_id = stored.get("part_of")
        valid = isinstance(lead_id, str) and OPPORTUNITY.match(lead_id)
        lead = self._needs.documents.get(f"{opportunities}/{lead_id}") if valid else None
        mine = [("part_of", "==", stored["opportunity_id"])]
        parts = [values for _, values in self._needs.documents.find(opportunities, where=mine)]
        return lead, parts

    async def _stored(self, request: Request) -> Values:
        opportunity_id, tenant_id = _opportunity_id(request), request.path_params["tenant_id"]
        path = f"tenants/{tenant_id}/opportunities/{opportunity_id}"
        stored = await run_in_threadpool(self._needs.documents.get, path)
        if stored is None:
            raise _no_such_opportunity()
        return {**stored, "opportunity_id": opportunity_id, "tenant_id": tenant_id}


def site(needs: Needs, folder: Path, board: Board | None = None) -> ASGIApp:
    """The dashboard as an ASGI application; `folder` holds `templates/` and `static/`.

    Errors that nobody raised on purpose pass through: the functions framework logs them and answers 500.
    """
    pages = Pages(folder / "templates")
    handlers = Site(needs, pages, board or Board(needs))

    def refused(request: Request, error: Exception) -> Response:
        # Starlette types handlers by Exception; this one is registered for AppError alone.
        known = error if isinstance(error, AppError) else AppError("an error")
        return pages.refused(known) if wants_page(request) else problem(known)

    def unrouted(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        known = NotFound("there is nothing here" if status == 404 else "this cannot be done here", field="path")
        if status != 404:
            known.status = status
        return pages.refused(known) if wants_page(request) else problem(known)

    router = Router(
        [
            Route("/", handlers.home),
            Route("/session", handlers.sign_in, methods=["POST"]),
            Route("/session", handlers.sign_out, methods=["DELETE"]),
            Route("/t/{tenant_id}", lambda request: RedirectResponse(f"{request.url.path}/", 308)),
            Route("/t/{tenant_id}/", handlers.opportunities),
            Route("/t/{tenant_id}/events", handlers.events),
            Route("/t/{tenant_id}/opportunities/{opportunity_id}", handlers.opportunity),
            Route("/t/{tenant_id}/opportunities/{opportunity_id}", handlers.decide, methods=["POST"]),
            Route("/t/{tenant_id}/opportunities/{opportunity_id}/series", handlers.series),
            Route("/t/{tenant_id}/sources/{source}/days", handlers.days),
            Route("/t/{tenant_id}/sources/{source}/sync", handlers.sync, methods=["POST"]),
            Route("/t/{tenant_id}/sources/{source}/check", handlers.check, methods=["POST"]),
            Mount("/static", StaticFiles(directory=folder / "static")),
        ]
    )
    # Inside the functions framework's own application the router raises what it does not find.
    return SecurityHeaders(ExceptionMiddleware(router, {AppError: refused, HTTPException: unrouted}))


def _source(request: Request) -> str:
    return kind_of(request.path_params["source"]).name


def _opportunity_id(request: Request) -> str:
    opportunity_id: str = request.path_params["opportunity_id"]
    if not OPPORTUNITY.match(opportunity_id):
        raise _no_such_opportunity()
    return opportunity_id


def _no_such_opportunity() -> NotFound:
    return NotFound("no such opportunity", field="opportunity_id", expected="the id of an opportunity of the tenant")
