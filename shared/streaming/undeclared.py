"""Tables of collections that nobody declared: made when their first document is seen, without a deployment."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from shared.errors import Rejected, TenantNotProvisioned
from shared.schema.ports import Documents, Warehouse
from shared.schema.record import PLACEHOLDER, Record
from shared.schema.registry import streamed_records
from shared.streaming.records import StreamedTable
from shared.streaming.streams import Pattern, Stream, declared_patterns, pattern_of, stream_of
from shared.streaming.tables import BEGINNING, RESERVED, dataset_of, exact_view, provision, view_name
from shared.streaming.typed_view import Kind, LearnedColumn, learn

REMEMBER_SECONDS = 60.0
MOST_KINDS = 5_000
"""Of one collection, that a process remembers: of maps used as dictionaries no more is learned."""


class Patterns:
    """The patterns of collections.yaml and those that were added since, which come first; read again each minute."""

    def __init__(self, documents: Callable[[], Documents], clock: Callable[[], float] = time.monotonic) -> None:
        # Made when it is needed: who streams only what is declared never imports Firestore's client.
        self._documents = documents
        self._clock = clock
        self._read_at: float | None = None
        self._patterns: tuple[Pattern, ...] = ()

    @property
    def stale(self) -> bool:
        """True where `load` is due."""
        return self._read_at is None or self._clock() - self._read_at >= REMEMBER_SECONDS

    @property
    def known(self) -> tuple[Pattern, ...]:
        """The patterns as of the last `load`."""
        return self._patterns

    def load(self) -> tuple[Pattern, ...]:
        """Read them. Where one is not valid, written by hand, its documents wait; it takes no other with it."""
        added = [
            pattern for _, values in self._documents().find("streams") if (pattern := _read(values.get("pattern")))
        ]
        self._patterns, self._read_at = (*added, *declared_patterns()), self._clock()
        return self._patterns

    def stream_of(self, collection_path: str, database: str = "(default)") -> Stream:
        """The stream of one collection by its path, by what is declared and what was added."""
        return stream_of(collection_path, database, self.load())


def _read(values: Any) -> Pattern | None:
    """A pattern; a paused one where it is not valid: a broader pattern would let out what it may have hidden."""
    try:
        return Pattern.model_validate(values)
    except ValidationError:
        pass
    known = values if isinstance(values, dict) else {}
    try:
        place = {name: known[name] for name in ("path", "database") if name in known}
        return Pattern.model_validate({**place, "table": "paused.paused", "paused": True})
    except ValidationError:
        return None


class UndeclaredTables:
    """Makes and widens the tables of undeclared collections. What this process knows already costs it nothing."""

    def __init__(
        self,
        documents: Callable[[], Documents],
        warehouse: Callable[[], Warehouse],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._connect_documents = documents
        self._connect_warehouse = warehouse
        self._now = now
        self._known: dict[str, set[Kind]] = {}

    @property
    def _documents(self) -> Documents:
        return self._connect_documents()

    @property
    def _warehouse(self) -> Warehouse:
        return self._connect_warehouse()

    def knows(self, view: str, kinds: frozenset[Kind]) -> bool:
        """True where the table exists and has a column for each kind."""
        known = self._known.get(view)
        return known is not None and (kinds <= known or len(known) > MOST_KINDS)

    def forget(self, view: str) -> None:
        """Look again at the next document: the table was gone."""
        self._known.pop(view, None)

    def learn(self, record: type[Record], names: Mapping[str, str], kinds: frozenset[Kind]) -> None:
        """Make the tables unless they exist, and a column for each kind that is new. Before the row is written.

        A repeat finds everything there. Of a crash between the steps each is found by the next that looks: tables
        without a note of them are made (they exist), columns that the view lacks are counted. TenantNotProvisioned
        where the dataset is a tenant's that does not exist.
        """
        dataset = dataset_of(record, names)
        view = view_name(record, dataset)
        path = f"streamed_tables/{view}"
        found = self._documents.get(path)
        if found is None or view not in self._known:
            self._make(record, dataset, names, exists=found is not None)

        def widen(values: dict[str, Any] | None) -> dict[str, Any] | None:
            table = StreamedTable.model_validate(values or self._new(record, view, names))
            if _path(of_table(table)[0]) != _path(record):
                raise Rejected("another collection has a table of that name", table=view)
            columns = learn(table.columns, kinds, RESERVED)
            if values and columns == tuple(table.columns):
                return None
            return table.model_copy(update={"columns": list(columns)}).document()

        table = StreamedTable.model_validate(self._documents.transact(path, widen) or self._documents.get(path))
        if table.view_columns != len(table.columns):
            self._show(record, dataset, table)
        self._known.setdefault(view, set()).update(kinds, ((column.field, column.kind) for column in table.columns))

    def _make(self, record: type[Record], dataset: str, names: Mapping[str, str], exists: bool) -> None:
        if exists and self._warehouse.exists(view_name(record, dataset)):
            return
        if not self._warehouse.exists(dataset):
            if record.table is not None and PLACEHOLDER.search(record.table.dataset):
                raise TenantNotProvisioned("the dataset does not exist", dataset=dataset)
            self._warehouse.ensure_dataset(dataset)
        provision(self._warehouse, record, names)

    def _new(self, record: type[Record], view: str, names: Mapping[str, str]) -> dict[str, Any]:
        pattern = pattern_of(record)
        used = {*PLACEHOLDER.findall(pattern.table)}
        return StreamedTable(
            view=view,
            pattern=pattern.model_dump(),
            names={name: value for name, value in names.items() if name in used},
            tenant_id=names.get("tenant_id"),
            created_at=self._now(),
        ).document()

    def _show(self, record: type[Record], dataset: str, table: StreamedTable) -> None:
        merged = self._documents.get(f"merges/{table.view}")
        # Perhaps older than what a merge sets at this moment: always correct, and mended by the next one.
        tail_from = merged["tail_from"] if merged else BEGINNING
        self._warehouse.ensure_view(table.view, exact_view(record, dataset, tail_from, table.columns))
        shown = len(table.columns)

        def note(values: dict[str, Any] | None) -> dict[str, Any] | None:
            return {**values, "view_columns": max(shown, values["view_columns"])} if values else None

        self._documents.transact(f"streamed_tables/{table.view}", note)


def _path(record: type[Record]) -> str:
    return record.collection.path if record.collection else ""


def learned_columns(documents: Documents, view: str) -> list[LearnedColumn]:
    """The typed columns of an undeclared collection's view; none where it has no tables yet."""
    values = documents.get(f"streamed_tables/{view}")
    return StreamedTable.model_validate(values).columns if values else []


def streamed_tables(
    documents: Documents, tenant_id: str | None = None
) -> Iterator[tuple[type[Record], Mapping[str, str]]]:
    """Every undeclared collection that has tables, of one tenant or of all: its record and its names.

    One that was declared since is none: its tables are the declared record's.
    """
    declared = {record.table.name for record in streamed_records() if record.table is not None}
    where: list[tuple[str, str, Any]] = []
    if tenant_id is not None:
        where.append(("tenant_id", "==", tenant_id))
    for _, values in documents.find("streamed_tables", where=where):
        record, names = of_table(StreamedTable.model_validate(values))
        if record.table is not None and record.table.name not in declared:
            yield record, names


def of_table(table: StreamedTable) -> tuple[type[Record], Mapping[str, str]]:
    """The record and the names of one undeclared collection that has tables."""
    return Pattern.model_validate(table.pattern).record(table.names), table.names
