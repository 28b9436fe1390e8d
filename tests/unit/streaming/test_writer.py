"""Group commit: batches grow by themselves, each request is answered for its own row."""

import asyncio

import pytest

from shared.errors import TenantNotProvisioned, Unavailable
from shared.streaming import writer as module
from shared.streaming.rows import Row
from shared.streaming.sink import RowRefused, RowsRefused
from shared.streaming.writer import Writer
from tests.support.streaming import FakeSink, Note, lost

TABLE = "d.t"


def row(data=b"x", table=TABLE):
    return Row(Note, table, data, {"tenant_id": "demo"}, data.decode(errors="replace"), None)


class Followed:
    """What was called durable, batch by batch."""

    def __init__(self):
        self.batches = []

    async def __call__(self, rows):
        self.batches.append([row.data for row in rows])


async def gather(writer, datas):
    return await asyncio.gather(*(writer.write(row(data)) for data in datas), return_exceptions=True)


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_requests_of_one_turn_leave_in_one_batch():
    sink, followed = FakeSink(), Followed()
    assert await gather(Writer(sink, followed), [b"1", b"2", b"3"]) == [None] * 3
    assert sink.batches == [3]
    assert followed.batches == [[b"1", b"2", b"3"]]


async def test_at_most_two_appends_of_a_table_are_in_flight():
    sink = FakeSink()
    sink.held = True
    writer = Writer(sink, Followed())
    tasks = []
    for number in range(5):
        tasks.append(asyncio.create_task(writer.write(row(b"%d" % number))))
        await settle()
    assert (sink.waiting, sink.batches) == (2, [1, 1])
    other = asyncio.create_task(writer.write(row(b"o", "d.other")))
    await settle()
    assert sink.waiting == 3
    sink.held = False
    sink.release()
    await asyncio.gather(*tasks, other)
    assert sink.batches[3:] == [3]


async def test_a_request_is_answered_only_after_what_follows():
    sink, gate = FakeSink(), asyncio.Event()

    async def follow(rows):
        await gate.wait()

    task = asyncio.create_task(Writer(sink, follow).write(row()))
    await settle()
    assert sink.rows[TABLE] == [b"x"]
    assert not task.done()
    gate.set()
    await task


async def test_what_follows_failing_fails_the_batch_for_retry():
    async def follow(rows):
        raise Unavailable("the cache cannot be reached")

    found = await gather(Writer(FakeSink(), follow), [b"1", b"2"])
    assert [type(error) for error in found] == [Unavailable, Unavailable]
    assert found[0] is not found[1]


async def test_a_row_refused_by_index_is_set_apart_and_its_neighbours_land():
    def answer(rows):
        bad = {index: "wrong" for index, data in enumerate(rows) if data == b"bad"}
        return RowsRefused("refused", bad) if bad else None

    sink, followed = FakeSink(answer), Followed()
    found = await gather(Writer(sink, followed), [b"1", b"bad", b"2"])
    assert [type(error) for error in found] == [type(None), RowRefused, type(None)]
    assert found[1].fields == {"cause": "wrong"}
    assert sink.rows[TABLE] == [b"1", b"2"]
    assert followed.batches == [[b"1", b"2"]]


async def test_a_row_refused_without_index_is_found_by_halving():
    sink = FakeSink(lambda rows: RowsRefused("schema", {}) if b"bad" in rows else None)
    found = await gather(Writer(sink, Followed()), [b"%d" % n for n in range(6)] + [b"bad"])
    assert [type(error) for error in found] == [type(None)] * 6 + [RowRefused]
    assert sorted(sink.rows[TABLE]) == [b"%d" % n for n in range(6)]


async def test_a_broken_connection_is_unavailable_and_the_next_one_works():
    answers = [lost, lambda rows: None]
    sink = FakeSink(lambda rows: answers.pop(0)(rows))
    writer = Writer(sink, Followed())
    with pytest.raises(Unavailable):
        await writer.write(row())
    await writer.write(row())
    assert len(sink.connections) == 2


async def test_a_missing_table_is_a_tenant_that_is_not_provisioned():
    writer = Writer(FakeSink(lambda rows: TenantNotProvisioned("no table", stream="s")), Followed())
    with pytest.raises(TenantNotProvisioned):
        await writer.write(row())


async def test_batches_stay_below_the_size_of_a_request(monkeypatch):
    sink = FakeSink()
    monkeypatch.setattr(module, "BATCH_BYTES", 10)
    assert await gather(Writer(sink, Followed()), [b"1234"] * 5) == [None] * 5
    assert sink.batches == [2, 2, 1]


@pytest.mark.parametrize("limit", ["HELD_ROWS", "HELD_BYTES"])
async def test_a_full_process_answers_at_once_whatever_the_table(monkeypatch, limit):
    monkeypatch.setattr(module, limit, 1)
    sink = FakeSink()
    sink.held = True
    writer = Writer(sink, Followed())
    first = asyncio.create_task(writer.write(row()))
    await settle()
    with pytest.raises(Unavailable, match="too many rows wait"):
        await writer.write(row(table="d.other"))
    sink.held = False
    sink.release()
    await first
    await writer.write(row(table="d.other"))


async def test_an_append_without_an_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "APPEND_SECONDS", 0.01)
    sink = FakeSink()
    sink.held = True
    with pytest.raises(Unavailable, match="in time"):
        await Writer(sink, Followed()).write(row())
    assert not sink.connections[0].usable


async def test_an_idle_connection_is_closed(monkeypatch):
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.01)
    sink = FakeSink()
    await Writer(sink, Followed()).write(row())
    while sink.connections[0].usable:
        await asyncio.sleep(0.005)


async def test_a_request_that_went_away_disturbs_nobody():
    sink = FakeSink()
    sink.held = True
    writer = Writer(sink, Followed())
    gone, stays = asyncio.create_task(writer.write(row(b"1"))), asyncio.create_task(writer.write(row(b"2")))
    await settle()
    gone.cancel()
    await settle()
    sink.release()
    await stays
