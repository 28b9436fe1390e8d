import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from shared.dashboard.live import BACKLOG, Board, Watcher
from shared.errors import Unavailable
from tests.fakes import FakeDocuments, fake_clients
from tests.unit.dashboard.samples import opportunity

PATH = "tenants/demo/opportunities/a1"


async def heard(watcher: Watcher, name: str) -> Any:
    """The next event of a name."""
    async with asyncio.timeout(5):
        while True:
            event = await watcher.queue.get()
            if event.name == name:
                return orjson.loads(event.data)


@pytest.fixture
def documents() -> FakeDocuments:
    found = FakeDocuments()
    found.put(PATH, opportunity())
    return found


async def test_watcher_hears_a_snapshot_then_changes(documents: FakeDocuments):
    async with Board(fake_clients("demo", documents=documents), 0).watch("demo") as watcher:
        assert [one["id"] for one in await heard(watcher, "snapshot")] == ["a1"]
        await asyncio.to_thread(documents.put, PATH, opportunity(status="dismissed"))
        assert (await heard(watcher, "change"))["status"] == "dismissed"
        await asyncio.to_thread(documents.delete, PATH)
        assert await heard(watcher, "removed") == {"id": "a1"}


async def test_write_that_changes_nothing_shown_is_not_sent(documents: FakeDocuments):
    async with Board(fake_clients("demo", documents=documents), 0).watch("demo") as watcher:
        await asyncio.to_thread(documents.put, PATH, opportunity(clear_runs=1))
        await asyncio.to_thread(documents.put, PATH, opportunity(severity="low"))
        assert (await heard(watcher, "change"))["severity"] == "low"


async def test_what_somebody_asked_for_is_shown_at_once(documents: FakeDocuments):
    at = datetime(2026, 3, 2, tzinfo=UTC)
    documents.put("tenants/demo", {"tenant_id": "demo", "created_at": at, "updated_at": at, "sources": {"stripe": {}}})
    clients = fake_clients(documents=documents)
    board = Board(clients, 0)
    async with board.watch("demo") as watcher:
        [stripe] = await heard(watcher, "sources")
        assert (stripe["state"], stripe["sync"]) == ("new", None)
        clients.progress.request("sync-stripe-demo-1", "sync", "demo")
        board.hurry("demo")
        [stripe] = await heard(watcher, "sources")
        assert stripe["sync"]["status"] == "requested"


async def test_nobody_is_hurried_where_nobody_watches(documents: FakeDocuments):
    Board(fake_clients("demo", documents=documents), 0).hurry("demo")


async def test_all_browsers_of_a_tenant_share_one_listener_which_ends_after_the_last(documents: FakeDocuments):
    board = Board(fake_clients("demo", documents=documents), 0)
    async with board.watch("demo") as first:
        async with board.watch("demo") as second:
            assert documents.listeners == 1
            await heard(second, "snapshot")
        await asyncio.sleep(0.05)
        assert documents.listeners == 1
        await heard(first, "snapshot")
    async with asyncio.timeout(5):
        while documents.listeners:
            await asyncio.sleep(0.01)


async def test_tenants_hear_only_their_own(documents: FakeDocuments):
    async with Board(fake_clients("demo", "other", documents=documents), 0).watch("other") as watcher:
        assert await heard(watcher, "snapshot") == []
        await asyncio.to_thread(documents.put, PATH, opportunity(severity="low"))
        await asyncio.to_thread(documents.put, "tenants/other/opportunities/b", opportunity(opportunity_id="b"))
        assert (await heard(watcher, "change"))["id"] == "b"


async def test_store_that_is_down_is_said_and_the_next_browser_tries_again(documents: FakeDocuments):
    board = Board(fake_clients("demo", documents=documents), 0)
    documents.down = True
    with pytest.raises(Unavailable):
        async with board.watch("demo"):
            pass
    documents.down = False
    async with board.watch("demo") as watcher:
        assert len(await heard(watcher, "snapshot")) == 1


async def test_browser_that_falls_behind_is_let_go(documents: FakeDocuments):
    async with Board(fake_clients("demo", documents=documents), 0).watch("demo") as watcher:
        for number in range(BACKLOG + 1):
            documents.put(PATH, opportunity(title=str(number)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert watcher.lost


async def test_what_a_dead_listener_missed_is_put_right(documents: FakeDocuments):
    board = Board(fake_clients("demo", documents=documents), 0)
    async with board.watch("demo") as watcher:
        await heard(watcher, "snapshot")
        documents._listeners.clear()
        documents.put(PATH, opportunity(severity="low"))
        await board._channels["demo"]._compare()
        assert (await heard(watcher, "change"))["severity"] == "low"
        assert documents.listeners == 1
