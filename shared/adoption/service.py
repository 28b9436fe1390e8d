"""Adopting a changelog of the extension firestore-bigquery-export: its rows are read in place, its collection streamed.

Every step can be repeated and stopped anywhere: what says that a table is ours is written before the table, what says
that a step was done after it.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from shared.adoption.extension import LATEST_COLUMNS, Extension, Target
from shared.adoption.inspection import Inspection, inspect
from shared.adoption.records import Adoption, ReplacedView
from shared.adoption.schema_views import Schema, schema_view
from shared.errors import BadRequest, NotFound, Rejected, Unavailable
from shared.ops.leases import Leases
from shared.schema.ports import Documents, Warehouse
from shared.schema.sql import render
from shared.streaming.records import StreamedTable, StreamPattern
from shared.streaming.streams import Pattern
from shared.streaming.undeclared import UndeclaredTables

LEASE_SECONDS = 600.0
MATERIALIZED = "MATERIALIZED VIEW"


class NotAdoptable(Rejected):
    """Something stands in the way; `problems` says what."""


class Adopter:
    """Adopts logs of the extension, shows their views, and goes back."""

    def __init__(
        self,
        warehouse: Warehouse,
        documents: Documents,
        leases: Leases,
        tables: UndeclaredTables,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._warehouse = warehouse
        self._documents = documents
        self._leases = leases
        self._tables = tables
        self._now = now

    def inspect(self, extension: Extension) -> Inspection:
        """What the log holds, and what stands in the way. Changes nothing."""
        found = inspect(self._warehouse, extension)
        if found.problems:
            return found
        known = self._adoption(extension)
        if known and (known.path, known.database) != (extension.pattern.path, extension.pattern.database):
            found.problems.append(f"it was adopted for {known.path} of {known.database}")
        for target in self._targets(extension, found):
            found.problems += self._taken(extension, target, known)
        return found

    def adopt(self, extension: Extension, found: Inspection) -> dict[str, int]:
        """Stream the collection, and build its current tables and histories; rows changed by table.

        A repeat takes in what the extension has logged since, and changes nothing else. NotAdoptable where something
        stands in the way; Unavailable where somebody else is at it.
        """
        if found.problems:
            raise NotAdoptable("the log cannot be adopted", problems="; ".join(found.problems))
        with self._leases.hold(f"adopt:{extension.log}", LEASE_SECONDS) as held:
            if not held:
                raise Unavailable("another worker adopts the log", log=extension.log)
            self._claim(extension)
            changed = {}
            for target in self._targets(extension, found):
                self._tables.learn(target.record, target.names, frozenset())
            self._stream(extension)
            for target in self._targets(extension, found):
                changed[target.base] = self._build(extension, target, found)
                self._warehouse.ensure_view(target.history, extension.history(target, found.columns))
            self._note(extension, built_at=self._now(), undone_at=None)
        return changed

    def show(self, extension: Extension, found: Inspection, schemas: Mapping[str, Schema]) -> list[str]:
        """Put Scout's views under the extension's names; what stood there is kept, so that `undo` restores it."""
        if self._adoption(extension) is None:
            raise NotFound("the log is not adopted", log=extension.log)
        shown = []
        for target in self._targets(extension, found):
            for name, sql in self._views(extension, target, found, schemas):
                self._keep(extension, name)
                self._warehouse.ensure_view(name, sql)
                shown.append(name)
        return shown

    def undo(self, log: str) -> Adoption:
        """Put back the views that stood there, and stream the collection no longer.

        Tables stay: the extension's log as it always was, Scout's as they are now. What is to be put back is forgotten
        last, so a repeat after a crash puts back the same, and any other repeat changes nothing.
        """
        values = self._documents.get(f"adoptions/{log}")
        if values is None:
            raise NotFound("the log is not adopted", log=log)
        adoption = Adoption.model_validate(values)
        for view in adoption.replaced:
            self._restore(view)
        self._documents.delete(f"streams/{adoption.stream_id}")
        undone = adoption.model_copy(update={"undone_at": self._now(), "replaced": []})
        self._documents.put(f"adoptions/{log}", undone.document())
        return adoption

    def _targets(self, extension: Extension, found: Inspection) -> Iterator[Target]:
        return map(extension.target, found.values)

    def _taken(self, extension: Extension, target: Target, known: Adoption | None) -> Iterator[str]:
        """Tables of that name that are somebody else's."""
        values = self._documents.get(f"streamed_tables/{target.view}")
        if values is not None:
            streamed = Pattern.model_validate(StreamedTable.model_validate(values).pattern)
            # What else the pattern says may have been changed since, by hand.
            if (streamed.path, streamed.database) != (extension.pattern.path, extension.pattern.database):
                yield f"{target.view} holds {streamed.path} of {streamed.database}: say another --table"
        elif known is None:
            names = (target.view, target.base, target.own_log, target.history)
            for name in self._kinds(target.dataset, [name.partition(".")[2] for name in names]):
                yield f"{target.dataset}.{name} exists and is not Scout's: say another --table"

    def _claim(self, extension: Extension) -> None:
        adoption = Adoption(
            log=extension.log,
            stream_id=extension.stream_id,
            path=extension.pattern.path,
            database=extension.pattern.database,
            started_at=self._now(),
        )
        self._documents.create(f"adoptions/{extension.log}", adoption.document())

    def _stream(self, extension: Extension) -> None:
        pattern = StreamPattern(
            stream_id=extension.stream_id,
            pattern=extension.pattern.model_dump(),
            adopted_log=extension.log,
            created_at=self._now(),
        )
        self._documents.create(f"streams/{extension.stream_id}", pattern.document())

    def _build(self, extension: Extension, target: Target, found: Inspection) -> int:
        # The merge's lease: two statements that change one table at a time would make one of them try again.
        with self._leases.hold(f"merge:{target.view}", LEASE_SECONDS) as held:
            if not held:
                raise Unavailable("another worker merges the table", table=target.view)
            return self._warehouse.execute(extension.build(target, found.columns), adopted_at=self._now())

    def _views(
        self, extension: Extension, target: Target, found: Inspection, schemas: Mapping[str, Schema]
    ) -> Iterator[tuple[str, str]]:
        columns = (*LATEST_COLUMNS, *(name for name in ("path_params",) if name in found.columns))
        there = self._columns(target.raw_latest)
        # Who selects by position from a view that is there finds every column where it was.
        if {*LATEST_COLUMNS} - {"old_data"} <= {*there} <= {*LATEST_COLUMNS, "path_params"}:
            columns = tuple(there)
        yield target.raw_latest, extension.latest(target, columns)
        for name, schema in schemas.items():
            yield target.schema_view(name, "latest"), schema_view(schema, "latest", target.raw_latest)
            yield target.schema_view(name, "changelog"), schema_view(schema, "changelog", target.history)

    def _keep(self, extension: Extension, name: str) -> None:
        """Remember what stood under a name, once: the second time it is ours."""
        adoption = self._adoption(extension)
        if adoption is None or any(view.name == name for view in adoption.replaced):
            return
        dataset, _, table = name.partition(".")
        kind = self._kinds(dataset, [table]).get(table, "")
        if kind and kind not in ("VIEW", MATERIALIZED):
            raise BadRequest("there is a table of that name", field=name, expected="a view, or nothing")
        kept = ReplacedView(name=name, kind=kind, definition=self._definition(dataset, table, kind))
        self._note(extension, replaced=[*adoption.replaced, kept])
        if kind == MATERIALIZED:
            self._drop(name, kind)

    def _definition(self, dataset: str, table: str, kind: str) -> str:
        if not kind:
            return ""
        source = "materialized_definition" if kind == MATERIALIZED else "view_definition"
        rows = self._warehouse.query(render(f"adoption/sql/{source}.sql", dataset=dataset), name=table)
        if not rows or not rows[0]["definition"]:
            raise BadRequest("its definition cannot be read, so it is not replaced", field=f"{dataset}.{table}")
        return str(rows[0]["definition"])

    def _restore(self, view: ReplacedView) -> None:
        dataset, _, table = view.name.partition(".")
        kind = self._kinds(dataset, [table]).get(table, "")
        if view.kind == "VIEW":
            self._warehouse.ensure_view(view.name, view.definition)
        elif kind == "VIEW":
            self._drop(view.name, kind)
        if view.kind == MATERIALIZED and kind != MATERIALIZED:
            self._warehouse.execute(view.definition)

    def _drop(self, name: str, kind: str) -> None:
        self._warehouse.execute(render("adoption/sql/drop_view.sql", name=name, kind=kind))

    def _kinds(self, dataset: str, names: list[str]) -> dict[str, str]:
        """Which of these names exist, and as what."""
        rows = self._warehouse.query(render("adoption/sql/objects.sql", dataset=dataset), names=names)
        return {row["name"]: row["kind"] for row in rows}

    def _columns(self, name: str) -> list[str]:
        dataset, _, table = name.partition(".")
        rows = self._warehouse.query(render("adoption/sql/columns.sql", dataset=dataset), name=table)
        return [row["column_name"] for row in rows]

    def _adoption(self, extension: Extension) -> Adoption | None:
        values = self._documents.get(f"adoptions/{extension.log}")
        return Adoption.model_validate(values) if values else None

    def _note(self, extension: Extension, **changes: object) -> None:
        def change(values: dict[str, object] | None) -> dict[str, object] | None:
            if values is None:
                return None
            return Adoption.model_validate(values).model_copy(update=changes).document()

        self._documents.transact(f"adoptions/{extension.log}", change)
