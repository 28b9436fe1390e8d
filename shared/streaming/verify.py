"""The two sides of a streamed collection: Firestore as it was at a moment, and BigQuery's exact current rows.

What is compared is `data` as a row of each document would hold it, transforms applied, by its hash: BigQuery hashes its
column itself, so that the pages that travel are small.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

import orjson

from shared.comparison.comparer import Entry, Held
from shared.comparison.fingerprint import canonical, fingerprint
from shared.errors import BadRequest, Rejected
from shared.schema.names import NOT_A_NAME
from shared.schema.ports import Documents, Warehouse
from shared.schema.record import GROUP, PLACEHOLDER, Record
from shared.schema.sql import render
from shared.schema.times import EPOCH
from shared.streaming.change import Change, read_document
from shared.streaming.extension_values import kept_by_the_extension
from shared.streaming.rows import Row
from shared.streaming.scan import Document, Scan, Slice, Where
from shared.streaming.service import row_of
from shared.streaming.streams import Stream
from shared.streaming.tables import BEGINNING, base_table, dataset_of, log_table, typed_columns, view_name
from shared.streaming.wire import log_wire

RowOf = Callable[[Change, type[Record], Mapping[str, str]], Row]

DOCUMENTS = 10
"""Documents of Firestore that are held at once: each may have 1 MiB. They are streamed: a page costs nothing."""
ROWS = 10_000
"""Rows in a page of BigQuery's side, and about as many in a partition of the scratch table."""
ADOPTED_ROWS = 1_000
"""Rows of the extension are not hashed by BigQuery but read."""
LETTERS = 8_000_000
"""Of data, in a page of theirs."""
MOST_EDGES = 3_900
"""A statement may write to 4,000 partitions."""
KEPT_FOR = timedelta(hours=2)


class StreamComparand:
    """One stream, to be compared (shared/comparison/verification.py)."""

    def __init__(
        self, scan: Scan, warehouse: Warehouse, ops: Documents, stream: Stream, run_id: str, row: RowOf = row_of
    ) -> None:
        self._scan = scan
        self._warehouse = warehouse
        self._stream = stream
        self._row = row
        self.run_id = run_id
        self.tables = StreamTables(warehouse, ops, stream)
        self.left = FirestoreSide(scan, stream, self.tables.log, row)

    def moment(self) -> datetime:
        return self._scan.moment(self._stream.database)

    def open(self, moment: datetime) -> tuple["FirestoreSide", "WarehouseSide"]:
        self.left.read_at = moment
        name = f"verify_{NOT_A_NAME.sub('_', self.run_id)}_{moment:%Y%m%d%H%M%S}"
        self.fingerprints = f"{self.tables.dataset}.{name}"
        right = WarehouseSide(self._warehouse, self.tables, moment, self.fingerprints)
        self.left.coarsely = right.open()
        return self.left, right

    def now(self) -> tuple["FirestoreSide", "WarehouseSide"]:
        """The sides without a snapshot: for looking at keys as they are now."""
        return self.left, WarehouseSide(self._warehouse, self.tables, datetime.now(UTC), "")

    @property
    def event_id(self) -> str:
        """What rows of a repair say brought them."""
        return f"repair:{self.run_id}"

    def row_of(self, change: Change) -> Row:
        """The row of a change of one of the stream's documents."""
        return self._row(change, self._stream.record, self._stream.names_of(change.path))

    def count(self, moment: datetime) -> int:
        return self._scan.count(self._stream, moment, where_of(self._stream))

    def close(self) -> None:
        if self.tables.exist():
            for name in (self.fingerprints, edges_of(self.fingerprints)):
                self._warehouse.execute(render("streaming/sql/drop_fingerprints.sql", fingerprints=name))


class StreamTables:
    """The tables of a stream, and which of their rows are its."""

    def __init__(self, warehouse: Warehouse, ops: Documents, stream: Stream) -> None:
        self._warehouse = warehouse
        self._ops = ops
        self._exist = False
        self.stream = stream
        record = stream.record
        self.record = record
        self.dataset = _dataset(stream)
        self.log = f"{self.dataset}.{log_table(record).table}"
        self.base = f"{self.dataset}.{base_table(record).table}"
        self.view = view_name(record, self.dataset)
        ttl = record.collection.ttl_field if record.collection else None
        self.ttl = ttl if ttl in {column.name for column in typed_columns(record)} else None

    def exist(self) -> bool:
        """False for a collection of which no document was ever streamed."""
        self._exist = self._exist or self._warehouse.exists(self.base)
        return self._exist

    def tail_from(self) -> datetime:
        """Changes appended before are in the base. Perhaps older than what a merge sets at this moment: as right."""
        merged = self._ops.get(f"merges/{self.view}")
        return merged["tail_from"] if merged else BEGINNING

    def pattern(self) -> str:
        """A regular expression of the full names of the stream's documents, in whichever project."""
        path = self.record.collection.path if self.record.collection else ""
        above = "(?:[^/]+/[^/]+/)*" if path.startswith(GROUP) else ""
        parts = []
        for part in path.removeprefix(GROUP).split("/"):
            name = PLACEHOLDER.fullmatch(part)
            fixed = self.stream.names.get(name[1]) if name else part
            parts.append("[^/]+" if fixed is None else re.escape(fixed))
        database = re.escape(self.stream.database)
        return f"^projects/[^/]+/databases/{database}/documents/{above}{'/'.join(parts)}/[^/]+$"

    def current(self, named: bool) -> str:
        """SQL of the current rows: of some names with their data, or of all with its hash."""
        return render("streaming/sql/current.sql", log=self.log, base=self.base, ttl=self.ttl, named=named)


@dataclass(frozen=True, slots=True)
class Read:
    """One document as it is now, and its row; None where no table takes it."""

    row: Row | None
    held: Held


class FirestoreSide:
    """Firestore's documents, as a row of each would hold them (port `Side`)."""

    def __init__(self, scan: Scan, stream: Stream, log: str, row: RowOf = row_of) -> None:
        self._scan = scan
        self._stream = stream
        self._log = log
        self._row = row
        self.read_at: datetime | None = None
        self.coarsely = False
        """Whether rows of the extension are on the other side."""

    def pages(self, after: str) -> Iterator[Sequence[Entry]]:
        if self.read_at is None:
            raise ValueError("pages are read as of a moment")
        where = where_of(self._stream)
        for page in self._scan.pages(self._stream, Slice(), self.read_at, after, DOCUMENTS, where):
            yield [self._entry(document) for document in page]

    def fetch(self, keys: Collection[str]) -> Iterator[tuple[str, Held]]:
        for key, read in self.read(keys, ""):
            yield key, read.held

    def read(self, keys: Collection[str], event_id: str) -> Iterator[tuple[str, "Read"]]:
        """Documents as they are now, each with its row; `event_id` says what the row would be written for."""
        names = iter(keys)
        while some := list(islice(names, DOCUMENTS)):
            for name, document in self._scan.fetch(some, self._stream.database).items():
                read = self._read(document, event_id)
                if read is not None:
                    yield name, read

    def _read(self, document: Document, event_id: str) -> "Read | None":
        """None where its row belongs to another stream's table."""
        change = read_document(document, event_id)
        try:
            row = self._row(change, self._stream.record, self._stream.names_of(change.path))
        except Rejected as error:
            return Read(None, Held(change.version, {}, refused_reason=error.message))
        if row.table != self._log:
            return None
        message = log_wire(row.record).read(row.data)
        held = Held(change.version, orjson.loads(message.data), row.refused_reason, self._aged_out(message))
        return Read(row, held)

    def _entry(self, document: Document) -> Entry:
        change = read_document(document, "")
        try:
            row = self._row(change, self._stream.record, self._stream.names_of(change.path))
        except Rejected as error:
            return Entry(change.document_name, change.version, "", error.message)
        message = log_wire(row.record).read(row.data)
        return Entry(
            key=change.document_name,
            version=change.version,
            fingerprint=fingerprint(message.data.encode()),
            refused_reason=row.refused_reason,
            optional=self._aged_out(message),
            coarse=_coarse(message.data) if self.coarsely else "",
        )

    def _aged_out(self, message: Any) -> bool:
        """True where the row's partition has passed its retention: BigQuery drops it by itself."""
        table = self._stream.record.table
        if table is None or table.retention_days is None or table.partition_by is None:
            return False
        if not message.HasField(table.partition_by):
            return False
        value = getattr(message, table.partition_by)
        kind = next(one.type for one in typed_columns(self._stream.record) if one.name == table.partition_by)
        day = EPOCH.date() + timedelta(days=value if kind == "DATE" else value // 86_400_000_000)
        if table.partition_type == "MONTH":
            day = date(day.year, day.month, 1)
        return day + timedelta(days=table.retention_days) <= datetime.now(UTC).date()


class WarehouseSide:
    """BigQuery's exact current rows; tombstones count as absent (port `Side`)."""

    def __init__(self, warehouse: Warehouse, tables: StreamTables, read_at: datetime, fingerprints: str) -> None:
        self._warehouse = warehouse
        self._tables = tables
        self._read_at = read_at
        self._fingerprints = fingerprints
        self._adopted = False
        self._edges: list[str] = []

    def open(self) -> bool:
        """Make the table of fingerprints, one scan of base and tail, unless it is there.

        It is partitioned by ranges of names, each about a page: so a page reads itself, and not the whole table again.
        True where rows of the extension are in it.
        """
        if not self._tables.exist():
            return False
        edges = edges_of(self._fingerprints)
        expires_at = f"{self._read_at + KEPT_FOR:%Y-%m-%d %H:%M:%S}+00"
        asked = {"pattern": self._tables.pattern(), "tail_from": self._tables.tail_from()}
        cut = render(
            "streaming/sql/fingerprints_edges.sql",
            into=edges,
            expires_at=expires_at,
            base=self._tables.base,
            log=self._tables.log,
            rows=ROWS,
            adopted_rows=ADOPTED_ROWS,
            most=MOST_EDGES,
        )
        self._warehouse.execute(cut, **asked)
        made = render(
            "streaming/sql/fingerprints.sql",
            into=self._fingerprints,
            expires_at=expires_at,
            edges=edges,
            most=MOST_EDGES,
            current=self._tables.current(named=False),
        )
        self._warehouse.execute(made, **asked, **self._read_time())
        [found] = self._warehouse.query(render("streaming/sql/edges.sql", edges=edges))
        self._adopted, self._edges = found["adopted"], found["edges"]
        return self._adopted

    def pages(self, after: str) -> Iterator[Sequence[Entry]]:
        if not self._tables.exist():
            return
        sql = render(
            "streaming/sql/fingerprints_page.sql",
            fingerprints=self._fingerprints,
            adopted=self._adopted,
            letters=LETTERS,
            size=ROWS,
        )
        position = _position(after)
        for bucket in range(bisect_right(self._edges, position), len(self._edges) + 1):
            more = True
            while more:
                rows = self._warehouse.query(sql, bucket=bucket, after=position)
                yield [_entry(row) for row in rows]
                more = len(rows) == ROWS or sum(len(row.get("data") or "") for row in rows) >= LETTERS
                position = _position(rows[-1]["document_name"]) if rows else position

    def fetch(self, keys: Collection[str]) -> Iterator[tuple[str, Held]]:
        if not self._tables.exist():
            return
        rows = self._warehouse.rows(
            self._tables.current(named=True), names=list(keys), tail_from=self._tables.tail_from(), **self._read_time()
        )
        for row in rows:
            yield row["document_name"], _held(row)

    def _read_time(self) -> dict[str, Any]:
        return {"read_at": self._read_at} if self._tables.ttl else {}


def where_of(stream: Stream) -> Sequence[Where]:
    """What tells a tenant's documents from others' where they share one collection: they carry tenant_id as a field."""
    path = stream.record.collection.path if stream.record.collection else ""
    return [(name, "==", stream.names[name]) for name in _dataset_names(stream) if f"{{{name}}}" not in path]


def of_tenant(stream: Stream, tenant_id: str | None) -> Stream:
    """The stream, confined to a tenant where its path does not name one and its dataset does."""
    if tenant_id and "tenant_id" in _dataset_names(stream) and "tenant_id" not in stream.names:
        return replace(stream, names={**stream.names, "tenant_id": tenant_id})
    return stream


def edges_of(fingerprints: str) -> str:
    """The table that says where a table of fingerprints is cut."""
    return f"{fingerprints}_edges"


def _position(name: str) -> str:
    """A name as BigQuery sorts it: as Firestore does, by its segments."""
    return name.replace("/", "\x01")


def _dataset(stream: Stream) -> str:
    missing = [name for name in _dataset_names(stream) if name not in stream.names]
    if missing:
        raise BadRequest(
            f"the collection's rows are in datasets by {missing[0]}",
            field="collection",
            expected=f"a path that says which {missing[0]}",
        )
    return dataset_of(stream.record, stream.names)


def _dataset_names(stream: Stream) -> list[str]:
    return PLACEHOLDER.findall(stream.record.table.dataset) if stream.record.table else []


def _entry(row: Mapping[str, Any]) -> Entry:
    adopted = row.get("adopted", False)
    return Entry(
        key=row["document_name"],
        version=row["version"],
        fingerprint=row["fingerprint"],
        refused_reason=row["refused_reason"],
        optional=row["optional"],
        coarse=_coarse(row["data"]) if adopted else "",
        undated=adopted,
    )


def _coarse(data: str | None) -> str:
    """The hash of what the extension keeps of a document."""
    return fingerprint(canonical(kept_by_the_extension(_content(data))))


def _content(data: str | None) -> Any:
    """A row's data; the extension may have written what is no JSON, which equals nothing."""
    try:
        return orjson.loads(data or "{}")
    except orjson.JSONDecodeError:
        return [data]


def _held(row: Mapping[str, Any]) -> Held:
    if row["deleted"]:
        return Held(row["version"], None)
    return Held(
        version=row["version"],
        content=_content(row["data"]),
        refused_reason=row["refused_reason"],
        optional=row["optional"],
        normalise=kept_by_the_extension if row["adopted"] else None,
        undated=row["adopted"],
    )
