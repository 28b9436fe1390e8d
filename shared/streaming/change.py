"""One change of one document, read from the event of a Firestore trigger.

The version of a write is (update_time, not deleted), of a delete (update_time of what it deleted, deleted): an exact
total order that needs no clock. A change's identity is (document name, version, deleted), not the event's id: each
trigger gets its own id for the same write.
"""

import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from google.events.cloud import firestore as events
from google.protobuf.message import DecodeError

from shared.errors import Rejected
from shared.streaming.values import EPOCH, Fields, micros

Operation = Literal["CREATE", "UPDATE", "DELETE", "EXPIRE", "IMPORT"]

EventData = events.DocumentEventData.pb()
# The tags of value, old_value and update_mask: no base64 text begins with one.
RAW = frozenset(b"\x0a\x12\x1a")
SECOND = 1_000_000


class UnreadableEvent(Rejected):
    """The event is not one of a Firestore document."""


@dataclass(slots=True)
class Change:
    """One change. Times are microseconds since 1970; fields are raw protobuf, None where there is no document."""

    event_id: str
    document_name: str
    database: str
    path: str
    operation: Operation
    version: int
    deleted: bool
    timestamp: int
    created: int
    fields: Fields | None
    old_fields: Fields | None

    @property
    def document_id(self) -> str:
        """The last part of the document's path."""
        return self.path.rsplit("/", 1)[-1]

    def expired(self, ttl_field: str | None) -> bool:
        """True for a delete of a document whose time to live had passed."""
        if ttl_field is None or self.operation != "DELETE" or self.old_fields is None:
            return False
        if ttl_field not in self.old_fields:
            return False
        until = self.old_fields[ttl_field]
        if until.WhichOneof("value_type") != "timestamp_value":
            return False
        return micros(until.timestamp_value) <= self.timestamp


def read_change(body: Any, event_id: str, event_time: str | datetime | None) -> Change | None:
    """The change that an event tells of; None for a write that changed nothing or a delete of what never was.

    body: raw protobuf of DocumentEventData, or its base64 (the Firestore emulator sends that).
    Raises UnreadableEvent.
    """
    data = EventData()
    try:
        data.ParseFromString(_raw(body))
    except (DecodeError, binascii.Error, ValueError, TypeError) as error:
        raise UnreadableEvent("the event holds no Firestore document", cause=type(error).__name__) from error
    is_there, was_there = data.value.name != "", data.old_value.name != ""
    if not is_there and not was_there:
        return None
    document = data.value if is_there else data.old_value
    version = micros(document.update_time)
    if is_there and was_there and version == micros(data.old_value.update_time):
        return None
    name: str = document.name
    # projects/P/databases/D/documents/a/b: taken from here because the emulator's ce-source is malformed.
    parts = name.split("/", 5)
    if len(parts) != 6 or parts[4] != "documents":
        raise UnreadableEvent("the event's document has no valid name")
    operation: Operation = "DELETE" if not is_there else "UPDATE" if was_there else "CREATE"
    # The extension's views order by `timestamp`. Event times may have whole seconds only, which would put a delete
    # before the write it deleted.
    timestamp = version if is_there else max(_event_micros(event_time), version + 1)
    return Change(
        event_id=event_id,
        document_name=name,
        database=parts[3],
        path=parts[5],
        operation=operation,
        version=version,
        deleted=not is_there,
        timestamp=timestamp,
        created=micros(document.create_time),
        fields=data.value.fields if is_there else None,
        old_fields=data.old_value.fields if was_there else None,
    )


def read_document(document: Any, event_id: str, operation: Operation = "IMPORT") -> Change:
    """A document as it was read (raw protobuf), as the change that made it so: it repeats that write's version.

    So a copy can never overwrite or resurrect anything beside live writes: whatever came later has a higher version.
    """
    name: str = document.name
    parts = name.split("/", 5)
    version = micros(document.update_time)
    return Change(
        event_id=event_id,
        document_name=name,
        database=parts[3],
        path=parts[5],
        operation=operation,
        version=version,
        deleted=False,
        timestamp=version,
        created=micros(document.create_time),
        fields=document.fields,
        old_fields=None,
    )


def _raw(body: Any) -> bytes:
    if isinstance(body, str):
        body = body.encode("ascii")
    if not body or body[0] in RAW:
        return bytes(body or b"")
    return binascii.a2b_base64(body, strict_mode=True)


def _event_micros(time: str | datetime | None) -> int:
    if not time:
        return 0
    try:
        at = time if isinstance(time, datetime) else datetime.fromisoformat(time)
        passed = at - EPOCH
    except (ValueError, TypeError):
        return 0
    return (passed.days * 86_400 + passed.seconds) * SECOND + passed.microseconds
