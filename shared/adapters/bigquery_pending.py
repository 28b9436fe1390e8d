"""Pending streams of BigQuery's Storage Write API: exactly once, by offsets within a stream and by one commit of it."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import contextmanager
from typing import TypeVar

import grpc
from google.api_core import exceptions
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types

from shared.adapters.bigquery_write import AppendCall, write_client
from shared.errors import Rejected, TenantNotProvisioned, Unavailable
from shared.schema.record import Record
from shared.streaming.pending import Staged
from shared.streaming.sink import RowsRefused
from shared.streaming.wire import Wire, log_wire

A = TypeVar("A")

APPEND_SECONDS = 60.0
TRIES = 7
FIRST_PAUSE_SECONDS = 0.25
"""Doubled each time: half a minute in all. A table just made may be unknown to the Write API for as long."""
ALREADY_THERE = grpc.StatusCode.ALREADY_EXISTS.value[0]
COMMITTED = (
    types.StorageError.StorageErrorCode.STREAM_ALREADY_COMMITTED,
    # What the emulator says of it: a stream that is finished and cannot be committed has been.
    types.StorageError.StorageErrorCode.INVALID_STREAM_STATE,
)


class BigQueryPending:
    """Makes and commits pending streams (port `PendingStreams`)."""

    def __init__(self, client: BigQueryWriteClient, project: str, pause: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._project = project
        self._pause = pause

    @classmethod
    def connect(cls, project: str, endpoint: str, grpc_endpoint: str) -> "BigQueryPending":
        """A client; an endpoint that begins with http:// is plaintext, its Storage API at `grpc_endpoint`."""
        return cls(write_client(endpoint, grpc_endpoint), project)

    def open(self, table: str, record: type[Record]) -> "BigQueryPendingStream":
        kind = types.WriteStream(type_=types.WriteStream.Type.PENDING)
        made = _tried(
            lambda: self._client.create_write_stream(parent=self._path(table), write_stream=kind), self._pause
        )
        return BigQueryPendingStream(self._client, made.name, log_wire(record), self._pause)

    def commit(self, table: str, name: str) -> bool:
        request = types.BatchCommitWriteStreamsRequest(parent=self._path(table), write_streams=[name])
        answer = _tried(lambda: self._client.batch_commit_write_streams(request), self._pause)
        return all(error.code in COMMITTED for error in answer.stream_errors)

    def _path(self, table: str) -> str:
        dataset, name = table.split(".")
        return f"projects/{self._project}/datasets/{dataset}/tables/{name}"


class BigQueryPendingStream:
    """One pending stream (port `PendingStream`). One batch is on its way while the next is made."""

    def __init__(
        self, client: BigQueryWriteClient, name: str, wire: Wire, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.name = name
        self.refused: list[tuple[str, str]] = []
        self._client = client
        self._wire = wire
        self._pause = pause
        self._call = AppendCall(client)
        self._landed = 0
        self._sent: tuple[Sequence[Staged], Future[None]] | None = None

    def append(self, rows: Sequence[Staged]) -> None:
        self._settle()
        self._sent = (rows, self._send(rows))

    def finish(self) -> int:
        self._settle()
        self.abandon()
        answer = _tried(lambda: self._client.finalize_write_stream(name=self.name), self._pause)
        if answer.row_count != self._landed:
            raise Unavailable("BigQuery holds another number of rows", expected=self._landed, found=answer.row_count)
        return self._landed

    def abandon(self) -> None:
        self._call.end(Unavailable("the stream was given up"))

    def _settle(self) -> None:
        if self._sent is None:
            return
        (rows, future), self._sent = self._sent, None
        self._land(rows, future)

    def _land(self, rows: Sequence[Staged], future: "Future[None] | None" = None) -> None:
        """Return once rows are in the stream, without those that BigQuery refuses."""
        for number in range(TRIES):
            try:
                (future or self._send(rows)).result(APPEND_SECONDS)
            except RowsRefused as refused:
                self._isolate(rows, refused)
                return
            except (Unavailable, TenantNotProvisioned, TookTooLong) as error:
                # An append whose answer was lost has landed: at its offset there already is one.
                if not _already_there(error):
                    if number == TRIES - 1:
                        raise Unavailable("BigQuery did not take the rows", cause=str(error)) from error
                    self.abandon()
                    self._call, future = AppendCall(self._client), None
                    self._pause(FIRST_PAUSE_SECONDS * 2**number)
                    continue
            self._landed += len(rows)
            return

    def _isolate(self, rows: Sequence[Staged], refused: RowsRefused) -> None:
        if not self._call.usable:
            self._call = AppendCall(self._client)
        if not refused.rows and len(rows) == 1:
            self.refused.append((rows[0].document_name, refused.message))
        elif refused.rows:
            self.refused += [(rows[index].document_name, reason) for index, reason in sorted(refused.rows.items())]
            if others := [row for index, row in enumerate(rows) if index not in refused.rows]:
                self._land(others)
        else:
            # It does not say which row is wrong: halves find it in log2(n) turns.
            middle = len(rows) // 2
            self._land(rows[:middle])
            self._land(rows[middle:])

    def _send(self, rows: Sequence[Staged]) -> "Future[None]":
        return self._call.append(self.name, self._wire, [row.data for row in rows], self._landed)


def _already_there(error: Exception) -> bool:
    fields = error.fields if isinstance(error, Unavailable) else {}
    return bool(fields.get("code") == ALREADY_THERE) or fields.get("cause") == exceptions.AlreadyExists.__name__


def _tried(call: Callable[[], A], pause: Callable[[float], None]) -> A:
    """The answer of a call, tried again while BigQuery is not available or does not know a new table yet."""
    for number in range(TRIES - 1):
        try:
            with _translated():
                return call()
        except (Unavailable, TenantNotProvisioned):
            pause(FIRST_PAUSE_SECONDS * 2**number)
    with _translated():
        return call()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except exceptions.NotFound as error:
        raise TenantNotProvisioned("the table does not exist") from error
    except (exceptions.ServerError, exceptions.TooManyRequests, exceptions.Aborted, exceptions.RetryError) as error:
        raise Unavailable("BigQuery is not available", cause=type(error).__name__) from error
    except exceptions.GoogleAPICallError as error:
        raise Rejected("BigQuery refused the stream", cause=type(error).__name__) from error
