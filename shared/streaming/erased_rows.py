"""Erasing rows of documents: from every table that has the column `document_name`.

That is logs and bases, declared or not, staging tables of copies, logs of the extension that were adopted, and what a
later issue adds. The tables are asked for, not computed: a table whose collection nobody declares any more is found.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from shared.erasure.places import Place
from shared.erasure.store import Needs, Stage
from shared.erasure.subject import Kind, Subject
from shared.errors import AppError, Unavailable
from shared.schema.record import GROUP, PLACEHOLDER, Collection
from shared.schema.registry import records
from shared.schema.sql import render
from shared.streaming.merge import LEASE_SECONDS
from shared.streaming.streams import Pattern
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
        tables = {held.name: held for held in self._tables(subject)}
        if not tables:
            return {}
        names = {name: self._names(held, subject) for name, held in tables.items()}
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
        with ExitStack() as leases:
            tables = list(self._tables(subject))
            busy = self._hold({held.view for held in tables if held.table.endswith("_base")}, leases)
            for held in tables:
                names = self._names(held, subject)
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

    def _tables(self, subject: Subject) -> Iterator[Held]:
        warehouse = self._needs.warehouse()
        for dataset, pattern in self._datasets(subject, warehouse.datasets()).items():
            rows = warehouse.query(render("streaming/sql/tables_of_documents.sql", dataset=dataset))
            for row in sorted(rows, key=lambda row: (row["table_name"].endswith("_base"), row["table_name"])):
                columns = frozenset(row["columns"])
                if "document_name" in columns or (subject.kind == "tenant" and "tenant_id" in columns):
                    yield Held(dataset, row["table_name"], columns, f"{pattern}.{row['table_name']}")

    def _datasets(self, subject: Subject, existing: list[str]) -> dict[str, str]:
        """Existing dataset -> how it is declared. One that is the tenant's own is dropped whole, elsewhere."""
        found: dict[str, str] = {}
        for declared, known in sorted(self._declared(subject).items()):
            if subject.kind == "tenant" and PLACEHOLDER.findall(declared) == ["tenant_id"]:
                continue
            shape = re.compile(PLACEHOLDER.sub("{}", declared).format(*_shapes(declared, known)))
            found |= {name: declared for name in existing if shape.fullmatch(name)}
        return found

    def _declared(self, subject: Subject) -> dict[str, dict[str, str]]:
        """Datasets that rows of the subject go to -> values of the placeholders in their names, as far as known."""
        streamed = [(each.collection, each.table.dataset) for each in records() if each.collection and each.table]
        for pattern, adopted in self._patterns():
            collection = Collection(pattern.path, database=pattern.database)
            streamed += [(collection, name.partition(".")[0]) for name in (pattern.table, adopted) if name]
        found: dict[str, dict[str, str]] = {}
        for collection, dataset in streamed:
            known = on_the_way(collection.path, subject.path)
            if known is not None and (subject.kind == "tenant" or collection.database == subject.database):
                found[dataset] = known
        if subject.kind == "tenant":
            found |= {each.table.dataset: {} for each in records() if each.table and "tenant_id" in each.model_fields}
        return found

    def _names(self, held: Held, subject: Subject) -> dict[str, str]:
        """Parameters that name the documents, those that the table can be asked for."""
        names: dict[str, str] = {}
        if "document_name" in held.columns:
            databases = self._databases(subject)
            # The extension's import writes (default) for whatever database; its log has no `version`.
            if "version" not in held.columns and self._adopted(held, subject):
                databases = sorted({*databases, "(default)"})
            names |= {_parameter(each): subject.full_name(self._needs.project, each) for each in databases}
        if subject.kind == "tenant" and subject.tenant_id and "tenant_id" in held.columns:
            names["tenant_id"] = subject.tenant_id
        return names

    def _databases(self, subject: Subject) -> list[str]:
        if subject.kind == "document":
            return [subject.database]
        return sorted({*self._needs.databases, *(pattern.database for pattern in self._needs.patterns())})

    def _adopted(self, held: Held, subject: Subject) -> bool:
        """True for the extension's log of a named database's collection, which holds no other database's rows."""
        return any(held.name == adopted and each.database == subject.database for each, adopted in self._patterns())

    def _patterns(self) -> Iterator[tuple[Pattern, str | None]]:
        """Patterns, and the extension's log that was adopted for one."""
        yield from ((pattern, None) for pattern in self._needs.patterns())
        for _, values in self._needs.ops().find("streams"):
            with suppress(ValidationError):  # by a pattern that is not valid nothing was ever streamed
                yield Pattern.model_validate(values.get("pattern")), values.get("adopted_log")


def on_the_way(collection: str, path: str) -> dict[str, str] | None:
    """The placeholders' values where documents of a collection are, or lie below, the document; None elsewhere."""
    if collection.startswith(GROUP):
        return {}
    expected, parts = collection.split("/"), path.split("/")
    if len(expected) < len(parts) - 1:
        return None
    known = {}
    for part, value in zip(expected, parts, strict=False):
        if part.startswith("{"):
            known[part[1:-1]] = value
        elif part != value:
            return None
    return known


def _shapes(name: str, known: Mapping[str, str]) -> Iterator[str]:
    """Each placeholder of a name as an expression: its value, or any."""
    return (re.escape(known[each]) if each in known else r"\w+" for each in PLACEHOLDER.findall(name))


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
