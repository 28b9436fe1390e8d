"""The data themselves: the raw tables, their columns, how campaigns are spelled."""

from shared.analytics.entities.entity import Entity

ARRIVAL_DAYS = 35
"""Longer than any source takes to settle: the days that detectors judge are among them."""

DATA: tuple[Entity, ...] = (
    Entity("source_table", "", ("attributes",), keys=("row_count",)),
    Entity("arrival", "", ("attributes",), keys=("rows_expected", "rows_missing"), stock_days=ARRIVAL_DAYS),
)
