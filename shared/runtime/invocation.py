"""One invocation of an HTTP function: decode, authenticate, answer, log; set aside what can never work."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import ceil
from typing import Any, TypeVar

import orjson
from flask import Request, Response
from pydantic import BaseModel, ValidationError

from shared import trace
from shared.errors import AppError, BadRequest, Rejected, RetriesExhausted, TooLarge, Unavailable, UnknownTenant
from shared.runtime import log
from shared.runtime.auth import Caller
from shared.runtime.clients import Clients
from shared.runtime.envelope import BODY_LIMIT, Envelope, open_envelope
from shared.runtime.patience import exhausted, too_old

M = TypeVar("M", bound=BaseModel)

RETRY_AFTER_SECONDS = 5
LONGEST_RETRY = timedelta(days=6)
"""Pub/Sub drops a message, silently, after 7 days. The last of them is for setting it aside, should that fail too."""


class Call:
    """What a handler sees of its invocation; `response` is ready once the `invocation` block has ended."""

    def __init__(self, request: Request, clients: Clients) -> None:
        self._request = request
        self._clients = clients
        self.outcome: Any = None
        self.accepted_runs: tuple[str, ...] | None = None
        self.tenant_id: str | None = None
        self.response: Response = Response(status=500)
        self._is_raw = False
        self.trace = trace.continue_trace(dict(request.headers))

    @cached_property
    def envelope(self) -> Envelope:
        """The body, unwrapped; a pushed message's trace goes on from here."""
        if self._request.method != "POST":
            raise BadRequest("this function answers POST", field="method", expected="POST")
        envelope = open_envelope(self._request.get_data())
        if envelope.pushed:
            self.trace = trace.continue_trace(envelope.attributes)
        return envelope

    @cached_property
    def caller(self) -> Caller:
        """Who calls; raises Unauthenticated."""
        return self._clients.verifier.verify(self._request.headers.get("Authorization"))

    @property
    def pushed(self) -> bool:
        """True where Pub/Sub delivered a message, False where a person, a vendor or Scheduler posted."""
        return not self._is_raw and self.envelope.pushed

    def raw(self) -> bytes:
        """The body as it came, of a caller with a signature of its own. TooLarge above 1 MiB."""
        self._is_raw = True
        if self._request.method != "POST":
            raise BadRequest("this function answers POST", field="method", expected="POST")
        # One that comes in chunks tells no length, and is cut off here.
        self._request.max_content_length = BODY_LIMIT + 1
        if (self._request.content_length or 0) > BODY_LIMIT or len(self._request.get_data()) > BODY_LIMIT:
            raise TooLarge("the body is too large", limit_bytes=BODY_LIMIT)
        return bytes(self._request.get_data())

    def message(self, model: type[M]) -> M:
        """The body as a model, its tenant settled by the caller's token and known to exist.

        Where the model does not require `tenant_id`, an operator who leaves it out means every tenant.
        """
        envelope, caller = self.envelope, self.caller
        if envelope.pushed and not caller.operator:
            raise BadRequest("a push envelope needs Pub/Sub's own token", field="Authorization")
        if envelope.unreadable is not None:
            raise envelope.unreadable
        body = dict(envelope.body)
        if "tenant_id" in model.model_fields:
            named = body.get("tenant_id")
            if named is not None and not isinstance(named, str):
                raise BadRequest(
                    "tenant_id is not valid",
                    errors=[{"field": "tenant_id", "expected": "text", "got": type(named).__name__}],
                )
            if named or not caller.operator or model.model_fields["tenant_id"].is_required():
                body["tenant_id"] = self.tenant_id = caller.tenant(named)
        message = parse(model, body)
        if self.tenant_id is not None and not self._clients.tenants.exists(self.tenant_id):
            raise UnknownTenant("no such tenant", field="tenant_id", expected="a provisioned tenant")
        return message

    def accept(self, *run_ids: str) -> None:
        """Answer 202 {run_id}, or {run_ids} where there are not exactly one: the work goes on elsewhere."""
        self.accepted_runs = run_ids


def parse(model: type[M], body: dict[str, Any]) -> M:
    """The body as a model; BadRequest lists each wrong field and what was expected of it."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        errors = [
            {"field": ".".join(str(part) for part in entry["loc"]) or "body", "expected": entry["msg"]}
            for entry in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise BadRequest(
            "the body is not valid: " + ", ".join(entry["field"] for entry in errors), errors=errors
        ) from None


@contextmanager
def invocation(
    request: Request, clients: Clients, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Iterator[Call]:
    """Wrap one invocation of an HTTP function.

    Errors become answers: Rejected is a problem document for a person, and set aside and acknowledged for Pub/Sub;
    Unavailable is 503, which Pub/Sub and Scheduler retry; anything else is a bug and is raised. A message that Pub/Sub
    has tried for days ends as Rejected, too: RetriesExhausted.
    """
    started = time.perf_counter()
    function = os.environ.get("FUNCTION_TARGET", "function")
    call = Call(request, clients)
    result, severity = "ok", "INFO"
    fields: dict[str, Any] = {}

    def set_aside(error: Rejected) -> None:
        clients.dead_letters.set_aside(
            function=function,
            event_id=call.envelope.event_id,
            error=error,
            headers={"content-type": "application/json"},
            body=request.get_data(),
            subject=call.envelope.subscription,
            tenant_id=call.tenant_id,
            correlation_id=call.trace.correlation_id,
            replay_of=call.envelope.attributes.get("dead_letter_id", ""),
        )
        call.response = Response(status=204)

    def hopeless() -> bool:
        return _of_pubsub(call) and too_old(call.envelope.published_at, now(), LONGEST_RETRY)

    try:
        # Everything that may refuse the request happens inside the block: a generator that raises before it yields
        # cannot be answered for.
        yield call
        call.response = _success(call)
    except Unavailable as error:
        result, severity, fields = error.reason, "WARNING", {"error": error.message}
        call.response = problem(error)
        call.response.headers["Retry-After"] = str(ceil(error.fields.get("retry_after_seconds", RETRY_AFTER_SECONDS)))
        if hopeless():
            result = RetriesExhausted.__name__
            set_aside(exhausted(error))
    except Rejected as error:
        result, severity, fields = error.reason, "WARNING", {"error": error.message}
        call.response = problem(error)
        if _of_pubsub(call):
            set_aside(error)
    except Exception as error:
        result, severity, fields = "bug", "ERROR", {"error": type(error).__name__}
        if not hopeless():
            raise
        set_aside(exhausted(error))
    finally:
        log.line(
            severity,  # type: ignore[arg-type]
            "invocation",
            function=function,
            result=result,
            status=call.response.status_code,
            event_id=call.envelope.event_id if "envelope" in call.__dict__ else "",
            tenant_id=call.tenant_id,
            correlation_id=call.trace.correlation_id,
            trace=call.trace.trace_id,
            milliseconds=round((time.perf_counter() - started) * 1000, 1),
            outcome=call.outcome,
            **fields,
        )


def problem(error: AppError) -> Response:
    """An error as a problem document (RFC 9457)."""
    body = {
        "type": "about:blank",
        "title": error.reason,
        "status": error.status,
        "detail": error.message,
        **error.fields,
    }
    return Response(orjson.dumps(body, default=str), status=error.status, content_type="application/problem+json")


def _of_pubsub(call: Call) -> bool:
    """Pub/Sub's own deliveries are set aside; whoever merely looks like Pub/Sub, without its token, is refused."""
    if not ("envelope" in call.__dict__ and call.envelope.pushed):
        return False
    try:
        return call.caller.operator
    except AppError:
        return False


def _success(call: Call) -> Response:
    if call.accepted_runs is not None:
        runs = call.accepted_runs
        return _json({"run_id": runs[0]} if len(runs) == 1 else {"run_ids": runs}, 202)
    if call.pushed:
        return Response(status=204)
    return _json(call.outcome if call.outcome is not None else {}, 200)


def _json(body: Any, status: int) -> Response:
    return Response(orjson.dumps(body, default=_plain), status=status, content_type="application/json")


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
