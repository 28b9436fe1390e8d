"""The clock of the local cloud: posts each schedule's body to its function when its time has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from croniter import croniter

from infra.functions import Schedule
from infra.local.delivery import Post


class Ticker:
    """One schedule of one function. The next tick is computed when the last one is done, so none overlap."""

    def __init__(
        self, schedule: Schedule, url: str, token: Callable[[], str], timeout_seconds: float, post: Post
    ) -> None:
        self._schedule, self._url, self._token, self._timeout, self._post = schedule, url, token, timeout_seconds, post
        self.ticks = self.failed = self.in_flight = 0
        self.last_failure = ""

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(seconds_until_next(self._schedule.cron, datetime.now(UTC)))
            await self.tick()

    async def tick(self) -> int:
        """Post the body once; the status of the answer. Like Cloud Scheduler's default, a failure is not retried."""
        headers = {"authorization": f"Bearer {self._token()}", "content-type": "application/json"}
        self.in_flight += 1
        try:
            body = orjson.dumps(self._schedule.body)
            status, answer = await self._post(self._url, headers, body, self._timeout)
        finally:
            self.in_flight -= 1
        self.ticks += 1
        if not 200 <= status < 300:
            self.failed += 1
            self.last_failure = f"{status} {answer[:300].decode(errors='replace')}"
        return status

    def status(self) -> dict[str, Any]:
        """The counts that /status shows."""
        return {
            "ticks": self.ticks,
            "failed": self.failed,
            "in_flight": self.in_flight,
            "last_failure": self.last_failure,
        }


def seconds_until_next(cron: str, now: datetime) -> float:
    """Seconds from `now` until the expression matches next."""
    following = croniter(cron, now).get_next(datetime)
    return float((following - now).total_seconds())
