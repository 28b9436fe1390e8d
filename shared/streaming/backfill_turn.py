"""One process's work on a backfill, from where the run is until it is done or the time is up.

See shared/streaming/backfill.py for what makes a kill at any point harmless.
"""

import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event, Lock
from typing import Any

from shared.errors import Rejected, Unavailable
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook, Tracker
from shared.schema.ports import Documents, Warehouse
from shared.streaming.effects import Publishing
from shared.streaming.merge import Merger
from shared.streaming.parts import plan, rest_of, wanted_documents
from shared.streaming.pending import PendingStreams
from shared.streaming.records import Backfill, BackfillSlice, StagedRows
from shared.streaming.scan import ReadTimePassed, Scan
from shared.streaming.slice_copy import REFUSED_SHOWN, SliceCopy
from shared.streaming.staging import TRUSTED, Staging
from shared.streaming.streams import stream_of
from shared.streaming.transforms import NO_KEYS, HashKeys
from shared.streaming.undeclared import Patterns, UndeclaredTables

WORKERS = 4
MERGE_TRIES = 5
MERGE_PAUSE_SECONDS = 2.0
COUNTS = ("read", "staged", "added", "already_there", "refused")

Heard = Callable[[int, int], None]
"""Told how many documents are read, and of how many."""


@dataclass(frozen=True)
class Means:
    """What backfills work with."""

    scan: Scan
    pending: PendingStreams
    warehouse: Warehouse
    ops: Documents
    leases: Leases
    progress: ProgressBook
    merger: Merger
    patterns: Patterns
    undeclared: UndeclaredTables
    publisher: Callable[[], Publishing]
    keys: HashKeys = NO_KEYS
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class Turn:
    """One process's work on a run until it is done or the time is up."""

    def __init__(self, means: Means, run: Backfill, tracker: Tracker, seconds: float, heard: Heard) -> None:
        self._means = means
        self._run = run
        self._tracker = tracker
        self._heard = heard
        self._until = means.clock() + seconds
        self._stopped = Event()
        self._lock = Lock()
        self._stream = stream_of(run.collection_path, run.database, means.patterns.load())
        self._staging = Staging(run.run_id, means.warehouse, means.undeclared)
        self._copied = 0

    def take(self) -> Backfill:
        """Work; the run as it is then."""
        try:
            if self._run.status == "requested":
                self._plan()
            self._work()
        except Rejected:
            # Another process may have ended the run meanwhile, and dropped its staging tables.
            self._run = Backfill.model_validate(self._means.ops.get(path_of(self._run)))
            if self._run.status != "done":
                raise
        return self._run

    def _work(self) -> None:
        slices = [self._renewed(part) for part in self._slices()]
        self._told(sum(part.read for part in slices if part.status != "planned"))
        with ThreadPoolExecutor(WORKERS) as pool:
            try:
                list(pool.map(self._finish, [part for part in slices if part.status != "done"]))
            except BaseException:
                # What the others have read is kept: they end where they are.
                self._stopped.set()
                raise
        slices = self._slices()
        if any(part.status != "done" for part in slices) or not self._publish(slices):
            self._tracker.pause()

    def _plan(self) -> None:
        """Slices first, then the run that says whose they are: after a kill in between it is planned again."""
        run, scan = self._run, self._means.scan
        self._tracker.step("planning")
        at = scan.moment(run.database)
        documents = sum(scan.count(self._stream, at, where) for where in wanted_documents(run.since, run.field))
        planned = {"documents": documents, "read_at": at, "plan": secrets.token_hex(4), "status": "copying"}
        slices = plan(run.model_copy(update=planned), self._stream, scan, at)
        self._means.ops.put_many((f"backfill_slices/{part.slice_id}", part.document()) for part in slices)

        def decide(values: dict[str, Any] | None) -> dict[str, Any] | None:
            found = Backfill.model_validate(values)
            return found.model_copy(update=planned).document() if found.status == "requested" else None

        self._means.ops.transact(path_of(run), decide)
        self._run = Backfill.model_validate(self._means.ops.get(path_of(run)))

    def _finish(self, part: BackfillSlice) -> None:
        """Bring one slice as far as it gets."""
        if self._is_over():
            return
        try:
            self._commit(self._copy(part) if part.status == "planned" else part)
        except BaseException:
            self._stopped.set()
            raise

    def _copy(self, part: BackfillSlice) -> BackfillSlice:
        while True:
            at = self._run.read_at
            assert at is not None, "a run has a read time once it is planned"
            copy = SliceCopy(
                self._run.run_id,
                self._stream,
                self._run.field,
                part,
                self._means.pending,
                self._staging,
                self._means.keys,
            )
            try:
                found, rest = copy.run(self._means.scan, at, self._is_over, self._told)
            except ReadTimePassed:
                self._told(-copy.read)
                self._renew(at)
                continue
            if rest is not None:
                # Noted before the slice is: a kill in between reads some of it twice.
                left = rest_of(part, rest)
                self._means.ops.put(f"backfill_slices/{left.slice_id}", left.document())
            self._means.ops.put(f"backfill_slices/{found.slice_id}", found.document())
            return found

    def _commit(self, part: BackfillSlice) -> None:
        for staged in part.staged:
            if staged.rows and not self._means.pending.commit(
                self._staging.name(self._stream.record, staged.names), staged.stream
            ):
                # BigQuery forgets streams that nobody commits for days: then it is read again.
                self._plan_again(part)
                return
        done = part.model_copy(update={"status": "done"})
        self._means.ops.put(f"backfill_slices/{part.slice_id}", done.document())

    def _renewed(self, part: BackfillSlice) -> BackfillSlice:
        """A slice as it is, or to be read again where its staged rows may be gone: before any was taken."""
        if part.read_at is None or part.status == "planned" or self._run.published:
            return part
        if self._means.now() - part.read_at <= TRUSTED:
            return part
        if self._run.read_at == part.read_at:
            self._renew(part.read_at)
        return self._plan_again(part)

    def _plan_again(self, part: BackfillSlice) -> BackfillSlice:
        changes = {"status": "planned", "staged": [], "read": 0, "refused": 0, "refused_documents": []}
        again = part.model_copy(update=changes)
        self._means.ops.put(f"backfill_slices/{part.slice_id}", again.document())
        return again

    def _renew(self, passed: datetime) -> None:
        with self._lock:
            if self._run.read_at == passed:
                at = self._means.scan.moment(self._run.database)
                note = f"read as of {passed:%Y-%m-%d %H:%M:%S} UTC, then as of {at:%H:%M:%S}: Firestore keeps an hour"
                self._save({"read_at": at, "notes": [*self._run.notes, note]})

    def _publish(self, slices: list[BackfillSlice]) -> bool:
        """Take the staged rows into the log; False where the time was up before."""
        record, tables = self._stream.record, _tables(slices)
        self._tracker.step("adding to the log")
        if not self._run.portions:
            # Once: rows are told apart by the remainder, and another number would skip some.
            self._save({"portions": {one.table: self._staging.portions(rows) for one, rows in tables}})
        for one, _ in tables:
            portions = self._run.portions[one.table]
            for portion in range(self._run.published.get(one.table, 0), portions):
                self._staging.publish(record, one.names, portion, portions)
                self._save({"published": {**self._run.published, one.table: portion + 1}})
                if self._is_over():
                    return False
        for one, _ in tables:
            if one.table not in self._run.merged:
                self._merge(one)
                self._save({"merged": [*self._run.merged, one.table]})
                if self._is_over():
                    return False
        self._save(self._done(slices, tables))
        self._tracker.step(counts={name: getattr(self._run, name) for name in COUNTS})
        # What a kill before this leaves behind expires by itself.
        for one, _ in tables:
            self._staging.drop(record, one.names)
        return True

    def _done(self, slices: list[BackfillSlice], tables: list[tuple[StagedRows, int]]) -> dict[str, Any]:
        # Clocks differ; only partitions are pruned by it.
        began, record = self._run.started_at - timedelta(hours=1), self._stream.record
        added = sum(self._staging.added(record, one.names, began) for one, _ in tables)
        staged = sum(rows for _, rows in tables)
        return {
            "status": "done",
            "slice_count": len(slices),
            "read": sum(part.read for part in slices),
            "staged": staged,
            "added": added,
            "already_there": max(0, staged - added),
            "refused": sum(part.refused for part in slices),
            "refused_documents": [one for part in slices for one in part.refused_documents][:REFUSED_SHOWN],
            "finished_at": datetime.now(UTC),
        }

    def _merge(self, one: StagedRows) -> None:
        """The view is exact without it; it keeps the tail short that every query reads."""
        self._tracker.step("merging")
        for number in range(MERGE_TRIES):
            try:
                self._means.merger.merge(self._stream.record, one.names, force=True)
                return
            except Unavailable:
                if number == MERGE_TRIES - 1:
                    raise
                self._means.pause(MERGE_PAUSE_SECONDS * 2**number)

    def _is_over(self) -> bool:
        return self._stopped.is_set() or self._means.clock() >= self._until

    def _told(self, read: int) -> None:
        with self._lock:
            self._copied += read
            self._tracker.step(
                "copying", done=max(0, self._copied), total=self._run.documents, counts={"read": max(0, self._copied)}
            )
            self._heard(self._copied, self._run.documents)

    def _slices(self) -> list[BackfillSlice]:
        """The slices of the run's plan and the rests of those that were cut, in order."""
        found = self._means.ops.find("backfill_slices", where=[("run_id", "==", self._run.run_id)])
        slices = [BackfillSlice.model_validate(values) for _, values in found]
        return sorted((part for part in slices if part.plan == self._run.plan), key=lambda part: part.slice_id)

    def _save(self, changes: dict[str, Any]) -> None:
        """Note changes of the run, unless another process has ended it."""
        self._run = self._run.model_copy(update=changes)
        run = self._run.document()
        self._means.ops.transact(path_of(self._run), lambda held: None if held and held["status"] == "done" else run)


def path_of(run: Backfill) -> str:
    """Where a run is noted."""
    return f"backfills/{run.run_id}"


def _tables(slices: Iterable[BackfillSlice]) -> list[tuple[StagedRows, int]]:
    """Each table once, and how many rows wait for it."""
    found: dict[str, tuple[StagedRows, int]] = {}
    for part in slices:
        for one in part.staged:
            found[one.table] = (one, found.get(one.table, (one, 0))[1] + one.rows)
    return list(found.values())
