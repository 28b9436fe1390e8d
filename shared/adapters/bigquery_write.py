"""Appending rows through BigQuery's Storage Write API: the raw call on a table's default stream.

Not Google's AppendRowsStream: its future polls, with a first pause of a second; the same append takes 430-670 ms
instead of 6-13 (https://github.com/googleapis/google-cloud-python/issues/14270).

Tables share a few connections, as default streams may: a project has a quota of open connections, and each table of
each tenant in each instance would need one of its own.
"""

import queue
import re
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import grpc
from google.api_core import exceptions
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport

from shared.errors import AppError, NotNow, TenantNotProvisioned, Unavailable
from shared.schema.record import Record
from shared.streaming.sink import RowsRefused
from shared.streaming.wire import Wire, log_wire

Request = types.AppendRowsRequest
RequestPb = Request.pb()

CALLS = 2
"""Calls that one process keeps open."""
NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]
PERMANENT = frozenset(
    code.value[0]
    for code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.FAILED_PRECONDITION)
)
STATUS = {code.value[0]: code.name for code in grpc.StatusCode}
ROW_STATUS = {code.value: code.name for code in types.RowError.RowErrorCode}
PLACES = re.compile(
    r"projects/[\w./-]+|\bTable [\w-]+:[\w.$-]+|\b(?:[Ff]ield|[Cc]olumn):? [`'\"]?[A-Za-z_][\w.]{0,100}[`'\"]?"
)
"""How BigQuery names a table or a field."""


@dataclass(slots=True)
class Batch:
    """One request that waits for its answer."""

    stream: str
    future: "Future[None]"


def write_client(endpoint: str, grpc_endpoint: str) -> BigQueryWriteClient:
    """Google's client; an endpoint that begins with http:// is plaintext, its Storage API at `grpc_endpoint`."""
    if endpoint.startswith("http://"):
        channel = grpc.insecure_channel(grpc_endpoint)
        return BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=channel))
    return BigQueryWriteClient()


class BigQuerySink:
    """Opens append connections (port `Sink`)."""

    def __init__(self, client: BigQueryWriteClient, project: str) -> None:
        self._client = client
        self._project = project
        self._calls: list[AppendCall] = []

    @classmethod
    def open(cls, project: str, endpoint: str, grpc_endpoint: str) -> "BigQuerySink":
        """A client; an endpoint that begins with http:// is plaintext, its Storage API at `grpc_endpoint`."""
        return cls(write_client(endpoint, grpc_endpoint), project)

    def connect(self, table: str, record: type[Record]) -> "TableConnection":
        dataset, name = table.split(".")
        stream = f"projects/{self._project}/datasets/{dataset}/tables/{name}/streams/_default"
        self._calls = [call for call in self._calls if call.usable]
        if len(self._calls) < CALLS:
            self._calls.append(AppendCall(self._client))
        call = min(self._calls, key=lambda call: call.users)
        return TableConnection(call, stream, log_wire(record))


class TableConnection:
    """One table's use of a shared call (port `Connection`)."""

    def __init__(self, call: "AppendCall", stream: str, wire: Wire) -> None:
        self._call = call
        self._stream = stream
        self._wire = wire
        call.users += 1

    @property
    def usable(self) -> bool:
        return self._call.usable

    def append(self, rows: Sequence[bytes]) -> "Future[None]":
        return self._call.append(self._stream, self._wire, rows)

    def close(self) -> None:
        self._call.users -= 1
        if not self._call.users:
            self._call.end(Unavailable("the connection to BigQuery was closed"))

    def abort(self) -> None:
        self._call.end(Unavailable("the connection to BigQuery was given up"))


class AppendCall:
    """One AppendRows call. Answers come in the order of the requests."""

    def __init__(self, client: BigQueryWriteClient) -> None:
        self.users = 0
        self._client = client
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._in_flight: deque[Batch] = deque()
        self._lock = threading.Lock()
        self._stream = ""
        self._answers: Any = None
        self._ended = False

    @property
    def usable(self) -> bool:
        """False once it has ended."""
        return not self._ended

    def append(self, stream: str, wire: Wire, rows: Sequence[bytes], offset: int | None = None) -> "Future[None]":
        """Send a batch to one table's stream; at an offset where the stream is not the default one."""
        # The emulator, unlike the documentation, wants the stream on every request.
        request = RequestPb(write_stream=stream)
        if offset is not None:
            request.offset.value = offset
        request.proto_rows.rows.serialized_rows.extend(rows)
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # whoever stops waiting must not cancel what is on its way
        with self._lock:
            if self._ended:
                future.set_exception(Unavailable("the connection to BigQuery has ended"))
                return future
            first, switches = not self._stream, stream != self._stream
            if switches:
                request.proto_rows.writer_schema.proto_descriptor.CopyFrom(wire.descriptor)
                self._stream = stream
            # Under the lock: the order of batches must be the order of requests.
            self._in_flight.append(Batch(stream, future))
            self._requests.put(Request.wrap(request))
        if first:
            # The call blocks until the first answer, hence a thread of its own with the first batch queued.
            threading.Thread(target=self._run, args=(stream,), name="append-rows", daemon=True).start()
        return future

    def end(self, error: AppError, culprit: AppError | None = None) -> None:
        """End the call; what is in flight fails with `error`, the batch at which it broke with `culprit`."""
        with self._lock:
            self._ended = True
            waiting, self._in_flight = self._in_flight, deque()
        self._requests.put(None)
        if self._answers is not None:
            self._answers.cancel()
        broken = _broken(waiting, culprit) if culprit is not None else None
        for batch in waiting:
            batch.future.set_exception(culprit if batch is broken and culprit is not None else error)

    def _run(self, stream: str) -> None:
        lost = Unavailable("the connection to BigQuery was lost")
        try:
            answers = self._client.append_rows(
                self._sent(),
                retry=None,
                timeout=None,
                # Any of the tables: it says which region to go to, and all of a project's tables are in one.
                metadata=(("x-goog-request-params", f"write_stream={stream}"),),
            )
            self._answers = answers
            if self._ended:
                answers.cancel()
            for answer in answers:
                self._settle(types.AppendRowsResponse.pb(answer))
        except exceptions.NotFound as error:
            self.end(
                lost, TenantNotProvisioned("the table does not exist", cause=_told("NOT_FOUND", str(error.message)))
            )
        except (exceptions.InvalidArgument, exceptions.FailedPrecondition) as error:
            message = str(error.message)
            told = _told(type(error).__name__, message)
            if _lacks_columns(f"{message} {error.details}"):
                self.end(NotNow("the table lacks columns of the rows", cause=told))
            else:
                self.end(lost, RowsRefused(told, {}))
        except Exception as error:  # noqa: BLE001  a thread's error must reach those who wait for it
            self.end(Unavailable("the connection to BigQuery was lost", cause=type(error).__name__))
        else:
            self.end(Unavailable("BigQuery ended the connection"))

    def _sent(self) -> Iterator[Any]:
        while (request := self._requests.get()) is not None:
            yield request

    def _settle(self, answer: Any) -> None:
        with self._lock:
            if not self._in_flight:
                return
            batch = self._in_flight.popleft()
        failure = _failure(answer)
        if failure is None:
            batch.future.set_result(None)
        else:
            batch.future.set_exception(failure)


def _broken(waiting: Sequence[Batch], error: AppError) -> Batch | None:
    """The batch at which the call broke: the one whose table the error names.

    Where it names none, no tenant may be blamed for a missing table; refused rows are the first batch's, as the writer
    sends its halves again and so finds the row.
    """
    cause = str(error.fields.get("cause", error.message))
    for batch in waiting:
        dataset, table = (re.escape(part) for part in batch.stream.split("/")[3:6:2])
        if re.search(rf"(?<!\w){dataset}\W(?:tables\W)?{table}(?!\w)", cause):
            return batch
    return waiting[0] if waiting and isinstance(error, RowsRefused) else None


def _lacks_columns(message: str) -> bool:
    """True where the table is older than the rows: it has their new columns within minutes of being provisioned."""
    return "SCHEMA_MISMATCH_EXTRA_FIELDS" in message or "extra fields" in message.lower()


def _failure(answer: Any) -> AppError | None:
    if answer.row_errors:
        return RowsRefused(
            "BigQuery refused rows",
            {
                int(row.index): _told(ROW_STATUS.get(row.code, str(row.code)), str(row.message))
                for row in answer.row_errors
            },
        )
    code = answer.error.code
    if not code:
        return None
    told = _told(STATUS.get(code, str(code)), str(answer.error.message))
    if code == NOT_FOUND:
        return TenantNotProvisioned("the table does not exist", cause=told)
    if _lacks_columns(str(answer.error)):
        return NotNow("the table lacks columns of the rows", code=code)
    if code in PERMANENT:
        return RowsRefused(told, {})
    return Unavailable("BigQuery did not take the rows", code=code, cause=told)


def _told(code: str, message: str) -> str:
    """What may be kept of BigQuery's words, which may quote values: the code, and the table and fields they name."""
    return " ".join([code, *dict.fromkeys(PLACES.findall(message))])[:300]
