"""One event of a Firestore trigger -> one durable row in BigQuery, and what follows from it."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from shared.errors import Rejected
from shared.schema.names import tenant_id
from shared.schema.record import PLACEHOLDER, Record
from shared.schema.registry import streamed_records
from shared.streaming.change import Change, read_change
from shared.streaming.rows import Row, make_row
from shared.streaming.values import python
from shared.streaming.writer import Writer

RecordOf = Callable[[str, str], tuple[type[Record], dict[str, str]] | None]


class InvalidDocument(Rejected):
    """The document does not match its declaration. Its row is durable and says why; it is not in the view."""


@cache
def _index() -> dict[tuple[str, int, str], list[type[Record]]]:
    """Streamed records by database, depth and collection id: asking each of them would cost 20 us an event."""
    index: dict[tuple[str, int, str], list[type[Record]]] = {}
    for record in streamed_records():
        if record.collection is not None:
            depth = record.collection.path.count("/") + 1
            index.setdefault((record.collection.database, depth, record.collection.name), []).append(record)
    return index


def declared(path: str, database: str) -> tuple[type[Record], dict[str, str]] | None:
    """The streamed record a document belongs to, with the values of its path; None where none is declared."""
    parts = path.rsplit("/", 2)
    for record in _index().get((database, path.count("/"), parts[-2]), ()):
        names = record.collection.match(path) if record.collection else None
        if names is not None:
            return record, names
    return None


class Streamer:
    """Streams changes into changelogs."""

    def __init__(self, writer: Writer, record_of: RecordOf = declared) -> None:
        self._writer = writer
        self._record_of = record_of

    def close(self) -> None:
        """Close every connection."""
        self._writer.close()

    async def stream(self, body: Any, event_id: str, event_time: str | datetime | None) -> dict[str, int]:
        """Write the change that an event tells of; what became of it.

        Raises Rejected (unreadable, refused, invalid, of a tenant without tables) or Unavailable.
        """
        change = read_change(body, event_id, event_time)
        if change is None:
            return {"unchanged": 1}
        found = self._record_of(change.path, change.database)
        if found is None:
            return {"undeclared": 1}
        record, names = found
        row = row_of(change, record, names)
        await self._writer.write(row)
        if row.refused_reason is not None:
            raise InvalidDocument("the document does not match its declaration", reason_given=row.refused_reason)
        return {"rows": 1}


def row_of(change: Change, record: type[Record], path_names: Mapping[str, str]) -> Row:
    """The row of a change, stamped now. BadRequest where the tenant's name cannot name a dataset."""
    names = {name: value for name, value in path_names.items() if name != "document_id"}
    if record.table is not None:
        for placeholder in PLACEHOLDER.findall(record.table.dataset):
            if placeholder not in names:
                names[placeholder] = _field(change, placeholder)
    if "tenant_id" in names:
        tenant_id(names["tenant_id"])
    if record.collection is not None and change.expired(record.collection.ttl_field):
        change.operation = "EXPIRE"
    return make_row(change, record, names, time.time_ns() // 1000)


def _field(change: Change, name: str) -> str:
    """A name that the path lacks, from the document: shared collections carry tenant_id as a field."""
    fields = change.fields if change.fields is not None else change.old_fields
    value = python(fields[name]) if fields is not None and name in fields else None
    if not isinstance(value, str):
        raise InvalidDocument(f"the document has no {name}", field=name)
    return value
