"""The function: an event in, a row out, what follows; or set aside."""

import asyncio

import pytest

from functions.stream_document.main import handle
from shared.errors import TenantNotProvisioned, Unavailable
from shared.ops.records import DeadLetter
from shared.sources.records import GaPagePerformance
from shared.streaming.effects import Effects
from shared.streaming.service import Streamer, declared
from shared.streaming.writer import Writer
from tests.fakes import FakeCache, FakePublisher, fake_clients
from tests.support.streaming import VALID, FakeSink, cloud_event, event_body, lost, record_of

PATH = "tenants/demo/notes/a"
TABLE = "aso_tenant_demo.notes_raw_changelog"
WRITE = event_body(PATH, VALID, at=10)


class World:
    """Clients over fakes."""

    def __init__(self, **arguments):
        self.sink, self.cache, self.publisher = FakeSink(**arguments), FakeCache(), FakePublisher()
        writer = Writer(self.sink, Effects(lambda: self.cache, lambda: self.publisher).follow)
        self.clients = fake_clients(
            "demo", cache=self.cache, publisher=self.publisher, streamer=Streamer(writer, record_of)
        )

    async def deliver(self, body, **arguments):
        await handle(cloud_event(body, **arguments), self.clients)

    def letters(self):
        return [DeadLetter.model_validate(values) for _, values in self.clients.ops.find("dead_letters")]

    def rows(self):
        return self.sink.rows.get(TABLE, [])


async def test_a_change_becomes_a_row_then_caches_forget_then_subscribers_hear():
    world = World()
    world.cache.scopes["notes:demo"] = 1
    await world.deliver(WRITE)
    assert len(world.rows()) == 1
    assert world.cache.scopes == {}
    (message,) = world.publisher.messages
    assert message.topic == "notes-changed"
    assert message.model_dump() == {"collection": "notes", "tenant_id": "demo", "document_ids": ("a",)}


async def test_a_batch_forgets_and_publishes_once():
    world = World()
    bodies = [event_body(f"tenants/demo/notes/{n}", VALID, at=n) for n in range(1, 6)]
    await asyncio.gather(*(world.deliver(body) for body in bodies))
    (message,) = world.publisher.messages
    assert message.document_ids == ("1", "2", "3", "4", "5")


async def test_a_second_delivery_is_the_same_change():
    world = World()
    await world.deliver(WRITE)
    await world.deliver(WRITE, event_id="event-2")
    # The log may hold a change twice; the view and the merge know it by its identity, which is the same.
    assert len(world.rows()) == 2
    assert world.letters() == []


async def test_the_unreadable_is_set_aside_with_its_bytes_and_acknowledged():
    world = World()
    await world.deliver(b"\xff not protobuf")
    await world.deliver(b"\xff not protobuf")
    (letter,) = world.letters()
    assert (letter.reason, letter.tenant_id) == ("UnreadableEvent", "demo")
    headers, body = world.clients.dead_letters.event(letter)
    assert body == b"\xff not protobuf"
    assert headers["ce-id"] == "event-1"
    assert headers["content-type"] == "application/protobuf"


async def test_an_invalid_document_is_durable_and_set_aside_with_its_reason():
    world = World()
    await world.deliver(event_body(PATH, {**VALID, "amount": -1.0}, at=10))
    assert len(world.rows()) == 1
    (letter,) = world.letters()
    assert letter.reason == "InvalidDocument"
    assert "amount" in letter.fields["reason_given"]


async def test_a_tenant_without_tables_is_set_aside_to_be_replayed():
    world = World(answer=lambda rows: TenantNotProvisioned("the table does not exist", stream="s"))
    await world.deliver(WRITE)
    assert [letter.reason for letter in world.letters()] == ["TenantNotProvisioned"]


async def test_a_tenant_that_cannot_be_one_is_set_aside():
    world = World()
    await world.deliver(event_body("tenants/De Mo/notes/a", VALID, at=10))
    assert [letter.reason for letter in world.letters()] == ["BadRequest"]
    assert world.sink.rows == {}


@pytest.mark.parametrize("broken", ["sink", "cache", "publisher"])
async def test_what_may_work_later_is_raised_for_the_trigger_to_retry(broken):
    world = World(answer=lost) if broken == "sink" else World()
    if broken != "sink":
        getattr(world, broken).down = True
    with pytest.raises(Unavailable):
        await world.deliver(WRITE)
    assert world.letters() == []


async def test_documents_of_no_declared_record_are_acknowledged_and_counted(capfd):
    world = World()
    await world.deliver(event_body("somewhere/else", VALID, at=10))
    assert '"undeclared":1' in capfd.readouterr().out
    assert world.sink.rows == {}


async def test_a_write_that_changed_nothing_is_acknowledged():
    world = World()
    await world.deliver(event_body(PATH, VALID, VALID, at=10, old_at=10))
    assert world.sink.rows == {}


async def test_the_closing_line_names_the_event_and_not_its_contents(capfd):
    await World().deliver(WRITE)
    line = capfd.readouterr().out
    assert '"event_id":"event-1"' in line
    assert "One" not in line


def test_a_document_is_told_to_its_record_with_the_values_of_its_path():
    found = declared("tenants/demo/ga_page_performance/x", "(default)")
    assert found == (GaPagePerformance, {"tenant_id": "demo", "document_id": "x"})


@pytest.mark.parametrize(
    ("path", "database"),
    [
        ("tenants/demo/nothing/x", "(default)"),
        ("tenants/demo", "(default)"),
        ("tenants/demo/ga_page_performance/x", "ops"),
        ("dead_letters/x", "ops"),
    ],
)
def test_a_document_of_no_streamed_record_has_none(path, database):
    assert declared(path, database) is None
