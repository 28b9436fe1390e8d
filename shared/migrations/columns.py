"""Steps that add columns and fill them by SQL."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.migrations.step import Place, is_here, table_of
from shared.schema.bigquery import TableDefinition, plain_table
from shared.schema.record import Record
from shared.schema.sql import render
from shared.streaming.tables import base_table, log_table, provision


@dataclass(frozen=True)
class AddColumns:
    """The columns that the records declare and their tables lack, as NULLABLE; tables that are missing are made.

    A repeat finds them there. Code that does not know a column goes on writing rows without it.
    """

    added_to: tuple[type[Record], ...]

    @property
    def records(self) -> Sequence[type[Record]]:
        return self.added_to

    def pending(self, at: Place) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for record in self._here(at):
            for definition in physical(record):
                dataset = at.dataset(record)
                present = present_columns(at, dataset, definition.table)
                missing = set(definition.column_names()) - present.keys()
                if missing:
                    found[f"columns of {dataset}.{definition.table}"] = len(missing)
        return found

    def apply(self, at: Place) -> Sequence[str]:
        for record in self._here(at):
            if record.streamed():
                provision(at.warehouse, record, at.names)
            else:
                at.warehouse.ensure_table(at.dataset(record), plain_table(record))
        return ()

    def _here(self, at: Place) -> Iterator[type[Record]]:
        return (record for record in self.added_to if is_here(record, at.names))


@dataclass(frozen=True)
class Update:
    """A column, by SQL where it is NULL: `Update(ContentPiece, "new_field", "'default_value'")`.

    The expression may use the row's other columns; of a streamed record `data`, the whole document as JSON. Idempotent,
    as what was filled is no longer NULL. Rows that are written meanwhile are found by a repeat.
    """

    record: type[Record]
    column: str
    expression: str

    @property
    def records(self) -> Sequence[type[Record]]:
        return (self.record,)

    def pending(self, at: Place) -> Mapping[str, int]:
        return {f"rows of {name}": rows for name, rows in self._null_rows(at) if rows}

    def apply(self, at: Place) -> Sequence[str]:
        for name, rows in self._null_rows(at):
            if rows:
                sql = render("migrations/sql/update.sql", table=name, column=self.column, expression=self.expression)
                at.count(f"rows of {name}", at.warehouse.execute(sql))
        return ()

    def _null_rows(self, at: Place) -> Iterator[tuple[str, int]]:
        if not is_here(self.record, at.names):
            return
        for definition in physical(self.record):
            name = f"{at.dataset(self.record)}.{definition.table}"
            values = {"table": name, "column": self.column, "expression": self.expression}
            yield name, at.warehouse.query(render("migrations/sql/left_to_update.sql", **values))[0]["row_count"]


def physical(record: type[Record]) -> tuple[TableDefinition, ...]:
    """The tables of a record that hold rows; of a streamed one the log first, of which the base is made."""
    table_of(record)
    return (log_table(record), base_table(record)) if record.streamed() else (plain_table(record),)


def present_columns(at: Place, dataset: str, table: str) -> dict[str, bool]:
    """Columns that a table has -> whether they are REQUIRED; nothing where there is no table."""
    rows = at.warehouse.query(render("migrations/sql/columns.sql", dataset=dataset), table_name=table)
    return {row["column_name"]: row["is_nullable"] == "NO" for row in rows}
