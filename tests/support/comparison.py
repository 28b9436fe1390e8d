"""What the warehouse holds, compared with a simulated Firestore: each row of views and bases, each change in logs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from shared.schema.ports import Warehouse
from shared.streaming.tables import base_table, dataset_of, log_table, typed_columns, view_name
from tests.support.history import TABLES, WITHOUT_TABLES, Document, Fields, Identity, Table, Write, moment

MISSING = tuple(table for table in TABLES if table.tenant == WITHOUT_TABLES)
UNDECLARED = tuple(table for table in TABLES if not table.declared)
"""Their tables are made when the first document is seen."""
PROVISIONED = tuple(table for table in TABLES if table not in MISSING + UNDECLARED)
Rows = dict[str, dict[str, Any]]


@dataclass
class Comparison:
    """Notes what differs; `duplicates` are rows of a document beyond its first."""

    warehouse: Warehouse
    differences: list[str] = field(default_factory=list)
    duplicates: int = 0

    def views(self, what: str, expected: Mapping[str, Document], base: bool = False) -> None:
        """Compare every view, or the live rows of every base, with documents."""
        for table in TABLES:
            if table in MISSING and not any(document.table is table for document in expected.values()):
                continue
            rows = {path: row(document, base) for path, document in expected.items() if document.table is table}
            self.same(f"{what} of {table.collection}", self.rows(table, base), rows)

    def rows(self, table: Table, base: bool) -> Rows:
        """A view, or the live rows of a base, by path."""
        name = base_name(table) if base else view_of(table)
        where = "NOT deleted AND refused_reason IS NULL" if base else "TRUE"
        sql = f"SELECT document_name, {', '.join(_columns(table, base))} FROM `{name}` WHERE {where}"
        rows = self.warehouse.query(sql)
        found = {_path(values.pop("document_name")): _read(values) for values in map(dict, rows)}
        self.duplicates += len(rows) - len(found)
        return found

    def log(self, table: Table) -> list[tuple[Identity, dict[str, Any]]]:
        """The rows of a changelog."""
        sql = (
            "SELECT document_name, version, deleted, operation, data, old_data, refused_reason IS NOT NULL AS refused "
            f"FROM `{log_name(table)}`"
        )
        found = []
        for values in map(dict, self.warehouse.query(sql)):
            version = (values.pop("version") - moment(0)) // timedelta(microseconds=1)
            found.append(((values.pop("document_name"), version, values.pop("deleted")), _read(values)))
        return found

    def same(self, what: str, found: Mapping[Any, Any], expected: Mapping[Any, Any]) -> None:
        """Note what is missing, too much or different."""
        missing, extra = expected.keys() - found.keys(), found.keys() - expected.keys()
        other = [key for key in expected.keys() & found.keys() if expected[key] != found[key]]
        for kind, keys in (("missing", missing), ("too many", extra), ("different", other)):
            for key in sorted(keys, key=str)[:3]:
                said = f"{found.get(key)} instead of {expected.get(key)}"
                self.differences.append(f"{what}: {kind} {len(keys)}, for example {key}: {said}"[:1500])

    def log_size(self) -> int:
        """Rows of all changelogs."""
        sql = " UNION ALL ".join(f"SELECT COUNT(*) AS n FROM `{log_name(table)}`" for table in TABLES)
        return sum(row["n"] for row in self.warehouse.query(sql))


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


def logged(write: Write) -> dict[str, Any]:
    """The row of a change in its log."""
    refused = write.fields is not None and not write.table.takes(write.fields)
    return {"operation": write.operation, "data": write.fields, "old_data": write.old_fields, "refused": refused}


def log_name(table: Table) -> str:
    """`dataset.table` of a changelog."""
    return f"{dataset_of(table.record, table.names)}.{log_table(table.record).table}"


def base_name(table: Table) -> str:
    """`dataset.table` of a base."""
    return f"{dataset_of(table.record, table.names)}.{base_table(table.record).table}"


def view_of(table: Table) -> str:
    """`dataset.view`."""
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
