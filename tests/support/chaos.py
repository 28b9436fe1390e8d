"""A history of changes, delivered as badly as can be, to processes that die, over a network that breaks.

What is compared in the end is everything: each change in the log, each row of the views and the bases, each event that
was set aside.
"""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from google.api_core.exceptions import AlreadyExists
from google.cloud import pubsub_v1

from infra.local.cloud import LocalCloud
from infra.local.parts import PROJECT
from shared.errors import Unavailable
from shared.ops.records import DeadLetter
from shared.runtime.clients import Clients
from shared.schema.ports import Warehouse
from shared.streaming.merge import Merged, Merger
from shared.streaming.tables import dataset_of, provision
from tests.support.comparison import MISSING, PROVISIONED, UNDECLARED, Comparison, logged, view_of
from tests.support.deliveries import Deliverer, Event, current, deliveries
from tests.support.faults import FaultyProxy
from tests.support.history import POISON, TABLES, Firestore, Table
from tests.support.processes import ROOT, FunctionProcess

FUNCTION = "stream_document"
FUNCTIONS = 2
HOURS_A_STEP = 2
MERGE_PAUSE_SECONDS = 0.7


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
                    if table in UNDECLARED and not self._warehouse.exists(view_of(table)):
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
    """One run; `found` counts what happened; `compared.differences` is to be empty."""

    cloud: LocalCloud
    clients: Clients
    folder: Path
    seed: int
    events: int
    found: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def run(self) -> "Chaos":
        """Deliver everything, break everything, compare everything."""
        self.compared = Comparison(self.clients.warehouse)
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
        self.compared.views(f"view after step {number}", current(self._delivered))

    async def _deliver(self, events: list[Event]) -> None:
        chance, before = self._chance, self._deliverer.acknowledged
        posts = ((event.headers(), event.body()) for event in events)
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
        self.compared.same(
            "set aside",
            {event_id: letter.reason for event_id, letter in letters.items()},
            {event.event_id: reason for event in self._delivered if (reason := event.refused_because)},
        )
        in_logs = {
            identity
            for table in PROVISIONED + UNDECLARED
            for identity, row in self.compared.log(table)
            if not row["refused"]
        }
        for event in {event.event_id: event for event in self._delivered}.values():
            durable = event.write is not None and event.write.identity in in_logs
            self.found["silent losses"] += not durable and event.event_id not in letters
            self.found["durable and set aside"] += durable and event.event_id in letters
            self.found["durable" if durable else "set aside"] += 1

    def _compare_the_end(self, number: int) -> None:
        """Everything equals Firestore, before and after the last merge; the log holds each change once."""
        there = self._firestore.documents | self._firestore.expired
        expected = {path: one for path, one in there.items() if one.table.takes(one.fields)}
        self.compared.views("view", expected)
        self.found["rows of the log"] = self.compared.log_size()
        for table in TABLES:
            self._merger(number).merge(table.record, table.names, force=True, compacting=True)
        self.found["rows of the compacted log"] = self.compared.log_size()
        self.compared.views("view after the last merge", expected)
        self.compared.views("base", expected, base=True)
        for table in TABLES:
            written = [write for write in self._firestore.writes if write.table is table]
            log = self.compared.log(table)
            self.found["changes twice in the log"] += len(log) - len(dict(log))
            self.compared.same(
                f"log of {table.collection}", dict(log), {write.identity: logged(write) for write in written}
            )
