"""A warehouse that answers at once and keeps nothing: what remains is the client's own cost.

Usage: python -m tests.support.instant_sink GRPC_PORT HTTP_PORT   (AppendRows; tabledata.insertAll)
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.cloud.bigquery_storage_v1 import types

from infra.local.ports import HOST
from tests.support.faults import APPEND

ANSWER = types.AppendRowsResponse.serialize(types.AppendRowsResponse(append_result={}))
INSERTED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Instant(grpc.GenericRpcHandler):
    """Acknowledges every batch."""

    def service(self, details: Any) -> Any:
        return grpc.stream_stream_rpc_method_handler(self._append) if details.method == APPEND else None

    async def _append(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for _ in requests:
            yield ANSWER


async def insert_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request of a kept-alive connection."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b"content-length:" in head:
                await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            elif b"chunked" in head:
                while size := int(await reader.readline(), 16):
                    await reader.readexactly(size + 2)
                await reader.readline()
            writer.write(INSERTED)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(grpc_port: int, http_port: int) -> None:
    """Serve until a signal ends the process."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Instant(),))
    server.add_insecure_port(f"{HOST}:{grpc_port}")
    await server.start()
    await asyncio.start_server(insert_all, HOST, http_port, limit=1 << 20)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
