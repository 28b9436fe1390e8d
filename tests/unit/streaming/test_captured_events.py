"""Events as the Firestore emulator sent them, through functions-framework's own decoding."""

import base64
from pathlib import Path

import orjson
import pytest
from cloudevents.http import from_http

from functions.stream_document.main import handle
from shared.streaming.effects import Effects
from shared.streaming.service import Streamer
from shared.streaming.writer import Writer
from tests.fakes import FakeCache, FakePublisher, fake_clients
from tests.support.streaming import FakeSink

EVENTS = Path(__file__).parents[2] / "events"


@pytest.mark.parametrize("raw", [True, False], ids=["as production sends it", "as the emulator sends it"])
@pytest.mark.parametrize(
    ("name", "rows"),
    [("firestore_create", 1), ("firestore_update", 1), ("firestore_delete", 1), ("firestore_undeclared_create", 0)],
)
async def test_a_captured_event_becomes_its_row(name, rows, raw):
    event = orjson.loads((EVENTS / f"{name}.json").read_bytes())
    body = event["body_base64"].encode()
    sink = FakeSink()
    streamer = Streamer(Writer(sink, Effects(FakeCache, FakePublisher).follow))
    clients = fake_clients(streamer=streamer)
    await handle(from_http(event["headers"], base64.b64decode(body) if raw else body), clients)
    assert sum(map(len, sink.rows.values())) == rows
    assert list(clients.ops.find("dead_letters")) == []
