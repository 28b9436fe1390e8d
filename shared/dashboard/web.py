"""The web's side of the dashboard: who asks, what a body holds, how an error is answered."""

from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.dashboard.needs import Verifies, Viewer
from shared.errors import AppError, BadRequest, TooLarge, Unauthenticated

M = TypeVar("M", bound=BaseModel)

COOKIE = "scout_session"
BODY_LIMIT = 1 << 20

HEADERS = {
    # Nothing from elsewhere, nothing inline: what a title or a page path holds can never become a script.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


async def viewer(request: HTTPConnection, verifier: Verifies) -> Viewer:
    """Who asks, by cookie or `Authorization` header; Unauthenticated where neither verifies.

    In a thread: the issuer's keys may have to be fetched.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        token = request.cookies.get(COOKIE, "")
    if not token:
        raise Unauthenticated("no token", expected="a session, or Authorization: Bearer <token>")
    return await run_in_threadpool(verifier.verify_token, token)


async def body(request: Request, model: type[M]) -> M:
    """The JSON body as a model. TooLarge above 1 MiB; BadRequest names each wrong field.

    Only `application/json` is taken: no form of another site can send that.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("the body is not JSON", field="content-type", expected="application/json")
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > BODY_LIMIT:
            raise TooLarge("the body is too large", limit_bytes=BODY_LIMIT)
    try:
        return model.model_validate(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        raise BadRequest("the body is not JSON", field="body", expected="a JSON object") from error
    except ValidationError as error:
        errors = [
            {"field": ".".join(str(part) for part in entry["loc"]) or "body", "expected": entry["msg"]}
            for entry in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        fields = ", ".join(entry["field"] for entry in errors)
        raise BadRequest(f"the body is not valid: {fields}", errors=errors) from None


def answer(value: Any, status: int = 200) -> Response:
    """JSON that no cache keeps."""
    return Response(
        orjson.dumps(value, default=str), status, {"cache-control": "no-store"}, media_type="application/json"
    )


def problem(error: AppError) -> Response:
    """An error as a problem document (RFC 9457)."""
    content = {
        "type": "about:blank",
        "title": error.reason,
        "status": error.status,
        "detail": error.message,
        **error.fields,
    }
    headers = {"cache-control": "no-store", **({"retry-after": "5"} if error.status == 503 else {})}
    return Response(orjson.dumps(content, default=str), error.status, headers, media_type="application/problem+json")


def wants_page(request: Request) -> bool:
    """True where a person's browser asks for a page, not a script for data."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def secure(request: Request) -> bool:
    """True where the browser came over https, the platform's proxy in between or not."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))


class SecurityHeaders:
    """Adds the headers to every answer, streams included."""

    def __init__(self, app: ASGIApp, headers: Callable[[], dict[str, str]] = lambda: HEADERS) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers().items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sending)
