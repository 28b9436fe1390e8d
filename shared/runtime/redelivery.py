"""Delivering a set-aside event once more: to the service that its function calls, or to the topic it came from."""

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson

from shared.errors import Rejected
from shared.ops.records import DeadLetter
from shared.ops.replay import OpenRedelivery, Outcome, Redeliver
from shared.schema.ports import Publisher
from shared.streaming.change import Change, about, read_change
from shared.streaming.scan import Scan
from shared.streaming.service import InvalidDocument, Streamer
from shared.streaming.values import micros

FIRESTORE = "google.cloud.firestore."
STREAMING = "stream_document"


class NoWayBack(Rejected):
    """Nobody can deliver the event again: its function takes none, or it came from no topic."""


def redelivery(
    open_streamer: Callable[[], Streamer], scan: Callable[[], Scan], publisher: Callable[[], Publisher]
) -> OpenRedelivery:
    """What opens a redelivery; each has a streamer of its own, as that belongs to one event loop."""

    @contextmanager
    def opened() -> Iterator[Redeliver]:
        streamer = open_streamer()
        try:
            yield Redelivery(streamer, scan, publisher)
        finally:
            streamer.close()

    return opened


class Redelivery:
    """Delivers events again: returns once what one tells of is durable, or Pub/Sub holds the message."""

    def __init__(self, streamer: Streamer, scan: Callable[[], Scan], publisher: Callable[[], Publisher]) -> None:
        self._streamer = streamer
        self._scan = scan
        self._publisher = publisher

    async def __call__(self, letter: DeadLetter, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Deliver one event; its age does not matter any more. Rejected or Unavailable, as when it came first."""
        if not headers.get("ce-type", "").startswith(FIRESTORE):
            return await asyncio.to_thread(self._publish, letter, body)
        if letter.function != STREAMING:
            raise NoWayBack("the function takes no events of Firestore", function=letter.function)
        try:
            await self._streamer.stream(body, headers["ce-id"], headers.get("ce-time"), about(headers, "ce-"))
        except InvalidDocument:
            if not await asyncio.to_thread(self._superseded, body):
                raise
            return "superseded"
        return "replayed"

    def _superseded(self, body: bytes) -> bool:
        """True where the document has changed or gone since: another event tells of that, and this one stays refused.

        Otherwise a letter of a document that was mended would wait for ever.
        """
        change = read_change(body, "", None)
        if not isinstance(change, Change):
            return False
        found = self._scan().fetch([change.document_name], change.database).get(change.document_name)
        return found is None or micros(found.update_time) > change.version

    def _publish(self, letter: DeadLetter, body: bytes) -> Outcome:
        """Publish a pushed message to its topic again. Others that listen there get a repeat, which they must stand."""
        topic = letter.subject.rpartition("/")[2].partition("--")[2]
        message = _message(body)
        if not topic or message is None:
            raise NoWayBack("the event came from no topic", subject=letter.subject)
        data, attributes = message
        self._publisher().publish_again(topic, data, {**attributes, "dead_letter_id": letter.dead_letter_id})
        return "replayed"


def _message(body: bytes) -> tuple[bytes, Mapping[str, str]] | None:
    """Data and attributes of a pushed message; None where it is none."""
    try:
        message: Any = orjson.loads(body)["message"]
        return base64.b64decode(message.get("data") or "", validate=True), message.get("attributes") or {}
    except (orjson.JSONDecodeError, binascii.Error, ValueError, TypeError, KeyError, AttributeError):
        return None
