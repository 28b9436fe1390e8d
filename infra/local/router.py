"""What stands between the emulators and the functions, where production has Eventarc, push and Scheduler.

Usage: python -m infra.local.router CONFIG.json

The Firestore emulator delivers one event at a time and never retries: it is answered at once, after the event
is on disk, and the event is delivered from here. (What it posts while no router runs is lost: nothing can help
that, and production has no such gap.) The Pub/Sub emulator sends no token: it is added here.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from pydantic import BaseModel, ConfigDict

from infra.functions import LONGEST_ACK_DEADLINE_SECONDS, Schedule
from infra.local.delivery import Poster, PushForwarder, TriggerDelivery
from infra.local.issuer import PUBSUB, SCHEDULER, TokenIssuer
from infra.local.journal import Journal
from infra.local.ports import HOST
from infra.local.schedules import Ticker

FENCE = "drain-fence"
LARGEST_BODY = 32 * 1024 * 1024
TOKEN_KEPT_SECONDS = 3600
DELIVERED_HEADERS = re.compile(r"^(ce-.*|content-type|traceparent|tracestate)$", re.IGNORECASE)


class RoutedFunction(BaseModel):
    """What the router needs to know of a function."""

    model_config = ConfigDict(frozen=True)

    name: str
    triggers: tuple[str, ...] = ()
    url: str
    concurrency: int
    retry: bool
    timeout_seconds: float
    schedules: tuple[Schedule, ...] = ()


class RouterConfig(BaseModel):
    """The router's settings, written by the local cloud."""

    model_config = ConfigDict(frozen=True)

    port: int
    journal: Path
    issuer_key: Path
    issuer_url: str
    scheduler: bool = True
    functions: tuple[RoutedFunction, ...]


class Tokens:
    """Tokens of the router's own callers, each kept for an hour."""

    def __init__(self, issuer: TokenIssuer) -> None:
        self._issuer = issuer
        self._kept: dict[str, tuple[float, str]] = {}

    def of(self, email: str) -> str:
        """A valid token for `email`."""
        issued_at, token = self._kept.get(email, (float("-inf"), ""))
        if time.monotonic() - issued_at > TOKEN_KEPT_SECONDS:
            token = self._issuer.issue(email)
            self._kept[email] = (time.monotonic(), token)
        return token


class Router:
    """The state of the router: its journal, one delivery and one forwarder a function, the clock."""

    def __init__(self, config: RouterConfig) -> None:
        self.config = config
        self.issuer = TokenIssuer.load(config.issuer_key, config.issuer_url)
        self.tokens = Tokens(self.issuer)
        self.journal = Journal(config.journal)
        self.deliveries: dict[str, TriggerDelivery] = {}
        self.triggers: dict[str, TriggerDelivery] = {}
        self.pushes: dict[str, PushForwarder] = {}
        self.tickers: dict[str, Ticker] = {}
        self.fences: deque[str] = deque(maxlen=100)
        self.unroutable = 0

    async def run(self, app: web.Application) -> Any:
        """Hold the connections and the workers while `app` runs."""
        connections = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
        async with aiohttp.ClientSession(
            connector=connections, timeout=aiohttp.ClientTimeout(total=None), cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            self._connect(Poster(session))
            for event in self.journal.unsettled():
                if event.trigger in self.triggers:
                    self.triggers[event.trigger].accept(event)
            for delivery in self.deliveries.values():
                delivery.start()
            ticking = [asyncio.create_task(ticker.run()) for ticker in self.tickers.values() if self.config.scheduler]
            yield
            for task in ticking:
                task.cancel()
            await asyncio.gather(*ticking, *(d.stop() for d in self.deliveries.values()), return_exceptions=True)
        self.journal.close()

    def _connect(self, post: Poster) -> None:
        for function in self.config.functions:
            if function.triggers:
                # One for all of its triggers, for its concurrency is one.
                delivery = TriggerDelivery(
                    function.triggers[0],
                    function.url,
                    function.concurrency,
                    function.retry,
                    function.timeout_seconds,
                    self.journal,
                    post,
                )
                self.deliveries[delivery.name] = delivery
                self.triggers |= dict.fromkeys(function.triggers, delivery)
            self.pushes[function.name] = PushForwarder(
                function.url,
                function.concurrency,
                lambda: self.tokens.of(PUBSUB),
                max(function.timeout_seconds, LONGEST_ACK_DEADLINE_SECONDS),
                post,
            )
            for schedule in function.schedules:
                self.tickers[f"{function.name}/{schedule.name}"] = Ticker(
                    schedule, function.url, lambda: self.tokens.of(SCHEDULER), function.timeout_seconds, post
                )

    async def firestore_event(self, request: web.Request) -> web.Response:
        """An event of the Firestore emulator: on disk, then acknowledged, then delivered."""
        trigger = request.match_info["trigger"]
        headers = {str(name).lower(): value for name, value in request.headers.items() if DELIVERED_HEADERS.match(name)}
        if trigger == FENCE:
            self.fences.append(
                headers.get("ce-document", headers.get("ce-subject", "")).rpartition("/")[2]
            )  # the document's id
            return web.Response()
        delivery = self.triggers.get(trigger)
        if delivery is None:
            self.unroutable += 1
            return web.Response(status=404, text=f"no function has the trigger {trigger}")
        delivery.accept(self.journal.receive(trigger, headers, await request.read()))
        return web.Response()

    async def push(self, request: web.Request) -> web.Response:
        """A push of the Pub/Sub emulator, forwarded with a token."""
        forwarder = self.pushes.get(request.match_info["function"])
        if forwarder is None:
            self.unroutable += 1
            return web.Response(status=404, text="no such function")
        status, answer = await forwarder.forward(await request.read())
        return web.Response(status=status, body=None if status == 204 else answer)

    async def fence(self, request: web.Request) -> web.Response:
        """The fence that came through Pub/Sub."""
        push = await request.json()
        self.fences.append(push["message"]["attributes"]["fence"])
        return web.Response()

    async def tick(self, request: web.Request) -> web.Response:
        """Let a schedule tick now, as `gcloud scheduler jobs run` does."""
        ticker = self.tickers.get(f"{request.match_info['function']}/{request.match_info['schedule']}")
        if ticker is None:
            return web.Response(status=404, text="no such schedule")
        return web.json_response({"status": await ticker.tick()})

    async def jwks(self, request: web.Request) -> web.Response:
        """The issuer's public key."""
        return web.json_response(self.issuer.jwks())

    async def token(self, request: web.Request) -> web.Response:
        """A token for anybody who asks: this issuer is trusted by the local cloud only."""
        wanted = await request.json()
        if not isinstance(wanted, dict) or not isinstance(wanted.get("email"), str):
            return web.json_response({"error": 'expected {"email": ..., "tenant_id"?: ...}'}, status=422)
        return web.json_response({"token": self.issuer.issue(wanted["email"], wanted.get("tenant_id"))})

    async def status(self, request: web.Request) -> web.Response:
        """What was received, delivered, and is still on its way."""
        outstanding = sum(delivery.outstanding for delivery in self.deliveries.values())
        outstanding += sum(push.outstanding for push in self.pushes.values())
        outstanding += sum(ticker.in_flight for ticker in self.tickers.values())
        activity = sum(d.received + d.delivered + d.failed for d in self.deliveries.values())
        activity += sum(p.received + p.delivered + p.failed for p in self.pushes.values())
        activity += sum(t.ticks for t in self.tickers.values())
        return web.json_response(
            {
                "idle": outstanding == 0,
                "outstanding": outstanding,
                "activity": activity,
                "unroutable": self.unroutable,
                "triggers": {name: delivery.status() for name, delivery in self.deliveries.items()},
                "pushes": {name: push.status() for name, push in self.pushes.items() if push.received},
                "schedules": {name: ticker.status() for name, ticker in self.tickers.items()},
                "fences": list(self.fences),
            }
        )


def application(config: RouterConfig) -> web.Application:
    """The router as an aiohttp application."""
    router = Router(config)
    app = web.Application(client_max_size=LARGEST_BODY)
    app.cleanup_ctx.append(router.run)
    app.router.add_post("/functions/projects/{project}/triggers/{trigger}", router.firestore_event)
    app.router.add_post("/push/{function}", router.push)
    app.router.add_post("/fence", router.fence)
    app.router.add_post("/schedules/{function}/{schedule}", router.tick)
    app.router.add_get("/issuer/jwks.json", router.jwks)
    app.router.add_post("/issuer/token", router.token)
    app.router.add_get("/status", router.status)
    return app


def main() -> None:
    """Serve until a signal ends the process."""
    config = RouterConfig.model_validate_json(Path(sys.argv[1]).read_bytes())
    web.run_app(application(config), host=HOST, port=config.port, access_log=None, print=None, shutdown_timeout=1)


if __name__ == "__main__":
    main()
