"""What the metrics hold of the raw rows that they were made of: a sum that no aggregation may change, day by day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from shared.analytics.days import changes
from shared.analytics.entities import Entity, Measure
from shared.schema.ports import Warehouse
from shared.schema.sql import render


@dataclass(frozen=True)
class Held:
    """One measure and day: raw rows, rows of metrics, what each of the two adds up to.

    unmapped: rows of metrics whose entity the map does not know.
    """

    measure: Measure
    day: date
    rows_in: int
    rows_out: int
    measure_in: Any
    measure_out: Any
    unmapped: int

    @property
    def is_short(self) -> bool:
        """True where the two differ."""
        return bool(self.measure_in != self.measure_out)

    @property
    def aggregated(self) -> int:
        """Raw rows that are in the metrics; of a day of which a part is missing, as large a part of its rows."""
        if self.measure_in <= 0 or self.measure_out >= self.measure_in:
            return self.rows_in
        return int(self.rows_in * max(self.measure_out, 0) / self.measure_in)


def held(
    warehouse: Warehouse,
    dataset: str,
    entities: Sequence[Entity],
    days: Sequence[date],
    started: datetime,
    settings: Mapping[str, Any],
) -> list[Held]:
    """What the metrics of these days hold; started: when they were begun to be made; settings: by which they were.

    What came into the log since is made with the next run, and missed only then.
    """
    measures = [measure for entity in entities for measure in entity.measures]
    if not measures or not days:
        return []
    sql = render("analytics/sql/conserved.sql", dataset=dataset, measures=measures)
    types = sorted({measure.entity_type for measure in measures})
    found = [_held(measures, row) for row in warehouse.query(sql, days=list(days), types=types, **settings)]
    short = {each.measure.entity_type for each in found if each.is_short}
    if not short:
        return found
    stands_on = {entity.entity_type: set(entity.tables) for entity in entities}
    tables = tuple(sorted(set[str]().union(*(stands_on[name] for name in short))))
    moving = changes(warehouse, dataset, tables, started + timedelta(microseconds=1)).tables
    return [
        each
        for each in found
        if each.measure.entity_type not in short or stands_on[each.measure.entity_type].isdisjoint(moving)
    ]


def loss(of_measure: Sequence[Held]) -> str | None:
    """What was lost between the raw rows and the metrics, in words."""
    short = [each for each in of_measure if each.is_short]
    if short:
        raw, made = sum(each.measure_in for each in short), sum(each.measure_out for each in short)
        return f"{raw} in the raw rows, {made} in the metrics"
    rows, unmapped = sum(each.rows_in for each in of_measure), sum(each.unmapped for each in of_measure)
    if rows and not any(each.rows_out for each in of_measure):
        return f"no metrics of {rows} raw rows"
    return f"{unmapped} rows of entities that the map does not know" if unmapped else None


def _held(measures: Sequence[Measure], row: Mapping[str, Any]) -> Held:
    measure, out = measures[row["measure"]], row["measure_out"]
    if out is None:
        out = row["measure_in"] if measure.optional else 0
    unmapped = 0 if measure.optional else row["unmapped"]
    return Held(**{**row, "measure": measure, "measure_out": out, "unmapped": unmapped})
