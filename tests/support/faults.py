"""A gRPC proxy that breaks some calls of the Storage Write API, before or after the rows have landed."""

import queue
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from infra.local.ports import HOST, Ports

APPEND = "/google.cloud.bigquery.storage.v1.BigQueryWrite/AppendRows"


class FaultyProxy(grpc.GenericRpcHandler):
    """Forwards AppendRows to `target`; a share `rate` of the requests ends the call as Unavailable.

    Half of those were never forwarded; of the other half the answer is lost: the rows are there.
    """

    def __init__(self, target: str, rate: float, seed: int) -> None:
        self.rate = rate
        self.forwarded = 0
        self.broken_before = 0
        self.broken_after = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._channel = grpc.insecure_channel(target)
        ports = Ports(usual=False)
        self.address = f"{HOST}:{ports.take(0)}"
        ports.release()
        self._server = grpc.server(ThreadPoolExecutor(16))
        self._server.add_generic_rpc_handlers((self,))
        self._server.add_insecure_port(self.address)

    def __enter__(self) -> "FaultyProxy":
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop(0).wait()
        self._channel.close()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method != APPEND:
            return None
        return grpc.stream_stream_rpc_method_handler(self._append)

    def _append(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        sent: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        answers: Any = self._channel.stream_stream(APPEND)(iter(sent.get, None))
        context.add_callback(answers.cancel)
        try:
            for request in requests:
                fate = self._fate()
                if fate == "before":
                    context.abort(grpc.StatusCode.UNAVAILABLE, "broken before it was forwarded")
                sent.put(request)
                answer = next(answers)
                if fate == "after":
                    context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")
                yield answer
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
        finally:
            sent.put(None)

    def _fate(self) -> str:
        with self._lock:
            drawn = self._random.random()
            if drawn < self.rate / 2:
                self.broken_before += 1
                return "before"
            self.forwarded += 1
            if drawn < self.rate:
                self.broken_after += 1
                return "after"
            return "well"
