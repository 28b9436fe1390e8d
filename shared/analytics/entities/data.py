"""The data themselves: the raw tables, their columns, how campaigns are spelled."""

from shared.analytics.entities.entity import Entity

ARRIVAL_DAYS = 35
"""Longer than any source takes to settle: the days that detectors judge are among them."""
TABLE_DAYS = 400
"""As far back as the first sync of a source looks."""
SPELLED_DAYS = 28

DATA: tuple[Entity, ...] = (
    Entity(
        "source_table",
        "",
        ("sessions", "cost", "revenue", "attributes"),
        keys=(
            "currencies",
            "first_metric",
            "foreign_rows",
            "hours_since_load",
            "loads",
            "median_amount",
            "restated_metric",
            "row_count",
            "unmapped_cost",
            "unmapped_revenue",
            "unmapped_sessions",
            "usual_interval_hours",
        ),
        stock_days=TABLE_DAYS,
        of_all=True,
    ),
    Entity("table_column", "", ("attributes",), keys=("null_count", "row_count"), of_all=True),
    Entity("arrival", "", ("attributes",), keys=("rows_expected", "rows_missing"), stock_days=ARRIVAL_DAYS),
    Entity(
        "utm_group",
        "ga_traffic_sources",
        ("sessions", "attributes"),
        keys=("minor_sessions", "spellings"),
        stock_days=SPELLED_DAYS,
    ),
)
