"""Erasing rows of documents: from every table that has the column `document_name`.

That is logs and bases, declared or not, staging tables of copies, logs of the extension that were adopted, and what a
later issue adds. The tables are asked for, not computed: a table whose collection nobody declares any more is found;
in which datasets, destinations.py says.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from shared.erasure.places import Place
from shared.erasure.store import Needs, Stage
from shared.erasure.subject import Kind, Subject
from shared.errors import AppError, Unavailable
from shared.schema.record import PLACEHOLDER
from shared.schema.registry import records
from shared.schema.sql import render
from shared.streaming.destinations import Destination, databases_of, destinations
from shared.streaming.merge import LEASE_SECONDS
from shared.streaming.tables import BEGINNING

LAST = datetime(9999, 1, 1, tzinfo=BEGINNING.tzinfo)


@dataclass(frozen=True)
class Held:
    """One physical table that may hold rows of the subject."""

    dataset: str
    table: str
    columns: frozenset[str]
    place: str
    """Its name with the placeholders that tell the tenant."""

    @property
    def name(self) -> str:
        """`dataset.table`."""
        return f"{self.dataset}.{self.table}"

    @property
    def view(self) -> str:
        """The view whose merge reads or writes the table."""
        return f"{self.dataset}.{self.table.removesuffix('_base').removesuffix('_raw_changelog')}"


class DocumentRows:
    """Rows by the name of their document; a tenant's in datasets that are not its own, by name or `tenant_id`.

    Logs before bases, under the merge's lease: a merge that has read the log cannot write into the base afterwards.
    """

    name = "rows"
    stage = Stage.ROWS

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    def covers(self, place: Place, kind: Kind) -> bool:
        if place.kind != "table" or place.record is None:
            return False
        if kind == "document":
            return place.record.streamed()
        own = PLACEHOLDER.findall(place.name.partition(".")[0]) == ["tenant_id"]
        return not own and (place.record.streamed() or place.has("tenant_id"))

    def count(self, subject: Subject) -> Mapping[str, int]:
        places = destinations(self._needs, subject)
        tables = {held.name: held for held in self._tables(subject, places)}
        if not tables:
            return {}
        names = {name: self._names(held, subject, places) for name, held in tables.items()}
        # One statement: it takes as long as the largest table, not as long as all of them.
        sql = "\nUNION ALL\n".join(_sql(held, names[name]) for name, held in tables.items())
        values = {key: value for each in names.values() for key, value in each.items()}
        found: dict[str, int] = {}
        for row in self._needs.warehouse().query(sql, **_values(values, subject)):
            place = tables[row["table_name"]].place
            found[place] = found.get(place, 0) + row["row_count"]
        return found

    def erase(self, subject: Subject) -> list[str]:
        done, later = [], {}
        places = destinations(self._needs, subject)
        with ExitStack() as leases:
            tables = list(self._tables(subject, places))
            busy = self._hold({held.view for held in tables if held.table.endswith("_base")}, leases)
            for held in tables:
                names = self._names(held, subject, places)
                try:
                    if held.view in busy:
                        raise Unavailable("a merge is at work")
                    sql = _sql(held, names, delete=True)
                    if self._needs.warehouse().execute(sql, **_values(names, subject)):
                        done.append(sql.replace(held.name, held.place))
                except AppError as error:
                    # Rows that came by insertAll cannot be deleted for 30 minutes; the others must not wait for them.
                    later[held.place] = error.message
        if later:
            raise Unavailable("not every table could be erased", **later)
        return done

    def _hold(self, views: set[str], leases: ExitStack) -> set[str]:
        held = {view: leases.enter_context(self._needs.leases().hold(f"merge:{view}", LEASE_SECONDS)) for view in views}
        return {view for view, ours in held.items() if not ours}

    def _tables(self, subject: Subject, places: Iterable[Destination]) -> Iterator[Held]:
        warehouse = self._needs.warehouse()
        for dataset, pattern in self._datasets(subject, places, warehouse.datasets()).items():
            rows = warehouse.query(render("streaming/sql/tables_of_documents.sql", dataset=dataset))
            for row in sorted(rows, key=lambda row: (row["table_name"].endswith("_base"), row["table_name"])):
                columns = frozenset(row["columns"])
                if "document_name" in columns or (subject.kind == "tenant" and "tenant_id" in columns):
                    yield Held(dataset, row["table_name"], columns, f"{pattern}.{row['table_name']}")

    def _datasets(self, subject: Subject, places: Iterable[Destination], existing: Iterable[str]) -> dict[str, str]:
        """Existing dataset -> how it is declared. One that is the tenant's own is dropped whole, elsewhere."""
        shapes = [(each.dataset, each.shape(known)) for each in places if (known := each.known(subject)) is not None]
        if subject.kind == "tenant":
            tables = [each.table for each in records() if each.table and "tenant_id" in each.model_fields]
            shapes += [(table.dataset, Destination("", "", table.dataset).shape({})) for table in tables]
            shapes = [(name, shape) for name, shape in shapes if PLACEHOLDER.findall(name) != ["tenant_id"]]
        found: dict[str, str] = {}
        for declared, shape in sorted(shapes, key=lambda each: each[0]):
            found |= {name: declared for name in existing if shape.fullmatch(name)}
        return found

    def _names(self, held: Held, subject: Subject, places: Iterable[Destination]) -> dict[str, str]:
        """Parameters that name the documents, those that the table can be asked for."""
        names: dict[str, str] = {}
        if "document_name" in held.columns:
            databases = databases_of(self._needs, subject, places)
            # The extension's import writes (default) for whatever database; its log has no `version`.
            if "version" not in held.columns and _adopted(held, subject, places):
                databases = sorted({*databases, "(default)"})
            names |= {_parameter(each): subject.full_name(self._needs.project, each) for each in databases}
        if subject.kind == "tenant" and subject.tenant_id and "tenant_id" in held.columns:
            names["tenant_id"] = subject.tenant_id
        return names


def _adopted(held: Held, subject: Subject, places: Iterable[Destination]) -> bool:
    """True for the extension's log of a named database's collection, which holds no other database's rows."""
    return any((held.name, subject.database) == (each.adopted_log, each.database) for each in places)


def _sql(held: Held, names: Mapping[str, str], delete: bool = False) -> str:
    return render(
        "streaming/sql/rows_of_document.sql",
        table=held.name,
        delete=delete,
        names=[name for name in names if name.startswith("name_")],
        by_tenant="tenant_id" in names,
        order=next((name for name in ("version", "timestamp") if name in held.columns), None),
    )


def _parameter(database: str) -> str:
    return f"name_{re.sub(r'[^A-Za-z0-9]', '_', database)}"


def _values(names: Mapping[str, str], subject: Subject) -> dict[str, object]:
    until = subject.until if subject.kind == "document" else None
    return {**names, "until": until or LAST}
