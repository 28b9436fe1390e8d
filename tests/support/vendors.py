"""The local server that plays the vendors, running for a test, and its back door."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import httpx
from aiohttp import web

from infra.local.ports import HOST
from infra.local.vendors.server import Vendor, create_app


class Vendors:
    """The running server."""

    def __init__(self, address: str) -> None:
        self.address = address

    def control(self, vendor: str, **orders: Any) -> None:
        """What becomes of the next requests to one vendor: see infra/local/vendors/server.py."""
        answer = httpx.post(f"{self.address}/_control/{vendor}", json=orders, trust_env=False)
        assert answer.status_code == 200, answer.text

    def served(self, vendor: str) -> list[dict[str, Any]]:
        """Method, path and status of every request that one vendor was asked."""
        answer = httpx.get(f"{self.address}/_control/{vendor}", trust_env=False).json()
        requests: list[dict[str, Any]] = answer["requests"]
        return requests


@contextmanager
def vendors(today: date, *names: str | Vendor) -> Iterator[Vendors]:
    """These vendors on a free port, their sample ending the day before `today`; the loop has a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = web.AppRunner(create_app(today, names), shutdown_timeout=0.1)

    async def start() -> str:
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        return f"http://{HOST}:{runner.addresses[0][1]}"

    try:
        yield Vendors(asyncio.run_coroutine_threadsafe(start(), loop).result())
    finally:
        asyncio.run_coroutine_threadsafe(_end(runner), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(runner: web.AppRunner) -> None:
    """Stop serving, requests that were to be left without an answer among them."""
    await runner.cleanup()
    waiting = asyncio.all_tasks() - {asyncio.current_task()}
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
