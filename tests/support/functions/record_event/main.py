"""Take every event and do nothing: the router's journal is what the tests want.

Trigger: every write of a document.
Repeats: safe, nothing happens.
"""

import functions_framework.aio
from cloudevents.http import CloudEvent


@functions_framework.aio.cloud_event
async def record_event(event: CloudEvent) -> None:
    return None
