"""A history of changes, delivered as badly as can be, to processes that die, over a network that breaks.

What is compared in the end is everything: each change in the log, each row of the views and the bases, each event that
was set aside.
"""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from google.api_core.exceptions import AlreadyExists
from google.cloud import pubsub_v1

from infra.local.cloud import LocalCloud
from infra.local.parts import PROJECT
from shared.errors import Unavailable
from shared.ops.records import DeadLetter
from shared.runtime.clients import Clients
from shared.schema.ports import Warehouse
from shared.streaming.merge import Merged, Merger
from shared.streaming.tables import base_table, dataset_of, log_table, provision, typed_columns, view_name
from tests.support.faults import FaultyProxy
from tests.support.history import (
    POISON,
    TABLES,
    WITHOUT_TABLES,
    Document,
    Fields,
    Firestore,
    Identity,
    Table,
    Write,
    moment,
)
from tests.support.processes import ROOT, FunctionProcess

FUNCTION = "stream_document"
FUNCTIONS = 2
CLIENTS = 160
STEPS = 3
HOURS_A_STEP = 2
LATE = 0.04
MERGE_PAUSE_SECONDS = 0.7
REDELIVERED, SECOND_TRIGGER, UNREADABLE = 0.2, 0.1, 0.003
MISSING = tuple(table for table in TABLES if table.tenant == WITHOUT_TABLES)
UNDECLARED = tuple(table for table in TABLES if not table.declared)
"""Their tables are made when the first document is seen."""
PROVISIONED = tuple(table for table in TABLES if table not in MISSING + UNDECLARED)
Rows = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Event:
    """One delivery to be made: a change (None: bytes that tell of none) under an event's id."""

    event_id: str
    write: Write | None

    def headers(self) -> dict[str, str]:
        """As Eventarc sends them."""
        at = moment(self.write.committed if self.write else 0)
        return {
            "ce-id": self.event_id,
            "ce-specversion": "1.0",
            "ce-type": "google.cloud.firestore.document.v1.written",
            "ce-source": f"//firestore.googleapis.com/projects/{PROJECT}/databases/(default)",
            "ce-subject": f"documents/{self.write.path}" if self.write else "documents/nothing",
            "ce-time": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "content-type": "application/protobuf",
        }


def deliveries(writes: Sequence[Write], seed: int) -> list[list[Event]]:
    """All deliveries in steps: shuffled within wide windows, some again, some by a second trigger, some very late."""
    chance = random.Random(seed)
    window = len(writes) * 0.3
    placed: list[tuple[float, Event]] = []
    for write in writes:
        event = Event(f"event-{write.number}", write)
        late = len(writes) * 2 if chance.random() < LATE else 0
        placed.append((write.number + late + chance.uniform(0, window), event))
        if chance.random() < REDELIVERED:
            placed.append((write.number + chance.uniform(0, 2 * window), event))
        if chance.random() < SECOND_TRIGGER:
            placed.append((write.number + chance.uniform(0, 2 * window), Event(f"second-{write.number}", write)))
        if chance.random() < UNREADABLE:
            placed.append((write.number, Event(f"unreadable-{write.number}", None)))
    placed.sort(key=lambda one: one[0])
    events = [event for _, event in placed]
    size = -(-len(events) // STEPS)
    return [events[start : start + size] for start in range(0, len(events), size)]


class Deliverer:
    """Posts events until each is acknowledged, many at a time."""

    def __init__(self, urls: Sequence[str], seed: int) -> None:
        self.urls = urls
        self.acknowledged = 0
        self.refused = 0
        self._random = random.Random(seed)

    async def run(self, posts: Iterable[tuple[Mapping[str, str], bytes]]) -> None:
        """Deliver all of them."""
        waiting = iter(posts)
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            await asyncio.gather(*(self._client(session, waiting) for _ in range(CLIENTS)))

    async def _client(self, session: aiohttp.ClientSession, waiting: Iterable[tuple[Mapping[str, str], bytes]]) -> None:
        for headers, body in waiting:
            pause = 0.1
            while not await self._post(session, headers, body):
                self.refused += 1
                await asyncio.sleep(pause * self._random.uniform(0.5, 1))
                pause = min(2 * pause, 1.0)
            self.acknowledged += 1

    async def _post(self, session: aiohttp.ClientSession, headers: Mapping[str, str], body: bytes) -> bool:
        try:
            async with session.post(self._random.choice(self.urls), data=body, headers=headers) as answer:
                await answer.read()
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError):
            return False


class Merging(threading.Thread):
    """Merges and compacts every table over and over, until it is stopped."""

    def __init__(self, merger: Merger, warehouse: Warehouse) -> None:
        super().__init__(daemon=True)
        self._warehouse = warehouse
        self.merged: list[Merged] = []
        self.unavailable = 0
        self._merger = merger
        self._stopping = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            while True:
                for table in PROVISIONED + UNDECLARED:
                    if table in UNDECLARED and not self._warehouse.exists(_view(table)):
                        continue
                    try:
                        self.merged.append(self._merger.merge(table.record, table.names, force=True, compacting=True))
                    except Unavailable:
                        self.unavailable += 1
                    if self._stopping.wait(MERGE_PAUSE_SECONDS):
                        return
        except BaseException as error:  # noqa: BLE001  it is raised where somebody sees it
            self._error = error

    def stop(self) -> None:
        """Wait for the merge that runs; raise what went wrong."""
        self._stopping.set()
        self.join()
        if self._error is not None:
            raise self._error


@dataclass
class Chaos:
    """One run; what it found is in `found`, what differs in `differences`, which is to be empty."""

    cloud: LocalCloud
    clients: Clients
    folder: Path
    seed: int
    events: int
    found: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def run(self) -> "Chaos":
        """Deliver everything, break everything, compare everything."""
        self._provision(PROVISIONED)
        self._firestore = Firestore(self.seed, self.events)
        steps = deliveries(self._firestore.writes, self.seed)
        self._chance = random.Random(self.seed)
        target = self.cloud.env["BIGQUERY_GRPC_HOST"]
        self._delivered: list[Event] = []
        with FaultyProxy(target, rate=0.015, slow=0.04, seed=self.seed, poison=POISON.encode()) as self._proxy:
            environment = {**self.cloud.env, "BIGQUERY_GRPC_HOST": self._proxy.address}
            self._functions = [
                FunctionProcess(
                    FUNCTION, environment, self.folder / f"function-{n}.log", ROOT / "tests" / "support" / "chaotic"
                )
                for n in range(FUNCTIONS)
            ]
            self._deliverer = Deliverer([function.url for function in self._functions], self.seed)
            try:
                for number, step in enumerate(steps):
                    self._step(number, step)
                self._compare_events()
                self._proxy.poison = b""
                self._provision(MISSING)
                self._replay(len(steps))
            finally:
                for function in self._functions:
                    function.kill()
        self.found.update(self._proxy.seen)
        self._compare_the_end(len(steps) + 1)
        return self

    # --- what happens --------------------------------------------------------------------------------------------

    def _provision(self, tables: Iterable[Table]) -> None:
        for table in tables:
            self.clients.warehouse.ensure_dataset(dataset_of(table.record, table.names))
            provision(self.clients.warehouse, table.record, table.names)
            if table.record.published_as:
                publisher = pubsub_v1.PublisherClient()
                topic = publisher.topic_path(PROJECT, table.record.published_as)
                with suppress(AlreadyExists):
                    publisher.create_topic(name=topic)

    def _start(self, number: int) -> None:
        for function in self._functions:
            function.environment["HOURS_AHEAD"] = str(number * HOURS_A_STEP)
            function.start()
        for function in self._functions:
            function.wait()

    def _merger(self, number: int) -> Merger:
        ahead = timedelta(hours=number * HOURS_A_STEP)
        clients = self.clients
        return Merger(clients.warehouse, clients.ops, clients.leases, lambda: datetime.now(UTC) + ahead)

    def _step(self, number: int, events: list[Event]) -> None:
        """Deliver a part of the events, some hours after the last, while tables are merged and things break."""
        self._start(number)
        merging = Merging(self._merger(number), self.clients.warehouse)
        merging.start()
        began = time.perf_counter()
        try:
            asyncio.run(self._deliver(events))
        finally:
            self.seconds += time.perf_counter() - began
            merging.stop()
        self.found["merges"] += len(merging.merged)
        self.found["merges unavailable"] += merging.unavailable
        self.found["compacted meanwhile"] += sum(merged.compacted_rows for merged in merging.merged)
        self._end()
        self._delivered.extend(events)
        self._compare_views(f"view after step {number}", current(self._delivered))

    async def _deliver(self, events: list[Event]) -> None:
        chance, before = self._chance, self._deliverer.acknowledged
        posts = ((event.headers(), event.write.body() if event.write else b"\xff\xff") for event in events)
        running = asyncio.create_task(self._deliverer.run(posts))
        incidents = max(3, len(events) // 1500)
        for at in sorted(chance.sample(range(len(events) // 20, len(events)), incidents)):
            while self._deliverer.acknowledged - before < at and not running.done():
                await asyncio.sleep(0.02)
            function = chance.choice(self._functions)
            incident = chance.choice(("killed", "killed", "terminated", "cut"))
            self.found[incident] += 1
            if incident == "cut":
                self._proxy.relay.cut()
                continue
            await asyncio.to_thread(function.kill if incident == "killed" else function.terminate)
            await asyncio.sleep(chance.uniform(0, 0.3))
            function.start()
        await running

    def _replay(self, number: int) -> None:
        """Deliver again what was set aside for a reason that is gone."""
        self._start(number)
        letters = [self.clients.dead_letters.event(letter) for letter in self._letters()]
        asyncio.run(self._deliverer.run(letters))
        self._end()

    def _end(self) -> None:
        for function in self._functions:
            function.wait().terminate()
        self._proxy.wait_until_quiet()

    # --- what is compared ----------------------------------------------------------------------------------------

    def _letters(self) -> list[DeadLetter]:
        return [DeadLetter.model_validate(values) for _, values in self.clients.ops.find("dead_letters")]

    def _compare_events(self) -> None:
        """Every event is durable, or set aside for its reason: one of the two, and never neither."""
        letters = {letter.event_id: letter for letter in self._letters()}
        self._same(
            "set aside",
            {event_id: letter.reason for event_id, letter in letters.items()},
            {event.event_id: reason for event in self._delivered if (reason := _reason(event))},
        )
        logged = {
            identity for table in PROVISIONED + UNDECLARED for identity, row in self._log(table) if not row["refused"]
        }
        for event in {event.event_id: event for event in self._delivered}.values():
            durable = event.write is not None and event.write.identity in logged
            self.found["silent losses"] += not durable and event.event_id not in letters
            self.found["durable and set aside"] += durable and event.event_id in letters
            self.found["durable" if durable else "set aside"] += 1

    def _compare_the_end(self, number: int) -> None:
        """Everything equals Firestore, before and after the last merge; the log holds each change once."""
        there = self._firestore.documents | self._firestore.expired
        expected = {path: one for path, one in there.items() if one.table.takes(one.fields)}
        self._compare_views("view", expected)
        self._count_rows("rows of the log")
        for table in TABLES:
            self._merger(number).merge(table.record, table.names, force=True, compacting=True)
        self._count_rows("rows of the compacted log")
        self._compare_views("view after the last merge", expected)
        self._compare_views("base", expected, base=True)
        for table in TABLES:
            written = [write for write in self._firestore.writes if write.table is table]
            log = self._log(table)
            self.found["changes twice in the log"] += len(log) - len(dict(log))
            self._same(f"log of {table.collection}", dict(log), {write.identity: _logged(write) for write in written})

    def _count_rows(self, name: str) -> None:
        for table in TABLES:
            sql = f"SELECT COUNT(*) AS n FROM `{_named(table, log_table(table.record).table)}`"
            self.found[name] += self.clients.warehouse.query(sql)[0]["n"]

    def _compare_views(self, what: str, expected: Mapping[str, Document], base: bool = False) -> None:
        for table in TABLES:
            if table in MISSING and not any(document.table is table for document in expected.values()):
                continue
            rows = {path: row(document, base) for path, document in expected.items() if document.table is table}
            self._same(f"{what} of {table.collection}", self._rows(table, base), rows)

    def _rows(self, table: Table, base: bool) -> Rows:
        """A view, or the live rows of a base, by path."""
        name = _named(table, base_table(table.record).table) if base else _view(table)
        where = "NOT deleted AND refused_reason IS NULL" if base else "TRUE"
        sql = f"SELECT document_name, {', '.join(_columns(table, base))} FROM `{name}` WHERE {where}"
        rows = self.clients.warehouse.query(sql)
        found = {_path(values.pop("document_name")): _read(values) for values in map(dict, rows)}
        self.found["duplicates"] += len(rows) - len(found)
        return found

    def _log(self, table: Table) -> list[tuple[Identity, dict[str, Any]]]:
        """The rows of a changelog."""
        sql = (
            "SELECT document_name, version, deleted, operation, data, old_data, refused_reason IS NOT NULL AS refused "
            f"FROM `{_named(table, log_table(table.record).table)}`"
        )
        found = []
        for values in map(dict, self.clients.warehouse.query(sql)):
            version = (values.pop("version") - moment(0)) // timedelta(microseconds=1)
            found.append(((values.pop("document_name"), version, values.pop("deleted")), _read(values)))
        return found

    def _same(self, what: str, found: Mapping[Any, Any], expected: Mapping[Any, Any]) -> None:
        missing, extra = expected.keys() - found.keys(), found.keys() - expected.keys()
        other = [key for key in expected.keys() & found.keys() if expected[key] != found[key]]
        for kind, keys in (("missing", missing), ("too many", extra), ("different", other)):
            for key in sorted(keys, key=str)[:3]:
                said = f"{found.get(key)} instead of {expected.get(key)}"
                self.differences.append(f"{what}: {kind} {len(keys)}, for example {key}: {said}"[:1500])


def current(events: Iterable[Event]) -> dict[str, Document]:
    """What a warehouse shows that got these events and could take them: the newest write of each document."""
    newest: dict[str, Write] = {}
    for event in events:
        write = event.write
        if write is None or write.operation == "EXPIRE" or write.refused_because not in (None, "InvalidDocument"):
            continue
        last = newest.get(write.path)
        if last is None or (write.version, write.deleted) > (last.version, last.deleted):
            newest[write.path] = write
    return {
        path: Document(write.table, write.fields, write.created, write.version)
        for path, write in newest.items()
        if write.fields is not None and write.table.takes(write.fields)
    }


def row(document: Document, base: bool) -> dict[str, Any]:
    """The row of a document, as its declaration reads it."""
    found: dict[str, Any] = {"version": moment(document.updated)}
    if document.table.declared:
        values = {name: _python(value) for name, value in document.fields.items()}
        found |= document.table.record.model_validate(values).model_dump()
    if base or not document.table.declared:
        found["data"] = document.fields
    return found


def _columns(table: Table, base: bool) -> list[str]:
    typed = [column.name for column in typed_columns(table.record)]
    return [*typed, "version", *(["data"] if base or not table.declared else [])]


def _logged(write: Write) -> dict[str, Any]:
    refused = write.fields is not None and not write.table.takes(write.fields)
    return {"operation": write.operation, "data": write.fields, "old_data": write.old_fields, "refused": refused}


def _reason(event: Event) -> str | None:
    return "UnreadableEvent" if event.write is None else event.write.refused_because


def _named(table: Table, name: str) -> str:
    return f"{dataset_of(table.record, table.names)}.{name}"


def _view(table: Table) -> str:
    return view_name(table.record, dataset_of(table.record, table.names))


def _path(document_name: str) -> str:
    return document_name.partition("/documents/")[2]


def _python(value: Any) -> Any:
    if isinstance(value, dict) and "_seconds" in value:
        return datetime.fromtimestamp(value["_seconds"], UTC) + timedelta(microseconds=value["_nanoseconds"] // 1000)
    return value


def _read(values: dict[str, Any]) -> dict[str, Any]:
    """Rows as they came, their lossless JSON read."""
    for name in ("data", "old_data"):
        if values.get(name) is not None:
            fields: Fields = orjson.loads(values[name])
            values[name] = fields
    return values
