"""The arrival ledger by collection and day, in BigQuery: what of each day came how far."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from shared.analytics.conservation import Held
from shared.analytics.records import ArrivalDay
from shared.schema.bigquery import plain_table
from shared.schema.ports import Warehouse
from shared.schema.sql import render
from shared.sources.source import source_collections


@dataclass(frozen=True)
class Missing:
    """Rows of a collection that are missing; unaggregated: those of them that are in its table, and in no metrics."""

    rows: int
    unaggregated: int


class ArrivalDays:
    """The ledger of one tenant."""

    def __init__(self, warehouse: Warehouse, tenant_id: str) -> None:
        self._warehouse = warehouse
        self._dataset = f"aso_tenant_{tenant_id}"

    def keep(self, arrived: Sequence[ArrivalDay]) -> None:
        """Keep what became of the documents of one sync."""
        self._ensure()
        self._merge("keep_arrivals", [row.model_dump() for row in arrived], [row.date for row in arrived])

    def look(self, told: Mapping[str, frozenset[date]], held: Iterable[Held]) -> None:
        """Count the rows of days that were made anew, or of which something did not arrive, and those in the metrics.

        told: raw table -> the days that changed rows tell of.
        """
        self._ensure()
        lost = dict[tuple[str, date], int]()
        for each in held:
            key = each.measure.table, each.day
            lost[key] = max(each.rows_in - each.aggregated, lost.get(key, 0))
        touched = {*lost, *((name, day) for name, days in told.items() for day in days)}
        sql = render("analytics/sql/ledger_days.sql", dataset=self._dataset)
        found = self._warehouse.query(sql, days=sorted({day for _, day in touched}))
        known = [(row["collection_name"], row["day"], row["is_open"]) for row in found]
        wanted = sorted((name, day) for name, day, is_open in known if is_open or (name, day) in touched)
        counted = self._row_counts(wanted)
        rows = []
        for name, day in wanted:
            there = counted.get((name, day), 0)
            aggregated = max(there - lost[name, day], 0) if (name, day) in lost else None
            rows.append({"collection_name": name, "day": day, "row_count": there, "aggregated": aggregated})
        self._merge("keep_row_counts", rows, [day for _, day in wanted])

    def missing(self, day: date) -> dict[str, Missing]:
        """What is missing of each collection, as of a day."""
        sql = render("analytics/sql/still_missing.sql", dataset=self._dataset)
        return {
            row["collection_name"]: Missing(row["missing"], row["unaggregated"])
            for row in self._warehouse.query(sql, day=day)
        }

    def _row_counts(self, wanted: Sequence[tuple[str, date]]) -> dict[tuple[str, date], int]:
        tables = sorted({name for name, _ in wanted} & set(source_collections()))
        if not tables:
            return {}
        sql = render("analytics/sql/day_rows.sql", dataset=self._dataset, tables=tables)
        rows = self._warehouse.query(sql, days=sorted({day for _, day in wanted}))
        return {(row["collection_name"], row["day"]): row["row_count"] for row in rows}

    def _ensure(self) -> None:
        self._warehouse.ensure_table(self._dataset, plain_table(ArrivalDay))

    def _merge(self, name: str, rows: Sequence[Mapping[str, Any]], days: Sequence[date]) -> None:
        if rows:
            self._warehouse.execute(
                render(f"analytics/sql/{name}.sql", dataset=self._dataset),
                rows=orjson.dumps(list(rows)).decode(),
                first_day=min(days),
                last_day=max(days),
            )
