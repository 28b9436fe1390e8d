"""The thread that ties one click to everything that it causes: correlation id and W3C trace context."""

import contextvars
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$")
CORRELATION = re.compile(r"^[\w.:-]{1,128}$")


@dataclass(frozen=True)
class Trace:
    """One invocation's place in its trace."""

    correlation_id: str
    trace_id: str
    span_id: str

    @property
    def traceparent(self) -> str:
        """The W3C header that a call of this invocation carries (https://www.w3.org/TR/trace-context/)."""
        return f"00-{self.trace_id}-{self.span_id}-01"

    def attributes(self) -> dict[str, str]:
        """The trace as message attributes."""
        return {"correlation_id": self.correlation_id, "traceparent": self.traceparent}


_current: contextvars.ContextVar[Trace | None] = contextvars.ContextVar("trace", default=None)


def continue_trace(headers: Mapping[str, str]) -> Trace:
    """Continue the caller's trace from headers or attributes (any case), or begin one; make it current."""
    lower = {name.lower(): value for name, value in headers.items()}
    found = TRACEPARENT.match(lower.get("traceparent", ""))
    trace_id = found.group(1) if found else secrets.token_hex(16)
    correlation_id = lower.get("correlation_id") or lower.get("x-correlation-id") or ""
    trace = Trace(
        correlation_id=correlation_id if CORRELATION.match(correlation_id) else trace_id,
        trace_id=trace_id,
        span_id=secrets.token_hex(8),
    )
    _current.set(trace)
    return trace


def current() -> Trace:
    """The trace of the current invocation; a new one outside of any."""
    return _current.get() or continue_trace({})
