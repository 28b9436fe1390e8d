"""The raw tables as the table of tables and that of their columns know them."""

from dataclasses import dataclass
from functools import cache

import orjson

from shared.analytics.entities import RAW_TABLES
from shared.schema.bigquery import columns
from shared.schema.registry import streamed_records
from shared.sources.records.row import Measured, SourceRow

COUNTED = ("sessions", "cost", "revenue")


@dataclass(frozen=True)
class RawTable:
    """One raw table whose rows tell of days.

    watched: column -> True where it holds text, which may be empty without being NULL.
    """

    name: str
    source: str
    measured: Measured
    watched: dict[str, bool]

    @property
    def counted(self) -> list[str]:
        """Which of sessions, cost and revenue it has."""
        return [kind for kind in COUNTED if getattr(self.measured, kind)]

    @property
    def mapped(self) -> list[str]:
        """Which of them its rows have under names that may be those of entities, or of none."""
        return self.counted if self.measured.alias else []

    @property
    def nothing(self) -> str:
        """What it measures on a day without rows, as JSON."""
        zeros = ["row_count", *self.counted, *(f"unmapped_{kind}" for kind in self.mapped)]
        zeros += ["foreign_rows"] if self.measured.currency else []
        return orjson.dumps(dict.fromkeys(zeros, 0)).decode()


@cache
def raw_tables() -> tuple[RawTable, ...]:
    """Those that entities are made of."""
    found = []
    for record in streamed_records():
        if issubclass(record, SourceRow) and record.table is not None and record.table.table in RAW_TABLES:
            types = {column.name: column.type for column in columns(record)}
            watched = {name: types[name] == "STRING" for name in record.watched}
            source = str(record.model_fields["source"].default)
            found.append(RawTable(record.table.table, source, record.measured, watched))
    return tuple(sorted(found, key=lambda table: table.name))
