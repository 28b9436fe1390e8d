"""A gRPC proxy before the Storage Write API that stops the world at one call, so that it can be ended right there."""

import queue
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from infra.local.ports import HOST, Ports

SERVICE = "/google.cloud.bigquery.storage.v1.BigQueryWrite/"
LARGE = [("grpc.max_receive_message_length", -1)]


class HaltingProxy(grpc.GenericRpcHandler):
    """Forwards everything to `target` until the `number`th request of `method`, `before` or after it was forwarded.

    `reached` is set then; nothing is answered any more until `release` is.
    """

    def __init__(self, target: str, method: str, number: int, *, before: bool) -> None:
        self.reached, self.release = threading.Event(), threading.Event()
        self._halt = (SERVICE + method, number)
        self._before = before
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._channel = grpc.insecure_channel(target, LARGE)
        ports = Ports(usual=False)
        self.address = f"{HOST}:{ports.take(0)}"
        ports.release()
        self._server = grpc.server(ThreadPoolExecutor(32), options=LARGE)
        self._server.add_generic_rpc_handlers((self,))
        self._server.add_insecure_port(self.address)

    def __enter__(self) -> "HaltingProxy":
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.release.set()
        self._server.stop(0).wait()
        self._channel.close()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        def forward(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            sent: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
            answers: Any = self._channel.stream_stream(details.method)(iter(sent.get, None))
            context.add_callback(answers.cancel)
            try:
                for request in requests:
                    halts = self._halts(details.method)
                    if halts and self._before:
                        self._wait()
                    sent.put(request)
                    answer = next(answers)
                    if halts and not self._before:
                        self._wait()
                    if self.reached.is_set():
                        self.release.wait()
                    yield answer
            except grpc.RpcError as error:
                if isinstance(error, grpc.Call):  # else the caller has gone
                    context.abort(error.code(), error.details())
            finally:
                sent.put(None)

        return grpc.stream_stream_rpc_method_handler(forward)

    def _halts(self, method: str) -> bool:
        with self._lock:
            self._seen[method] += 1
            return (method, self._seen[method]) == self._halt

    def _wait(self) -> None:
        self.reached.set()
        self.release.wait()
