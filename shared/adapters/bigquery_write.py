"""Appending rows through BigQuery's Storage Write API: the raw call on a table's default stream.

Not Google's AppendRowsStream: its future polls, with a first pause of a second; the same append takes 430-670 ms
instead of 6-13 (https://github.com/googleapis/google-cloud-python/issues/14270).
"""

import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import grpc
from google.api_core import exceptions
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport
from google.protobuf import descriptor_pb2

from shared.errors import AppError, TenantNotProvisioned, Unavailable
from shared.schema.record import Record
from shared.streaming.sink import RowsRefused
from shared.streaming.wire import log_wire

Request = types.AppendRowsRequest
RequestPb = Request.pb()

NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]
PERMANENT = frozenset(
    code.value[0]
    for code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.FAILED_PRECONDITION)
)


class BigQuerySink:
    """Opens append connections (port `Sink`)."""

    def __init__(self, client: BigQueryWriteClient, project: str) -> None:
        self._client = client
        self._project = project

    @classmethod
    def open(cls, project: str, endpoint: str, grpc_endpoint: str) -> "BigQuerySink":
        """A client; an endpoint that begins with http:// is plaintext, its Storage API at `grpc_endpoint`."""
        if endpoint.startswith("http://"):
            channel = grpc.insecure_channel(grpc_endpoint)
            return cls(BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=channel)), project)
        return cls(BigQueryWriteClient(), project)

    def connect(self, table: str, record: type[Record]) -> "AppendConnection":
        dataset, name = table.split(".")
        stream = f"projects/{self._project}/datasets/{dataset}/tables/{name}/streams/_default"
        return AppendConnection(self._client, stream, log_wire(record).descriptor)


class AppendConnection:
    """One AppendRows call (port `Connection`). Answers come in the order of the requests."""

    def __init__(self, client: BigQueryWriteClient, stream: str, descriptor: descriptor_pb2.DescriptorProto) -> None:
        self._client = client
        self._stream = stream
        self._descriptor = descriptor
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._in_flight: deque[Future[None]] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._call: Any = None
        self._ended = False

    @property
    def usable(self) -> bool:
        return not self._ended

    def append(self, rows: Sequence[bytes]) -> "Future[None]":
        request = RequestPb(write_stream=self._stream)
        request.proto_rows.rows.serialized_rows.extend(rows)
        future: Future[None] = Future()
        with self._lock:
            if self._ended:
                future.set_exception(Unavailable("the connection to BigQuery has ended"))
                return future
            if self._thread is None:
                request.proto_rows.writer_schema.proto_descriptor.CopyFrom(self._descriptor)
            # Under the lock: the order of futures must be the order of requests.
            self._in_flight.append(future)
            self._requests.put(Request.wrap(request))
            if self._thread is None:
                # The call blocks until the first answer, hence a thread of its own with the first batch queued.
                self._thread = threading.Thread(target=self._run, name="append-rows", daemon=True)
                self._thread.start()
        return future

    def close(self) -> None:
        self._fail(Unavailable("the connection to BigQuery was closed"))

    def _run(self) -> None:
        try:
            answers = self._client.append_rows(
                self._sent(),
                retry=None,
                timeout=None,
                metadata=(("x-goog-request-params", f"write_stream={self._stream}"),),
            )
            self._call = answers
            if self._ended:
                answers.cancel()
            for answer in answers:
                self._settle(types.AppendRowsResponse.pb(answer))
        except exceptions.NotFound as error:
            failure: AppError = TenantNotProvisioned("the table does not exist", stream=self._stream)
            failure.__cause__ = error
            self._fail(failure)
        except (exceptions.InvalidArgument, exceptions.FailedPrecondition) as error:
            # Ends the call, says of no batch that it is the wrong one: the writer tells them apart.
            self._fail(RowsRefused(str(error.message)[:300], {}))
        except (exceptions.GoogleAPICallError, grpc.RpcError) as error:
            self._fail(Unavailable("the connection to BigQuery was lost", cause=str(error)[:300]))
        except Exception as error:  # noqa: BLE001  a thread's error must reach those who wait for it
            self._fail(Unavailable("the connection to BigQuery failed", cause=repr(error)[:300]))
        else:
            self._fail(Unavailable("BigQuery ended the connection"))

    def _sent(self) -> Iterator[Any]:
        while (request := self._requests.get()) is not None:
            yield request

    def _settle(self, answer: Any) -> None:
        with self._lock:
            if not self._in_flight:
                return
            future = self._in_flight.popleft()
        failure = _failure(answer, self._stream)
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)

    def _fail(self, error: AppError) -> None:
        with self._lock:
            self._ended = True
            waiting, self._in_flight = self._in_flight, deque()
        self._requests.put(None)
        if self._call is not None:
            self._call.cancel()
        for future in waiting:
            future.set_exception(error)


def _failure(answer: Any, stream: str) -> AppError | None:
    if answer.row_errors:
        return RowsRefused(
            "BigQuery refused rows", {int(row.index): str(row.message)[:300] for row in answer.row_errors}
        )
    code = answer.error.code
    if not code:
        return None
    if code == NOT_FOUND:
        return TenantNotProvisioned("the table does not exist", stream=stream)
    if code in PERMANENT:
        return RowsRefused(str(answer.error.message)[:300], {})
    return Unavailable("BigQuery did not take the rows", code=code, cause=str(answer.error.message)[:300])
