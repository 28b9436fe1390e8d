"""What arrives over HTTP: plain JSON from a person or Scheduler, or Pub/Sub's push envelope."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.errors import BadRequest, TooLarge

BODY_LIMIT = 1 << 20
# A push envelope is base64 around at most BODY_LIMIT of data, plus attributes.
PUSH_LIMIT = 2 * BODY_LIMIT


@dataclass(frozen=True)
class Envelope:
    """One request's body, unwrapped; `unreadable` says why the data of a pushed message is not.

    published_at: as Pub/Sub writes it. attributes: the message's.
    """

    body: dict[str, Any]
    pushed: bool = False
    event_id: str = ""
    subscription: str = ""
    published_at: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    unreadable: BadRequest | None = None


def open_envelope(raw: bytes) -> Envelope:
    """Unwrap a request's body. TooLarge above 1 MiB; BadRequest where it is not a JSON object."""
    if len(raw) > PUSH_LIMIT:
        raise _too_large(raw)
    try:
        body = _object(raw or b"{}", "body")
    except BadRequest:
        # Only a push envelope may be larger than a body, and this is none.
        if len(raw) > BODY_LIMIT:
            raise _too_large(raw) from None
        raise
    message = body.get("message")
    if isinstance(message, dict) and "subscription" in body:
        data, unreadable = _data(message.get("data"))
        return Envelope(
            body=data,
            pushed=True,
            event_id=str(message.get("messageId") or message.get("message_id") or ""),
            subscription=str(body["subscription"]),
            published_at=str(message.get("publishTime") or message.get("publish_time") or ""),
            attributes=message.get("attributes") or {},
            unreadable=unreadable,
        )
    if len(raw) > BODY_LIMIT:
        raise _too_large(raw)
    return Envelope(body=body)


def _too_large(raw: bytes) -> TooLarge:
    return TooLarge("the body is too large", limit_bytes=BODY_LIMIT, bytes=len(raw))


def _data(encoded: Any) -> tuple[dict[str, Any], BadRequest | None]:
    """A message's data. Where it cannot be read the envelope still can: what names the event survives."""
    try:
        return _object(base64.b64decode(encoded or "e30=", validate=True), "message.data"), None
    except (binascii.Error, ValueError, TypeError):
        return {}, BadRequest("message.data is not base64", field="message.data", expected="base64 of JSON")
    except BadRequest as error:
        return {}, error


def _object(raw: bytes, where: str) -> dict[str, Any]:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"{where} is not JSON", field=where, expected="a JSON object") from error
    if not isinstance(value, dict):
        raise BadRequest(f"{where} is not a JSON object", field=where, expected="a JSON object")
    return value
