"""Records, events and a sink for tests and benches of streaming."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cloudevents.http import CloudEvent
from pydantic import BaseModel, Field

from shared.errors import Unavailable
from shared.schema.record import Caches, Collection, Immutable, Json, Key, Namespace, Record, Table
from shared.streaming.change import EventData
from shared.streaming.sink import RowsRefused
from shared.streaming.values import decode_fields

PROJECT = "test-project"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Size(BaseModel):
    """A nested value."""

    width: float
    label: str | None = None


class Note(Record):
    """A streamed record of the tests: one column of each kind."""

    note_id: Key[str]
    title: str
    day: Immutable[date]
    amount: float = Field(0.0, ge=0)
    count: int = 0
    done: bool = False
    tags: list[str] = []
    extra: Json | None = None
    noted_at: datetime | None = None
    expires_at: datetime | None = None

    collection = Collection("tenants/{tenant_id}/notes", ttl_field="expires_at")
    table = Table("aso_tenant_{tenant_id}.notes", partition_by="day", cluster_by=("title",), merge_every_seconds=900)
    caches = Caches(Namespace("notes:{tenant_id}", ttl_seconds=60))
    published_as = "notes-changed"


class Plain(Note):
    """The same without caches or subscribers; its partition may move."""

    day: date  # type: ignore[assignment]

    collection = Collection("tenants/{tenant_id}/plain")
    table = Table("aso_tenant_{tenant_id}.plain", partition_by="day")
    caches = Caches()
    published_as = None


class Sized(Plain):
    """One with a nested column."""

    size: Size | None = None

    collection = Collection("tenants/{tenant_id}/sized")
    table = Table("aso_tenant_{tenant_id}.sized", partition_by="day")


class Brief(Plain):
    """One whose history nobody keeps."""

    collection = Collection("tenants/{tenant_id}/brief")
    table = Table("aso_tenant_{tenant_id}.brief", changelog=False)


RECORDS = (Note, Plain, Sized, Brief)
VALID: dict[str, Any] = {"note_id": "a", "title": "One", "day": "2026-01-05", "amount": 2.0, "count": 3}


def record_of(path: str, database: str) -> tuple[type[Record], dict[str, str]] | None:
    """Stands in for the registry: the records of this module alone."""
    for record in RECORDS:
        assert record.collection is not None
        names = record.collection.match(path)
        if names is not None and database == "(default)":
            return record, names
    return None


def event_body(
    path: str,
    new: Mapping[str, Any] | None = None,
    old: Mapping[str, Any] | None = None,
    at: int = 0,
    old_at: int = 0,
) -> bytes:
    """DocumentEventData as production sends it; fields as `encode_fields` writes them, times as microseconds."""
    data = EventData()
    for document, fields, time in ((data.value, new, at), (data.old_value, old, old_at)):
        if fields is not None:
            document.name = f"projects/{PROJECT}/databases/(default)/documents/{path}"
            document.create_time.FromDatetime(BEGAN)
            document.update_time.FromDatetime(BEGAN + timedelta(microseconds=time))
            for name, value in decode_fields(fields).items():
                document.fields[name].CopyFrom(value)
    body: bytes = data.SerializeToString()
    return body


def cloud_event(
    body: Any, path: str = "tenants/demo/notes/a", event_id: str = "event-1", age: timedelta = timedelta()
) -> CloudEvent:
    """The event as a function gets it, `age` after what it tells of."""
    attributes = {
        "id": event_id,
        "source": f"//firestore.googleapis.com/projects/{PROJECT}/databases/(default)",
        "type": "google.cloud.firestore.document.v1.written",
        "subject": f"documents/{path}",
        "time": (datetime.now(UTC) - age).isoformat(),
        "datacontenttype": "application/protobuf",
    }
    return CloudEvent(attributes, body)


class FakeSink:
    """Port `Sink`: keeps rows by table. `answer` may refuse a batch: it gets the rows and returns an error or None.

    With `held`, appends wait until `release()`.
    """

    def __init__(self, answer: Callable[[Sequence[bytes]], Exception | None] = lambda rows: None) -> None:
        self.answer = answer
        self.rows: dict[str, list[bytes]] = {}
        self.batches: list[int] = []
        self.connections: list[FakeConnection] = []
        self.held = False
        self._waiting: list[Callable[[], None]] = []

    def connect(self, table: str, record: type[Record]) -> "FakeConnection":
        connection = FakeConnection(self, table)
        self.connections.append(connection)
        return connection

    @property
    def waiting(self) -> int:
        """Appends that are in flight."""
        return len(self._waiting)

    def release(self) -> None:
        """Let the appends that wait end."""
        waiting, self._waiting = self._waiting, []
        for settle in waiting:
            settle()


class FakeConnection:
    """Port `Connection`."""

    def __init__(self, sink: FakeSink, table: str) -> None:
        self._sink = sink
        self._table = table
        self.usable = True

    def append(self, rows: Sequence[bytes]) -> "Future[None]":
        future: Future[None] = Future()

        def settle() -> None:
            error = self._sink.answer(rows)
            if error is None:
                self._sink.rows.setdefault(self._table, []).extend(rows)
                future.set_result(None)
            else:
                self.usable = isinstance(error, RowsRefused)
                future.set_exception(error)

        self._sink.batches.append(len(rows))
        if self._sink.held:
            self._sink._waiting.append(settle)
        else:
            settle()
        return future

    def close(self) -> None:
        self.usable = False

    def abort(self) -> None:
        self.usable = False


def lost(rows: Sequence[bytes]) -> Exception:
    """An answer: the connection broke."""
    return Unavailable("the connection to BigQuery was lost")
