"""Copying what a collection already holds into its changelog, beside the live stream.

Each row repeats the version of the write that made the document (its update_time), so a copy can never overwrite or
bring back anything: whatever happens live has a higher version, and the view and the merge take the highest. All
documents are read as they were at one moment. Firestore keeps such moments for an hour (7 days with point-in-time
recovery): where a long run outlives that, it goes on with a new one and says so in its notes, which is harmless for the
same reason. A document that changes between the two moments has its change in the live stream.

A kill at any point costs some reading, never a row:

    slice planned -> rows in a pending stream -> stream recorded -> committed -> done
                     seen by nobody              |  a kill here: committed again, which does nothing twice
                     a kill: read again

When every slice is done, one statement takes the staged rows that are new into the log; a repeat of it, or of the whole
run, finds nothing new.
"""

import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event, Lock

from shared.errors import BadRequest, Forbidden, NotFound, TenantNotProvisioned, Unavailable
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook, Tracker
from shared.schema.ports import Documents, Warehouse
from shared.schema.record import PLACEHOLDER
from shared.streaming.effects import Publishing
from shared.streaming.estimate import Estimate, estimate
from shared.streaming.merge import Merger
from shared.streaming.messages import BackfillAsked, BackfillRequested
from shared.streaming.parts import moment, plan, slice_id, wanted_documents
from shared.streaming.pending import PendingStreams
from shared.streaming.records import Backfill, BackfillSlice, StagedRows
from shared.streaming.scan import ReadTimePassed, Scan
from shared.streaming.slice_copy import REFUSED_SHOWN, SliceCopy
from shared.streaming.staging import Staging
from shared.streaming.streams import NOT_A_NAME, Stream, stream_of
from shared.streaming.tables import dataset_of
from shared.streaming.transforms import NO_KEYS, HashKeys
from shared.streaming.undeclared import Patterns, UndeclaredTables

LEASE_SECONDS = 600.0
TURN_SECONDS = 240.0
"""After this long a run lets go and is taken up again, well inside the lease and a function's timeout."""
WORKERS = 4
MERGE_TRIES = 5
MERGE_PAUSE_SECONDS = 2.0

COUNTS = ("read", "staged", "added", "already_there", "refused")

Heard = Callable[[int, int], None]


class Backfills:
    """Runs backfills."""

    def __init__(
        self,
        scan: Scan,
        pending: PendingStreams,
        warehouse: Warehouse,
        ops: Documents,
        leases: Leases,
        progress: ProgressBook,
        merger: Merger,
        patterns: Patterns,
        undeclared: UndeclaredTables,
        publisher: Callable[[], Publishing],
        keys: HashKeys = NO_KEYS,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._scan = scan
        self._pending = pending
        self._warehouse = warehouse
        self._ops = ops
        self._leases = leases
        self._progress = progress
        self._merger = merger
        self._patterns = patterns
        self._undeclared = undeclared
        self._publisher = publisher
        self._keys = keys
        self._clock = clock
        self._pause = pause

    def estimate(self, asked: BackfillAsked) -> Estimate:
        """What a run would read, write and cost."""
        run, stream = self._asked(asked)
        return estimate(run, stream, self._scan, self._keys)

    def start(self, asked: BackfillAsked, requested_by: str = "") -> Backfill:
        """Note a run; `work` does it."""
        run, _ = self._asked(asked)
        self._ops.put(_path(run), run.document())
        self._progress.request(run.run_id, "backfill", run.tenant_id, requested_by)
        return run

    def ask(self, asked: BackfillAsked, tenant_id: str | None, requested_by: str) -> Backfill | Estimate:
        """Ask for a run, which then goes on by messages; with `dry_run` the estimate.

        tenant_id: who asks, None for an operator. Forbidden where the collection is not the tenant's.
        """
        if tenant_id is not None and not asked.collection.startswith(f"tenants/{tenant_id}/"):
            raise Forbidden(
                "the collection is not the tenant's", field="collection", expected=f"tenants/{tenant_id}/..."
            )
        if asked.dry_run:
            return self.estimate(asked)
        run = self.start(asked, requested_by)
        self._publisher().publish(BackfillRequested(run_id=run.run_id))
        return run

    def go_on(self, request: BackfillRequested) -> dict[str, int]:
        """Take a run up for a turn, and ask for the next one."""
        run = self.work(request.run_id)
        if run.status != "done":
            self._publisher().publish(request)
        return {name: getattr(run, name) for name in COUNTS}

    def get(self, run_id: str) -> Backfill:
        """A run; NotFound where there is none of that id."""
        values = self._ops.get(f"backfills/{run_id}")
        if values is None:
            raise NotFound("no such run", field="run_id")
        return Backfill.model_validate(values)

    def work(self, run_id: str, seconds: float = TURN_SECONDS, heard: Heard = lambda done, total: None) -> Backfill:
        """Take a run up, for about so long; done where its status is then `done`, else it is to be called again.

        Two processes that work on the same run do work twice and nothing else; two runs of one collection exclude each
        other. heard: told how many documents are read, and of how many. Unavailable while another run works.
        """
        run = self.get(run_id)
        if run.status == "done":
            return run
        resource = f"backfill:{run.database}:{run.collection_path.replace('/', ':')}"
        with self._leases.hold(resource, LEASE_SECONDS, holder=run_id) as held:
            if not held:
                other = (self._ops.get(f"leases/{resource}") or {}).get("holder", "")
                raise Unavailable("another backfill of this collection is running, or was killed", run_id=other)
            with self._progress.track(run_id, "backfill", run.tenant_id) as tracker:
                turn = _Turn(self, run, tracker, seconds, heard)
                return turn.take()

    def _asked(self, asked: BackfillAsked) -> tuple[Backfill, Stream]:
        if (asked.since is None) != (asked.field is None):
            missing = "field" if asked.field is None else "since"
            raise BadRequest(
                "since and field belong together",
                errors=[{"field": missing, "expected": "since and field, or neither"}],
            )
        if asked.since is not None:
            moment(asked.since)
        stream = stream_of(asked.collection, asked.database, self._patterns.load())
        self._check_dataset(stream)
        last = NOT_A_NAME.sub("", asked.collection.rpartition("/")[2])[:60]
        run = Backfill(
            run_id=f"backfill-{last}-{secrets.token_hex(4)}",
            collection_path=asked.collection,
            database=asked.database,
            tenant_id=stream.names.get("tenant_id", ""),
            since=asked.since,
            field=asked.field,
            slices_wanted=asked.slices,
            started_at=datetime.now(UTC),
        )
        return run, stream

    def _check_dataset(self, stream: Stream) -> None:
        """TenantNotProvisioned where the one dataset of a stream does not exist. A stream may have many, or make it."""
        if stream.record.table is None or not PLACEHOLDER.search(stream.record.table.dataset):
            return
        try:
            dataset = dataset_of(stream.record, stream.names)
        except KeyError:
            return
        if not self._warehouse.exists(dataset):
            raise TenantNotProvisioned("the dataset does not exist: provision the tenant first", dataset=dataset)


class _Turn:
    """One process's work on a run until it is done or the time is up."""

    def __init__(self, of: Backfills, run: Backfill, tracker: Tracker, seconds: float, heard: Heard) -> None:
        self._of = of
        self._run = run
        self._tracker = tracker
        self._heard = heard
        self._until = of._clock() + seconds
        self._stopped = Event()
        self._lock = Lock()
        self._stream = stream_of(run.collection_path, run.database, of._patterns.load())
        self._staging = Staging(run.run_id, of._warehouse, of._undeclared)
        self._copied = 0

    def take(self) -> Backfill:
        if self._run.status == "requested":
            self._plan()
        slices = self._slices()
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
        return self._run

    def _plan(self) -> None:
        """Slices first, then the run that says how many there are: a kill in between plans again."""
        run, scan = self._run, self._of._scan
        self._tracker.step("planning")
        at = scan.moment(run.database)
        documents = sum(scan.count(self._stream, at, where) for where in wanted_documents(run.since, run.field))
        run = run.model_copy(update={"documents": documents, "read_at": at, "status": "copying"})
        slices = plan(run, self._stream, scan, at)
        self._of._ops.put_many((f"backfill_slices/{part.slice_id}", part.document()) for part in slices)
        self._save(run.model_copy(update={"slice_count": len(slices)}))

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
                self._run.run_id, self._stream, self._run.field, part, self._of._pending, self._staging, self._of._keys
            )
            try:
                found, rest = copy.run(self._of._scan, at, self._is_over, self._told)
            except ReadTimePassed:
                self._told(-copy.read)
                self._renew(at)
                continue
            if rest is not None:
                self._add_slice(part, rest)
            self._of._ops.put(f"backfill_slices/{found.slice_id}", found.document())
            return found

    def _commit(self, part: BackfillSlice) -> None:
        for staged in part.staged:
            if staged.rows and not self._of._pending.commit(
                self._staging.name(self._stream.record, staged.names), staged.stream
            ):
                # BigQuery forgets streams that nobody commits for days: then it is read again.
                again = part.model_copy(
                    update={"status": "planned", "staged": [], "read": 0, "refused": 0, "refused_documents": []}
                )
                self._of._ops.put(f"backfill_slices/{part.slice_id}", again.document())
                return
        done = part.model_copy(update={"status": "done"})
        self._of._ops.put(f"backfill_slices/{part.slice_id}", done.document())

    def _add_slice(self, part: BackfillSlice, low: str) -> None:
        """The rest of a slice that was cut short, noted before the slice is: a kill in between reads some twice."""
        with self._lock:
            number = self._run.slice_count
            rest = part.model_copy(update={"slice_id": slice_id(self._run.run_id, number), "low": low})
            self._of._ops.put(f"backfill_slices/{rest.slice_id}", rest.document())
            self._save(self._run.model_copy(update={"slice_count": number + 1}))

    def _renew(self, passed: datetime) -> None:
        with self._lock:
            if self._run.read_at == passed:
                at = self._of._scan.moment(self._run.database)
                note = f"read as of {passed:%Y-%m-%d %H:%M:%S} UTC, then as of {at:%H:%M:%S}: Firestore keeps an hour"
                self._save(self._run.model_copy(update={"read_at": at, "notes": [*self._run.notes, note]}))

    def _publish(self, slices: list[BackfillSlice]) -> bool:
        """Take the staged rows into the log; False where the time was up before."""
        record, tables = self._stream.record, _tables(slices)
        self._tracker.step("adding to the log")
        for one, rows in tables:
            portions = self._staging.portions(rows)
            for portion in range(self._run.published.get(one.table, 0), portions):
                if portion and self._is_over():
                    return False
                self._staging.publish(record, one.names, portion, portions)
                published = {**self._run.published, one.table: portion + 1}
                self._save(self._run.model_copy(update={"published": published}))
        for one, _ in tables:
            self._merge(one)
        self._save(self._done(slices, tables))
        self._tracker.step(counts={name: getattr(self._run, name) for name in COUNTS})
        # What a kill before this leaves behind expires by itself.
        for one, _ in tables:
            self._staging.drop(record, one.names)
        return True

    def _done(self, slices: list[BackfillSlice], tables: list[tuple[StagedRows, int]]) -> Backfill:
        began, record = self._run.started_at, self._stream.record
        added = sum(self._staging.added(record, one.names, began) for one, _ in tables)
        staged = sum(rows for _, rows in tables)
        return self._run.model_copy(
            update={
                "status": "done",
                "read": sum(part.read for part in slices),
                "staged": staged,
                "added": added,
                "already_there": max(0, staged - added),
                "refused": sum(part.refused for part in slices),
                "refused_documents": [one for part in slices for one in part.refused_documents][:REFUSED_SHOWN],
                "finished_at": datetime.now(UTC),
            }
        )

    def _merge(self, one: StagedRows) -> None:
        """The view is exact without it; it keeps the tail short that every query reads."""
        self._tracker.step("merging")
        for number in range(MERGE_TRIES):
            try:
                self._of._merger.merge(self._stream.record, one.names, force=True)
                return
            except Unavailable:
                if number == MERGE_TRIES - 1:
                    raise
                self._of._pause(MERGE_PAUSE_SECONDS * 2**number)

    def _is_over(self) -> bool:
        return self._stopped.is_set() or self._of._clock() >= self._until

    def _told(self, read: int) -> None:
        with self._lock:
            self._copied += read
            self._tracker.step(
                "copying", done=max(0, self._copied), total=self._run.documents, counts={"read": max(0, self._copied)}
            )
            self._heard(self._copied, self._run.documents)

    def _slices(self) -> list[BackfillSlice]:
        """The run's slices in order, without those of a plan that a kill left unfinished."""
        found = self._of._ops.find("backfill_slices", where=[("run_id", "==", self._run.run_id)])
        slices = {part.slice_id: part for part in (BackfillSlice.model_validate(values) for _, values in found)}
        return [slices[slice_id(self._run.run_id, number)] for number in range(self._run.slice_count)]

    def _save(self, run: Backfill) -> None:
        self._run = run
        self._of._ops.put(_path(run), run.document())


def _tables(slices: Iterable[BackfillSlice]) -> list[tuple[StagedRows, int]]:
    """Each table once, and how many rows wait for it."""
    found: dict[str, tuple[StagedRows, int]] = {}
    for part in slices:
        for one in part.staged:
            found[one.table] = (one, found.get(one.table, (one, 0))[1] + one.rows)
    return list(found.values())


def _path(run: Backfill) -> str:
    return f"backfills/{run.run_id}"
