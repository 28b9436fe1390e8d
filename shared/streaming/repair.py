"""Repairing what a verification found, and nothing else: each document is looked at again before anything is done.

What is missing or old is read from Firestore and appended as an import of its own version, which can never outrank a
later write. What Firestore does not have gets a tombstone of the version that is there. Rows that say what Firestore
never held (other content of the same version, a version from nowhere) are the one thing that is deleted: no row that
could be appended would outrank them.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.comparison.comparer import Held, Verdict, look
from shared.comparison.records import Difference, Verification
from shared.comparison.verification import CLOCKS_DIFFER, KIND, Verifications
from shared.errors import AppError, BadRequest, Rejected, Unavailable
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook
from shared.schema.batches import batches
from shared.schema.ports import Warehouse
from shared.schema.record import Record, Undeclared
from shared.schema.sql import render
from shared.schema.times import timestamp_micros
from shared.streaming.change import Change
from shared.streaming.merge import LEASE_SECONDS
from shared.streaming.rows import Row
from shared.streaming.steps import EVERY, steps_of
from shared.streaming.typed_view import kinds_of
from shared.streaming.undeclared import UndeclaredTables
from shared.streaming.values import Fields, decode_fields
from shared.streaming.verify import FirestoreSide, Read, StreamComparand, StreamTables
from shared.streaming.writer import Writer

DOCUMENTS = 30
"""Documents that are repaired at once: each may have 1 MiB, its row as much, and both sides are held."""
APPEND_BYTES = 16_000_000
MERGE_TRIES = 30
MERGE_PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One row of the log or the base."""

    version: int
    deleted: bool
    appended: int
    created: int
    in_base: bool

    def identity(self, key: str) -> str:
        """As delete_rows.sql spells it."""
        return f"{key} {self.version} {int(self.deleted)} {self.appended}"


@dataclass
class Mending:
    """What one document needs: a row, rows that go, or nothing; then what became of it."""

    difference: Difference
    row: Row | None = None
    content: Mapping[str, Any] | None = None
    wrong: list[StoredRow] = field(default_factory=list)
    status: str = "repaired"
    note: str = ""


class Repairer:
    """Repairs streams."""

    def __init__(
        self,
        writer: Callable[[], Writer],
        warehouse: Warehouse,
        leases: Leases,
        verifications: Verifications,
        progress: ProgressBook,
        undeclared: UndeclaredTables,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._writer = writer
        self._warehouse = warehouse
        self._leases = leases
        self._verifications = verifications
        self._progress = progress
        self._undeclared = undeclared
        self._now = now
        self._sleep = sleep

    def repair(
        self, verification: Verification, comparand: StreamComparand, enough: Callable[[], bool] = lambda: False
    ) -> Verification:
        """Repair until nothing is left or until `enough`; the verification as it is then.

        A crash anywhere is harmless: differences are marked last, and one that is repaired already no longer differs.
        BadRequest while the comparison still goes on.
        """
        if verification.status == "comparing":
            raise BadRequest("the comparison has not ended", field="run_id", expected="a run that is done")
        run_id = verification.run_id
        with self._progress.track(run_id, KIND, verification.tenant_id or "") as tracker:
            done = 0
            while found := self._verifications.unsettled(run_id, DOCUMENTS):
                if enough():
                    tracker.pause()
                    return verification
                self._mend(found, comparand)
                done += len(found)
                tracker.step("repairing", counts={"settled": done})
            repairs = Counter(difference.status for difference in self._verifications.differences(run_id))
            return self._verifications.save(verification, status="done", repairs=dict(repairs), finished_at=self._now())

    def _mend(self, differences: Sequence[Difference], comparand: StreamComparand) -> None:
        tables = comparand.tables
        keys = [difference.key for difference in differences]
        # In this order: a row that was listed before Firestore was read, and that it does not know, is wrong for sure.
        stored = self._stored(tables, keys)
        left, right = comparand.now()
        reading, holding = _Reading(left, comparand.event_id), _Holding(right)
        verdicts = {verdict.key: verdict for verdict in look(keys, reading, holding)}
        mendings = [
            self._plan(
                difference,
                verdicts[difference.key],
                stored.get(difference.key, []),
                reading.found.get(difference.key),
                holding.found.get(difference.key),
                comparand,
            )
            for difference in differences
        ]
        self._append([mending for mending in mendings if mending.row is not None], tables)
        self._delete([mending for mending in mendings if mending.wrong], tables)
        for mending in mendings:
            changes = {"status": mending.status, "note": mending.note}
            self._verifications.put(
                comparand.run_id, Difference.model_validate({**mending.difference.document(), **changes})
            )

    def _plan(
        self,
        difference: Difference,
        verdict: Verdict,
        stored: Sequence[StoredRow],
        read: Read | None,
        held: Held | None,
        comparand: StreamComparand,
    ) -> Mending:
        mending = Mending(difference)
        if verdict.kind in ("equal", "newer", "aged_out"):
            mending.status = "gone"
        elif verdict.kind == "refused":
            mending.status, mending.note = "kept", f"not valid: {verdict.reason}"
        elif verdict.kind == "extra":
            self._bury(mending, stored, held, comparand)
        elif read is None or read.row is None:
            mending.status, mending.note = "kept", (read and read.held.refused_reason) or "no table takes the document"
        else:
            mending.row, mending.content = read.row, read.held.content
            mending.wrong = list(_wrong(stored, read.held.version, verdict.kind == "different"))
            if read.held.refused_reason is not None:
                mending.note = f"not valid: {read.held.refused_reason}"
        return mending

    def _bury(
        self, mending: Mending, stored: Sequence[StoredRow], held: Held | None, comparand: StreamComparand
    ) -> None:
        """A tombstone above what is there. What claims to be of the future would hide the document's next life."""
        horizon = timestamp_micros(self._now() + CLOCKS_DIFFER)
        mending.wrong = [row for row in stored if row.version > horizon]
        top = max(
            (row for row in stored if row.version <= horizon), key=lambda row: (row.version, row.deleted), default=None
        )
        if top is None or top.deleted:
            return
        content = held.content if held is not None and held.version == top.version else None
        old_fields = _last_data(content, comparand.tables.record)
        change = _tombstone(mending.difference.key, top, old_fields, comparand.event_id, self._now())
        mending.row = comparand.row_of(change)

    def _append(self, mendings: Sequence[Mending], tables: StreamTables) -> None:
        if issubclass(tables.record, Undeclared):
            self._widen(mendings, tables)
        for batch in batches(mendings, _size, APPEND_BYTES):
            for mending, error in zip(batch, asyncio.run(self._write(batch)), strict=True):
                if isinstance(error, Rejected):
                    mending.status, mending.note, mending.wrong = "kept", error.message, []
                elif error is not None:
                    raise error
                elif mending.note:
                    mending.status = "kept"

    async def _write(self, mendings: Sequence[Mending]) -> list[BaseException | None]:
        writer = self._writer()
        try:
            rows = [mending.row for mending in mendings if mending.row is not None]
            return await asyncio.gather(*(writer.write(row) for row in rows), return_exceptions=True)
        finally:
            writer.close()

    def _widen(self, mendings: Sequence[Mending], tables: StreamTables) -> None:
        """Of what nobody declared: tables, and a column for each kind of value, before the rows."""
        kinds = frozenset(
            kind
            for mending in mendings
            if mending.content is not None
            for kind in kinds_of(decode_fields(mending.content))
        )
        if mendings and not self._undeclared.knows(tables.view, kinds):
            self._undeclared.learn(tables.record, tables.stream.names, kinds)

    def _delete(self, mendings: Sequence[Mending], tables: StreamTables) -> None:
        if not mendings:
            return
        keys = [mending.difference.key for mending in mendings]
        for table, in_base in ((tables.log, False), (tables.base, True)):
            wrong = [
                row.identity(mending.difference.key)
                for mending in mendings
                for row in mending.wrong
                if row.in_base is in_base
            ]
            if wrong:
                with self._alone(tables.view):
                    self._warehouse.execute(
                        render("streaming/sql/delete_rows.sql", table=table), names=keys, rows=wrong
                    )

    @contextmanager
    def _alone(self, view: str) -> Iterator[None]:
        """Beside no merge, which might carry a wrong row from the log into the base meanwhile."""
        for _ in range(MERGE_TRIES):
            with self._leases.hold(f"merge:{view}", LEASE_SECONDS) as held:
                if held:
                    yield
                    return
            self._sleep(MERGE_PAUSE_SECONDS)
        raise Unavailable("the table is being merged", table=view)

    def _stored(self, tables: StreamTables, keys: Collection[str]) -> dict[str, list[StoredRow]]:
        found: dict[str, list[StoredRow]] = {}
        if not tables.exist():
            return found
        sql = render("streaming/sql/stored_rows.sql", log=tables.log, base=tables.base)
        for row in self._warehouse.query(sql, names=list(keys)):
            found.setdefault(row["document_name"], []).append(
                StoredRow(
                    version=row["version"],
                    deleted=row["deleted"],
                    appended=row["appended_micros"],
                    created=row["created_micros"] or row["version"],
                    in_base=row["in_base"],
                )
            )
        return found


class _Reading:
    """Firestore's side, remembering what it read."""

    def __init__(self, side: FirestoreSide, event_id: str) -> None:
        self._side = side
        self._event_id = event_id
        self.found: dict[str, Read] = {}
        self.pages = side.pages

    def fetch(self, keys: Collection[str]) -> Iterator[tuple[str, Held]]:
        for key, read in self._side.read(keys, self._event_id):
            self.found[key] = read
            yield key, read.held


class _Holding:
    """BigQuery's side, remembering what it held."""

    def __init__(self, side: Any) -> None:
        self._side = side
        self.found: dict[str, Held] = {}
        self.pages = side.pages

    def fetch(self, keys: Collection[str]) -> Iterator[tuple[str, Held]]:
        for key, held in self._side.fetch(keys):
            self.found[key] = held
            yield key, held


def _wrong(stored: Sequence[StoredRow], version: int, different: bool) -> Iterator[StoredRow]:
    """Rows that outrank the document as Firestore has it, and, of a difference in content, those beside it."""
    doubled = different and sum(row.in_base for row in stored) > 1
    for row in stored:
        outranks = (row.version, row.deleted) > (version, False)
        if outranks or (different and row.version == version) or (doubled and row.in_base):
            yield row


def _last_data(content: Any, record: type[Record]) -> Fields | None:
    """What a row held, for its tombstone.

    Without the fields that were transformed, which would be so twice, and without the time to live: a delete of a
    document whose time has passed counts as its expiry, which leaves the row where it is.
    """
    left_out = {*steps_of(record), record.collection.ttl_field if record.collection else None}
    if not isinstance(content, Mapping) or EVERY in left_out:
        return None
    try:
        return decode_fields({name: value for name, value in content.items() if name not in left_out})
    except (AppError, ValueError, KeyError, TypeError):
        # Not as Scout writes it: the tombstone is as good without.
        return None


def _tombstone(key: str, top: StoredRow, old_fields: Fields | None, event_id: str, now: datetime) -> Change:
    parts = key.split("/", 5)
    return Change(
        event_id=event_id,
        document_name=key,
        database=parts[3],
        path=parts[5],
        operation="DELETE",
        version=top.version,
        deleted=True,
        timestamp=max(timestamp_micros(now), top.version + 1),
        created=top.created,
        fields=None,
        old_fields=old_fields,
    )


def _size(mending: Mending) -> int:
    return len(mending.row.data) if mending.row is not None else 0
