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
    """One request's body, unwrapped."""

    body: dict[str, Any]
    pushed: bool = False
    event_id: str = ""
    subscription: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


def open_envelope(raw: bytes) -> Envelope:
    """Unwrap a request's body. TooLarge above 1 MiB; BadRequest where it is not a JSON object."""
    if len(raw) > PUSH_LIMIT:
        raise TooLarge("the body is too large", limit_bytes=BODY_LIMIT, bytes=len(raw))
    body = _object(raw or b"{}", "body")
    message = body.get("message")
    if isinstance(message, dict) and "subscription" in body:
        try:
            data = base64.b64decode(message.get("data") or "e30=", validate=True)
        except (binascii.Error, ValueError, TypeError) as error:
            raise BadRequest("message.data is not base64", field="message.data", expected="base64 of JSON") from error
        return Envelope(
            body=_object(data, "message.data"),
            pushed=True,
            event_id=str(message.get("messageId") or message.get("message_id") or ""),
            subscription=str(body["subscription"]),
            attributes=message.get("attributes") or {},
        )
    if len(raw) > BODY_LIMIT:
        raise TooLarge("the body is too large", limit_bytes=BODY_LIMIT, bytes=len(raw))
    return Envelope(body=body)


def _object(raw: bytes, where: str) -> dict[str, Any]:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"{where} is not JSON", field=where, expected="a JSON object") from error
    if not isinstance(value, dict):
        raise BadRequest(f"{where} is not a JSON object", field=where, expected="a JSON object")
    return value
