"""What goes wrong between a function and the Storage Write API: calls break, answers are late, rows are refused."""

import asyncio
import queue
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.cloud.bigquery_storage_v1 import types

from infra.local.ports import HOST, Ports

APPEND = "/google.cloud.bigquery.storage.v1.BigQueryWrite/AppendRows"
SLOW_SECONDS = (0.1, 1.0)
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time at all
INVALID = grpc.StatusCode.INVALID_ARGUMENT.value[0]
LARGE = [("grpc.max_receive_message_length", -1)]
RequestPb = types.AppendRowsRequest.pb()


class FaultyProxy(grpc.GenericRpcHandler):
    """Forwards AppendRows to `target`; `seen` counts what became of the requests.

    A share `rate` ends its call as Unavailable: half of it was never forwarded; of the other half the answer is lost,
    the rows are there. A share `slow` is held up, before or after it landed. A batch with rows that hold `poison` is
    refused as a whole, as BigQuery does, with or without saying which rows they are; it does not land. While the
    `gate` is clear nothing is forwarded. `largest` is the size of the largest request, in bytes.
    """

    def __init__(self, target: str, rate: float, seed: int, slow: float = 0.0, poison: bytes = b"") -> None:
        self.rate, self.slow, self.poison = rate, slow, poison
        self.seen: Counter[str] = Counter()
        self.largest = 0
        self.gate = threading.Event()
        self.gate.set()
        self._random = random.Random(seed)
        self._on_their_way = 0
        self._changed = threading.Condition()
        self._channel = grpc.insecure_channel(target, LARGE)
        ports = Ports(usual=False)
        port = ports.take(0)
        self.relay = Relay(port)
        ports.release()
        self.address = self.relay.address
        self._server = grpc.server(ThreadPoolExecutor(32), options=LARGE)
        self._server.add_generic_rpc_handlers((self,))
        self._server.add_insecure_port(f"{HOST}:{port}")

    def __enter__(self) -> "FaultyProxy":
        self._server.start()
        self.relay.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.relay.stop()
        self._server.stop(0).wait()
        self._channel.close()

    def wait_until_quiet(self) -> None:
        """Return once nothing is on its way: what a killed process had sent has landed too, or never will."""
        with self._changed:
            self._changed.wait_for(lambda: self._on_their_way == 0)

    def wait_until_busy(self) -> None:
        """Return once something is on its way."""
        with self._changed:
            self._changed.wait_for(lambda: self._on_their_way > 0)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method != APPEND:
            return None
        return grpc.stream_stream_rpc_method_handler(self._append)

    def _append(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        sent: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        answers: Any = self._channel.stream_stream(APPEND)(iter(sent.get, None))
        schema: Any = None
        try:
            for request in requests:
                if self.poison and self.poison in request:
                    message = RequestPb.FromString(request)
                    if message.proto_rows.HasField("writer_schema"):
                        schema = message.proto_rows.writer_schema
                    yield self._refused(message)
                    continue
                with self._on_its_way():
                    self.largest = max(self.largest, len(request))
                    self.gate.wait()
                    if schema is not None:  # the other side never got it
                        request, schema = _with(schema, request), None
                    fate, pause = self._fate()
                    if fate == "broken before":
                        context.abort(grpc.StatusCode.UNAVAILABLE, "broken before it was forwarded")
                    if fate == "slow before":
                        time.sleep(pause)
                    sent.put(request)
                    answer = next(answers)
                    if fate == "slow after":
                        time.sleep(pause)
                if fate == "broken after":
                    context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")
                yield answer
        except grpc.RpcError as error:
            if isinstance(error, grpc.Call):  # else it is the caller who is gone
                context.abort(error.code(), error.details())
        finally:
            sent.put(None)

    @contextmanager
    def _on_its_way(self) -> Iterator[None]:
        with self._changed:
            self._on_their_way += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._on_their_way -= 1
                self._changed.notify_all()

    def _fate(self) -> tuple[str, float]:
        with self._changed:
            drawn, pause = self._random.random(), self._random.uniform(*SLOW_SECONDS)
            fate = "well"
            for name, share in (
                ("broken before", self.rate / 2),
                ("broken after", self.rate / 2),
                ("slow before", self.slow / 2),
                ("slow after", self.slow / 2),
            ):
                if drawn < share:
                    fate = name
                    break
                drawn -= share
            self.seen[fate] += 1
            return fate, pause

    def _refused(self, message: Any) -> bytes:
        """The answer to a batch with wrong rows."""
        with self._changed:
            says_which = self._random.random() < 0.5
            self.seen["refused"] += 1
        answer = types.AppendRowsResponse.pb()(write_stream=message.write_stream)
        answer.error.code, answer.error.message = INVALID, "Errors found while processing rows."
        for index, row in enumerate(message.proto_rows.rows.serialized_rows):
            if says_which and self.poison in row:
                answer.row_errors.add(index=index, code=types.RowError.RowErrorCode.FIELDS_ERROR, message="wrong")
        data: bytes = answer.SerializeToString()
        return data


def _with(schema: Any, request: bytes) -> bytes:
    message = RequestPb.FromString(request)
    if not message.proto_rows.HasField("writer_schema"):
        message.proto_rows.writer_schema.CopyFrom(schema)
    data: bytes = message.SerializeToString()
    return data


class Relay:
    """Passes bytes on to a port of this machine; `cut` resets every connection, as networks do."""

    def __init__(self, target: int) -> None:
        ports = Ports(usual=False)
        self._port, self._target = ports.take(0), target
        ports.release()
        self.address = f"{HOST}:{self._port}"
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        serving = asyncio.start_server(self._relay, HOST, self._port)
        asyncio.run_coroutine_threadsafe(serving, self._loop).result()

    def stop(self) -> None:
        """End every connection, and listen no more."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def cut(self) -> None:
        """Reset every connection."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in self._open:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
        self._open.add(writer)
        try:
            await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            for end in (writer, far_writer):
                end.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
