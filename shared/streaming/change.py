"""One change of one document, read from the event of a Firestore trigger.

The version of a write is (update_time, not deleted), of a delete (update_time of what it deleted, deleted): an exact
total order that needs no clock. A change's identity is (document name, version, deleted), not the event's id: each
trigger gets its own id for the same write.
"""

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from google.events.cloud import firestore as events
from google.protobuf.message import DecodeError

from shared.errors import Rejected
from shared.schema.times import timestamp_micros
from shared.streaming.values import Fields, micros

Operation = Literal["CREATE", "UPDATE", "DELETE", "EXPIRE", "IMPORT"]

EventData = events.DocumentEventData.pb()
# The tags of value, old_value and update_mask: no base64 text begins with one.
RAW = frozenset(b"\x0a\x12\x1a")


class UnreadableEvent(Rejected):
    """The event is not one of a Firestore document."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A change whose document is not in its event, because it is too large for one: it is to be read again.

    https://cloud.google.com/firestore/mongodb-compatibility/docs/eventarc says that documents above 10 MiB are left
    out, not how the event looks then. Whatever part of it is missing, only the document's name is taken from it.
    """

    event_id: str
    document_name: str


@dataclass(slots=True)
class Change:
    """One change. Times are microseconds since 1970; fields are raw protobuf, None where there is no document.

    created: None where that is not known, of a delete whose document was left out.
    """

    event_id: str
    document_name: str
    database: str
    path: str
    operation: Operation
    version: int
    deleted: bool
    timestamp: int
    created: int | None
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


def read_change(
    body: Any, event_id: str, event_time: str | datetime | None, name_by_event: str = ""
) -> Change | LeftOut | None:
    """The change that an event tells of; None for a write that changed nothing, or where it tells of no document.

    body: raw protobuf of DocumentEventData, or its base64 (the Firestore emulator sends that).
    name_by_event: full name of the document by the event's attributes, should the body not have it.
    Raises UnreadableEvent.
    """
    data = EventData()
    try:
        data.ParseFromString(_raw(body))
    except (DecodeError, binascii.Error, ValueError, TypeError) as error:
        raise UnreadableEvent("the event holds no Firestore document", cause=type(error).__name__) from error
    new, old = data.value, data.old_value
    is_there, was_there = new.name != "", old.name != ""
    document = new if is_there else old
    name: str = document.name or name_by_event
    if not name:
        return None
    database, path = _places(name)
    # Only updates have a mask with fields: one without its new document is no delete.
    if not document.HasField("update_time") or (not is_there and data.update_mask.field_paths):
        return LeftOut(event_id, name)
    version = micros(document.update_time)
    if is_there and was_there and version == micros(old.update_time):
        return None
    operation: Operation = "DELETE" if not is_there else "UPDATE" if was_there else "CREATE"
    # The extension's views order by `timestamp`. Event times may have whole seconds only, which would put a delete
    # before the write it deleted.
    timestamp = version if is_there else max(_event_micros(event_time), version + 1)
    return Change(
        event_id=event_id,
        document_name=name,
        database=database,
        path=path,
        operation=operation,
        version=version,
        deleted=not is_there,
        timestamp=timestamp,
        created=micros(document.create_time),
        fields=new.fields if is_there else None,
        old_fields=old.fields if old.HasField("update_time") else None,
    )


def about(attributes: Mapping[str, Any], prefix: str = "") -> str:
    """Full name of an event's document by its attributes, or by headers with a prefix; empty where they do not say."""
    try:
        project, database, path = (attributes[f"{prefix}{name}"] for name in ("project", "database", "document"))
    except KeyError:
        return ""
    return f"projects/{project}/databases/{database}/documents/{path}"


def read_document(document: Any, event_id: str, operation: Operation = "IMPORT") -> Change:
    """A document as it was read (raw protobuf), as the change that made it so: it repeats that write's version.

    So a copy can never overwrite or resurrect anything beside live writes: whatever came later has a higher version.
    """
    name: str = document.name
    database, path = _places(name)
    version = micros(document.update_time)
    return Change(
        event_id=event_id,
        document_name=name,
        database=database,
        path=path,
        operation=operation,
        version=version,
        deleted=False,
        timestamp=version,
        created=micros(document.create_time),
        fields=document.fields,
        old_fields=None,
    )


def read_absence(left_out: LeftOut, at: int) -> Change:
    """The delete of a document that was not there when it was read again. at: that moment by Firestore's clock.

    As its version that is exact, though nobody knows what it deleted: whatever was written before is gone by then,
    and whatever came since is newer.
    """
    database, path = _places(left_out.document_name)
    return Change(
        event_id=left_out.event_id,
        document_name=left_out.document_name,
        database=database,
        path=path,
        operation="DELETE",
        version=at,
        deleted=True,
        timestamp=at,
        created=None,
        fields=None,
        old_fields=None,
    )


def _places(name: str) -> tuple[str, str]:
    """Database and path of projects/P/databases/D/documents/a/b: the emulator's ce-source is malformed."""
    parts = name.split("/", 5)
    if len(parts) != 6 or parts[4] != "documents":
        raise UnreadableEvent("the event's document has no valid name")
    return parts[3], parts[5]


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
    except (ValueError, TypeError):
        return 0
    return timestamp_micros(at)
