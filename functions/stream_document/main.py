"""Stream one change of a Firestore document into BigQuery: a durable row, then caches forget, then subscribers hear.

Trigger: every write of a document of each streamed database.
Repeats: safe, because the view and the merge know a change by (document name, version), however often it is appended.
"""

import gc

import functions_framework.aio
from cloudevents.http import CloudEvent

from shared.runtime.clients import Clients, connect
from shared.runtime.delivery import delivery
from shared.streaming.change import about

# While rows are on their way 80 requests hold some thousands of objects. At the default threshold of 700 the collector
# walks them over and over: about a fifth of the CPU.
gc.set_threshold(20_000)


@functions_framework.aio.cloud_event
async def stream_document(event: CloudEvent) -> None:
    await handle(event, connect())


async def handle(event: CloudEvent, clients: Clients) -> None:
    async with delivery(event, clients) as call:
        call.outcome = await clients.streamer.stream(call.body, call.event_id, call.time, about(call.attributes))
