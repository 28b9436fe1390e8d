"""Documents that are too large: for a row, or for their event."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from functions.stream_document.main import handle
from shared.errors import Unavailable
from shared.ops.records import DeadLetter
from shared.schema.record import Collection, Record, Table, Transforms, Undeclared
from shared.streaming.change import LeftOut, UnreadableEvent, read_change
from shared.streaming.effects import Effects
from shared.streaming.rereading import read_again
from shared.streaming.rows import ROW_BYTES
from shared.streaming.scan import Document
from shared.streaming.service import Streamer, row_of
from shared.streaming.values import decode_fields
from shared.streaming.wire import log_wire
from shared.streaming.writer import Writer
from tests.fakes import FakeCache, FakePublisher, fake_clients
from tests.support.streaming import BEGAN, PROJECT, VALID, FakeSink, Note, cloud_event, event_body, record_of
from tests.unit.streaming.test_change import BOTH, GONE, WRITE, without

PATH = "tenants/demo/notes/a"
NAME = f"projects/{PROJECT}/databases/(default)/documents/{PATH}"
TABLE = "aso_tenant_demo.notes_raw_changelog"
NAMES = {"tenant_id": "demo", "document_id": "a"}
MICROS = int(BEGAN.timestamp()) * 1_000_000
MIB = 1 << 20
# One byte of a document is six of JSON.
CONTROLS = "\x01" * (MIB - 2_000)


def row(fields, old=None, record=Note):
    made = row_of(read_change(event_body(PATH, fields, old, at=20, old_at=10), "e", None), record, NAMES)
    return made, log_wire(record).read(made.data)


def test_an_update_whose_row_would_be_too_large_leaves_out_what_the_document_was():
    fields = {**VALID, "title": CONTROLS}
    made, found = row(fields, fields)
    assert len(made.data) <= ROW_BYTES
    assert made.refused_reason is None
    assert (found.operation, found.HasField("old_data")) == ("UPDATE", False)
    assert orjson.loads(found.data) == fields
    assert found.title == CONTROLS


def test_a_document_too_large_for_a_row_is_refused_without_its_data_but_not_lost():
    made, found = row({**VALID, "extra": {"text": CONTROLS}})
    assert len(made.data) < 2_000
    assert found.refused_reason == made.refused_reason
    assert found.refused_reason.startswith("the document is too large for a row: 1")
    assert not any(found.HasField(name) for name in ("data", "old_data", "title"))
    assert (found.document_name, found.version) == (NAME, MICROS + 20)


def test_a_delete_of_a_large_document_takes_effect():
    made, found = row(None, {**VALID, "extra": {"text": CONTROLS}, "tags": ["\x01" * 900_000] * 2})
    assert made.refused_reason is None
    assert (found.deleted, found.HasField("old_data")) == (True, False)


def test_a_document_that_drops_what_is_large_has_its_row():
    class Slim(Undeclared):
        """Leaves the text behind."""

        collection = Collection("tenants/{tenant_id}/notes")
        table = Table("aso_tenant_{tenant_id}.notes")
        transforms = Transforms(drop=("extra.text",))

    made, found = row({"extra": {"text": CONTROLS * 3, "n": 1}}, None, Slim)
    assert (made.refused_reason, found.data) == (None, '{"extra":{"n":1}}')


class FakeReader:
    """Port `Reader`: Firestore as it is by now."""

    def __init__(self, fields=None, at=0, created=0):
        self.now = BEGAN + timedelta(seconds=1)
        self.down = False
        self.document = None
        if fields is not None:
            from google.cloud.firestore_v1.types import Document

            self.document = Document.pb()(name=NAME)
            self.document.update_time.FromDatetime(BEGAN + timedelta(microseconds=at))
            self.document.create_time.FromDatetime(BEGAN + timedelta(microseconds=created))
            for name, value in decode_fields(fields).items():
                self.document.fields[name].MergeFromString(value.SerializeToString())

    def moment(self, database: str = "(default)") -> datetime:
        if self.down:
            raise Unavailable("Firestore does not answer")
        return self.now

    def fetch(self, names: Sequence[str], database: str, at: datetime | None = None) -> Mapping[str, Document]:
        assert at == self.now
        return {NAME: self.document} if self.document is not None and NAME in names else {}


class World:
    """Clients over fakes."""

    def __init__(self, reader):
        self.sink = FakeSink()
        writer = Writer(self.sink, Effects(FakeCache, FakePublisher).follow)
        self.clients = fake_clients("demo", streamer=Streamer(writer, record_of, reader=lambda: reader))

    async def deliver(self, body):
        event = cloud_event(body)
        for name, value in (("project", PROJECT), ("database", "(default)"), ("document", PATH)):
            event[name] = value
        await handle(event, self.clients)

    def rows(self):
        return [log_wire(Note).read(data) for data in self.sink.rows.get(TABLE, [])]


EVENTS = pytest.mark.parametrize(
    "body", [without(WRITE, "value.fields"), without(BOTH, "value", mask=("title",)), b""], ids=["bare", "half", "none"]
)


@EVENTS
async def test_an_event_without_its_document_becomes_the_row_of_what_is_there_now(body):
    world = World(FakeReader({**VALID, "title": "Now"}, at=500, created=10))
    await world.deliver(body)
    (found,) = world.rows()
    assert (found.title, found.operation, found.version) == ("Now", "UPDATE", MICROS + 500)
    assert (found.deleted, found.HasField("old_data"), found.event_id) == (False, False, "event-1")
    assert found.create_time == MICROS + 10


async def test_what_was_created_and_not_changed_since_is_a_create():
    world = World(FakeReader(VALID, at=10, created=10))
    await world.deliver(without(WRITE, "value.fields"))
    assert [row.operation for row in world.rows()] == ["CREATE"]


@pytest.mark.parametrize("body", [without(GONE, "old_value.fields"), b""])
async def test_what_is_not_there_any_more_is_deleted_as_of_the_moment_that_it_was_looked_for(body):
    world = World(FakeReader())
    await world.deliver(body)
    (found,) = world.rows()
    assert (found.operation, found.deleted, found.version) == ("DELETE", True, MICROS + 1_000_000)
    assert not any(found.HasField(name) for name in ("data", "old_data", "create_time", "day"))


async def test_a_repeat_of_an_event_without_its_document_is_the_same_change():
    world = World(FakeReader(VALID, at=10))
    await world.deliver(b"")
    await world.deliver(b"")
    first, second = world.rows()
    assert (first.document_name, first.version, first.deleted) == (second.document_name, second.version, second.deleted)


async def test_where_firestore_does_not_answer_the_event_is_retried():
    reader = FakeReader(VALID, at=10)
    reader.down = True
    world = World(reader)
    with pytest.raises(Unavailable):
        await world.deliver(b"")
    assert world.rows() == []
    reader.down = False
    await world.deliver(b"")
    assert len(world.rows()) == 1


async def test_an_event_that_names_no_document_anywhere_tells_of_none():
    world = World(FakeReader(VALID, at=10))
    await handle(cloud_event(b""), world.clients)
    assert world.rows() == []
    assert [DeadLetter.model_validate(values) for _, values in world.clients.ops.find("dead_letters")] == []


def test_a_name_that_is_none_is_unreadable():
    with pytest.raises(UnreadableEvent):
        read_change(b"", "e", None, "projects/p/databases/(default)/indexes/x")


def test_whatever_came_between_a_deletes_event_and_its_reading_wins_or_loses_as_it_should():
    """Absent at a moment: all that was written before is gone, all that is written after is newer."""
    reader = FakeReader()
    gone = read_again(LeftOut("e", NAME), reader)
    before = read_change(event_body(PATH, VALID, at=999_999), "e", None)
    after = read_change(event_body(PATH, VALID, at=1_000_001), "e", None)
    assert (before.version, before.deleted) < (gone.version, gone.deleted) < (after.version, after.deleted)


class Wide(Record):
    """A record whose own columns repeat what `data` holds."""

    text: str = ""
    more: list[str] = []

    collection = Collection("tenants/{tenant_id}/notes")
    table = Table("aso_tenant_{tenant_id}.notes")


@pytest.mark.parametrize("size", [1_000, 1_000_000])
def test_a_mebibyte_of_plain_text_fits_with_what_it_was(size):
    fields = {"text": "x" * size}
    made, found = row(fields, fields, Wide)
    assert (made.refused_reason, found.old_data) == (None, found.data)


def test_the_moment_is_kept_to_the_microsecond():
    reader = FakeReader()
    reader.now = datetime(2026, 1, 1, 0, 0, 1, 7, tzinfo=UTC)
    assert read_again(LeftOut("e", NAME), reader).version == MICROS + 1_000_007
