"""Copying one slice of a collection: read at one moment, made into rows, sent into streams that nobody sees yet."""

from collections.abc import Callable, Sequence
from datetime import datetime

from shared.errors import Rejected, TenantNotProvisioned
from shared.schema.record import Undeclared
from shared.streaming.change import read_document
from shared.streaming.parts import bounds, cut_before
from shared.streaming.pending import PendingStream, PendingStreams, Staged
from shared.streaming.records import BackfillSlice, RefusedDocument, StagedRows
from shared.streaming.rows import Row
from shared.streaming.scan import Document, Scan
from shared.streaming.service import row_of
from shared.streaming.staging import Staging
from shared.streaming.streams import Stream
from shared.streaming.transforms import NO_KEYS, HashKeys, sent
from shared.streaming.typed_view import Kind, kinds_of

PAGE = 50
"""Documents may have a MiB each, and several slices are copied at once."""
BATCH_ROWS = 5_000
BATCH_BYTES = 9_000_000
"""A request may hold 10 MB, its envelope included."""
REFUSED_SHOWN = 20
Kinds = set[Kind]


class SliceCopy:
    """Copies one slice into pending streams, one a table."""

    def __init__(
        self,
        run_id: str,
        stream: Stream,
        field: str | None,
        part: BackfillSlice,
        pending: PendingStreams,
        staging: Staging,
        keys: HashKeys = NO_KEYS,
    ) -> None:
        self._keys = keys
        self._run_id = run_id
        self._stream = stream
        self._field = field
        self._part = part
        self._pending = pending
        self._staging = staging
        self._portions: dict[str, _Portion] = {}
        self._missing: set[str] = set()
        self._refused: list[RefusedDocument] = []
        self._refused_count = 0
        self.read = 0
        """Documents so far."""

    def run(
        self, scan: Scan, at: datetime, stop: Callable[[], bool], heard: Callable[[int], None]
    ) -> tuple[BackfillSlice, str | None]:
        """The slice as it is to be recorded, its streams finished; and where its rest begins if `stop` said so.

        heard: told of each page how many documents it held. Nothing is visible yet: a crash costs only reading again.
        """
        try:
            rest = self._copy(scan, at, stop, heard)
            staged = [portion.finish() for portion in self._portions.values()]
        except BaseException:
            for portion in self._portions.values():
                portion.abandon()
            raise
        for portion in self._portions.values():
            for name, reason in portion.refused:
                self._refuse(name, reason)
        found = {"status": "recorded", "read_at": at, "read": self.read, "staged": staged}
        found |= {"refused": self._refused_count, "refused_documents": self._refused}
        if rest is not None:
            found["high"] = rest
        return self._part.model_copy(update=found), rest

    def _copy(self, scan: Scan, at: datetime, stop: Callable[[], bool], heard: Callable[[int], None]) -> str | None:
        part, where = bounds(self._part, self._field)
        last: Document = None
        for page in scan.pages(self._stream, part, at, size=PAGE, where=where):
            if last is not None and stop():
                rest = cut_before(self._part, self._field, last, page[0])
                if rest is not None:
                    return rest
            for document in page:
                self._add(document)
            last = page[-1]
            self.read += len(page)
            heard(len(page))
        return None

    def _add(self, document: Document) -> None:
        change = read_document(document, self._run_id)
        try:
            row = row_of(change, self._stream.record, self._stream.names_of(change.path), self._keys)
            portion = self._portion(row)
        except Rejected as error:
            # It has no row anywhere: no tenant, or one without tables.
            self._refuse(document.name, error.message)
            return
        if row.refused_reason is not None:
            self._refuse(document.name, row.refused_reason)
        if issubclass(self._stream.record, Undeclared):
            portion.kinds |= kinds_of(sent(document.fields, row.record, row.names, self._keys))
        portion.add(Staged(document.name, row.data))

    def _portion(self, row: Row) -> "_Portion":
        found = self._portions.get(row.table)
        if found is None:
            if row.table in self._missing:
                raise TenantNotProvisioned("the tenant has no tables")
            try:
                table = self._staging.table_of(row)
            except TenantNotProvisioned:
                self._missing.add(row.table)
                raise
            found = self._portions[row.table] = _Portion(row, self._pending.open(table, row.record), self._staging)
        return found

    def _refuse(self, name: str, reason: str) -> None:
        self._refused_count += 1
        if len(self._refused) < REFUSED_SHOWN:
            self._refused.append(RefusedDocument(name=name, reason=reason))


class _Portion:
    """Rows of one slice for one table."""

    def __init__(self, row: Row, stream: PendingStream, staging: Staging) -> None:
        self.kinds: Kinds = set()
        self._example = row
        self._stream = stream
        self._staging = staging
        self._batch: list[Staged] = []
        self._bytes = 0

    @property
    def refused(self) -> Sequence[tuple[str, str]]:
        return self._stream.refused

    def add(self, row: Staged) -> None:
        if self._batch and (self._bytes + len(row.data) > BATCH_BYTES or len(self._batch) >= BATCH_ROWS):
            self._send()
        self._batch.append(row)
        self._bytes += len(row.data)

    def finish(self) -> StagedRows:
        if self._batch:
            self._send()
        rows = self._stream.finish()
        # Before the rows can be seen: there is never a row of whose fields the view has no column.
        if self.kinds:
            self._staging.learn(self._example, frozenset(self.kinds))
        return StagedRows(
            table=self._example.table, names=dict(self._example.names), stream=self._stream.name, rows=rows
        )

    def abandon(self) -> None:
        self._stream.abandon()

    def _send(self) -> None:
        self._stream.append(self._batch)
        self._batch, self._bytes = [], 0
