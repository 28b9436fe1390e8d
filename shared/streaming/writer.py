"""Group commit: whatever rows wait go out together while at most two appends of their table are in flight.

There is no timer: a lone row leaves at once, and under load batches grow by themselves. A request is answered when
its own row is durable and what follows from it (forgetting, publishing) is done, so nothing is held for anybody
who is gone, and a server that stops gracefully drains by itself.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from shared.errors import AppError, Unavailable
from shared.streaming.rows import Row
from shared.streaming.sink import Connection, RowRefused, RowsRefused, Sink

IN_FLIGHT = 2
BATCH_ROWS = 500
# A request may hold 10 MB, its envelope included.
BATCH_BYTES = 9_000_000
# What a process holds at a time, over all tables, waiting or in flight: a slow BigQuery must not fill its memory.
HELD_ROWS = 5_000
HELD_BYTES = 64_000_000
APPEND_SECONDS = 30.0
IDLE_SECONDS = 60.0

Durable = Callable[[Sequence[Row]], Awaitable[None]]


@dataclass(slots=True)
class _Waiting:
    row: Row
    done: "asyncio.Future[None]"


class Writer:
    """Writes rows to their tables. One per event loop; `durable` is called with each batch's rows that landed."""

    def __init__(self, sink: Sink, durable: Durable) -> None:
        self._sink = sink
        self._durable = durable
        self._tables: dict[str, _Table] = {}
        self._rows = 0
        self._bytes = 0

    async def write(self, row: Row) -> None:
        """Return once the row is durable and what follows is done.

        Raises RowRefused (BigQuery will never take it), TenantNotProvisioned, or Unavailable (it may have landed).
        """
        if self._rows >= HELD_ROWS or self._bytes >= HELD_BYTES:
            raise Unavailable("too many rows wait for BigQuery", table=row.table)
        table = self._tables.get(row.table)
        if table is None:
            table = self._tables[row.table] = _Table(partial(self._sink.connect, row.table, row.record), self._durable)
        self._rows += 1
        self._bytes += len(row.data)
        try:
            await table.put(row)
        finally:
            self._rows -= 1
            self._bytes -= len(row.data)

    def close(self) -> None:
        """Close every connection."""
        for table in self._tables.values():
            table.close()
        self._tables.clear()


class _Table:
    """The rows that wait for one table."""

    def __init__(self, connect: Callable[[], Connection], durable: Durable) -> None:
        self._connect = connect
        self._durable = durable
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Waiting] = deque()
        self._in_flight = 0
        self._pumping = False
        self._connection: Connection | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._commits: set[asyncio.Task[None]] = set()

    async def put(self, row: Row) -> None:
        waiting = _Waiting(row, self._loop.create_future())
        self._waiting.append(waiting)
        if not self._pumping and self._in_flight < IN_FLIGHT:
            # Soon, not now: requests that became ready in the same turn of the loop leave in the same batch.
            self._pumping = True
            self._loop.call_soon(self._pump)
        await waiting.done

    def close(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _pump(self) -> None:
        self._pumping = False
        while self._waiting and self._in_flight < IN_FLIGHT:
            batch = self._take()
            self._in_flight += 1
            commit = self._loop.create_task(self._commit(batch))
            self._commits.add(commit)
            commit.add_done_callback(self._commits.discard)

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < BATCH_ROWS:
            length = len(self._waiting[0].row.data)
            if batch and size + length > BATCH_BYTES:
                break
            batch.append(self._waiting.popleft())
            size += length
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        try:
            try:
                landed = await self._append(batch)
            finally:
                self._in_flight -= 1
                self._pump()
            if landed:
                await self._durable([waiting.row for waiting in landed])
            for waiting in landed:
                _settle(waiting, None)
        except Exception as error:  # noqa: BLE001  every waiting request gets it, and raises it
            for waiting in batch:
                _settle(waiting, error)

    async def _append(self, batch: list[_Waiting], resend: bool = True) -> list[_Waiting]:
        """Append a batch; those that landed. The refused ones are answered here, their neighbours sent once more."""
        try:
            await self._send([waiting.row.data for waiting in batch])
        except RowsRefused as refused:
            return await self._isolate(batch, refused, resend)
        return batch

    async def _isolate(self, batch: list[_Waiting], refused: RowsRefused, resend: bool) -> list[_Waiting]:
        if refused.rows:
            for index, reason in refused.rows.items():
                _settle(batch[index], RowRefused("BigQuery refused the row", cause=reason))
            others = [waiting for index, waiting in enumerate(batch) if index not in refused.rows]
            if not others or not resend:
                for waiting in others:
                    _settle(waiting, Unavailable("BigQuery refused the batch twice"))
                return []
            return await self._append(others, resend=False)
        if len(batch) == 1:
            _settle(batch[0], RowRefused("BigQuery refused the row", cause=refused.message))
            return []
        # It does not say which row is wrong: halves find it in log2(n) turns.
        middle = len(batch) // 2
        return [*await self._append(batch[:middle]), *await self._append(batch[middle:])]

    async def _send(self, rows: list[bytes]) -> None:
        connection = self._connection
        if connection is None or not connection.usable:
            if connection is not None:
                connection.close()
            connection = self._connection = self._connect()
        self._stay_open()
        try:
            await asyncio.wait_for(asyncio.wrap_future(connection.append(rows)), APPEND_SECONDS)
        except TimeoutError as error:
            connection.abort()
            raise Unavailable("BigQuery did not answer in time", seconds=APPEND_SECONDS) from error

    def _stay_open(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._loop.call_later(IDLE_SECONDS, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self._in_flight:
            self._stay_open()
        else:
            self.close()


def _settle(waiting: _Waiting, error: Exception | None) -> None:
    if waiting.done.done():  # answered before, or the request is gone
        return
    if error is None:
        waiting.done.set_result(None)
    else:
        waiting.done.set_exception(_own(error))


def _own(error: Exception) -> Exception:
    """Its own error for each request: one that many tasks raise gathers all their tracebacks."""
    if isinstance(error, AppError):
        copy = type(error).__new__(type(error))
        AppError.__init__(copy, error.message, **error.fields)
        copy.__cause__ = error.__cause__
        return copy
    return error
