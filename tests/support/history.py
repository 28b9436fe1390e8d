"""A simulated Firestore: thousands of documents of several collections and tenants, and every change made to them.

Seeded. It also knows what is to become of each change: which documents are invalid, which rows BigQuery refuses (they
hold POISON), which tenant has no tables.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.local.parts import PROJECT
from shared.schema.record import Record, Undeclared
from shared.sources.records import GaPagePerformance
from shared.streaming.change import EventData
from shared.streaming.streams import stream_of
from shared.streaming.values import decode_fields
from tests.support.streaming import Note, Plain

ROOT = f"projects/{PROJECT}/databases/(default)/documents"
BEGAN = datetime.now(UTC).replace(microsecond=0)  # an event of long ago is not tried again
POISON = "poison"
WITHOUT_TABLES = "nobody"
MOST_AT_A_TIME = 5
Fields = dict[str, Any]
"""A document's fields as `encode_fields` writes them."""
Identity = tuple[str, int, bool]


@dataclass(frozen=True)
class Table:
    """One collection and the tables that its documents go to."""

    record: type[Record]
    tenant: str
    collection: str
    """Its path; {parent} is one of nine."""

    @property
    def names(self) -> dict[str, str]:
        """The values of the dataset's placeholders."""
        return {"tenant_id": self.tenant}

    @property
    def declared(self) -> bool:
        """True where a record declares its columns."""
        return not issubclass(self.record, Undeclared)

    def takes(self, fields: Fields) -> bool:
        """False for a document that does not match the declaration."""
        return not self.declared or min(fields.get("amount", 0), fields.get("sessions", 0)) >= 0


THINGS, ITEMS = "tenants/chaos1/things", "tenants/chaos2/orders/{parent}/items"
TABLES = (
    Table(GaPagePerformance, "chaos1", "tenants/chaos1/ga_page_performance"),
    Table(GaPagePerformance, "chaos2", "tenants/chaos2/ga_page_performance"),
    Table(Note, "chaos1", "tenants/chaos1/notes"),
    Table(Note, "chaos2", "tenants/chaos2/notes"),
    Table(Plain, "chaos2", "tenants/chaos2/plain"),
    Table(stream_of(THINGS).record, "chaos1", THINGS),
    Table(stream_of(ITEMS).record, "chaos2", ITEMS),
    Table(GaPagePerformance, WITHOUT_TABLES, f"tenants/{WITHOUT_TABLES}/ga_page_performance"),
)
SHARES = (22, 15, 15, 13, 10, 12, 12, 0.3)


@dataclass(frozen=True, slots=True)
class Write:
    """One change that was committed. Times are microseconds since BEGAN."""

    number: int
    table: Table
    path: str
    operation: str
    version: int
    deleted: bool
    created: int
    committed: int
    fields: Fields | None
    old_fields: Fields | None
    old_version: int

    @property
    def identity(self) -> Identity:
        """What tells changes apart."""
        return f"{ROOT}/{self.path}", self.version, self.deleted

    @property
    def refused_because(self) -> str | None:
        """The reason of its dead letter; None where there is none to be."""
        if self.table.tenant == WITHOUT_TABLES:
            return "TenantNotProvisioned"
        if any(fields is not None and POISON in fields.values() for fields in (self.fields, self.old_fields)):
            return "RowRefused"
        return "InvalidDocument" if self.fields is not None and not self.table.takes(self.fields) else None

    def body(self) -> bytes:
        """Its event's data, as production sends it."""
        data = EventData()
        sides = ((data.value, self.fields, self.version), (data.old_value, self.old_fields, self.old_version))
        for document, fields, version in sides:
            if fields is not None:
                document.name = f"{ROOT}/{self.path}"
                document.create_time.FromDatetime(moment(self.created))
                document.update_time.FromDatetime(moment(version))
                for name, value in decode_fields(fields).items():
                    document.fields[name].CopyFrom(value)
        body: bytes = data.SerializeToString()
        return body


@dataclass(slots=True)
class Document:
    """A document that is there."""

    table: Table
    fields: Fields
    created: int
    updated: int


class Firestore:
    """Makes `events` changes; `documents` are there now, `expired` ones went by themselves and were not made again."""

    def __init__(self, seed: int, events: int) -> None:
        self.documents: dict[str, Document] = {}
        self.expired: dict[str, Document] = {}
        self._random = random.Random(seed)
        self._ids = max(events // 4, 10)
        self._clock = 0
        self.writes: list[Write] = []
        while len(self.writes) < events:
            self.writes.extend(self._commit(min(self._random.randint(1, MOST_AT_A_TIME), events - len(self.writes))))

    def _commit(self, wanted: int) -> Iterator[Write]:
        """Some documents, written at one time."""
        self._clock += self._random.randint(1, 5_000)
        paths: dict[str, Table] = {}
        while len(paths) < wanted:
            (table,) = self._random.choices(TABLES, SHARES)
            number = self._random.randrange(self._ids // len(TABLES) + 1)
            paths[f"{table.collection.format(parent=number % 9)}/d{number}"] = table
        for number, (path, table) in enumerate(paths.items(), len(self.writes)):
            yield self._write(number, path, table)

    def _write(self, number: int, path: str, table: Table) -> Write:
        old = self.documents.get(path)
        ended = old is not None and micros(old.fields.get("expires_at")) <= self._clock
        if old is not None and self._random.random() < (0.8 if ended else 0.2):
            del self.documents[path]
            if ended:
                self.expired[path] = old
            operation = "EXPIRE" if ended else "DELETE"
            made = (operation, old.updated, True, old.created, self._clock, None, old.fields, old.updated)
            return Write(number, table, path, *made)
        self.expired.pop(path, None)
        fields = self._fields(table, int(path.rpartition("/d")[2]), number)
        created = old.created if old else self._clock
        self.documents[path] = Document(table, fields, created, self._clock)
        made = ("UPDATE" if old else "CREATE", self._clock, False, created, self._clock, fields)
        return Write(number, table, path, *made, old.fields if old else None, old.updated if old else 0)

    def _fields(self, table: Table, document: int, number: int) -> Fields:
        drawn = self._random.random()
        # Partitions are immutable, but Plain's.
        day = (BEGAN + timedelta(days=(number if table.record is Plain else document) % 60)).date().isoformat()
        text = POISON if drawn < 0.004 and table.tenant != WITHOUT_TABLES else f"Ärger {number}"
        figure = -1 if 0.004 <= drawn < 0.02 else number
        if table.record is GaPagePerformance:
            return {**PAGE, "tenant_id": table.tenant, "date": day, "page_path": text, "sessions": figure}
        fields: Fields = {"note_id": str(number), "title": text, "day": day, "amount": figure + 0.5, "tags": [text, ""]}
        if table.record is Note and drawn > 0.7:
            fields["expires_at"] = stamp(self._clock + self._random.randrange(4_000_000))
        if not table.declared:
            fields["loose"] = str(number) if drawn > 0.5 else number
        if drawn > 0.9:
            fields["extra"] = {"big": 9007199254740993 + number, "half": 0.5}
        return fields


PAGE: Fields = {
    "source": "ga4",
    "sync_run_id": "run-1",
    "property_id": "properties/1",
    "sampled": False,
    "thresholded": False,
    "engaged_sessions": 7,
    "total_users": 8,
    "screen_page_views": 9,
    "key_events": 1.5,
    "purchase_revenue": 2.0,
}


def moment(micros: int) -> datetime:
    """A time of the history."""
    return BEGAN + timedelta(microseconds=micros)


def stamp(micros: int) -> Fields:
    """A time of the history as a document holds it."""
    at = moment(micros)
    return {"_seconds": int(at.timestamp()), "_nanoseconds": at.microsecond * 1000}


def micros(value: Fields | None) -> int:
    """That time again; never, where there is none."""
    if value is None:
        return 1 << 62
    return (value["_seconds"] - int(BEGAN.timestamp())) * 1_000_000 + int(value["_nanoseconds"]) // 1000
