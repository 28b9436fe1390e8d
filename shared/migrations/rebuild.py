"""Making a plain table anew as it is declared now: NOT NULL, other names, without a column, another layout.

BigQuery cannot alter a column to NOT NULL: a new table, a copy of the rows, and the new in place of the old.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from shared.errors import Rejected, Unavailable
from shared.migrations.columns import present_columns
from shared.migrations.step import Place, is_here, table_of
from shared.schema.bigquery import plain_table
from shared.schema.record import Record
from shared.schema.sql import render

LEASE_SECONDS = 3_600.0


@dataclass(frozen=True)
class Rebuild:
    """The table of a record that no document is streamed into. Columns that are not declared go.

    renamed: new name -> old one. while_holding: leases of those who write the table (`etl:{tenant_id}`): rows that
    came during the copy would be lost.
    The old table is kept as `<table>_before_<migration>` until the migration is confirmed.

    A crash is harmless: the old rows are under one of the two names at any moment, and a repeat begins with what is
    there. The table is away while it is put in place, some seconds: queries of it fail meanwhile and may be repeated.
    """

    record: type[Record]
    while_holding: tuple[str, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def records(self) -> Sequence[type[Record]]:
        return (self.record,)

    def pending(self, at: Place) -> Mapping[str, int]:
        if not is_here(self.record, at.names):
            return {}
        dataset, table = at.dataset(self.record), table_of(self.record).table
        present, declared = present_columns(at, dataset, table), self._declared()
        differing = sum(present.get(name) != required for name, required in declared.items())
        differing += len(present.keys() - declared.keys())
        return {f"columns of {dataset}.{table}": differing} if differing else {}

    def apply(self, at: Place) -> Sequence[str]:
        if not is_here(self.record, at.names):
            return ()
        with ExitStack() as leases:
            for resource in self.while_holding:
                resource = resource.format(**at.names)
                if not leases.enter_context(at.leases.hold(resource, LEASE_SECONDS, holder=at.migration_id)):
                    raise Unavailable("the table is being written", lease=resource)
            return self._rebuild(at)

    def _rebuild(self, at: Place) -> Sequence[str]:
        dataset, table = at.dataset(self.record), table_of(self.record).table
        old, new = f"{dataset}.{table}", f"{dataset}.{table}_new"
        before = f"{old}_before_{at.migration_id}"
        if not self.pending(at):
            at.warehouse.drop_table(new)
            return (before,) if at.warehouse.exists(before) else ()
        if at.warehouse.exists(old):
            # Anew: since an attempt that failed rows may have come.
            at.warehouse.drop_table(before)
            at.warehouse.copy_table(old, before)
        # From here on the rows of before are safe: whatever is under the other names may be made again.
        self._check(at, before)
        at.warehouse.drop_table(new)
        at.warehouse.ensure_table(dataset, replace(plain_table(self.record), table=f"{table}_new"))
        names = {"new": new, "old": before, "columns": self._sources(at, before)}
        at.warehouse.execute(render("migrations/sql/rebuild.sql", **names))
        copied = at.warehouse.query(render("migrations/sql/same_size.sql", new=new, old=before))[0]
        if copied["new_rows"] != copied["old_rows"]:
            raise Unavailable("the copy is not complete", **copied)
        at.warehouse.drop_table(old)
        at.warehouse.copy_table(new, old)
        at.warehouse.drop_table(new)
        at.count(f"rows of {old}", copied["new_rows"])
        return (before,)

    def _declared(self) -> dict[str, bool]:
        return {column.name: column.mode == "REQUIRED" for column in plain_table(self.record).columns}

    def _sources(self, at: Place, before: str) -> dict[str, str]:
        """Declared column -> the column it is copied from, where there is one."""
        present = present_columns(at, *before.split("."))
        wanted = {name: self.renamed.get(name, name) for name in self._declared()}
        return {name: source for name, source in wanted.items() if source in present}

    def _check(self, at: Place, before: str) -> None:
        """Rejected where a column that is to be NOT NULL has no value: BigQuery would refuse the copy half way."""
        sources = self._sources(at, before)
        required = [name for name, needed in self._declared().items() if needed]
        missing = [name for name in required if name not in sources]
        if missing:
            raise Rejected("a column that is to be required is not there", columns=missing, table=before)
        columns = {name: sources[name] for name in required}
        if columns:
            found = at.warehouse.query(render("migrations/sql/nulls.sql", table=before, columns=columns))[0]
            empty = {name: rows for name, rows in found.items() if rows}
            if empty:
                raise Rejected("columns that are to be required have rows without a value", rows=empty, table=before)
