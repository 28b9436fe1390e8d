"""One delivery of an event to a function: decode, log, set aside what can never work, raise what may work later."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from cloudevents.http import CloudEvent
from starlette.exceptions import HTTPException

from shared import trace
from shared.errors import Rejected, RetriesExhausted, Unavailable
from shared.runtime import log
from shared.runtime.clients import Clients
from shared.runtime.patience import exhausted, too_old

TRACED = ("traceparent", "correlation_id")
LONGEST_RETRY = timedelta(hours=20)
"""A trigger gives an event up, silently, after 24 hours. The rest is for setting it aside, should that fail too."""


class RetryLater(HTTPException, Unavailable):
    """Unavailable as the framework answers it: 503, without a traceback."""

    def __init__(self, error: Unavailable) -> None:
        HTTPException.__init__(self, error.status, error.message)
        self.message, self.fields = error.message, error.fields


class Delivery:
    """What a handler sees of its delivery."""

    def __init__(self, event: CloudEvent) -> None:
        attributes = event.get_attributes()
        self.event_id = str(attributes["id"])
        self.time: str | None = attributes.get("time")
        self.subject = str(attributes.get("subject") or "")
        self.attributes = attributes
        self.body: Any = event.get_data()
        self.outcome: Any = None


@asynccontextmanager
async def delivery(
    event: CloudEvent, clients: Clients, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> AsyncIterator[Delivery]:
    """Wrap one delivery of a cloud event.

    Rejected is set aside and acknowledged; Unavailable and bugs are raised, so that the trigger retries, until the
    event is too old for that: then it is set aside as RetriesExhausted.
    """
    started = time.perf_counter()
    function = os.environ.get("FUNCTION_TARGET", "function")
    call = Delivery(event)
    # Only what it looks for: to search all attributes costs more than to parse the event.
    current = trace.continue_trace({name: call.attributes[name] for name in TRACED if name in call.attributes})
    result, severity = "ok", "INFO"
    fields: dict[str, Any] = {}

    async def set_aside(error: Rejected) -> None:
        await asyncio.to_thread(
            clients.dead_letters.set_aside,
            function=function,
            event_id=call.event_id,
            error=error,
            headers=_headers(call.attributes),
            body=_bytes(call.body),
            subject=call.subject,
            tenant_id=_tenant(call.subject),
            correlation_id=current.correlation_id,
        )

    try:
        yield call
    except Unavailable as error:
        result, severity, fields = error.reason, "WARNING", {"error": error.message}
        if not too_old(call.time or "", now(), LONGEST_RETRY):
            raise RetryLater(error) from error
        result = RetriesExhausted.__name__
        await set_aside(exhausted(error))
    except Rejected as error:
        result, severity, fields = error.reason, "WARNING", {"error": error.message}
        await set_aside(error)
    except Exception as error:
        result, severity, fields = "bug", "ERROR", {"error": type(error).__name__}
        if not too_old(call.time or "", now(), LONGEST_RETRY):
            raise
        await set_aside(exhausted(error))
    finally:
        log.line(
            severity,  # type: ignore[arg-type]
            "delivery",
            function=function,
            result=result,
            event_id=call.event_id,
            subject=call.subject,
            correlation_id=current.correlation_id,
            trace=current.trace_id,
            milliseconds=round((time.perf_counter() - started) * 1000, 1),
            outcome=call.outcome,
            **fields,
        )


def _headers(attributes: Any) -> dict[str, str]:
    """The event's attributes as the headers of its binary form: enough to deliver it again."""
    kept = {f"ce-{name}": str(value) for name, value in attributes.items() if name != "datacontenttype" and value}
    kept["content-type"] = str(attributes.get("datacontenttype") or "application/protobuf")
    return kept


def _bytes(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else b""


def _tenant(subject: str) -> str | None:
    """The tenant of `documents/tenants/{tenant_id}/...`."""
    parts = subject.split("/")
    return parts[2] if len(parts) > 3 and parts[1] == "tenants" else None
