"""One event of a Firestore trigger -> one durable row in BigQuery, and what follows from it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from shared.errors import NotNow, Rejected, TenantNotProvisioned, Unavailable
from shared.schema.names import tenant_id
from shared.schema.record import PLACEHOLDER, Record, Undeclared
from shared.schema.registry import streamed_records
from shared.streaming.change import Change, LeftOut, read_change
from shared.streaming.rereading import Reader, read_again
from shared.streaming.rows import Row, make_row
from shared.streaming.streams import undeclared
from shared.streaming.tables import dataset_of, view_name
from shared.streaming.transforms import NO_KEYS, HashKeys, sent
from shared.streaming.typed_view import kinds_of
from shared.streaming.undeclared import Patterns, UndeclaredTables
from shared.streaming.values import python
from shared.streaming.writer import Writer

Found = tuple[type[Record], dict[str, str]]
RecordOf = Callable[[str, str], Found | None]


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
    """Streams changes into changelogs.

    patterns, tables: those of undeclared collections. keys: for records that hash fields. reader: of documents that are
    too large for their events.
    """

    def __init__(
        self,
        writer: Writer,
        record_of: RecordOf = declared,
        patterns: Patterns | None = None,
        tables: UndeclaredTables | None = None,
        keys: HashKeys = NO_KEYS,
        reader: Callable[[], Reader] | None = None,
    ) -> None:
        self._writer = writer
        self._keys = keys
        self._reader = reader
        self._record_of = record_of
        self._patterns = patterns
        self._tables = tables
        self._loading = asyncio.Lock()
        self._learning: dict[str, asyncio.Lock] = {}

    def close(self) -> None:
        """Close every connection."""
        self._writer.close()

    async def stream(
        self, body: Any, event_id: str, event_time: str | datetime | None, name: str = ""
    ) -> dict[str, int]:
        """Write the change that an event tells of; what became of it. name: the document's, by the event's attributes.

        Raises Rejected (unreadable, refused, invalid, of a tenant without tables) or Unavailable.
        """
        change = read_change(body, event_id, event_time, name)
        if isinstance(change, LeftOut):
            if self._reader is None:
                raise Unavailable("the event came without its document, and there is nothing to read it with")
            change = await asyncio.to_thread(read_again, change, self._reader())
        if change is None:
            return {"unchanged": 1}
        found = self._record_of(change.path, change.database) or await self._undeclared(change)
        if found is None:
            return {"undeclared": 1}
        record, names = found
        row = row_of(change, record, names, self._keys)
        if issubclass(record, Undeclared) and self._tables is not None:
            await self._write_undeclared(change, record, row, self._tables)
        else:
            await self._writer.write(row)
        if row.refused_reason is not None:
            raise InvalidDocument("the document does not match its declaration", reason_given=row.refused_reason)
        return {"rows": 1}

    async def _undeclared(self, change: Change) -> Found | None:
        if self._patterns is None:
            return None
        if self._patterns.stale:
            async with self._loading:
                if self._patterns.stale:
                    await asyncio.to_thread(self._patterns.load)
        return undeclared(change.path.rpartition("/")[0], change.database, self._patterns.known)

    async def _write_undeclared(self, change: Change, record: type[Record], row: Row, tables: UndeclaredTables) -> None:
        view = view_name(record, dataset_of(record, row.names))
        fields = {} if change.fields is None else sent(change.fields, record, row.names, self._keys)
        kinds = kinds_of(fields)
        if not tables.knows(view, kinds):
            # Before the row: there is never a row of whose fields the view has no column.
            async with self._learning.setdefault(view, asyncio.Lock()):
                if not tables.knows(view, kinds):
                    await asyncio.to_thread(tables.learn, record, row.names, kinds)
        try:
            await self._writer.write(row)
        except TenantNotProvisioned as error:
            # It was there: dropped since, or so new that the Write API does not see it yet.
            tables.forget(view)
            raise NotNow("the table is not there yet", table=row.table) from error


def row_of(change: Change, record: type[Record], path_names: Mapping[str, str], keys: HashKeys = NO_KEYS) -> Row:
    """The row of a change, stamped now. BadRequest where the tenant's name cannot name a dataset.

    keys: for records that hash fields. Raises HashKeyMissing where it has none.
    """
    names = {name: value for name, value in path_names.items() if name != "document_id"}
    if record.table is not None:
        for placeholder in PLACEHOLDER.findall(record.table.dataset):
            if placeholder not in names:
                names[placeholder] = _field(change, placeholder)
    if "tenant_id" in names:
        tenant_id(names["tenant_id"])
    if record.collection is not None and change.expired(record.collection.ttl_field):
        change.operation = "EXPIRE"
    return make_row(change, record, names, time.time_ns() // 1000, keys)


def _field(change: Change, name: str) -> str:
    """A name that the path lacks, from the document: shared collections carry tenant_id as a field."""
    fields = change.fields if change.fields is not None else change.old_fields
    value = python(fields[name]) if fields is not None and name in fields else None
    if not isinstance(value, str):
        raise InvalidDocument(f"the document has no {name}", field=name)
    return value
